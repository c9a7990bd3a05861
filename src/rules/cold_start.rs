//! Which node becomes a candidate when no node has a score: the cluster's first start, and after all nodes were off.
//!
//! Scores are the running primary's business and vanish with the nodes. So when instances have started and there is no
//! primary, and whenever a standby has no primary to follow and no node is promotable, all of them publish their votes, and
//! the one that holds the most makes itself the candidate.

use std::collections::{BTreeMap, BTreeSet};

use crate::node::NodeName;
use crate::rules::bars::Bar;
use crate::rules::promotion::{self, Choice, Facts, Refusal};
use crate::score::Score;

/// What an instance should do about the missing candidate.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Claim {
    /// Wait: these have not voted.
    Wait(Vec<NodeName>),
    /// Nothing: this node holds more, and sees it as we do.
    Leave(NodeName),
    /// Become a candidate.
    Claim,
    /// Nothing: no node is to be promoted.
    NoNode(Refusal),
}

/// The nodes among `voters` that may be promoted already. A barred node would only make the others wait.
pub fn promotable<'a>(
    scores: &'a BTreeMap<NodeName, Score>,
    barred: &'a BTreeMap<NodeName, Bar>,
    voters: &'a BTreeSet<NodeName>,
) -> impl Iterator<Item = &'a NodeName> {
    let allowed = |node: &&NodeName| scores.get(node).is_some_and(|score| score.allows_promotion());
    voters.iter().filter(|node| !barred.contains_key(*node)).filter(allowed)
}

/// Whether `me` should become the candidate, given the votes of all that run an instance, none of which is promotable.
/// A node that the election would refuse does not even become one.
pub fn claim(me: &NodeName, facts: &Facts, patience: Patience) -> Claim {
    let silent: Vec<NodeName> =
        facts.votes.iter().filter(|(_, vote)| vote.is_none()).map(|(node, _)| node.clone()).collect();
    if !silent.is_empty() && patience == Patience::Left {
        return Claim::Wait(silent);
    }
    match promotion::choose(facts, None) {
        Choice::Node { node, .. } if node == *me => Claim::Claim,
        Choice::Node { node, .. } => Claim::Leave(node),
        Choice::NoNode(refusal) => Claim::NoNode(refusal),
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
    use crate::rules::synchronous::Published;
    use crate::rules::table;

    /// Votes of the running nodes (`-` for none), patience → what srv1 does.
    fn srv1((votes, patience): (&str, Patience)) -> Claim {
        let votes = votes.split_whitespace().map(|word| word.split_once('=').unwrap());
        let votes = votes.map(|(node, vote)| (NodeName::new(node), vote.parse().ok())).collect();
        let facts = Facts { votes, published: Some(Published::default()), ..Facts::default() };
        claim(&NodeName::new("srv1"), &facts, patience)
    }

    fn nodes(names: &[&str]) -> Vec<NodeName> {
        names.iter().map(|name| NodeName::new(*name)).collect()
    }

    use Patience::{Left, Spent};

    table! { srv1;
        alone: ("srv1=1#5", Left) => Claim::Claim;
        we_hold_the_most: ("srv1=1#6 srv2=1#5 srv3=1#5", Left) => Claim::Claim;
        another_holds_more: ("srv1=1#5 srv2=1#6", Left) => Claim::Leave(NodeName::new("srv2"));
        equals_go_by_name: ("srv2=1#5 srv1=1#5", Left) => Claim::Claim;
        a_later_timeline: ("srv1=1#9 srv2=2#5", Left) => Claim::Leave(NodeName::new("srv2"));
        not_everybody_has_voted: ("srv1=1#9 srv2=-", Left) => Claim::Wait(nodes(&["srv2"]));
        they_never_will: ("srv1=1#9 srv2=-", Spent) => Claim::Claim;
        we_could_not_vote: ("srv1=- srv2=1#9", Spent) => Claim::Leave(NodeName::new("srv2"));
        no_node_could: ("srv1=- srv2=-", Spent) => Claim::NoNode(Refusal::NoVotes);
    }

    /// Votes, the nodes without room → what srv1 does.
    fn among_the_full((votes, full): (&str, &str)) -> Claim {
        let votes = votes.split_whitespace().map(|word| word.split_once('=').unwrap());
        let votes = votes.map(|(node, vote)| (NodeName::new(node), vote.parse().ok())).collect();
        let barred = full.split_whitespace().map(|node| (NodeName::new(node), Bar::NoRoom)).collect();
        let facts = Facts { votes, barred, published: Some(Published::default()), ..Facts::default() };
        claim(&NodeName::new("srv1"), &facts, Left)
    }

    table! { among_the_full;
        who_holds_the_most_is_full: ("srv1=1#5 srv2=1#6", "srv2") => Claim::Claim;
        we_hold_the_most_and_are_full: ("srv1=1#6 srv2=1#5", "srv1") => Claim::Leave(NodeName::new("srv2"));
        all_are_full: ("srv1=1#6 srv2=1#5", "srv1 srv2")
            => Claim::NoNode(Refusal::AllBarred(nodes(&["srv1", "srv2"]).into_iter().map(|node| (node, Bar::NoRoom)).collect()));
    }

    /// The scores of nodes, `!srv2` if it is barred; srv1 and srv2 run an instance → which of them is promotable.
    fn promotable_with(situation: &str) -> Option<String> {
        let scores = situation.split_whitespace().filter_map(|word| word.split_once('='));
        let scores = scores.map(|(node, score)| (NodeName::new(node), score.parse().unwrap())).collect();
        let barred = situation.split_whitespace().filter_map(|word| word.strip_prefix('!'));
        let barred = barred.map(|node| (NodeName::new(node), Bar::Banned)).collect();
        let voters = ["srv1", "srv2"].into_iter().map(NodeName::new).collect();
        promotable(&scores, &barred, &voters).next().map(NodeName::to_string)
    }

    table! { promotable_with;
        no_scores: "" => None;
        a_candidate: "srv2=1" => Some("srv2".to_owned());
        zero_is_promotable: "srv2=0" => Some("srv2".to_owned());
        // PAF #26, #220: all nodes kept -1000 for ever.
        only_negative_scores: "srv1=-1000 srv2=-1" => None;
        // PAF PR 56: the score of a node that is not there promotes no node.
        // Pacemaker never promotes it, and all other nodes would wait for that.
        nor_do_the_barred: "srv2=1000 !srv2" => None;
        but_the_others_do: "srv1=1 srv2=1000 !srv2" => Some("srv1".to_owned());
        the_absent_do_not_count: "srv9=1001" => None;
    }
}
