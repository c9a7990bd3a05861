//! Attributes on their way from and to an agent: refused, judged, or changed by a planted bug.

use std::collections::BTreeMap;

use pgsqlms::location::{SystemId, Timeline};
use pgsqlms::node::NodeName;
use pgsqlms::pacemaker::{Attribute, Property};
use pgsqlms::record::{Promotion, Record, Stage};
use pgsqlms::vote::Ballot;

use crate::fakes::instance::Process;
use crate::fakes::wal::Begun;
use crate::fakes::{Node, Planted, RESOURCE, State};

/// Whether a private attribute is lost. Lost votes happen all the time where they must not matter.
pub(super) fn is_refused(state: &mut State, node: usize, name: &str, value: Option<&str>) -> bool {
    let keeps_old = state.planted == Some(Planted::CountsOldVotes) && name == Attribute::Vote.of(RESOURCE);
    state.nodes[node].mute || (keeps_old && (value.is_none() || state.random.one_in(2)))
}

/// An agent must not raise the score of another node that has published that it recovers.
pub(super) fn judge_score(state: &mut State, me: usize, node: &NodeName, name: &str, value: Option<&str>) {
    let score: Option<i32> = value.and_then(|score| score.parse().ok());
    if name != Attribute::Score.of(RESOURCE) || *node == state.nodes[me].name || score.is_none_or(|score| score < 0) {
        return;
    }
    let private = state.information.private.get(node).and_then(|values| values.get(&Attribute::Vote.of(RESOURCE)));
    let recovers = private.is_some_and(|vote| vote.split_whitespace().any(|word| word == "recovering=yes"));
    let starts = |it: &Node| it.name == *node && matches!(it.postgres.process, Process::Starting { .. });
    if recovers && state.nodes.iter().any(starts) {
        let what = format!("{} lifts the score of {node}, which recovers", state.nodes[me].name);
        state.violated(what);
    }
}

/// Attributes that do not arrive: by the bug that no node becomes a candidate, or the vote that all wait for.
pub(super) fn refuses(state: &State, node: &NodeName, name: &str, value: Option<&str>) -> bool {
    match state.planted {
        Some(Planted::KeepsNegativeScores) => name == Attribute::Score.of(RESOURCE) && value == Some("1"),
        Some(Planted::EndIsNotRecorded) => name == Attribute::Left.of(RESOURCE),
        Some(Planted::WaitsForEveryVote) => name == Attribute::Vote.of(RESOURCE) && *node == state.nodes[0].name,
        _ => false,
    }
}

/// The bugs that a timeline begun by a person counts: the latest of all, or that of the reading node.
pub(super) fn strays_on_record(state: &State, me: usize, properties: &mut BTreeMap<String, String>) {
    let all = 0..state.nodes.len();
    let looked_at = match state.planted {
        Some(Planted::StraysAreOnRecord) => all,
        Some(Planted::StraysPublish) => me..me + 1,
        _ => return,
    };
    let end = |node: &usize| state.nodes[*node].postgres.end.branch;
    let by_hand = looked_at.filter(|node| state.nodes[*node].on && state.wal.branch(end(node)).begun == Begun::ByHand);
    let Some(branch) = by_hand.map(|node| end(&node)).max_by_key(|branch| state.wal.branch(*branch).timeline) else {
        return;
    };
    let (name, known) = (Property::Promotions.of(RESOURCE), state.wal.branch(branch));
    let node = state.nodes[known.by].name.clone();
    let promotion = Promotion {
        stage: Stage::Kept,
        history: Some(state.wal.history(branch).clone()),
        system: Some(SystemId(known.system)),
        ..Promotion::of(node, Timeline(known.timeline), known.switch, 0)
    };
    let record: Record = properties.get(&name).and_then(|text| text.parse().ok()).unwrap_or_default();
    properties.insert(name, record.with(promotion).to_string());
}

/// The vote as if it were cast now.
pub(super) fn renewed(state: &State, vote: &str) -> String {
    let record = state.information.properties.get(&Property::Promotions.of(RESOURCE));
    let after = record.and_then(|record| record.parse::<Record>().ok()?.newest_timeline());
    match vote.parse::<Ballot>() {
        Ok(ballot) => Ballot { after, ..ballot }.to_string(),
        Err(_) => vote.to_owned(),
    }
}
