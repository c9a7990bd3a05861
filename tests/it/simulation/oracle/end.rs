//! Invariants once the troubles are over and the cluster had time.

use pgsqlms::location::DirectoryId;
use pgsqlms::pacemaker::Property;
use pgsqlms::record::Stage;

use super::strays::NAMES;
use super::{is_stray, permanent_bar, record, survives};
use crate::fakes::instance::Process;
use crate::fakes::{RESOURCE, State, replication};
use crate::simulation::people::primary;
use crate::simulation::scheduler::Scheduler;

/// Whether replication has come to rest: all standbys that can follow the primary have caught up, and its promotion
/// counts.
pub fn at_rest(state: &State) -> bool {
    let starts = |node: &crate::fakes::Node| node.on && matches!(node.postgres.process, Process::Starting { .. });
    let reads =
        |node: &crate::fakes::Node| node.on && node.postgres.process == Process::Standby && node.postgres.unread > 0;
    let unread = primary(state).is_none() && state.nodes.iter().any(|node| reads(node) && !node.postgres.unreadable);
    if state.information.is_late() || state.nodes.iter().any(starts) || unread {
        return false;
    }
    let Some(primary) = primary(state) else { return !(0..state.nodes.len()).any(|node| is_stray(state, node)) };
    let mut standbys = state.nodes.iter().enumerate();
    let rests = |(number, node): (usize, &crate::fakes::Node)| {
        let follows =
            node.on && node.postgres.process == Process::Standby && replication::can_follow(state, number, primary);
        !follows || node.full || node.postgres.streaming
    };
    standbys.all(rests) && record(state).last().is_some_and(|last| last.stage == Stage::Kept)
}

/// Judges how things are once the troubles are over and the cluster had time.
pub fn came_right(scheduler: &Scheduler, complete: bool, settled: bool) {
    let state = &mut *scheduler.state();
    let is_primary = |node: &usize| state.nodes[*node].postgres.process == Process::Primary;
    let primaries: Vec<usize> = (0..state.nodes.len()).filter(is_primary).collect();
    // Where no server can be started, that is what is shown.
    let runs = state.nodes.iter().any(|node| node.on && node.postgres.process != Process::None);
    let is_reported = !runs || scheduler.reasons.values().any(|reason| reason.contains("no primary"));
    match primaries.as_slice() {
        [] if complete && !is_excused(scheduler, state) => {
            state.violated("all nodes are there, and there is no primary".to_owned());
        }
        [] if !is_reported => state.violated("there is no primary, and no reason is given".to_owned()),
        [] => reasons_are_true(scheduler, state),
        [primary] if !settled => state.violated(format!("{} is the primary, and no rest", state.nodes[*primary].name)),
        [primary] => {
            the_record_is_true(state, *primary);
            scores_are_true(state, *primary, scheduler.cluster.config.maxlag.is_some());
            the_strayed_are_named(scheduler, state, *primary);
        }
        _ => state.violated("there are several primaries in the end".to_owned()),
    }
}

/// Whether there may be no primary although all nodes are there: by the will of people, or by what they did.
fn is_excused(scheduler: &Scheduler, state: &State) -> bool {
    let barred = |node: &crate::fakes::Node| {
        permanent_bar(state, &node.name) || node.full || node.banned || node.broken || node.postgres.unreadable
    };
    let is_synchronous = |node: &crate::fakes::Node| node.postgres.synchronous.required > 0;
    // Promises from before commits stopped waiting still hold.
    let promised = state.information.properties.contains_key(&Property::Synchronous.of(RESOURCE));
    let synchronous =
        scheduler.cluster.config.synchronous.managed || promised || state.nodes.iter().any(is_synchronous);
    // A copy that has not caught up since it was made proves nothing.
    let is_copy = |node: &crate::fakes::Node| node.memory.directory != Some(DirectoryId(node.postgres.directory));
    let replaced = state.nodes.iter().any(is_copy);
    let bounded = scheduler.cluster.config.maxlag.is_some();
    // All data was replaced: whether that is to be the history from now on is for a person to say.
    let is_gone = !survives(state, state.line);
    is_gone
        || state.nodes.iter().any(barred)
        || bounded
        || state.unsettled
        || (synchronous && (state.unprovable || replaced))
}

/// A reason must not blame a base backup for a missing primary.
fn reasons_are_true(scheduler: &Scheduler, state: &mut State) {
    let reasons: Vec<&String> = scheduler.reasons.values().filter(|reason| reason.contains("no primary")).collect();
    let promised = state.information.properties.get(&Property::Synchronous.of(RESOURCE));
    let counts = promised.is_some_and(|promised| promised.contains(crate::fakes::BASE_BACKUP));
    if let Some(reason) = reasons.iter().find(|reason| counts && reason.contains("may be missing here")) {
        state.violated(format!("a base backup keeps all nodes from being promoted: {reason}"));
    }
}

/// The record is about the database that the primary has.
fn the_record_is_true(state: &mut State, primary: usize) {
    let system = state.wal.branch(state.nodes[primary].postgres.end.branch).system;
    if record(state).system().is_some_and(|recorded| recorded.0 != system) {
        state.violated(format!("the record is about another database than that of {}", state.nodes[primary].name));
    }
}

/// Standbys that follow may be promoted, others may not, except for the last that could.
fn scores_are_true(state: &mut State, primary: usize, bounded: bool) {
    let mut wrong = Vec::new();
    let others: Vec<usize> = (0..state.nodes.len()).filter(|node| *node != primary).collect();
    let follows = |node: usize| state.nodes[node].postgres.upstream == Some(primary);
    for node in &others {
        let name = &state.nodes[*node].name;
        let score: Option<i32> =
            state.information.transient(name, "master-pgsqld").and_then(|score| score.parse().ok());
        let barred = permanent_bar(state, name) || state.nodes[*node].banned;
        let promotable = |other: &usize| {
            let score = state.information.transient(&state.nodes[*other].name, "master-pgsqld");
            score.and_then(|score| score.parse().ok()).is_some_and(|score: i32| score >= 0)
        };
        let only = others.iter().filter(|other| promotable(other)).count() == 1;
        match score {
            Some(score) if score >= 0 && !follows(*node) && !(score == 1 && only) => {
                wrong.push(format!("{name} does not follow the primary and has the score {score}"));
            }
            Some(score) if score >= 0 => {}
            score if follows(*node) && !barred && !bounded => {
                wrong.push(format!("{name} follows and has the score {score:?}"))
            }
            Some(_) | None => {}
        }
    }
    wrong.into_iter().for_each(|what| state.violated(what));
}

/// A node that cannot follow the primary says so.
fn the_strayed_are_named(scheduler: &Scheduler, state: &mut State, primary: usize) {
    let strayed = |number: &usize| {
        let node = &state.nodes[*number];
        // The origin of unreadable WAL is unknown: such a node reports that it receives none.
        let runs = node.on && node.postgres.process == Process::Standby && !node.full && !node.postgres.unreadable;
        runs && !replication::can_follow(state, *number, primary) && !looks_alike(state, *number, primary)
    };
    let strayed: Vec<usize> = (0..state.nodes.len()).filter(strayed).collect();
    for node in strayed {
        let reason = scheduler.reasons.get(&node).map(String::as_str).unwrap_or_default();
        if !NAMES.iter().any(|words| reason.contains(words)) {
            let name = &state.nodes[node].name;
            let what = format!("{name} cannot follow the primary and looks healthy: {reason:?}");
            state.violated(what);
        }
    }
}

/// Whether a node's WAL differs from the primary's only in content: a person has promoted two standbys by hand at the same
/// point. Such a node receives nothing, which its agent reports after a while.
fn looks_alike(state: &State, node: usize, primary: usize) -> bool {
    let (end, other) = (state.nodes[node].postgres.end, state.nodes[primary].postgres.end);
    state.wal.following(end, other).is_some() && state.wal.differs_by_hand(end, other)
}
