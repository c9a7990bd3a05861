//! Promotions that no election has decided.

use std::time::Duration;

use pgsqlms::action::Action;

use super::primary;
use crate::fakes::instance::{self, Process};
use crate::fakes::{Job, State, by_hand, log};
use crate::simulation::TURN;
use crate::simulation::scheduler::Scheduler;

pub fn promote(state: &mut State, node: usize) {
    if by_hand::promote(state, node) {
        state.disturbed();
    }
}

pub fn cut_and_promote(state: &mut State, node: usize) {
    state.nodes[node].linked = false;
    promote(state, node);
}

/// The primary's node loses its power, and a person promotes a standby before Pacemaker does.
pub fn promote_instead(state: &mut State, node: usize) {
    let Some(primary) = primary(state).filter(|primary| *primary != node) else { return };
    state.disturbed();
    state.power_off(primary);
    let pause = state.random.milliseconds(0, 3000);
    state.pass(pause);
    promote(state, node);
}

pub fn open(state: &mut State, node: usize) {
    if state.nodes[node].on && primary(state) != Some(node) {
        state.disturbed();
        by_hand::open(state, node);
    }
}

impl Scheduler {
    /// The agent's promote, by hand: Pacemaker neither asked for it nor learns of it.
    pub(super) fn force_promote(&mut self, node: usize) {
        if !self.state().nodes[node].on {
            return;
        }
        {
            let mut state = self.state();
            state.disturbed();
            log!(state, "an operator forces the promotion of {}", state.nodes[node].name);
        }
        self.run(vec![Job::new(node, Action::Promote)]);
    }
}

/// A DBA stops the primary cleanly, promotes a standby that has all of it, and starts the old primary as a standby.
pub fn switch_over(state: &mut State) {
    let Some(old) = primary(state) else { return };
    let streams = |node: &usize| state.nodes[*node].on && state.nodes[*node].postgres.upstream == Some(old);
    let standbys: Vec<usize> = (0..state.nodes.len()).filter(streams).collect();
    let Some(new) = state.random.pick(&standbys) else { return };
    state.disturbed();
    log!(state, "maintenance: a DBA switches over from {} to {}", state.nodes[old].name, state.nodes[new].name);
    instance::shut_down(state, old);
    wait(state, |state| state.nodes[old].postgres.process == Process::None);
    let (ended, end) = (state.nodes[old].postgres.process == Process::None, state.nodes[old].postgres.end);
    let has_all = state.nodes[new].postgres.end == end;
    if !ended || !has_all || !by_hand::promote(state, new) {
        log!(state, "the DBA lets it be");
        return by_hand::open(state, old);
    }
    wait(state, |state| state.nodes[new].postgres.process == Process::Primary);
    by_hand::start_standby(state, old);
    (0..state.nodes.len()).for_each(|node| by_hand::point_at(state, node, new));
    wait(state, |state| state.nodes[old].postgres.process == Process::Standby);
    if state.nodes[new].postgres.process == Process::Primary {
        state.handed_over = Some(state.nodes[new].postgres.end.branch);
    }
}

/// Lets time pass until that is so, or for long enough.
pub fn wait(state: &mut State, is_so: impl Fn(&State) -> bool) {
    for _ in 0..40 {
        if is_so(state) {
            return;
        }
        state.pass(TURN.max(Duration::from_millis(250)));
    }
}
