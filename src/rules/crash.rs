//! What follows the crash of the primary.

use std::collections::BTreeMap;

use crate::node::NodeName;
use crate::parameters::OnCrash;
use crate::score::Score;

/// Whether the crashed primary `me` should stand back for a standby: if that is wanted and another node has the score of
/// a standby that follows. What the standby lacks, the election finds out: the crashed instance votes too once it is
/// started again.
pub fn gives_up(wanted: OnCrash, me: &NodeName, scores: &BTreeMap<NodeName, Score>) -> bool {
    let follows = |(node, score): (&NodeName, &Score)| node != me && *score > Score::CANDIDATE;
    wanted == OnCrash::Failover && scores.iter().any(follows)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rules::table;

    fn srv1((wanted, scores): (OnCrash, &str)) -> bool {
        let scores = scores.split_whitespace().map(|word| word.split_once('=').unwrap());
        let scores = scores.map(|(node, score)| (NodeName::new(node), score.parse().unwrap())).collect();
        gives_up(wanted, &NodeName::new("srv1"), &scores)
    }

    table! { srv1;
        in_place: (OnCrash::Recover, "srv1=1001 srv2=1000") => false;
        to_a_standby: (OnCrash::Failover, "srv1=1001 srv2=1000") => true;
        no_standby_follows: (OnCrash::Failover, "srv1=1001 srv2=1 srv3=-1000") => false;
        alone: (OnCrash::Failover, "srv1=1001") => false;
    }
}
