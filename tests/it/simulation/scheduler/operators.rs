//! Events between two turns, and the deeds of operators.

use pgsqlms::pacemaker::{Attribute, Property};

use super::Scheduler;
use crate::fakes::instance::Process;
use crate::fakes::{RESOURCE, log};
use crate::simulation::faults;

impl Scheduler {
    /// Random events between two turns.
    pub fn misfortune(&mut self) {
        let chance = self.state().random.below(40);
        match chance {
            0..=4 => faults::strike(&mut self.state()),
            5..=9 => faults::mend(&mut self.state()),
            10 => self.clean_up(),
            11 => {
                let node = self.state().random.below(self.seen.len() * 2);
                self.wish = (node < self.seen.len()).then_some(node);
                log!(self.state(), "an operator's wish: {:?}", self.wish);
            }
            14 => self.order(),
            15 => faults::set_by_hand(&mut self.state()),
            13 => {
                let node = self.state().random.below(self.seen.len());
                let rests = self.resting.remove(&node) || !self.resting.insert(node);
                log!(self.state(), "an operator puts node {node} {}", if rests { "to work" } else { "on standby" });
            }
            12 => {
                self.maintenance = 6;
                log!(self.state(), "maintenance");
            }
            _ => {}
        }
        self.deed();
    }

    /// `pgsqlms promote-anyway`: an operator who sees no primary promotes some node, and accepts the loss.
    fn order(&mut self) {
        let state = &mut *self.cluster.state.borrow_mut();
        if state.nodes.iter().any(|node| node.on && node.postgres.process == Process::Primary) {
            return;
        }
        let there: Vec<usize> = (0..state.nodes.len()).filter(|node| state.nodes[*node].on).collect();
        let Some(node) = state.random.pick(&there) else { return };
        let node = state.nodes[node].name.clone();
        log!(state, "an operator orders the promotion of {node}");
        state.information.properties.insert(Property::Order.of(RESOURCE), node.to_string());
        state.information.transient.entry(node).or_default().insert(Attribute::Score.of(RESOURCE), "1".to_owned());
    }

    /// The troubles end; whether all nodes are there.
    pub fn heal(&mut self) -> bool {
        let all = faults::end_all(&mut self.state());
        self.wish = None;
        if self.state().random.one_in(2) {
            let state = &mut *self.state();
            state.nodes.iter_mut().for_each(|node| node.banned = false);
            state.information.banned.clear();
        }
        self.resting.clear();
        self.state().information.properties.remove(&Property::Order.of(RESOURCE));
        self.maintenance = 0;
        self.clean_up();
        all
    }
}
