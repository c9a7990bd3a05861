//! What must hold, judged by what the modelled WAL truly is, not by what the agents can see of it.

use pgsqlms::node::NodeName;
use pgsqlms::pacemaker::{NO_FAILOVER, Property};
use pgsqlms::record::{Promotion, Record, Stage};
use pgsqlms::vote::Ballot;

use super::scheduler::Scheduler;
use crate::fakes::instance::Process;
use crate::fakes::pacemaker::Weather;
use crate::fakes::wal::Position;
use crate::fakes::{RESOURCE, State};

/// Judges the promotion of `winner`, which is just about to take effect. What an operator ordered may cost commits,
/// and whatever history counted before.
pub fn promoted(state: &mut State, winner: usize) {
    let held = state.nodes[winner].postgres.end;
    let ordered = state.information.properties.get(&Property::Order.of(RESOURCE));
    if ordered.is_some_and(|node| *node == *state.nodes[winner].name.as_str()) {
        // Promises start over with this primary, whose older commits nobody else need hold yet.
        state.acknowledged.clear();
        let record = state.information.properties.get(&Property::Promotions.of(RESOURCE));
        let record: Option<Record> = record.and_then(|record| record.parse().ok());
        state.overruled = record.and_then(|record| record.newest_timeline());
        state.recorded = None;
        return;
    }
    let mut wrong = Vec::new();
    for lost in state.acknowledged.values().filter(|commit| !state.wal.holds(held, **commit)) {
        wrong.push(format!("lacks acknowledged commits up to {}", lost.lsn));
    }
    let counts = last_promotion(state).is_some_and(|last| last.stage == Stage::Kept);
    if let Some(branch) = last_branch(state).filter(|_| counts) {
        if !state.wal.way(held).any(|at| at.branch == branch) {
            wrong.push(format!("has missed or left timeline {}", state.wal.branch(branch).timeline));
        }
    }
    for other in voters(state, winner) {
        wrong.push(format!("holds less than {}, which voted", state.nodes[other].name));
    }
    for what in wrong {
        state.violated(format!("{} is promoted and {what}", state.nodes[winner].name));
    }
}

/// The branch that the last recorded promotion began.
fn last_branch(state: &State) -> Option<usize> {
    let last = last_promotion(state)?;
    let by = state.number(&last.node)?;
    (0..).map_while(|branch| state.wal.get(branch).map(|known| (branch, known))).find_map(|(branch, known)| {
        let begins = known.parent.is_some_and(|parent| parent.lsn == last.switch);
        (begins && known.timeline == last.timeline.0 && known.by == by).then_some(branch)
    })
}

/// Whether somebody with more than `held` on `end` should be promoted: who has the last promotion comes first, then who
/// can follow it.
fn should_be(state: &State, end: Position, held: Position) -> bool {
    let timeline = |position: Position| state.wal.branch(position.branch).timeline;
    let Some(last) = last_branch(state) else { return timeline(end) >= timeline(held) };
    let has = |position: Position| state.wal.way(position).any(|at| at.branch == last);
    let missed = state.wal.branch(last).parent.is_some_and(|parent| state.wal.holds(parent, end));
    (has(end) || (!has(held) && missed)) && timeline(end) >= timeline(held)
}

/// Nodes that hold more than `winner`, could have been promoted, and have told so.
fn voters(state: &State, winner: usize) -> Vec<usize> {
    let held = state.nodes[winner].postgres.end;
    let free = |node: &NodeName| {
        let attributes = state.information.permanent.get(node);
        let far = state.information.transient(node, "master-pgsqld").and_then(|score| score.parse().ok());
        let far = far.is_some_and(|score: i32| (-999_999..-1).contains(&score) && score != -1000);
        !attributes.is_some_and(|attributes| attributes.contains_key(NO_FAILOVER)) && !far
    };
    let fair = state.information.weather == Weather::Fair;
    let record = record_before(state, winner);
    let mut better = Vec::new();
    for (number, node) in state.nodes.iter().enumerate().filter(|(number, _)| *number != winner) {
        let end = node.postgres.end;
        let seen = state.seen_votes[winner].get(&node.name).and_then(|vote| vote.parse().ok());
        let seen = seen.filter(|ballot: &Ballot| ballot.counts(&record) && ballot.room).map(|ballot| ballot.vote);
        let told = seen
            .is_some_and(|vote| vote.lsn() == end.lsn && vote.timeline().0 == state.wal.branch(end.branch).timeline);
        let present =
            fair && !node.mute && !node.full && state.calm_since.is_some() && state.electors.contains(&number);
        let runs = node.on && node.postgres.process != Process::None;
        if runs && (told || present) && free(&node.name) && should_be(state, end, held) && !state.wal.holds(held, end) {
            better.push(number);
        }
    }
    better
}

/// The record without what `winner` is about to do.
fn record_before(state: &State, winner: usize) -> Record {
    let record = state.information.properties.get(&Property::Promotions.of(RESOURCE));
    let mut record: Record = record.and_then(|record| record.parse().ok()).unwrap_or_default();
    let intended = |first: &Promotion| first.stage == Stage::Intended && first.node == state.nodes[winner].name;
    if record.0.first().is_some_and(intended) {
        record.0.remove(0);
    }
    record
}

/// Whether replication has come to rest: all standbys that can follow the primary have caught up, and its promotion
/// counts.
pub fn at_rest(state: &State) -> bool {
    if state.information.is_late() {
        return false;
    }
    let Some(primary) = state.nodes.iter().position(|node| node.postgres.process == Process::Primary) else {
        return true;
    };
    let end = state.nodes[primary].postgres.end;
    let mut standbys = state.nodes.iter().filter(|node| node.on && node.postgres.process == Process::Standby);
    standbys.all(|node| node.full || node.postgres.streaming || state.wal.following(node.postgres.end, end).is_none())
        && last_promotion(state).is_some_and(|last| last.stage == Stage::Kept)
}

fn last_promotion(state: &State) -> Option<Promotion> {
    state.recorded.clone()
}

/// Judges how things are once the troubles are over and the cluster had time.
pub fn came_right(scheduler: &Scheduler, complete: bool, settled: bool) {
    let state = &mut *scheduler.state();
    let primaries: Vec<usize> =
        (0..state.nodes.len()).filter(|node| state.nodes[*node].postgres.process == Process::Primary).collect();
    let barred = state.information.permanent.values().any(|attributes| attributes.contains_key(NO_FAILOVER))
        || scheduler.cluster.config.maxlag.is_some()
        || state.nodes.iter().any(|node| node.full);
    let told = scheduler.reasons.values().any(|reason| reason.contains("no primary"));
    match primaries.as_slice() {
        [] if complete && !barred => state.violated("all nodes are there, and there is no primary".to_owned()),
        [] if !told => state.violated("there is no primary, and no reason is given".to_owned()),
        [] => {}
        [primary] if !settled => state.violated(format!("{} is the primary, and no rest", state.nodes[*primary].name)),
        [primary] => {
            scores_are_true(state, *primary, scheduler.cluster.config.maxlag.is_some());
            the_strayed_are_named(scheduler, state, *primary);
        }
        _ => {}
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
        let barred = state.information.permanent.get(name).is_some_and(|values| values.contains_key(NO_FAILOVER));
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
    let end = state.nodes[primary].postgres.end;
    let strayed = |node: &crate::fakes::Node| {
        let runs = node.on && node.postgres.process == Process::Standby && !node.full;
        runs && state.wal.following(node.postgres.end, end).is_none()
    };
    let strayed: Vec<usize> = (0..state.nodes.len()).filter(|number| strayed(&state.nodes[*number])).collect();
    for node in strayed {
        let reason = scheduler.reasons.get(&node).map(String::as_str).unwrap_or_default();
        if !reason.contains("diverged") {
            let name = &state.nodes[node].name;
            let what = format!("{name} cannot follow the primary and looks healthy: {reason:?}");
            state.violated(what);
        }
    }
}
