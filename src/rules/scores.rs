//! How much each node is worth as the next primary: what the primary's monitor tells Pacemaker.
//!
//! Scores are a hint that lets Pacemaker choose well at once; the election in promote decides ([`super::promotion`]).

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
    /// `application_name`: whatever the client chose to call itself.
    pub name: String,
    /// What the walsender does.
    pub state: SenderState,
    /// Up to where the standby has made WAL durable; nothing until it first reports, nor where it follows another history.
    pub flushed: Option<Lsn>,
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
    /// Who is connected for replication, cluster nodes and strangers alike.
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
    /// What decides between standbys that are about equal; 0 unless set.
    pub priority: &'a BTreeMap<NodeName, i32>,
    /// Whether this primary is so new that its standbys may not have found it yet.
    pub new: bool,
}

/// The score that each member should have.
///
/// Only exact node names are ranked: `pg_receivewal` and `srv10` are not `srv1`. A node that appears twice counts with its
/// better connection. When no standby is promotable, the one that was so last stays a candidate: a short break of
/// the replication network must not leave the cluster without any (PAF #26, #220). While the primary is new, those that
/// have not connected yet keep their scores.
pub fn scores(standing: &Standing) -> BTreeMap<NodeName, Score> {
    // Who has yielded in an election, or has diverged, stays out until it follows: a constraint may prefer it to everybody.
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
    for node in standing.barred {
        wanted.entry(node.clone()).and_modify(|score| *score = Score::NEVER);
    }
    keep_one_candidate(standing, &mut wanted);
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
        .filter_map(|(node, replica)| Some((node, replica.flushed?, replica.synchronous)))
        .collect();
    let furthest = ranked.iter().map(|(_, flushed, _)| *flushed).max().unwrap_or_default();
    ranked.sort_by_key(|(node, flushed, synchronous)| {
        let close = furthest.bytes_after(*flushed) <= CLOSE;
        let held = standing.scores.get(node).copied().filter(|_| close);
        let priority = standing.priority.get(node).copied().filter(|_| close).unwrap_or(0);
        (
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rules::table;

    /// `srv2@90` streams and has flushed up to 90 MB, `+` is synchronous, `~` in catchup, `!` a backup, `@?` unreported.
    fn replica(text: &str) -> Replica {
        let (name, place) = text.split_once('@').unwrap();
        let state = match place.chars().last() {
            Some('!') => SenderState::NotReplicating,
            Some('~') => SenderState::Catchup,
            _ => SenderState::Streaming,
        };
        let flushed = place.trim_end_matches(['!', '~', '+']).parse().ok().map(|mb: u64| Lsn(mb << 20));
        Replica { name: name.to_owned(), state, flushed, synchronous: place.ends_with('+') }
    }

    /// maxlag in MB, the replicas of srv1 at 1000 MB, the scores before → the scores after. Among the replicas: `!srv2` is
    /// barred, `-srv2` lacks a logical slot, `^srv2` has priority 1, and `new` says that srv1 was just promoted.
    fn given((max_lag, replicas, before): (Option<u64>, &str, &str)) -> String {
        let before: BTreeMap<NodeName, Score> = before
            .split_whitespace()
            .map(|pair| pair.split_once('=').unwrap())
            .map(|(node, score)| (NodeName::new(node), score.parse().unwrap()))
            .collect();
        let nodes = |sign: char| -> BTreeSet<NodeName> {
            replicas.split_whitespace().filter_map(|word| word.strip_prefix(sign)).map(NodeName::new).collect()
        };
        let wanted = scores(&Standing {
            me: &NodeName::new("srv1"),
            members: &["srv1", "srv2", "srv3"].into_iter().map(NodeName::new).collect(),
            replicas: &replicas.split_whitespace().filter(|word| word.contains('@')).map(replica).collect::<Vec<_>>(),
            current: Lsn(1000 << 20),
            max_lag: max_lag.map(|mb| mb << 20),
            scores: &before,
            barred: &nodes('!'),
            lacking: &nodes('-'),
            priority: &nodes('^').into_iter().map(|node| (node, 1)).collect(),
            new: replicas.contains("new"),
        });
        wanted.iter().map(|(node, score)| format!("{node}={score}")).collect::<Vec<_>>().join(" ")
    }

    table! { given;
        furthest_first: (None, "srv2@900 srv3@950", "") => "srv1=1001 srv2=990 srv3=1000";
        equals_go_by_name: (None, "srv3@990 srv2@990", "") => "srv1=1001 srv2=1000 srv3=990";
        // PAF #126: scores that swap with every transaction restart transitions.
        close_ones_keep_their_order: (None, "srv2@990 srv3@995", "srv2=1000 srv3=990") => "srv1=1001 srv2=1000 srv3=990";
        a_clear_lead_changes_the_order: (None, "srv2@970 srv3@995", "srv2=1000 srv3=990") => "srv1=1001 srv2=990 srv3=1000";
        synchronous_goes_first: (None, "srv2@995 srv3@990+", "srv2=1000 srv3=990") => "srv1=1001 srv2=990 srv3=1000";
        one_is_gone: (None, "srv3@990", "srv2=1000 srv3=990") => "srv1=1001 srv2=-1000 srv3=1000";
        too_far_behind: (Some(20), "srv2@970 srv3@995", "") => "srv1=1001 srv2=-991 srv3=1000";
        at_the_bound: (Some(20), "srv2@980 srv3@995", "") => "srv1=1001 srv2=1000 srv3=990";
        all_too_far_behind: (Some(1), "srv2@970 srv3@995", "") => "srv1=1001 srv2=-991 srv3=-1001";
        a_backup_takes_no_rank: (None, "srv2@990 srv3@995!", "") => "srv1=1001 srv2=1000 srv3=-1";
        catching_up_and_reporting: (None, "srv2@500~ srv3@995", "") => "srv1=1001 srv2=990 srv3=1000";
        // SQL sorts NULL first: PAF gave such a standby 1000.
        not_yet_reported: (None, "srv2@?~ srv3@900", "") => "srv1=1001 srv2=-1000 srv3=1000";
        strangers_take_no_rank: (None, "pg_receivewal@1000 srv3@900 barman@950", "") => "srv1=1001 srv2=-1000 srv3=1000";
        srv2_is_not_srv20: (None, "srv20@1000 srv3@900", "") => "srv1=1001 srv2=-1000 srv3=1000";
        connected_to_myself: (None, "srv1@1000 srv2@900", "") => "srv1=1001 srv2=1000 srv3=-1000";
        twice_connected: (None, "srv2@800 srv2@995 srv2@999! srv3@900", "") => "srv1=1001 srv2=1000 srv3=990";
        hostile_names: (None, "(@1000 $(id)@1000 srv2|x@1000 @1000 srv2@900", "") => "srv1=1001 srv2=1000 srv3=-1000";
        // PAF #26, #220: after a break of the replication network nobody could be promoted.
        last_good_stays_a_candidate: (None, "", "srv2=990 srv3=1000") => "srv1=1001 srv2=-1000 srv3=1";
        last_good_stays_for_long: (None, "", "srv2=-1000 srv3=1") => "srv1=1001 srv2=-1000 srv3=1";
        who_has_yielded_stays_out: (None, "srv3@990", "srv2=-1000000 srv3=990") => "srv1=1001 srv2=-1000000 srv3=1000";
        connecting_is_not_following: (None, "srv2@995! srv3@990", "srv2=-1000000") => "srv1=1001 srv2=-1000000 srv3=1000";
        nor_is_catching_up_without_a_word: (None, "srv2@?~ srv3@990", "srv2=-1000000") => "srv1=1001 srv2=-1000000 srv3=1000";
        nor_being_the_last_one_there: (None, "", "srv2=-1000000 srv3=-1000") => "srv1=1001 srv2=-1000000 srv3=-1000";
        nor_having_a_new_primary: (None, "new srv3@990", "srv2=-1000000") => "srv1=1001 srv2=-1000000 srv3=1000";
        until_it_follows: (None, "srv2@990", "srv2=-1000000") => "srv1=1001 srv2=1000 srv3=-1000";
        nobody_ever_was_good: (None, "", "srv2=-1000 srv3=-1000") => "srv1=1001 srv2=-1000 srv3=-1000";
        new_primaries_wait_for_their_standbys: (None, "new srv3@990", "srv1=1000 srv2=1001 srv3=990") => "srv1=1001 srv2=1000 srv3=1000";
        but_invent_no_candidates: (None, "new srv3@990", "srv2=-1000") => "srv1=1001 srv2=-1000 srv3=1000";
        barred: (None, "srv2@990 srv3@900 !srv2", "") => "srv1=1001 srv2=-1000000 srv3=990";
        all_others_barred: (None, "srv2@990 !srv2 !srv3", "srv3=1000") => "srv1=1001 srv2=-1000000 srv3=-1000000";
        the_primary_itself_barred: (None, "srv2@990 srv3@990 !srv1", "") => "srv1=1001 srv2=1000 srv3=990";
        priority_decides_between_equals: (None, "srv2@990 srv3@985 ^srv3", "srv2=1000 srv3=990") => "srv1=1001 srv2=990 srv3=1000";
        priority_does_not_beat_wal: (None, "srv2@990 srv3@900 ^srv3", "") => "srv1=1001 srv2=1000 srv3=990";
        logical_slots_decide_between_equals: (None, "srv2@990 srv3@985 -srv2 ^srv2", "srv2=1000 srv3=990") => "srv1=1001 srv2=990 srv3=1000";
        logical_slots_do_not_beat_wal: (None, "srv2@990 srv3@900 -srv2", "") => "srv1=1001 srv2=1000 srv3=990";
        nor_promises: (None, "srv2@990+ srv3@990 -srv2", "") => "srv1=1001 srv2=1000 srv3=990";
        all_lack_some: (None, "srv2@990 srv3@990 -srv2 -srv3", "srv3=1000 srv2=990") => "srv1=1001 srv2=990 srv3=1000";
        a_backup_is_no_last_good: (None, "srv3@995!", "srv2=-1000 srv3=1000") => "srv1=1001 srv2=-1000 srv3=-1";
    }

    fn counts((flush, sent): (Option<u64>, Option<u64>)) -> Option<u64> {
        flushed(flush.map(Lsn), sent.map(Lsn)).map(|lsn| lsn.0)
    }

    table! { counts;
        on_its_way: (Some(90), Some(100)) => Some(90);
        up_to_date: (Some(100), Some(100)) => Some(100);
        more_than_it_was_sent: (Some(101), Some(100)) => None;
        sent_is_unknown: (Some(90), None) => Some(90);
        silent: (None, Some(100)) => None;
    }

    #[test]
    fn a_hundred_standbys_stay_promotable() {
        let names: Vec<String> = (0..150).map(|number| format!("srv{number:03}")).collect();
        let replicas: Vec<Replica> = names.iter().map(|name| replica(&format!("{name}@990"))).collect();
        let members = names.iter().map(NodeName::new).collect();
        let before = BTreeMap::new();
        let me = NodeName::new("srv000");
        let standing = Standing {
            me: &me,
            members: &members,
            replicas: &replicas,
            current: Lsn(0),
            max_lag: None,
            barred: &BTreeSet::new(),
            lacking: &BTreeSet::new(),
            priority: &BTreeMap::new(),
            new: false,
            scores: &before,
        };
        assert!(scores(&standing).values().all(|score| *score >= Score::CANDIDATE));
    }

    #[test]
    fn only_changes_are_written() {
        let scores = |list: &[(&str, i32)]| -> BTreeMap<NodeName, Score> {
            list.iter().map(|(node, score)| (NodeName::new(*node), Score(*score))).collect()
        };
        let current = scores(&[("srv1", 1001), ("srv2", 1000), ("gone", 990)]);
        let wanted = scores(&[("srv1", 1001), ("srv2", 990), ("srv3", 1000)]);
        assert_eq!(
            changes(&wanted, &current),
            [(NodeName::new("srv2"), Score(990)), (NodeName::new("srv3"), Score(1000))]
        );
    }
}
