//! PostgreSQL's own behaviour: it starts, stops, replicates, acknowledges commits, and dies.

use std::collections::BTreeSet;
use std::time::Duration;

use pgsqlms::location::Lsn;
use pgsqlms::postgres::control::DbState;
use pgsqlms::postgres::managed::{Managed, Setting};

use super::commits::{self, Synchronous};
use super::wal::{Begun, Position};
use super::{State, log, replication};

/// A default segment of WAL.
pub const SEGMENT: u64 = 16 << 20;

/// A record such as the one that ends recovery, or the shutdown checkpoint.
const RECORD: u64 = 0x80;

/// The state of the processes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Process {
    None,
    /// As a standby, or, without `standby.signal`, as a primary.
    Starting {
        until: Duration,
    },
    Standby,
    Promoting {
        until: Duration,
        by: Begun,
    },
    Primary,
    Stopping {
        primary: bool,
        until: Duration,
    },
}

/// One data directory and its processes.
#[derive(Debug)]
pub struct Instance {
    pub process: Process,
    pub control: DbState,
    pub standby_signal: bool,
    /// It is a base backup that has not been started yet.
    pub backup_label: bool,
    /// Which data directory it is: one that was copied or made anew is another one.
    pub directory: u64,
    /// Its `synchronous_standby_names`.
    pub synchronous: Synchronous,
    /// A person has changed the synchronous setting, or the published guarantee. The primary's commits promise nothing until
    /// it has published the setting again.
    pub unpublished: bool,
    /// The agent's own configuration file.
    pub managed: Managed,
    /// The end of the WAL on disk.
    pub end: Position,
    pub replayed: Lsn,
    /// The end of the WAL received since its start; after a restart, the beginning of the segment in which it goes on.
    pub received: Option<Lsn>,
    /// The timelines of which it has the history files.
    pub timelines: BTreeSet<u32>,
    /// Those of them that only stand for a number that others took. They lead nowhere, so no standby follows them.
    pub fillers: BTreeSet<u32>,
    /// The node that it receives WAL from.
    pub upstream: Option<usize>,
    /// It has caught up with its upstream.
    pub streaming: bool,
    /// Since when it follows that, or is the primary.
    pub since: Duration,
    /// A person has started it as a primary, and no agent has run here since.
    pub hidden: bool,
    /// So much of its WAL is yet to be read for a vote.
    pub unread: u64,
    /// Its WAL cannot be read to the end.
    pub unreadable: bool,
    pub retry_at: Duration,
}

impl Instance {
    pub fn new(end: Position) -> Self {
        Self {
            process: Process::None,
            control: DbState::ShutDownInRecovery,
            standby_signal: true,
            backup_label: false,
            directory: 0,
            synchronous: Synchronous::default(),
            unpublished: false,
            managed: Managed::default(),
            end,
            replayed: end.lsn,
            received: None,
            timelines: BTreeSet::from([1]),
            fillers: BTreeSet::new(),
            upstream: None,
            streaming: false,
            since: Duration::ZERO,
            hidden: false,
            unread: 0,
            unreadable: false,
            retry_at: Duration::ZERO,
        }
    }

    /// All its processes are gone at once.
    pub fn crash(&mut self) {
        self.process = Process::None;
        self.hang_up();
    }

    pub fn hang_up(&mut self) {
        self.upstream = None;
        self.streaming = false;
    }

    /// The host in our file; without one the standby follows no node. None if `postgresql.conf` decides.
    pub fn host(&self) -> Option<String> {
        let conninfo = self.managed.get(Setting::PrimaryConninfo)?;
        let conninfo: pgsqlms::postgres::conninfo::Conninfo = conninfo.parse().unwrap();
        Some(conninfo.get("host").unwrap_or_default().to_owned())
    }

    /// Whether it sends WAL to those that ask for it.
    pub fn sends(&self) -> bool {
        matches!(self.process, Process::Primary | Process::Stopping { primary: true, .. })
    }
}

/// Lets every instance take its due steps.
pub fn proceed(state: &mut State) {
    for node in 0..state.nodes.len() {
        write(state, node);
        replication::replicate(state, node);
    }
    (0..state.nodes.len()).for_each(|node| commits::acknowledge(state, node));
    (0..state.nodes.len()).for_each(|node| step(state, node));
}

/// How much a standby that has more on its disk replays each time.
const REPLAY: u64 = 4 << 20;

fn step(state: &mut State, node: usize) {
    let now = state.now;
    if state.nodes[node].postgres.process == Process::Standby {
        let postgres = &mut state.nodes[node].postgres;
        let ahead = postgres.replayed.0 + REPLAY < postgres.end.lsn.0;
        postgres.replayed = if ahead { Lsn(postgres.replayed.0 + REPLAY) } else { postgres.replayed };
    }
    match state.nodes[node].postgres.process {
        Process::Starting { until } if now >= until => has_started(state, node),
        Process::Promoting { .. } | Process::Primary if state.nodes[node].full => {
            log!(state, "{}: ends: no space left on device", state.nodes[node].name);
            state.nodes[node].postgres.crash();
        }
        Process::Promoting { until, by } if now >= until => become_primary(state, node, by),
        Process::Stopping { primary, until } if now >= until => {
            let end = state.nodes[node].postgres.end.lsn;
            let lags = |other: &super::Node| other.postgres.upstream == Some(node) && other.postgres.end.lsn < end;
            if primary && state.nodes.iter().any(lags) {
                return;
            }
            let postgres = &mut state.nodes[node].postgres;
            postgres.control = if primary { DbState::ShutDown } else { DbState::ShutDownInRecovery };
            postgres.crash();
        }
        _ => {}
    }
}

fn has_started(state: &mut State, node: usize) {
    if !state.nodes[node].postgres.standby_signal {
        return go_on_as_primary(state, node);
    }
    let attempted = state.random.one_in(2);
    let postgres = &mut state.nodes[node].postgres;
    postgres.process = Process::Standby;
    postgres.replayed = Lsn(postgres.end.lsn.0.saturating_sub(postgres.unread));
    // It asks for the whole segment again as soon as it tries to connect.
    postgres.received = attempted.then_some(Lsn(postgres.end.lsn.0 / SEGMENT * SEGMENT));
}

/// It was started without `standby.signal`: it writes on where its WAL ends, on the same timeline.
fn go_on_as_primary(state: &mut State, node: usize) {
    let end = state.nodes[node].postgres.end;
    let branch = state.wal.branch(end.branch);
    let goes_on = branch.by == node && branch.written == end.lsn;
    let branch = if goes_on { end.branch } else { state.wal.fork_unseen(end, node) };
    be_primary(state, node, Position { branch, ..end });
    state.nodes[node].postgres.hidden = true;
    log!(state, "{}: is a primary without a promotion, from {}", state.nodes[node].name, end.lsn);
}

fn become_primary(state: &mut State, node: usize, by: Begun) {
    let postgres = &state.nodes[node].postgres;
    let (left, known) = (postgres.end, postgres.timelines.clone());
    let mut next = state.wal.branch(left.branch).timeline + 1;
    while known.contains(&next) {
        next += 1;
    }
    if by == Begun::ByAgent {
        (state.on_promotion)(state, node);
    }
    let branch = state.wal.fork(left, next, node, by);
    if by == Begun::ByAgent {
        state.line = branch;
    }
    state.nodes[node].postgres.timelines.insert(next);
    be_primary(state, node, Position { branch, ..left });
    log!(state, "{}: is the primary, timeline {} from {}", state.nodes[node].name, next, left.lsn);
}

/// The first record is written at `from`.
fn be_primary(state: &mut State, node: usize, from: Position) {
    let end = state.wal.write(from, RECORD);
    let postgres = &mut state.nodes[node].postgres;
    (postgres.end, postgres.replayed) = (end, end.lsn);
    postgres.process = Process::Primary;
    postgres.control = DbState::InProduction;
    postgres.standby_signal = false;
    (postgres.since, postgres.unread) = (state.now, 0);
    postgres.hang_up();
}

/// Clients write to any primary that they reach.
fn write(state: &mut State, node: usize) {
    if !state.nodes[node].on || state.nodes[node].postgres.process != Process::Primary || state.quiet {
        return;
    }
    let much = state.random.one_in(20);
    let bytes = if much { SEGMENT / 2 } else { 0x28 + 8 * state.random.below(0x400) as u64 };
    state.nodes[node].postgres.end = state.wal.write(state.nodes[node].postgres.end, bytes);
}

/// The first step of a requested shutdown: a primary writes its last record, which its standbys are to have.
pub fn shut_down(state: &mut State, node: usize) {
    let until = state.now + state.random.milliseconds(100, 3000);
    let postgres = &mut state.nodes[node].postgres;
    let primary = postgres.process == Process::Primary;
    if primary {
        postgres.end = state.wal.write(postgres.end, RECORD);
        postgres.control = DbState::ShuttingDown;
    }
    postgres.hang_up();
    postgres.process = Process::Stopping { primary, until };
}
