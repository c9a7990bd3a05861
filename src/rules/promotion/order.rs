//! What an operator's order to promote a node does, and how long it counts.

use super::{Choice, Facts, Warning, choose, loss};
use crate::node::NodeName;

/// For so many seconds. It is meant for the refusal that the operator has seen: one that stayed would decide a later
/// election, whose loss the operator has not seen.
pub const LASTS: u64 = 300;

/// The node that was ordered to be promoted, if that still counts `now`. `at` begins with the time of the order, in seconds since
/// 1970. An order without one is of an older agent, and counts.
pub fn in_force<'a>(node: Option<&'a str>, at: Option<&str>, now: u64) -> Option<&'a str> {
    let Some(at) = at else { return node };
    let at: u64 = at.split_whitespace().next()?.parse().ok()?;
    // The clocks of two nodes may differ.
    node.filter(|_| now.abs_diff(at) <= LASTS)
}

/// What an operator ordered, with what stands against it.
pub(super) fn by_order(facts: &Facts, ordered: &NodeName) -> Choice {
    let vote = facts.votes.get(ordered).cloned().flatten();
    let warning = match without_order(facts, ordered) {
        Choice::Node { node, .. } if node == *ordered => None,
        Choice::Node { node, vote: better, .. } => {
            let more = loss::lacks(vote.as_ref(), better.as_ref());
            Some(more.map_or_else(
                || format!("{node} should be promoted"),
                |more| format!("{node} should be promoted, which holds {more}"),
            ))
        }
        Choice::NoNode(refusal) => Some(refusal.to_string()),
    };
    Choice::Node { node: ordered.clone(), vote, warnings: warning.map(Warning::Ordered).into_iter().collect() }
}

/// The choice without the order to promote `node`, which Pacemaker may still prefer.
fn without_order(facts: &Facts, node: &NodeName) -> Choice {
    choose(&Facts { ordered: None, ..facts.clone() }, Some(node))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rules::table;

    fn counts((at, now): (Option<&str>, u64)) -> bool {
        in_force(Some("srv2"), at, now) == Some("srv2")
    }

    table! { counts;
        just_ordered: (Some("1000 by anna on srv1"), 1000) => true;
        five_minutes_ago: (Some("1000 by anna on srv1"), 1300) => true;
        longer_ago: (Some("1000 by anna on srv1"), 1301) => false;
        by_a_node_whose_clock_is_ahead: (Some("1000 by anna on srv1"), 940) => true;
        far_ahead: (Some("1000"), 600) => false;
        by_an_older_agent: (None, 1000) => true;
        unreadable: (Some("yesterday"), 1000) => false;
    }

    #[test]
    fn a_time_alone_orders_nothing() {
        assert_eq!(in_force(None, Some("1000"), 1000), None);
    }
}
