//! What must hold, judged by what the modelled WAL truly is, not by what the agents can see of it.

use pgsqlms::node::NodeName;
use pgsqlms::pacemaker::{NO_FAILOVER, Property};
use pgsqlms::record::{Promotion, Record};
use pgsqlms::vote::Vote;

use super::scheduler::Scheduler;
use crate::fakes::instance::Process;
use crate::fakes::pacemaker::Weather;
use crate::fakes::wal::Position;
use crate::fakes::State;

/// Judges the promotion of `winner`, which is just about to take effect.
pub fn promoted(state: &mut State, winner: usize) {
    let held = state.nodes[winner].postgres.end;
    let mut wrong = Vec::new();
    for lost in state.acknowledged.values().filter(|commit| !state.wal.holds(held, **commit)) {
        wrong.push(format!("lacks acknowledged commits up to {}", lost.lsn));
    }
    if let Some(branch) = counted(state) {
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

/// The branch of the last recorded promotion, if that counts.
fn counted(state: &State) -> Option<usize> {
    let last = last_promotion(state).filter(|last| last.kept)?;
    let by = state.number(&last.node)?;
    (0..).map_while(|branch| state.wal.get(branch).map(|known| (branch, known))).find_map(|(branch, known)| {
        let begins = known.parent.is_some_and(|parent| parent.lsn == last.switch);
        (begins && known.timeline == last.timeline.0 && known.by == by).then_some(branch)
    })
}

/// Nodes that hold more than `winner`, could have been promoted, and have told so.
fn voters(state: &State, winner: usize) -> Vec<usize> {
    let held = state.nodes[winner].postgres.end;
    let fit = |end: Position| counted(state).is_none_or(|branch| state.wal.way(end).any(|at| at.branch == branch));
    let free = |node: &NodeName| {
        let attributes = state.information.permanent.get(node);
        let far = state.information.transient(node, "master-pgsqld").and_then(|score| score.parse().ok());
        let far = far.is_some_and(|score: i32| (-999_999..-1).contains(&score) && score != -1000);
        !attributes.is_some_and(|attributes| attributes.contains_key(NO_FAILOVER)) && !far
    };
    let fair = state.information.weather == Weather::Fair;
    let mut better = Vec::new();
    for (number, node) in state.nodes.iter().enumerate().filter(|(number, _)| *number != winner) {
        let end = node.postgres.end;
        let seen: Option<Vote> = state.seen_votes[winner].get(&node.name).and_then(|vote| vote.parse().ok());
        let told = seen.is_some_and(|vote| {
            vote.lsn() == end.lsn && vote.timeline().0 == state.wal.branch(end.branch).timeline
        });
        let present = fair && state.calm_since.is_some() && state.electors.contains(&number);
        if (told || present) && free(&node.name) && fit(end) && !state.wal.holds(held, end) {
            better.push(number);
        }
    }
    better
}

/// Whether replication has come to rest: all standbys that can follow the primary have caught up, and its promotion
/// counts.
pub fn at_rest(state: &State) -> bool {
    let Some(primary) = state.nodes.iter().position(|node| node.postgres.process == Process::Primary) else {
        return true;
    };
    let end = state.nodes[primary].postgres.end;
    let mut standbys = state.nodes.iter().filter(|node| node.on && node.postgres.process == Process::Standby);
    standbys.all(|node| node.postgres.streaming || state.wal.following(node.postgres.end, end).is_none())
        && last_promotion(state).is_some_and(|last| last.kept)
}

fn last_promotion(state: &State) -> Option<Promotion> {
    let record: Record = state.information.property(Property::Promotions)?.parse().ok()?;
    record.last().cloned()
}

/// Judges how things are once the troubles are over and the cluster had time.
pub fn came_right(scheduler: &Scheduler, complete: bool, settled: bool) {
    let state = &mut *scheduler.state();
    let primaries: Vec<usize> =
        (0..state.nodes.len()).filter(|node| state.nodes[*node].postgres.process == Process::Primary).collect();
    let barred = state.information.permanent.values().any(|attributes| attributes.contains_key(NO_FAILOVER))
        || scheduler.cluster.config.maxlag.is_some();
    let told = scheduler.reasons.values().any(|reason| reason.contains("none can be promoted"));
    match primaries.as_slice() {
        [] if complete && !barred => state.violated("all nodes are there, and there is no primary".to_owned()),
        [] if !told => state.violated("there is no primary, and no reason is given".to_owned()),
        [] => {}
        [primary] if !settled => state.violated(format!("{} is the primary, and no rest", state.nodes[*primary].name)),
        [primary] => scores_are_true(state, *primary),
        _ => {}
    }
}

/// Standbys that follow may be promoted, others may not, except for the last that could.
fn scores_are_true(state: &mut State, primary: usize) {
    let mut wrong = Vec::new();
    let others: Vec<usize> = (0..state.nodes.len()).filter(|node| *node != primary).collect();
    let follows = |node: usize| state.nodes[node].postgres.upstream == Some(primary);
    for node in &others {
        let name = &state.nodes[*node].name;
        let score: Option<i32> = state.information.transient(name, "master-pgsqld").and_then(|score| score.parse().ok());
        let barred = state.information.permanent.get(name).is_some_and(|values| values.contains_key(NO_FAILOVER));
        let only = !others.iter().any(|other| follows(*other));
        match score {
            Some(score) if score >= 0 && !follows(*node) && !(score == 1 && only) => {
                wrong.push(format!("{name} does not follow the primary and has the score {score}"));
            }
            Some(score) if score >= 0 => {}
            score if follows(*node) && !barred => wrong.push(format!("{name} follows and has the score {score:?}")),
            Some(_) | None => {}
        }
    }
    wrong.into_iter().for_each(|what| state.violated(what));
}
