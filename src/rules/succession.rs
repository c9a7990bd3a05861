//! Which node could follow the primary if it failed now: the election without it, on what it knows. A primary that no node could
//! follow says so before that matters.

mod words;

use std::collections::BTreeMap;
use std::time::Duration;

use crate::location::Lsn;
use crate::node::NodeName;
use crate::rules::fitness::Fitness;
use crate::rules::office;
use crate::rules::promotion::{self, Bar, Choice, Facts};
use crate::rules::scores::{Replica, SenderState};
use crate::vote::{Ballot, Vote};

/// How long this may last before it is reported: standbys are restarted, and connections break.
pub const PATIENCE: Duration = Duration::from_secs(60);

/// What the primary knows.
#[derive(Debug)]
pub struct Situation<'a> {
    /// The primary.
    pub me: &'a NodeName,
    /// What it would vote itself.
    pub own: &'a Vote,
    /// What an election depends on, without any votes.
    pub facts: &'a Facts,
    /// The receivers that are connected for replication.
    pub replicas: &'a [Replica],
    /// Where the primary writes now.
    pub current: Lsn,
    /// The bytes by which a standby may be behind and still be promoted; no bound if absent.
    pub max_lag: Option<u64>,
    /// What nodes have left that were stopped cleanly.
    pub left: &'a BTreeMap<NodeName, Ballot>,
    /// What the nodes say about themselves.
    pub fitness: &'a BTreeMap<NodeName, Fitness>,
}

/// Why no node could follow the primary now, and what helps; nothing if one could, or if there is no other node.
pub fn hindrance(now: &Situation) -> Option<String> {
    if now.facts.members.iter().all(|node| node == now.me) {
        return None;
    }
    let facts = without_primary(now);
    match promotion::choose(&facts, None) {
        Choice::Node { .. } => None,
        Choice::NoNode(refusal) => Some(words::reason(now, &facts, &refusal)),
    }
}

/// What an election would depend on if the primary's node were gone: those that follow it vote with what they have flushed, and
/// what those have left counts that were stopped.
fn without_primary(now: &Situation) -> Facts {
    let mut facts = Facts { ordered: None, votes: BTreeMap::new(), ..now.facts.clone() };
    // That was so by the last scores. How it is now is known.
    facts.barred.retain(|_, bar| *bar != Bar::TooFarBehind);
    let followers = followers(now);
    for (node, ballot) in now.left.iter().filter(|(node, _)| *node != now.me && !followers.contains_key(*node)) {
        facts.count_stopped(node, ballot.clone());
    }
    for (node, flushed) in followers {
        let fitness = now.fitness.get(&node).cloned().unwrap_or_default();
        let is_too_far = now.max_lag.is_some_and(|most| now.current.bytes_after(flushed) > most);
        let bars = [
            (!fitness.too_low.is_empty(), Bar::SettingsTooLow),
            (!fitness.has_room, Bar::NoRoom),
            (is_too_far, Bar::TooFarBehind),
        ];
        if let Some((_, bar)) = bars.into_iter().find(|(applies, _)| *applies) {
            facts.barred.entry(node.clone()).or_insert(bar);
        }
        facts.count_vote(&node, office::follower(now.own, flushed));
    }
    facts
}

/// The nodes that would vote, with what they have of the primary's WAL; of two connections the better one counts.
fn followers(now: &Situation) -> BTreeMap<NodeName, Lsn> {
    let mut followers: BTreeMap<NodeName, Lsn> = BTreeMap::new();
    for replica in now.replicas.iter().filter(|replica| replica.state != SenderState::NotReplicating) {
        let node = NodeName::new(replica.name.as_str());
        let votes = node != *now.me && now.facts.members.contains(&node) && !is_away(now.facts, &node);
        if let Some(flushed) = replica.flushed.filter(|_| votes) {
            let known = followers.entry(node).or_insert(flushed);
            *known = flushed.max(*known);
        }
    }
    followers
}

/// Whether an operator keeps Pacemaker away from a node: its instance is stopped, or not notified of a promotion.
fn is_away(facts: &Facts, node: &NodeName) -> bool {
    matches!(facts.barred.get(node), Some(Bar::Standby | Bar::Maintenance))
}

#[cfg(test)]
mod tests;
