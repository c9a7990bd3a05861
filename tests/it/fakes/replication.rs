//! How standbys receive WAL.

use std::time::Duration;

use pgsqlms::location::Lsn;

use super::instance::{Process, SEGMENT};
use super::wal::Position;
use super::{Node, State};

/// How much a slow connection carries each time.
const TRICKLE: u64 = 0x1000;

/// A standby's walreceiver.
pub fn replicate(state: &mut State, node: usize) {
    let now = state.now;
    let standby = &state.nodes[node];
    if !standby.on || standby.postgres.process != Process::Standby {
        return;
    }
    if standby.full {
        // Its walreceiver ends again and again.
        return state.nodes[node].postgres.hang_up();
    }
    let Some(sender) = sender(state, node) else {
        if standby.postgres.upstream.is_some() {
            let retry_at = now + state.random.milliseconds(100, 5000);
            let postgres = &mut state.nodes[node].postgres;
            postgres.retry_at = retry_at;
            postgres.hang_up();
        }
        return;
    };
    if standby.postgres.upstream != Some(sender) {
        if now < standby.postgres.retry_at {
            return;
        }
        connect(state, node, sender);
    }
    if state.nodes[node].postgres.upstream == Some(sender) {
        receive(state, node, sender);
    }
}

/// The node that this standby connects to: the one that its configuration names, or the holder of the address that moves
/// with the primary. While no node holds the address, any node that sends WAL.
fn sender(state: &State, node: usize) -> Option<usize> {
    let standby = &state.nodes[node];
    let reaches = |other: &usize| {
        let sender: &Node = &state.nodes[*other];
        sender.on && sender.side == standby.side && standby.linked && sender.linked && sender.postgres.sends()
    };
    if let Some(host) = standby.postgres.host().filter(|_| state.follow_node) {
        return state.nodes.iter().position(|node| *node.name.as_str() == *host).filter(reaches);
    }
    let held = || state.address.filter(reaches);
    standby.postgres.upstream.filter(reaches).or_else(held).or_else(|| (0..state.nodes.len()).find(reaches))
}

/// Whether the node that this standby connects to has another database.
pub fn is_foreign(state: &State, node: usize) -> bool {
    let system = |node: usize| state.wal.branch(state.nodes[node].postgres.end.branch).system;
    sender(state, node).is_some_and(|sender| system(sender) != system(node))
}

/// Whether the sender's WAL leads on from this node's, as far as PostgreSQL can see. It asks for history files that it does
/// not have, so a file of its own that only stands for a number hides the sender's.
fn follows(state: &State, node: usize, sender: Position) -> bool {
    let postgres = &state.nodes[node].postgres;
    let hidden = postgres.fillers.contains(&state.wal.branch(sender.branch).timeline);
    !hidden && state.wal.following(postgres.end, sender).is_some()
}

/// Whether this node's WAL can become that of `sender`.
pub fn can_follow(state: &State, node: usize, sender: usize) -> bool {
    let (end, sender) = (state.nodes[node].postgres.end, state.nodes[sender].postgres.end);
    state.wal.following(end, sender).is_some() && state.wal.holds(sender, end)
}

fn connect(state: &mut State, node: usize, primary: usize) {
    let sender = state.nodes[primary].postgres.end;
    let retry_at = state.now + Duration::from_secs(5);
    let following = follows(state, node, sender);
    let end = state.nodes[node].postgres.end;
    // Such a standby receives WAL that does not continue its own, and gives up, again and again.
    let garbled = following && state.wal.differs_by_hand(end, sender);
    let is_same = state.wal.branch(end.branch).system == state.wal.branch(sender.branch).system;
    let histories: Vec<u32> = state.wal.way(sender).map(|at| state.wal.branch(at.branch).timeline).collect();
    let postgres = &mut state.nodes[node].postgres;
    if is_same {
        postgres.timelines.extend(histories);
    }
    postgres.hang_up();
    if !following || garbled {
        postgres.retry_at = retry_at;
        return;
    }
    postgres.upstream = Some(primary);
    (postgres.since, postgres.unread) = (state.now, 0);
    postgres.received = postgres.received.or(Some(Lsn(end.lsn.0 / SEGMENT * SEGMENT)));
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
