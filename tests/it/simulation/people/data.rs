//! Data directories that are restored, copied, or made anew.

use pgsqlms::action::Action;

use super::promoting::wait;
use super::{People, primary};
use crate::fakes::instance::Process;
use crate::fakes::{Job, State, by_hand, log};
use crate::simulation::scheduler::Scheduler;

/// How many backups are kept.
const BACKUPS: usize = 6;

impl People {
    /// Backups are made all the time.
    pub(super) fn remember(&mut self, state: &mut State) {
        if state.random.one_in(10) {
            let node = state.random.below(state.nodes.len());
            self.backups.push(by_hand::copy(state, node));
            let surplus = self.backups.len().saturating_sub(BACKUPS);
            self.backups.drain(..surplus);
        }
        if state.random.one_in(20) {
            self.cib = Some(state.information.back_up());
        }
    }
}

/// A new disk, and the package has made a database on it. Not done to the primary.
pub fn reinstall(state: &mut State, node: usize) {
    if primary(state) == Some(node) || !state.nodes[node].on {
        return;
    }
    state.disturbed();
    state.unprovable = true;
    by_hand::found(state, node);
    log!(state, "{}: set up anew, with a database of its own", state.nodes[node].name);
}

/// A node joins with a database of its own, in which more has been written than in the cluster's.
pub fn join(state: &mut State, node: usize) {
    (state.unprovable, state.unsettled) = (true, true);
    by_hand::found(state, node);
    let end = state.wal.write(state.nodes[node].postgres.end, 0x1000);
    (state.nodes[node].postgres.end, state.nodes[node].postgres.replayed) = (end, end.lsn);
}

/// A base backup of another standby, however far that is.
pub fn copy_standby(state: &mut State, node: usize) {
    let others: Vec<usize> = (0..state.nodes.len())
        .filter(|other| *other != node && state.nodes[*other].on)
        .filter(|other| state.nodes[*other].postgres.process == Process::Standby)
        .collect();
    let Some(source) = state.random.pick(&others) else { return };
    if primary(state) == Some(node) || !state.nodes[node].on {
        return;
    }
    state.disturbed();
    state.unprovable = true;
    let copy = by_hand::copy(state, source);
    by_hand::replace(state, node, &copy, true);
    log!(state, "{}: gets a copy of {}", state.nodes[node].name, state.nodes[source].name);
}

/// `initdb`, `pg_upgrade`, a restore of everything: on the nodes that are on there is another database.
pub fn recreate(state: &mut State) {
    let there: Vec<usize> = (0..state.nodes.len()).filter(|node| state.nodes[*node].on).collect();
    let Some(first) = state.random.pick(&there) else { return };
    state.disturbed();
    (state.unprovable, state.unsettled) = (true, true);
    state.acknowledged.clear();
    (state.recorded, state.kept, state.forgotten) = (None, None, true);
    by_hand::found(state, first);
    log!(state, "{}: another database is made there, and copied", state.nodes[first].name);
    let running = state.random.one_in(2);
    if running {
        by_hand::open(state, first);
        wait(state, |state| state.nodes[first].postgres.process == Process::Primary);
    }
    let copy = by_hand::copy(state, first);
    for node in there.into_iter().filter(|node| *node != first) {
        by_hand::replace(state, node, &copy, true);
        by_hand::point_at(state, node, first);
        if running {
            by_hand::start_standby(state, node);
        }
    }
}

impl Scheduler {
    /// A backup, its own or that of another node.
    pub(super) fn restore(&mut self, node: usize) {
        let state = &mut *self.cluster.state.borrow_mut();
        if self.people.backups.is_empty() || primary(state) == Some(node) || !state.nodes[node].on {
            return;
        }
        let backup = self.people.backups[state.random.below(self.people.backups.len())].clone();
        state.disturbed();
        state.unprovable = true;
        let labelled = state.random.one_in(2);
        by_hand::replace(state, node, &backup, labelled);
        let of = &state.nodes[backup.of].name;
        log!(state, "{}: restored from a backup of {of}, up to {}", state.nodes[node].name, backup.end.lsn);
    }

    /// The resource is stopped everywhere.
    pub(super) fn stop_all(&mut self) {
        for action in [Action::Demote, Action::Stop] {
            let runs = |node: &usize| {
                let state = self.state();
                let process = state.nodes[*node].postgres.process;
                let meant = action == Action::Stop || process == Process::Primary;
                state.nodes[*node].on && process != Process::None && meant
            };
            let jobs: Vec<Job> =
                (0..self.seen.len()).filter(runs).map(|node| Job::stopping(&self.state(), node, action)).collect();
            self.run(jobs);
        }
        self.forget_roles();
    }
}
