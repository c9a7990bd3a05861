//! Who should be promoted, among the nodes that voted.

use std::cmp::Ordering;
use std::collections::BTreeMap;
use std::fmt;

use crate::node::NodeName;
use crate::vote::Vote;

/// How an election ended for the node that Pacemaker wants to promote.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Election {
    /// Nobody who voted holds more.
    Won {
        /// Nodes that were asked and did not vote.
        silent: Vec<NodeName>,
    },
    /// Another node holds more.
    Lost(Better),
}

/// A node that holds more than this one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Better {
    /// The node.
    pub node: NodeName,
    /// What it holds.
    pub theirs: Vote,
    /// What this node holds.
    pub ours: Vote,
}

/// Decides the election of this node, which holds `ours`, against all `others` that run an instance.
///
/// A tie is ours: Pacemaker has chosen this node for reasons of its own, and it holds everything.
pub fn elect(ours: &Vote, others: &BTreeMap<NodeName, Option<Vote>>) -> Election {
    match best(others.iter().filter_map(|(node, vote)| Some((node, vote.as_ref()?)))) {
        Some((node, theirs)) if order(theirs, ours) == Ordering::Greater => {
            Election::Lost(Better { node: node.clone(), theirs: theirs.clone(), ours: ours.clone() })
        }
        _ => Election::Won {
            silent: others.iter().filter(|(_, vote)| vote.is_none()).map(|(node, _)| node.clone()).collect(),
        },
    }
}

/// The node that holds the most; among equals the first by name, so that every node finds the same one.
pub fn best<'a>(votes: impl Iterator<Item = (&'a NodeName, &'a Vote)>) -> Option<(&'a NodeName, &'a Vote)> {
    votes.max_by(|(a, ours), (b, theirs)| order(ours, theirs).then_with(|| b.cmp(a)))
}

/// Which of two holds more: a later timeline beats any position, because a node on an earlier one has missed a promotion.
fn order(a: &Vote, b: &Vote) -> Ordering {
    (a.timeline(), a.lsn()).cmp(&(b.timeline(), b.lsn()))
}

impl fmt::Display for Better {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Better { node, theirs, ours } = self;
        write!(
            f,
            "{node} is the best candidate: its WAL reaches {} on timeline {}, ours {} on timeline {}",
            theirs.lsn(),
            theirs.timeline(),
            ours.lsn(),
            ours.timeline()
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rules::table;

    /// Our vote, the others' (`-` for none) → who should be promoted, and who was silent.
    fn winner((ours, others): (&str, &str)) -> String {
        let others = others
            .split_whitespace()
            .map(|word| word.split_once('=').unwrap())
            .map(|(node, vote)| (NodeName::new(node), vote.parse().ok()))
            .collect();
        match elect(&ours.parse().unwrap(), &others) {
            Election::Won { silent } if silent.is_empty() => "us".to_owned(),
            Election::Won { silent } => {
                format!("us without {}", silent.iter().map(NodeName::as_str).collect::<Vec<_>>().join(" "))
            }
            Election::Lost(better) => better.node.to_string(),
        }
    }

    table! { winner;
        alone: ("1#100", "") => "us";
        we_hold_more: ("1#101", "srv2=1#100") => "us";
        a_tie_is_ours: ("1#100", "srv2=1#100") => "us";
        they_hold_more: ("1#100", "srv2=1#101") => "srv2";
        timeline_beats_wal: ("1#900", "srv2=2#100") => "srv2";
        an_older_timeline_does_not: ("2#100", "srv2=1#900") => "us";
        positions_compare_as_numbers: ("1#99", "srv2=1#100") => "srv2";
        the_best_of_several: ("1#1", "srv2=1#8 srv3=1#9") => "srv3";
        others_tie_goes_by_name: ("1#1", "srv3=1#9 srv2=1#9") => "srv2";
        // PAF #131, #9: a node that does not vote must not hang the election.
        silent_nodes_are_named: ("1#100", "srv2=- srv3=1#50") => "us without srv2";
        a_silent_node_does_not_hide_a_better_one: ("1#100", "srv2=- srv3=1#500") => "srv3";
    }

    #[test]
    fn the_reason_names_both_positions() {
        let others = [(NodeName::new("srv3"), "2#50331744".parse().ok())].into_iter().collect();
        let Election::Lost(better) = elect(&"1#16777216".parse().unwrap(), &others) else { panic!("not lost") };
        assert_eq!(
            better.to_string(),
            "srv3 is the best candidate: its WAL reaches 0/3000060 on timeline 2, ours 0/1000000 on timeline 1"
        );
    }
}
