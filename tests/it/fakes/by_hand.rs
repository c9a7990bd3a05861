//! A person's changes of an instance, past the agent.

use std::collections::BTreeSet;

use pgsqlms::postgres::control::DbState;
use pgsqlms::postgres::managed::Setting;

use super::instance::Process;
use super::wal::{Begun, Position};
use super::{State, log};

/// A copy of a data directory.
#[derive(Debug, Clone)]
pub struct Copy {
    /// The node that it is a copy of.
    pub of: usize,
    pub end: Position,
    timelines: BTreeSet<u32>,
    fillers: BTreeSet<u32>,
    control: DbState,
}

/// Copies a data directory as it is now.
pub fn copy(state: &State, of: usize) -> Copy {
    let postgres = &state.nodes[of].postgres;
    let (timelines, fillers) = (postgres.timelines.clone(), postgres.fillers.clone());
    Copy { of, end: postgres.end, timelines, fillers, control: postgres.control }
}

/// Puts a copy in the place of a node's data: as `pg_basebackup` leaves it, or as a snapshot of the disk.
pub fn replace(state: &mut State, node: usize, copy: &Copy, labelled: bool) {
    let directory = next_directory(state);
    let postgres = &mut state.nodes[node].postgres;
    postgres.crash();
    (postgres.end, postgres.replayed, postgres.received) = (copy.end, copy.end.lsn, None);
    (postgres.timelines, postgres.fillers) = (copy.timelines.clone(), copy.fillers.clone());
    (postgres.control, postgres.backup_label) = (copy.control, labelled);
    (postgres.directory, postgres.standby_signal) = (directory, true);
    (postgres.unread, postgres.unreadable) = (0, false);
}

/// `initdb`: another database, which no node has a copy of.
pub fn found(state: &mut State, node: usize) {
    let end = state.wal.found(node, Begun::ByHand);
    let (timelines, fillers) = (BTreeSet::from([1]), BTreeSet::new());
    replace(state, node, &Copy { of: node, end, timelines, fillers, control: DbState::ShutDown }, false);
    state.nodes[node].postgres.standby_signal = false;
}

fn next_directory(state: &mut State) -> u64 {
    state.directories += 1;
    state.directories
}

/// `pg_promote()` or `pg_ctl promote`. Whether that is possible.
pub fn promote(state: &mut State, node: usize) -> bool {
    let until = state.now + state.random.milliseconds(50, 1500);
    let is_standby = state.nodes[node].on && state.nodes[node].postgres.process == Process::Standby;
    if is_standby {
        log!(state, "a DBA promotes {}", state.nodes[node].name);
        state.nodes[node].postgres.process = Process::Promoting { until, by: Begun::ByHand };
    }
    is_standby
}

/// Starts the server without `standby.signal`. A base backup is not started so: its WAL ends elsewhere.
pub fn open(state: &mut State, node: usize) {
    let until = state.now + state.random.milliseconds(100, 4000);
    let postgres = &mut state.nodes[node].postgres;
    if postgres.process == Process::Primary || postgres.backup_label {
        return;
    }
    postgres.crash();
    (postgres.standby_signal, postgres.control) = (false, DbState::InProduction);
    postgres.process = Process::Starting { until };
    log!(state, "a DBA starts {} without standby.signal", state.nodes[node].name);
}

/// Starts the server as a standby.
pub fn start_standby(state: &mut State, node: usize) {
    let until = state.now + state.random.milliseconds(100, 4000);
    let postgres = &mut state.nodes[node].postgres;
    (postgres.standby_signal, postgres.backup_label) = (true, false);
    postgres.control = DbState::InArchiveRecovery;
    postgres.process = Process::Starting { until };
}

/// Has a standby follow `primary`, where no address moves.
pub fn point_at(state: &mut State, node: usize, primary: usize) {
    if state.follow_node && node != primary {
        let host = format!("host={}", state.nodes[primary].name);
        let postgres = &mut state.nodes[node].postgres;
        postgres.managed = postgres.managed.clone().with(Setting::PrimaryConninfo, Some(host));
    }
}
