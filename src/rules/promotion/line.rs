//! Which line of timelines counts in an election.

use std::collections::{BTreeMap, BTreeSet};

use super::{Facts, Refusal, Voter, Warning};
use crate::location::{Lsn, SystemId, Timeline};
use crate::node::NodeName;
use crate::postgres::history::Fork;
use crate::record::{Promotion, Record, Stage};
use crate::rules::lineage::{self, Standing};
use crate::vote::{Extent, Vote};

/// The record that an election is decided by.
pub(super) struct Line {
    /// The promotions, with those that the votes prove or imply.
    pub(super) record: Record,
    /// Those that no election has announced and that count all the same.
    pub(super) adopted: Vec<Warning>,
}

/// The line that counts: that of the record, as far as the votes prove it. Where there is no record, that of the latest
/// timeline.
///
/// # Errors
///
/// When no node has voted, or the votes are not about one database and one line.
pub(super) fn settled(facts: &Facts, voted: &[Voter]) -> Result<Line, Refusal> {
    if voted.is_empty() {
        return Err(match facts.record.system() {
            Some(recorded) if !facts.foreign.is_empty() => Refusal::OtherDatabase(recorded, facts.foreign.clone()),
            _ => Refusal::NoVotes,
        });
    }
    let record = facts.record.proven_by(voted.iter().copied());
    if record.last().is_none() {
        several_databases(voted)?;
        return Ok(Line { record: implied(voted)?, adopted: Vec::new() });
    }
    Ok(with_adopted(facts, voted, record))
}

fn several_databases(voted: &[Voter]) -> Result<(), Refusal> {
    let systems: BTreeMap<NodeName, SystemId> =
        voted.iter().filter_map(|(node, vote)| Some(((*node).clone(), vote.system?))).collect();
    match systems.values().collect::<BTreeSet<_>>().len() {
        0 | 1 => Ok(()),
        _ => Err(Refusal::SeveralDatabases(systems)),
    }
}

/// Nothing is recorded in a new cluster, and in one that comes from PAF. The latest timeline is then the one that was
/// promoted last; two of one number cannot be distinguished.
fn implied(voted: &[Voter]) -> Result<Record, Refusal> {
    let Some((node, vote)) = voted.iter().max_by_key(|(_, vote)| vote.position()) else {
        return Ok(Record::default());
    };
    let timeline = vote.timeline();
    let promotion = Promotion {
        stage: Stage::Kept,
        history: Some(vote.history.shortened()),
        ..Promotion::of((*node).clone(), timeline, vote.history.begin(timeline).unwrap_or_default(), 0)
    };
    let record = Record(vec![promotion]);
    let parted = |(_, vote): &&Voter| lineage::standing(vote, &record).is_diverged();
    let namesakes: Vec<NodeName> = voted
        .iter()
        .filter(|(_, other)| other.timeline() == timeline)
        .filter(parted)
        .map(|(other, _)| (*other).clone())
        .collect();
    match namesakes.is_empty() {
        true => Ok(record),
        false => Err(Refusal::Namesakes(timeline, [(*node).clone()].into_iter().chain(namesakes).collect())),
    }
}

/// Adds the timelines that leave the end of the line without an announcement and by which provably nothing is lost: a person
/// has promoted a standby that had everything. A silent node may hold more; but where another voter would be promoted instead,
/// that one holds nothing that the timeline lacks.
fn with_adopted(facts: &Facts, voted: &[Voter], mut record: Record) -> Line {
    let mut adopted = Vec::new();
    let all_voted = facts.votes.values().all(Option::is_some);
    while let Some(promotion) = branch(voted, &record).filter(|_| all_voted || has_candidate(facts, voted, &record)) {
        adopted.push(Warning::Adopted(promotion.timeline, promotion.node.clone()));
        record = record.with(promotion);
    }
    Line { record, adopted }
}

/// Whether one that is on the line could be promoted.
fn has_candidate(facts: &Facts, voted: &[Voter], record: &Record) -> bool {
    let is_one = |(node, vote): &Voter| {
        !facts.barred.contains_key(*node) && lineage::standing(vote, record) == Standing::Current
    };
    voted.iter().any(is_one)
}

/// The timeline that leaves the end of the line last, if all that others hold of the line comes before the point where it does.
/// Of two that leave at the same point the right one is unknown: then there is none.
fn branch(voted: &[Voter], record: &Record) -> Option<Promotion> {
    let last = record.last()?;
    let leaves: Vec<(Voter, (Timeline, Lsn))> =
        voted.iter().filter_map(|voter| Some((*voter, leaves(voter.1, last)?))).collect();
    let (_, (timeline, at)) = *leaves.iter().max_by_key(|(_, (timeline, at))| (*at, *timeline))?;
    let is_only = leaves.iter().all(|(_, (other, left))| *other == timeline || *left < at);
    let comes_before = |(_, vote): &&Voter| match lineage::standing(vote, record) {
        Standing::Diverged { .. } => true,
        Standing::Current | Standing::Behind(_) | Standing::Short { .. } => {
            vote.lsn() <= at && vote.extent == Extent::Exact
        }
    };
    let nothing_is_lost = at >= last.reached() && voted.iter().all(|voter| comes_before(&voter));
    let takes_it = leaves.into_iter().filter(|(_, other)| *other == (timeline, at));
    let ((node, vote), _) = takes_it.max_by_key(|((_, vote), _)| vote.position())?;
    (is_only && nothing_is_lost).then(|| Promotion {
        stage: Stage::Kept,
        history: Some(vote.history.up_to(timeline).shortened()),
        system: vote.system,
        ..Promotion::of(node.clone(), timeline, at, 0)
    })
}

/// Where the history of `vote` leaves the timeline of `last`, and for which.
pub fn leaves(vote: &Vote, last: &Promotion) -> Option<(Timeline, Lsn)> {
    let at = vote.history.switch_point(last.timeline)?;
    let came_the_same_way = match &last.history {
        Some(line) => vote.history.fork(line) == Some(Fork { timeline: last.timeline, at: Some(at) }),
        None => vote.history.begin(last.timeline).is_none_or(|begin| begin == last.switch),
    };
    let next = vote.history.timelines().find(|timeline| *timeline > last.timeline)?;
    came_the_same_way.then_some((next, at))
}
