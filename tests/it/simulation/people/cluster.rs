//! People's changes of the cluster's configuration.

use pgsqlms::node::NodeName;
use pgsqlms::pacemaker::Property;

use super::primary;
use crate::fakes::{RESOURCE, State, log};
use crate::simulation::scheduler::Scheduler;

/// A name that no node has had.
pub fn rename(state: &mut State, node: usize) {
    if state.nodes[node].on {
        return;
    }
    state.disturbed();
    state.unprovable = true;
    let (old, new) = (state.nodes[node].name.clone(), NodeName::new(format!("new{}", state.renamed.len() + 1)));
    log!(state, "{old} is called {new} from now on");
    state.information.forget(&old);
    state.information.permanent.remove(&old);
    state.renamed.insert(old, node);
    state.nodes[node].name = new;
}

pub fn lose_cib(state: &mut State) {
    log!(state, "the CIB is lost");
    state.information.properties.clear();
    state.information.permanent.clear();
    doubt_promises(state);
}

/// The published guarantee is outdated: no promise counts until a primary publishes it again.
fn doubt_promises(state: &mut State) {
    state.disturbed();
    state.nodes.iter_mut().for_each(|node| node.postgres.unpublished = true);
}

/// Something takes all connections.
pub fn crowd(state: &mut State, node: usize) {
    let pause = state.random.milliseconds(1000, 20_000);
    state.disturbed();
    state.nodes[node].refuses_until = state.now + pause;
    log!(state, "{}: refuses all sessions for {} s", state.nodes[node].name, pause.as_secs());
}

pub fn back_up(state: &mut State) {
    state.backed_up = !state.backed_up;
    log!(state, "a base backup {}", if state.backed_up { "begins" } else { "ends" });
}

impl Scheduler {
    /// A mistake, or its correction. Some make it on the primary, and have another node promoted meanwhile.
    pub(super) fn misconfigure(&mut self, node: usize) {
        let state = &mut *self.cluster.state.borrow_mut();
        state.disturbed();
        let wish = primary(state).filter(|primary| *primary != node && state.random.one_in(2));
        let at = wish.unwrap_or(node);
        let broken = wish.is_some() || !state.nodes[at].broken;
        state.nodes[at].broken = broken;
        log!(state, "{}: its configuration is {}", state.nodes[at].name, if broken { "wrong" } else { "right" });
        if wish.is_some() {
            log!(state, "an operator's wish: {}", state.nodes[node].name);
            self.wish = Some(node);
        }
    }

    /// By a constraint that the agent reads, or by one that it does not understand.
    pub(super) fn ban(&mut self, node: usize) {
        let state = &mut *self.cluster.state.borrow_mut();
        state.disturbed();
        let (banned, name) = (!state.nodes[node].banned, state.nodes[node].name.clone());
        let plain = banned && state.random.one_in(2);
        log!(state, "{name} {} the primary", if banned { "must not be" } else { "may be" });
        state.nodes[node].banned = banned;
        match plain {
            true => _ = state.information.banned.insert(name),
            false => _ = state.information.banned.remove(&name),
        }
    }

    /// `pcs resource delete` and `create`: the agent's attributes go, and its properties stay.
    pub(super) fn delete(&mut self) {
        {
            let mut state = self.state();
            state.disturbed();
            log!(state, "the resource is deleted, to be created again");
        }
        self.stop_all();
        let mut state = self.state();
        state.information.transient.clear();
        state.information.private.clear();
        state.information.changes += 1;
    }

    pub(super) fn restore_cib(&mut self) {
        let Some(backup) = self.people.cib.clone() else { return };
        let state = &mut *self.cluster.state.borrow_mut();
        log!(state, "the CIB is restored from a copy");
        state.information.restore(backup);
        state.information.properties.remove(&Property::Order.of(RESOURCE));
        doubt_promises(state);
    }
}
