//! Invariants, judged by the true modelled WAL, not by the agents' view of it.
//!
//! - **The line.** The cluster's history is that of the last promotion that counts ([`State::line`]): by an agent that has won
//!   an election, adopted by an agent because provably nothing is lost by it, or ordered by an operator. Every other branch is
//!   a stray, regardless of its number and of the person or agent that began it.
//! - **Promises.** A commit that was acknowledged under synchronous replication by the primary of the line is held by every
//!   primary that counts after it, as long as some node holds it, there or not; see [`crate::fakes::commits`]. Commits
//!   do not count that were acknowledged by a primary which a person made beside the primary, or which gave way before it was
//!   adopted. An operator who orders a promotion, or runs `forget-history`, accepts the loss.
//! - **Elections.** No node wins that holds less of the line than another that voted, or would have voted if asked. WAL of
//!   strays does not count, and a node that has not read all its WAL may be passed over.
//! - **Writers.** No agent promotes beside a primary: one of the line ever, except where a person has started it and no agent has
//!   looked since; one that a person made if that one has voted. Only
//!   the primary of the line, or one that may be adopted, writes the record.
//! - **Strays** are named by their first monitor, are gone a few monitors later, and never cost the primary its role.
//! - **In the end** there is a primary, or a reason on `crm_mon` why there is none.

/// How things are when the troubles are over.
mod end;
/// A primary's entries in the record.
mod record;
/// Primaries that people have made.
mod strays;

pub use end::{at_rest, came_right};
pub use record::recorded;
pub use strays::{Strays, demoted};

use pgsqlms::location::Lsn;
use pgsqlms::node::NodeName;
use pgsqlms::pacemaker::{NO_FAILOVER, Property};
use pgsqlms::postgres::control::DbState;
use pgsqlms::record::{Promotion, Record, Stage};
use pgsqlms::vote::Ballot;

use crate::fakes::instance::Process;
use crate::fakes::pacemaker::Weather;
use crate::fakes::wal::Position;
use crate::fakes::{RESOURCE, State};

/// Judges the promotion of `winner`, which is just about to take effect. An operator's order may cost commits
/// and the former history.
pub fn promoted(state: &mut State, winner: usize) {
    let held = state.nodes[winner].postgres.end;
    let mut wrong = beside(state, winner);
    let ordered = state.information.properties.get(&Property::Order.of(RESOURCE));
    if ordered.is_some_and(|node| *node == *state.nodes[winner].name.as_str()) {
        // Promises start over with this primary: no other node must hold its older commits yet.
        state.acknowledged.clear();
        state.overruled = record(state).newest_timeline();
        (state.recorded, state.kept) = (None, None);
    } else {
        wrong.extend(lost(state, held));
        if let Some(branch) = state.kept.filter(|branch| survives(state, *branch)) {
            if state.wal.reach(held, branch).is_none() {
                wrong.push(format!("has missed or left timeline {}", state.wal.branch(branch).timeline));
            }
        }
        for other in voters(state, winner).into_iter().filter(|_| !state.forgotten) {
            wrong.push(format!("holds less than {}, which voted", state.nodes[other].name));
        }
    }
    for what in wrong {
        state.violated(format!("{} is promoted and {what}", state.nodes[winner].name));
    }
    (state.forgotten, state.ended, state.handed_over) = (false, None, None);
}

/// Other primaries beside which the agent makes a second writer.
fn beside(state: &State, winner: usize) -> Vec<String> {
    let writes = |node: &usize| {
        let other = &state.nodes[*node];
        let published = state.seen_votes[winner].get(&other.name).is_some_and(|vote| vote.contains(" primary=yes"));
        // Where Pacemaker runs no instance no agent looks, and no agent can know of a server that a person has started there.
        let known = (other.postgres.end.branch == state.line && !other.postgres.hidden) || published;
        *node != winner && other.on && other.postgres.process == Process::Primary && known
    };
    let others = (0..state.nodes.len()).filter(writes);
    others.map(|node| format!("makes more than one primary: {} is one", state.nodes[node].name)).collect()
}

/// The losses if a node with `held` becomes the primary.
fn lost(state: &State, held: Position) -> Vec<String> {
    let lacks = |wanted: &Position| !state.wal.holds(held, *wanted);
    let mut wrong = Vec::new();
    let is_held = |wanted: &Position| state.nodes.iter().any(|node| state.wal.holds(node.postgres.end, *wanted));
    for commit in state.acknowledged.values().filter(|commit| lacks(commit) && is_held(commit)) {
        wrong.push(format!("lacks acknowledged commits up to {}", commit.lsn));
    }
    let system = |branch: usize| state.wal.branch(branch).system;
    if system(held.branch) != system(state.line) && survives(state, state.line) && !state.forgotten {
        wrong.push("has another database".to_owned());
    }
    if let Some((node, _)) = state.ended.filter(|(node, end)| lacks(end) && state.nodes[*node].postgres.end == *end) {
        wrong.push(format!("lacks the end of {}, which was shut down cleanly", state.nodes[node].name));
    }
    if let Some(branch) = state.handed_over.filter(|branch| state.wal.reach(held, *branch).is_none()) {
        let timeline = state.wal.branch(branch).timeline;
        wrong.push(format!("lacks timeline {timeline}, to which a DBA has switched over cleanly"));
    }
    wrong
}

/// An agent has ended a primary and does not start it: the next primary must have its last record, if that ended cleanly.
pub fn ended(state: &mut State, node: usize) {
    let postgres = &state.nodes[node].postgres;
    let cleanly = postgres.process == Process::None && postgres.control == DbState::ShutDown;
    let fair = state.information.weather == Weather::Fair && !state.nodes[node].mute;
    if cleanly && fair && postgres.end.branch == state.line {
        state.ended = Some((node, postgres.end));
    }
}

/// Whether some node has been on that branch or its successors.
fn survives(state: &State, branch: usize) -> bool {
    state.nodes.iter().any(|node| state.wal.reach(node.postgres.end, branch).is_some())
}

/// The branch that a promotion began: of several that look alike, the one that its node is on, else the last.
fn branch_of(state: &State, promotion: &Promotion) -> Option<usize> {
    let by = state.number(&promotion.node)?;
    let branches = (0..).map_while(|branch| state.wal.get(branch).map(|known| (branch, known)));
    let alike = branches.filter(|(_, known)| {
        known.by == by && known.timeline == promotion.timeline.0 && known.switch == promotion.switch
    });
    let alike: Vec<usize> = alike.map(|(branch, _)| branch).collect();
    let is_on = |branch: &&usize| state.wal.reach(state.nodes[by].postgres.end, **branch).is_some();
    alike.iter().rev().find(is_on).or(alike.last()).copied()
}

/// How much of the line a node has: the first branch from its tip that both are on, and how far on it.
fn rank(state: &State, end: Position) -> (std::cmp::Reverse<usize>, Lsn) {
    let tip = Position { branch: state.line, lsn: state.wal.branch(state.line).written };
    let way: Vec<Position> = state.wal.way(tip).collect();
    let on = way.iter().enumerate().find_map(|(distance, at)| {
        let reached = state.wal.reach(end, at.branch)?;
        Some((std::cmp::Reverse(distance), reached.min(at.lsn)))
    });
    on.unwrap_or((std::cmp::Reverse(way.len()), Lsn(0)))
}

/// Nodes that hold more of the line than `winner`, could have been promoted, and have voted.
fn voters(state: &State, winner: usize) -> Vec<usize> {
    let record = record_before(state, winner);
    let is_elector = |node: &usize| *node != winner && state.electors.contains(node) && is_free(state, *node);
    let present = state.calm_since.is_some();
    (0..state.nodes.len()).filter(is_elector).filter(|node| is_better(state, *node, winner, &record, present)).collect()
}

/// Whether a node could be promoted as far as people have a say.
fn is_free(state: &State, node: usize) -> bool {
    let name = &state.nodes[node].name;
    let score = state.information.transient(name, "master-pgsqld").and_then(|score| score.parse().ok());
    let far = score.is_some_and(|score: i32| (-999_999..-1).contains(&score) && score != -1000);
    let barred = state.information.permanent.get(name).is_some_and(|values| values.contains_key(NO_FAILOVER));
    !barred && !far && !state.nodes[node].banned
}

/// Whether a node holds more of the line than another, whose agent has seen that or would have.
fn is_better(state: &State, node: usize, than: usize, record: &Record, present: bool) -> bool {
    let it = &state.nodes[node];
    let (end, held) = (it.postgres.end, state.nodes[than].postgres.end);
    let seen = state.seen_votes[than].get(&it.name).and_then(|vote| vote.parse().ok());
    let seen = seen.filter(|ballot: &Ballot| ballot.counts(record) && ballot.room).map(|ballot| ballot.vote);
    let published =
        seen.is_some_and(|vote| vote.lsn() == end.lsn && vote.timeline().0 == state.wal.branch(end.branch).timeline);
    let fair = state.information.weather == Weather::Fair;
    let present = present && fair && !it.mute && !it.full;
    let runs = it.on && it.postgres.process != Process::None;
    let read = it.postgres.unread == 0 && !it.postgres.unreadable;
    // Two timelines of one number that leave their parent at the same point cannot be distinguished.
    let (wal, history) = (&state.wal, |end: Position| state.wal.history(end.branch));
    let is_alike = history(end) == history(held) && wal.differs_by_hand(end, held);
    let counts = runs && read && (published || present) && !is_alike && !wal.has_left(end, state.line);
    counts && rank(state, end) > rank(state, held)
}

/// The record as the cluster has it.
fn record(state: &State) -> Record {
    let record = state.information.properties.get(&Property::Promotions.of(RESOURCE));
    record.and_then(|record| record.parse().ok()).unwrap_or_default()
}

/// The record without the promotion that `winner` is about to do.
fn record_before(state: &State, winner: usize) -> Record {
    let mut record = record(state);
    let intended = |first: &Promotion| first.stage == Stage::Intended && first.node == state.nodes[winner].name;
    if record.0.first().is_some_and(intended) {
        record.0.remove(0);
    }
    record
}

pub fn has_primary(state: &State) -> bool {
    state.nodes.iter().any(|node| node.on && node.postgres.process == Process::Primary)
}

/// Whether a node is a primary that does not count.
fn is_stray(state: &State, node: usize) -> bool {
    let it = &state.nodes[node];
    it.on && it.postgres.process == Process::Primary && it.postgres.end.branch != state.line
}

/// Whether a permanent attribute bars the node of this name from promotion.
fn permanent_bar(state: &State, name: &NodeName) -> bool {
    state.information.permanent.get(name).is_some_and(|values| values.contains_key(NO_FAILOVER))
}
