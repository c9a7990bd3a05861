//! Where a location constraint prefers a node as the primary, Pacemaker promotes that node as soon as it has joined, before any
//! action has run there: only a permanent promotion score of -INFINITY, under the one in force, keeps it from that.

use std::collections::{BTreeMap, BTreeSet};

use crate::node::NodeName;
use crate::score::Score;

/// The permanent scores to set, or to remove: what counts for a node that has no other. Nothing where all is as it should be.
pub fn defaults(
    nodes: &BTreeSet<NodeName>,
    permanent: &BTreeMap<NodeName, String>,
    preference: bool,
) -> Vec<(NodeName, Option<Score>)> {
    if !preference {
        return permanent.keys().map(|node| (node.clone(), None)).collect();
    }
    let is_set = |node: &NodeName| permanent.get(node).and_then(|value| value.parse().ok()) == Some(Score::NEVER);
    nodes.iter().filter(|node| !is_set(node)).map(|node| (node.clone(), Some(Score::NEVER))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rules::table;

    /// Whether a constraint prefers a node, the permanent scores; the nodes are srv1 and srv2 → what is written.
    fn by_default((preference, permanent): (bool, &str)) -> String {
        let nodes = ["srv1", "srv2"].into_iter().map(NodeName::new).collect();
        let permanent = permanent.split_whitespace().map(|word| word.split_once('=').unwrap());
        let permanent = permanent.map(|(node, value)| (NodeName::new(node), value.to_owned())).collect();
        let written = defaults(&nodes, &permanent, preference);
        let write = |(node, score): &(NodeName, Option<Score>)| {
            format!("{node}={}", score.map_or("none".to_owned(), |score| score.to_string()))
        };
        written.iter().map(write).collect::<Vec<_>>().join(" ")
    }

    table! { by_default;
        no_wish: (false, "") => "";
        left_by_paf: (false, "srv1=1001 srv2=-1000") => "srv1=none srv2=none";
        a_wish: (true, "") => "srv1=-1000000 srv2=-1000000";
        a_wish_and_left_by_paf: (true, "srv1=1001 srv2=x") => "srv1=-1000000 srv2=-1000000";
        a_wish_that_is_known: (true, "srv1=-1000000 srv2=-INFINITY") => "";
        a_wish_that_is_gone: (false, "srv1=-1000000 srv2=-1000000") => "srv1=none srv2=none";
        a_new_node: (true, "srv1=-1000000") => "srv2=-1000000";
    }
}
