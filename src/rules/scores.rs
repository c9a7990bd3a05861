//! How much each node is worth as the next primary: the scores that the primary's monitor sets.
//!
//! Scores are a hint that lets Pacemaker choose well at once; the election in promote decides ([`super::promotion`]).

#[cfg(test)]
mod tests;

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet};

use crate::location::Lsn;
use crate::node::NodeName;
use crate::score::Score;

/// Standbys this close to the best one count as equal, so that their order, and with it the cluster's scores, does not
/// change with every transaction. One default WAL segment.
const CLOSE: u64 = 16 << 20;

/// What a walsender is doing: `pg_stat_replication.state`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SenderState {
    /// Sending as WAL is written.
    Streaming,
    /// Sending older WAL.
    Catchup,
    /// Connecting, copying a base backup, or ending.
    NotReplicating,
}

/// One row of `pg_stat_replication`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Replica {
    /// `application_name`: a name that the client chooses.
    pub name: String,
    /// What the walsender does.
    pub state: SenderState,
    /// Up to where the standby has made WAL durable; nothing until it first reports, nor where it follows another history.
    pub flushed: Option<Lsn>,
    /// Whether it reports a flush position at all: PostgreSQL may let commits wait for it.
    pub reports: bool,
    /// Whether commits wait, or may wait, for this standby.
    pub synchronous: bool,
}

/// What a standby that says it has flushed so much has of the WAL that it is sent. One that has left the primary's history
/// is sent the end of the old timeline again and again, and seems to stream for a moment, with what it alone has.
pub fn flushed(flushed: Option<Lsn>, sent: Option<Lsn>) -> Option<Lsn> {
    flushed.filter(|flushed| sent.is_none_or(|sent| *flushed <= sent))
}

/// Everything the scores depend on.
#[derive(Debug)]
pub struct Standing<'a> {
    /// The primary itself.
    pub me: &'a NodeName,
    /// The nodes of the cluster that may run an instance.
    pub members: &'a BTreeSet<NodeName>,
    /// The receivers that are connected for replication, cluster nodes and strangers alike.
    pub replicas: &'a [Replica],
    /// Where the primary writes now.
    pub current: Lsn,
    /// The bytes by which a standby may be behind and still be promoted; no bound if absent.
    pub max_lag: Option<u64>,
    /// The scores as they are.
    pub scores: &'a BTreeMap<NodeName, Score>,
    /// Nodes that an operator keeps from being promoted.
    pub barred: &'a BTreeSet<NodeName>,
    /// Nodes that would lose a logical slot that is to outlive the primary.
    pub lacking: &'a BTreeSet<NodeName>,
    /// Nodes on which a promotion would fail, as they say themselves.
    pub unfit: &'a BTreeSet<NodeName>,
    /// What decides between standbys that are about equal; 0 unless set.
    pub priority: &'a BTreeMap<NodeName, i32>,
    /// Whether this primary is so new that its standbys may not have found it yet.
    pub new: bool,
    /// Whether no election made this primary, and it has just been adopted: Pacemaker may take another node for the primary.
    pub adopted: bool,
    /// Whether a location constraint prefers some node as the primary: it outweighs every score but -INFINITY.
    pub preference: bool,
}

/// The score that each member should have.
///
/// Only exact node names are ranked: `pg_receivewal` and `srv10` are not `srv1`. A node that appears twice counts with its
/// better connection. When no standby is promotable, the one that was so last stays a candidate: a short break of
/// the replication network must not leave the cluster without any (PAF #26, #220). While the primary is new, those that
/// have not connected yet keep their scores.
///
/// Where a constraint prefers some node, a score below zero does not keep Pacemaker from promoting that node: a node that may not
/// be promoted gets -INFINITY, and one that returns until it has caught up.
pub fn scores(standing: &Standing) -> BTreeMap<NodeName, Score> {
    // A node that has yielded in an election, or has diverged, stays out until it follows: a constraint may prefer it to all others.
    let unconnected = |node: &NodeName| match standing.scores.get(node) {
        Some(&Score::NEVER) => Score::NEVER,
        _ => Score::DISCONNECTED,
    };
    let mut wanted: BTreeMap<NodeName, Score> =
        standing.members.iter().map(|node| (node.clone(), unconnected(node))).collect();
    for (node, replica) in best_connections(standing) {
        if replica.state == SenderState::NotReplicating && wanted.get(&node) != Some(&Score::NEVER) {
            wanted.insert(node, Score::NOT_READY);
        }
    }
    for (rank, (node, flushed)) in (0..).zip(ranked(standing)) {
        let score = (Score::BEST_STANDBY.0 - rank * Score::STEP).max(Score::CANDIDATE.0);
        let too_far = standing.max_lag.is_some_and(|most| standing.current.bytes_after(flushed) > most);
        wanted.insert(node, if too_far { Score(score).too_far_behind() } else { Score(score) });
    }
    if standing.new {
        for (node, score) in wanted.iter_mut().filter(|(_, score)| **score == Score::DISCONNECTED) {
            let before = standing.scores.get(node).copied().filter(|before| before.allows_promotion());
            *score = before.map_or(*score, |before| before.min(Score::BEST_STANDBY));
        }
    }
    if standing.adopted {
        // To Pacemaker, that node is the primary, has stickiness and perhaps the address, and would be promoted again.
        let former = wanted.iter_mut().filter(|(node, _)| standing.scores.get(*node) == Some(&Score::PRIMARY));
        former.filter(|(_, score)| score.allows_promotion()).for_each(|(_, score)| *score = Score::CANDIDATE);
    }
    for node in standing.barred {
        wanted.entry(node.clone()).and_modify(|score| *score = Score::NEVER);
    }
    keep_one_candidate(standing, &mut wanted);
    if standing.preference {
        let excluded = |score: &Score| !score.allows_promotion() && !score.is_too_far_behind();
        wanted.values_mut().filter(|score| excluded(score)).for_each(|score| *score = Score::NEVER);
    }
    wanted.insert(standing.me.clone(), Score::PRIMARY);
    wanted
}

/// The members' own connections, strangers left out.
fn best_connections<'a>(standing: &Standing<'a>) -> BTreeMap<NodeName, &'a Replica> {
    let mut best: BTreeMap<NodeName, &Replica> = BTreeMap::new();
    for replica in standing.replicas {
        let node = NodeName::new(replica.name.as_str());
        if node == *standing.me || !standing.members.contains(&node) {
            continue;
        }
        let worth = |replica: &Replica| (replica.state != SenderState::NotReplicating, replica.flushed);
        match best.get(&node) {
            Some(known) if worth(known) >= worth(replica) => {}
            _ => drop(best.insert(node, replica)),
        }
    }
    best
}

/// The standbys that report how far they are, best first.
fn ranked(standing: &Standing) -> Vec<(NodeName, Lsn)> {
    let mut ranked: Vec<(NodeName, Lsn, bool)> = best_connections(standing)
        .into_iter()
        .filter(|(_, replica)| replica.state != SenderState::NotReplicating)
        .filter(|(node, replica)| !standing.preference || has_caught_up(standing, node, replica))
        .filter_map(|(node, replica)| Some((node, replica.flushed?, replica.synchronous)))
        .collect();
    let furthest = ranked.iter().map(|(_, flushed, _)| *flushed).max().unwrap_or_default();
    ranked.sort_by_key(|(node, flushed, synchronous)| {
        let close = furthest.bytes_after(*flushed) <= CLOSE;
        let held = standing.scores.get(node).copied().filter(|_| close);
        let priority = standing.priority.get(node).copied().filter(|_| close).unwrap_or(0);
        (
            standing.unfit.contains(node),
            Reverse(close),
            Reverse(*synchronous && close),
            standing.lacking.contains(node) && close,
            Reverse(priority),
            Reverse(held),
            Reverse((!close).then_some(*flushed)),
            node.clone(),
        )
    });
    ranked.into_iter().map(|(node, flushed, _)| (node, flushed)).collect()
}

/// Whether a node may be promoted at once, or has caught up since it was away. Once it has, lagging does not change that.
fn has_caught_up(standing: &Standing, node: &NodeName, replica: &Replica) -> bool {
    let was_promotable = standing.scores.get(node).is_some_and(|score| score.allows_promotion());
    let is_close = replica.flushed.is_some_and(|flushed| standing.current.bytes_after(flushed) <= CLOSE);
    was_promotable || (replica.state == SenderState::Streaming && is_close)
}

fn keep_one_candidate(standing: &Standing, wanted: &mut BTreeMap<NodeName, Score>) {
    let others = || standing.members.iter().filter(|node| *node != standing.me);
    if others().any(|node| wanted[node].allows_promotion()) {
        return;
    }
    let last_good = others()
        .filter(|node| wanted[*node] == Score::DISCONNECTED)
        .filter_map(|node| Some((*standing.scores.get(node)?, Reverse(node))))
        .filter(|(score, _)| score.allows_promotion())
        .max();
    if let Some((_, Reverse(node))) = last_good {
        wanted.insert(node.clone(), Score::CANDIDATE);
    }
}

/// The writes that turn `current` into `wanted`: none when nothing changed, so that Pacemaker has nothing to recompute.
pub fn changes(wanted: &BTreeMap<NodeName, Score>, current: &BTreeMap<NodeName, Score>) -> Vec<(NodeName, Score)> {
    wanted
        .iter()
        .filter(|(node, score)| current.get(node) != Some(score))
        .map(|(node, score)| (node.clone(), *score))
        .collect()
}
