//! Whether a promotion loses no commit that was acknowledged with synchronous replication.

use std::collections::BTreeMap;

use super::{Bar, Facts, Refusal, Voter};
use crate::location::Lsn;
use crate::node::NodeName;
use crate::record::Record;
use crate::rules::bars;
use crate::rules::lineage;
use crate::rules::synchronous::{self, LastPrimary, Operator, PromotionFacts, Verdict};
use crate::vote::{Extent, Vote};

/// Whether promoting `node` loses no such commit. The vote of a node that has not read all its WAL proves nothing, nor does
/// that of a node whose data directory was restored or copied since. For a diverged node see [`held_until_it_left`].
///
/// # Errors
///
/// When it may lose one.
pub(super) fn kept(
    facts: &Facts,
    record: &Record,
    node: &NodeName,
    barred_ahead: Option<Voter>,
) -> Result<(), Refusal> {
    if let Verdict::Unsafe(refusal) | Verdict::Overridden { refusal, .. } = judge(facts, record, node, &BTreeMap::new())
    {
        return Err(match bars::kept_away(&refusal, &facts.barred) {
            Some((node, bar)) => Refusal::BarredHoldsMore(node, bar),
            None => Refusal::Synchronous(Box::new(refusal)),
        });
    }
    match barred_ahead {
        // The winner does not hold what these do: it must be safe without them.
        Some((holder, _)) if !matches!(judge(facts, record, node, &facts.barred), Verdict::Safe(_)) => {
            Err(Refusal::BarredHoldsMore(holder.clone(), facts.barred[holder]))
        }
        _ => Ok(()),
    }
}

fn judge(facts: &Facts, record: &Record, candidate: &NodeName, without: &BTreeMap<NodeName, Bar>) -> Verdict {
    let winner = facts.votes.get(candidate).and_then(Option::as_ref);
    let held = |node: &NodeName, vote: &Vote| {
        if vote.replaced || without.contains_key(node) {
            return None;
        }
        if lineage::standing(vote, record).is_diverged() {
            return winner.and_then(|winner| held_until_it_left(vote, winner, record));
        }
        (vote.extent == Extent::Exact || node == candidate).then(|| vote.lsn())
    };
    let position =
        |(node, vote): (&NodeName, &Option<Vote>)| (node.clone(), vote.as_ref().and_then(|vote| held(node, vote)));
    let last = record.last().map(|last| {
        let (node, began, reached) = (last.node.clone(), last.switch, last.reached());
        LastPrimary { node, began, reached }
    });
    synchronous::verdict(&PromotionFacts {
        candidate: candidate.clone(),
        members: facts.members.clone(),
        published: facts.published.clone(),
        votes: facts.votes.iter().map(position).collect(),
        last_primary: last,
        operator: Operator::Silent,
    })
}

/// How far a diverged node held the line, where that is certain and the winner holds as much. A standby that a person has
/// promoted beside the primary was on the last timeline until then, and confirmed no commit beyond that point. What it wrote
/// afterwards the winner need not hold.
fn held_until_it_left(diverged: &Vote, winner: &Vote, record: &Record) -> Option<Lsn> {
    let left = lineage::left_last_timeline(diverged, record)?;
    let is_on_it = record.last().is_some_and(|last| winner.timeline() == last.timeline);
    (is_on_it && winner.lsn() >= left).then_some(left)
}

#[cfg(test)]
mod tests {
    use super::super::tests::chosen;
    use crate::rules::table;

    const TWO_PROMISES: &str = "srv2: ANY 1 (srv1, srv3); srv1: ANY 1 (srv2, srv3)";
    const SRV2_AFTER_SRV1: &str = "3@0/300 srv2 0 kept known=0/380@5; 2@0/100 srv1 0 kept";

    const ONE_PROMOTION: &str = "2@0/100 srv1 0 kept history=1@0/100,2";
    const ANY_OF_THREE: &str = "srv1: ANY 1 (srv1, srv2, srv3)";

    table! { chosen;
        the_primary_before_holds_what_the_last_one_began_with: (
            "srv1=2#768,history=1@0/100|2 srv2=3#1000,history=1@0/100|2@0/300|3", SRV2_AFTER_SRV1, TWO_PROMISES) => "srv2";
        the_primary_before_holds_less_than_the_last_one_began_with: (
            "srv1=2#760,history=1@0/100|2 srv2=3#1000,history=1@0/100|2@0/300|3", SRV2_AFTER_SRV1, TWO_PROMISES)
            => "nobody: Synchronous";
        // srv2 was promoted by hand at 0/400, when srv3 had not received all of that yet.
        a_stray_confirmed_nothing_after_it_left: (
            "srv2=3#2000,history=1@0/100|2@0/400|3 srv3=2#1030,history=1@0/100|2", ONE_PROMOTION, ANY_OF_THREE) => "srv3";
        a_stray_that_left_later_may_hold_more: (
            "srv2=3#2000,history=1@0/100|2@0/400|3 srv3=2#1020,history=1@0/100|2",
            "2@0/100 srv1 0 kept known=0/500@5 history=1@0/100,2", ANY_OF_THREE)
            => "nobody: Synchronous";
        one_that_left_an_earlier_timeline_may_be_a_copy: (
            "srv2=3#2000,history=1@0/80|3 srv3=2#1030,history=1@0/100|2", ONE_PROMOTION, ANY_OF_THREE)
            => "nobody: Synchronous";
        a_stray_whose_directory_was_replaced_proves_nothing: (
            "srv2=3#2000,history=1@0/100|2@0/400|3,directory~replaced srv3=2#1030,history=1@0/100|2", ONE_PROMOTION, ANY_OF_THREE)
            => "nobody: Synchronous";
    }
}
