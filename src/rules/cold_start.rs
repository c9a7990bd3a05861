//! Which node becomes a candidate when nobody has a score: the cluster's first start, and after all nodes were off.
//!
//! Scores are the running primary's business and vanish with the nodes. So whenever instances have started and there is
//! no primary, all of them publish their votes, and the one that holds the most makes itself a candidate.

use std::collections::BTreeMap;

use crate::node::NodeName;
use crate::rules::election;
use crate::score::Score;
use crate::vote::Vote;

/// What a started instance should do about the missing primary.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Claim {
    /// Nothing: these may be promoted already.
    NotNeeded(Vec<NodeName>),
    /// Wait: these have not voted.
    Wait(Vec<NodeName>),
    /// Nothing: this node holds more, and sees it as we do.
    Leave(NodeName),
    /// Become a candidate.
    Claim,
}

/// Whether `me` should become a candidate, given the scores of all nodes and the votes of those that run an instance.
pub fn claim(
    me: &NodeName,
    scores: &BTreeMap<NodeName, Score>,
    votes: &BTreeMap<NodeName, Option<Vote>>,
    patience: Patience,
) -> Claim {
    let promotable: Vec<NodeName> =
        votes.keys().filter(|node| scores.get(node).is_some_and(|score| score.allows_promotion())).cloned().collect();
    if !promotable.is_empty() {
        return Claim::NotNeeded(promotable);
    }
    let silent: Vec<NodeName> = votes.iter().filter(|(_, vote)| vote.is_none()).map(|(node, _)| node.clone()).collect();
    if !silent.is_empty() && patience == Patience::Left {
        return Claim::Wait(silent);
    }
    match election::best(votes.iter().filter_map(|(node, vote)| Some((node, vote.as_ref()?)))) {
        Some((best, _)) if best == me => Claim::Claim,
        Some((best, _)) => Claim::Leave(best.clone()),
        None => Claim::Wait(silent),
    }
}

/// Whether there is time to wait for those who have not voted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Patience {
    /// There is.
    Left,
    /// There is none: decide without them. In promote they get another chance.
    Spent,
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rules::table;

    /// Scores, votes of the running nodes (`-` for none), patience → what srv1 does.
    fn srv1((scores, votes, patience): (&str, &str, Patience)) -> Claim {
        let pairs = |text: &'static str| text.split_whitespace().map(|word| word.split_once('=').unwrap());
        let (scores, votes): (&'static str, &'static str) = (scores.to_owned().leak(), votes.to_owned().leak());
        claim(
            &NodeName::new("srv1"),
            &pairs(scores).map(|(node, score)| (NodeName::new(node), score.parse().unwrap())).collect(),
            &pairs(votes).map(|(node, vote)| (NodeName::new(node), vote.parse().ok())).collect(),
            patience,
        )
    }

    fn nodes(names: &[&str]) -> Vec<NodeName> {
        names.iter().map(|name| NodeName::new(*name)).collect()
    }

    use Patience::*;

    table! { srv1;
        alone: ("", "srv1=1#5", Left) => Claim::Claim;
        we_hold_the_most: ("", "srv1=1#6 srv2=1#5 srv3=1#5", Left) => Claim::Claim;
        another_holds_more: ("", "srv1=1#5 srv2=1#6", Left) => Claim::Leave(NodeName::new("srv2"));
        equals_go_by_name: ("", "srv2=1#5 srv1=1#5", Left) => Claim::Claim;
        a_later_timeline: ("", "srv1=1#9 srv2=2#5", Left) => Claim::Leave(NodeName::new("srv2"));
        somebody_is_promotable: ("srv2=1", "srv1=1#9 srv2=1#5", Left) => Claim::NotNeeded(nodes(&["srv2"]));
        // PAF #26, #220: everybody kept -1000 for ever.
        negative_scores_are_nobodys_claim: ("srv1=-1000 srv2=-1000", "srv1=1#9 srv2=1#5", Left) => Claim::Claim;
        // PAF PR 56: the score of a node that is not there promotes nobody.
        the_absent_do_not_count: ("srv9=1001", "srv1=1#9 srv2=1#5", Left) => Claim::Claim;
        not_everybody_has_voted: ("", "srv1=1#9 srv2=-", Left) => Claim::Wait(nodes(&["srv2"]));
        they_never_will: ("", "srv1=1#9 srv2=-", Spent) => Claim::Claim;
        we_could_not_vote: ("", "srv1=- srv2=1#9", Spent) => Claim::Leave(NodeName::new("srv2"));
        nobody_could: ("", "srv1=- srv2=-", Spent) => Claim::Wait(nodes(&["srv1", "srv2"]));
    }
}
