//! What PostgreSQL does by itself: it starts, stops, replicates, acknowledges commits, and dies.

use std::collections::BTreeSet;
use std::time::Duration;

use pgsqlms::location::Lsn;
use pgsqlms::pacemaker::Property;
use pgsqlms::postgres::control::DbState;
use pgsqlms::rules::synchronous::{Published, SyncSetting};

use super::wal::Position;
use super::{RESOURCE, State, tell};

/// A default segment of WAL.
pub const SEGMENT: u64 = 16 << 20;

/// A record such as the one that ends recovery, or the shutdown checkpoint.
const RECORD: u64 = 0x80;

/// How much a slow connection carries each time.
const TRICKLE: u64 = 0x1000;

/// What the processes are doing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Process {
    None,
    Starting { until: Duration },
    Standby,
    Promoting { until: Duration },
    Primary,
    Stopping { primary: bool, until: Duration },
}

/// `synchronous_standby_names`; no names stand for `*`.
#[derive(Debug, Clone, Default)]
pub struct Synchronous {
    /// 0 for asynchronous replication.
    pub required: usize,
    pub first: bool,
    pub names: Vec<String>,
}

impl Synchronous {
    /// What such a setting says: a list of names, bare or in double quotes.
    pub fn read(text: &str) -> Self {
        let Some((words, names)) = text.split_once('(') else { return Self::default() };
        let names = names.trim_end_matches(')').split(',').map(|name| name.trim().trim_matches('"').to_owned());
        Self {
            required: words.split_whitespace().nth(1).and_then(|number| number.parse().ok()).unwrap_or(0),
            first: words.starts_with("FIRST"),
            names: names.filter(|name| name != "*").collect(),
        }
    }

    pub fn text(&self) -> String {
        let names = if self.names.is_empty() { "*".to_owned() } else { self.names.join(", ") };
        match (self.required, self.first) {
            (0, _) => String::new(),
            (required, true) => format!("FIRST {required} ({names})"),
            (required, false) => format!("ANY {required} ({names})"),
        }
    }

    /// Up to where commits are acknowledged, given how far each streaming standby is, in the order of the list.
    fn acknowledged(&self, mut flushed: Vec<Lsn>) -> Option<Lsn> {
        if self.first {
            return flushed.get(..self.required)?.iter().min().copied();
        }
        flushed.sort();
        flushed.iter().rev().nth(self.required - 1).copied()
    }
}

/// One data directory and its processes.
#[derive(Debug)]
pub struct Instance {
    pub process: Process,
    pub control: DbState,
    pub standby_signal: bool,
    /// Its `synchronous_standby_names`.
    pub synchronous: Synchronous,
    /// A DBA has set it: until the primary has told the cluster so, its commits are promises to nobody.
    pub by_hand: bool,
    /// The end of the WAL on disk.
    pub end: Position,
    pub replayed: Lsn,
    /// What it received since it was started; after a restart, where the segment begins in which it goes on.
    pub received: Option<Lsn>,
    /// The timelines of which it has the history files.
    pub timelines: BTreeSet<u32>,
    /// Those of them that only stand for a number that others took. They lead nowhere, so no standby follows them.
    pub fillers: BTreeSet<u32>,
    /// Whom it receives WAL from.
    pub upstream: Option<usize>,
    /// It has caught up with its upstream.
    pub streaming: bool,
    retry_at: Duration,
}

impl Instance {
    pub fn new(end: Position) -> Self {
        Self {
            process: Process::None,
            control: DbState::ShutDownInRecovery,
            standby_signal: true,
            synchronous: Synchronous::default(),
            by_hand: false,
            end,
            replayed: end.lsn,
            received: None,
            timelines: BTreeSet::from([1]),
            fillers: BTreeSet::new(),
            upstream: None,
            streaming: false,
            retry_at: Duration::ZERO,
        }
    }

    /// All its processes are gone at once.
    pub fn crash(&mut self) {
        self.process = Process::None;
        self.hang_up();
    }

    fn hang_up(&mut self) {
        self.upstream = None;
        self.streaming = false;
    }

    /// Whether it sends WAL to those that ask for it.
    fn sends(&self) -> bool {
        matches!(self.process, Process::Primary | Process::Stopping { primary: true, .. })
    }
}

/// Lets every instance do what is due.
pub fn proceed(state: &mut State) {
    for node in 0..state.nodes.len() {
        write(state, node);
        replicate(state, node);
    }
    (0..state.nodes.len()).for_each(|node| acknowledge(state, node));
    (0..state.nodes.len()).for_each(|node| step(state, node));
    let writable = |node: &&super::Node| node.on && node.postgres.process == Process::Primary;
    let primaries: Vec<String> = state.nodes.iter().filter(writable).map(|node| node.name.to_string()).collect();
    if primaries.len() > 1 {
        state.violated(format!("more than one primary: {}", primaries.join(", ")));
    }
}

fn step(state: &mut State, node: usize) {
    let now = state.now;
    match state.nodes[node].postgres.process {
        Process::Starting { until } if now >= until => {
            let attempted = state.random.one_in(2);
            let postgres = &mut state.nodes[node].postgres;
            postgres.process = Process::Standby;
            postgres.replayed = postgres.end.lsn;
            // It asks for the whole segment again as soon as it tries to connect.
            postgres.received = attempted.then_some(Lsn(postgres.end.lsn.0 / SEGMENT * SEGMENT));
        }
        Process::Promoting { .. } | Process::Primary if state.nodes[node].full => {
            tell!(state, "{}: ends: no space left on device", state.nodes[node].name);
            state.nodes[node].postgres.crash();
        }
        Process::Promoting { until } if now >= until => become_primary(state, node),
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

fn become_primary(state: &mut State, node: usize) {
    let postgres = &state.nodes[node].postgres;
    let (left, known) = (postgres.end, postgres.timelines.clone());
    let mut next = state.wal.branch(left.branch).timeline + 1;
    while known.contains(&next) {
        next += 1;
    }
    (state.on_promotion)(state, node);
    let branch = state.wal.fork(left, next, node);
    let postgres = &mut state.nodes[node].postgres;
    postgres.end = Position { branch, lsn: Lsn(left.lsn.0 + RECORD) };
    postgres.replayed = postgres.end.lsn;
    postgres.timelines.insert(next);
    postgres.process = Process::Primary;
    postgres.control = DbState::InProduction;
    postgres.standby_signal = false;
    postgres.hang_up();
    tell!(state, "{}: is the primary, timeline {} from {}", state.nodes[node].name, next, left.lsn);
}

/// Clients write to whatever primary they find.
fn write(state: &mut State, node: usize) {
    if !state.nodes[node].on || state.nodes[node].postgres.process != Process::Primary || state.quiet {
        return;
    }
    let much = state.random.one_in(20);
    let bytes = if much { SEGMENT / 2 } else { 0x28 + 8 * state.random.below(0x400) as u64 };
    let end = &mut state.nodes[node].postgres.end;
    end.lsn = Lsn(end.lsn.0 + bytes);
}

/// A standby's walreceiver.
fn replicate(state: &mut State, node: usize) {
    let now = state.now;
    let standby = &state.nodes[node];
    if !standby.on || standby.postgres.process != Process::Standby {
        return;
    }
    if standby.full {
        // Its walreceiver ends again and again.
        return state.nodes[node].postgres.hang_up();
    }
    let reachable = |other: &super::Node| {
        other.on && other.side == standby.side && standby.linked && other.linked && other.postgres.sends()
    };
    let Some(primary) = state.nodes.iter().position(reachable) else {
        if standby.postgres.upstream.is_some() {
            let retry_at = now + state.random.milliseconds(100, 5000);
            let postgres = &mut state.nodes[node].postgres;
            postgres.retry_at = retry_at;
            postgres.hang_up();
        }
        return;
    };
    if standby.postgres.upstream != Some(primary) {
        if now < standby.postgres.retry_at {
            return;
        }
        connect(state, node, primary);
    }
    if state.nodes[node].postgres.upstream == Some(primary) {
        receive(state, node, primary);
    }
}

/// Whether the sender's WAL leads on from this node's, as far as PostgreSQL can see. It asks for history files that it does
/// not have, so a file of its own that only stands for a number hides the sender's.
fn follows(state: &State, node: usize, sender: Position) -> bool {
    let postgres = &state.nodes[node].postgres;
    let hidden = postgres.fillers.contains(&state.wal.branch(sender.branch).timeline);
    !hidden && state.wal.following(postgres.end, sender).is_some()
}

fn connect(state: &mut State, node: usize, primary: usize) {
    let sender = state.nodes[primary].postgres.end;
    let histories: Vec<u32> = state.wal.way(sender).map(|at| state.wal.branch(at.branch).timeline).collect();
    let retry_at = state.now + Duration::from_secs(5);
    let following = follows(state, node, sender);
    let postgres = &mut state.nodes[node].postgres;
    postgres.timelines.extend(histories);
    postgres.hang_up();
    if !following {
        postgres.retry_at = retry_at;
        return;
    }
    postgres.upstream = Some(primary);
    postgres.received = postgres.received.or(Some(Lsn(postgres.end.lsn.0 / SEGMENT * SEGMENT)));
    let end = postgres.end;
    if !state.wal.holds(sender, end) {
        let names = (&state.nodes[node].name, &state.nodes[primary].name);
        let what = format!("{} follows {} although their WAL differs before {}", names.0, names.1, end.lsn);
        state.violated(what);
    }
}

fn receive(state: &mut State, node: usize, primary: usize) {
    let sender = state.nodes[primary].postgres.end;
    let postgres = &state.nodes[node].postgres;
    let most = if state.nodes[node].slow { Lsn(postgres.end.lsn.0 + TRICKLE) } else { sender.lsn };
    let end = state.wal.up_to(sender, most.min(sender.lsn));
    let lags = state.random.one_in(8);
    let postgres = &mut state.nodes[node].postgres;
    if end.lsn > postgres.end.lsn || end.branch != postgres.end.branch {
        postgres.end = end;
        postgres.received = Some(end.lsn);
    }
    if !lags {
        postgres.replayed = postgres.end.lsn;
    }
    postgres.streaming |= postgres.end.lsn == sender.lsn;
}

/// Whether a primary has told the cluster what its commits wait for now.
fn is_told(state: &State, node: usize) -> bool {
    let published = state.information.properties.get(&Property::Synchronous.of(RESOURCE));
    let published = published.and_then(|text| text.parse::<Published>().ok()).unwrap_or_default();
    let setting: SyncSetting = state.nodes[node].postgres.synchronous.text().parse().unwrap();
    let name = &state.nodes[node].name;
    published.0.iter().any(|guard| guard.primary == *name && guard.setting == setting && guard.until.is_none())
}

/// Commits are acknowledged once those that they wait for have them. Only these are promises.
fn acknowledge(state: &mut State, node: usize) {
    if state.nodes[node].postgres.by_hand && !is_told(state, node) {
        return;
    }
    state.nodes[node].postgres.by_hand = false;
    let primary = &state.nodes[node].postgres;
    if primary.synchronous.required == 0 || !state.nodes[node].on || primary.process != Process::Primary {
        return;
    }
    let listed: Vec<usize> = match primary.synchronous.names.is_empty() {
        true => (0..state.nodes.len()).collect(),
        false => {
            let number = |name: &String| state.nodes.iter().position(|node| node.name.as_str() == name);
            primary.synchronous.names.iter().filter_map(number).collect()
        }
    };
    let follower = |other: &&usize| {
        let other = &state.nodes[**other].postgres;
        other.upstream == Some(node) && other.streaming
    };
    let flushed = listed.iter().filter(follower).map(|other| state.nodes[*other].postgres.end.lsn).collect();
    let Some(lsn) = primary.synchronous.acknowledged(flushed) else { return };
    let Position { branch, .. } = primary.end;
    if state.wal.branch(branch).parent.is_some_and(|parent| lsn <= parent.lsn) {
        return;
    }
    let known = state.acknowledged.entry(branch).or_insert(Position { branch, lsn });
    known.lsn = known.lsn.max(lsn);
}

/// What a demanded shutdown begins with: a primary writes its last record, which its standbys are to have.
pub fn shut_down(state: &mut State, node: usize) {
    let until = state.now + state.random.milliseconds(100, 3000);
    let postgres = &mut state.nodes[node].postgres;
    let primary = postgres.process == Process::Primary;
    if primary {
        postgres.end.lsn = Lsn(postgres.end.lsn.0 + RECORD);
        postgres.control = DbState::ShuttingDown;
    }
    postgres.hang_up();
    postgres.process = Process::Stopping { primary, until };
}
