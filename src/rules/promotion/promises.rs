//! Whether a promotion loses no commit that was acknowledged with synchronous replication.

use std::collections::BTreeMap;

use super::{Bar, Facts, Refusal, Voter};
use crate::node::NodeName;
use crate::record::Record;
use crate::rules::bars;
use crate::rules::lineage;
use crate::rules::synchronous::{self, LastPrimary, Operator, PromotionFacts, Verdict};
use crate::vote::{Extent, Vote};

/// Whether promoting `node` loses no such commit. What a diverged node holds the winner need not hold, so its vote proves
/// nothing; nor does that of a node that has not read all its WAL, or whose data directory was restored or copied since.
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
        // They run: it does not help to start them.
        let voted =
            facts.votes.iter().filter(|(_, vote)| vote.as_ref().is_some_and(|vote| proves_nothing(vote, record)));
        let refusal = refusal.without(&voted.map(|(node, _)| node.clone()).collect());
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

/// What a diverged node holds the winner need not hold. A data directory that was restored or copied does not show what the node
/// has confirmed.
fn proves_nothing(vote: &Vote, record: &Record) -> bool {
    vote.replaced || lineage::standing(vote, record).is_diverged()
}

fn judge(facts: &Facts, record: &Record, candidate: &NodeName, without: &BTreeMap<NodeName, Bar>) -> Verdict {
    let counts = |node: &NodeName, vote: &Vote| {
        let knows_all = vote.extent == Extent::Exact || node == candidate;
        knows_all && !proves_nothing(vote, record) && !without.contains_key(node)
    };
    let position = |(node, vote): (&NodeName, &Option<Vote>)| {
        (node.clone(), vote.as_ref().filter(|vote| counts(node, vote)).map(Vote::lsn))
    };
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

#[cfg(test)]
mod tests {
    use super::super::tests::{chosen, facts};
    use super::super::{Choice, Refusal, choose};
    use crate::rules::table;

    const TWO_PROMISES: &str = "srv2: ANY 1 (srv1, srv3); srv1: ANY 1 (srv2, srv3)";
    const SRV2_AFTER_SRV1: &str = "3@0/300 srv2 0 kept known=0/380@5; 2@0/100 srv1 0 kept";

    table! { chosen;
        the_primary_before_holds_what_the_last_one_began_with: (
            "srv1=2#768,history=1@0/100|2 srv2=3#1000,history=1@0/100|2@0/300|3", SRV2_AFTER_SRV1, TWO_PROMISES) => "srv2";
        the_primary_before_holds_less_than_the_last_one_began_with: (
            "srv1=2#760,history=1@0/100|2 srv2=3#1000,history=1@0/100|2@0/300|3", SRV2_AFTER_SRV1, TWO_PROMISES)
            => "none: Synchronous";
    }

    #[test]
    fn a_node_that_runs_and_has_diverged_is_not_to_be_started() {
        let brief = |votes: &str| {
            let facts = facts(votes, "2@0/100 srv1 0 kept", "srv1: ANY 1 (srv1, srv2, srv3)");
            let Choice::NoNode(Refusal::Synchronous(refusal)) = choose(&facts, None) else { panic!("promoted") };
            refusal.brief()
        };
        let one = brief("srv2=3#776,history=1@0/100|2@0/300|3 srv3=2#900,history=1@0/100|2");
        assert!(one.starts_with("start srv1, or run pgsqlms promote-anyway: commits of srv1 "), "{one}");
        // The primary itself went on along a timeline of its own.
        let both = brief(
            "srv1=3#776,history=1@0/100|2@0/200|3 srv2=4#776,history=1@0/100|2@0/300|4 srv3=2#900,history=1@0/100|2",
        );
        assert!(both.starts_with("run pgsqlms promote-anyway: commits of srv1 "), "{both}");
    }
}
