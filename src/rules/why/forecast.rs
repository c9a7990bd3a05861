//! What would happen if the primary died now: the same causes, in a cluster without its node.

use std::collections::{BTreeMap, BTreeSet};

use super::{Cause, Facts, cluster, node};
use crate::location::Lsn;
use crate::node::NodeName;
use crate::rules::overview::{Cluster, Cure, Member, start};
use crate::rules::status::Role;
use crate::rules::synchronous::{self, LastPrimary, Operator, PromotionFacts, Published, SyncSetting, Verdict};

/// What would happen.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Forecast {
    /// The primary that would have died.
    pub primary: NodeName,
    /// The node that would be promoted; or why there is none.
    pub winner: Result<NodeName, NoWinner>,
    /// Those that would be promoted after it, in this order.
    pub next: Vec<NodeName>,
    /// What would be lost; nothing where no node would be promoted.
    pub loss: Option<Loss>,
    /// What the time without writes consists of.
    pub outage: String,
    /// What else a person should know.
    pub remarks: Vec<String>,
    /// The nodes without which it would fail as well, and why.
    pub fails_without: Vec<(NodeName, String)>,
}

/// Why no node would be promoted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum NoWinner {
    /// For this reason.
    Cause(Cause),
    /// It cannot be seen.
    Unseen(String),
}

/// What would be lost.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Loss {
    /// No acknowledged commit, for this reason.
    Nothing(String),
    /// So many bytes of WAL as it is now, for this reason.
    Bytes(u64, String),
    /// That cannot be seen.
    Unknown(String),
}

/// A promotion that would happen.
struct Promoted {
    winner: NodeName,
    next: Vec<NodeName>,
    loss: Loss,
    remarks: Vec<String>,
}

/// What would happen if `primary` died now.
pub(super) fn forecast(facts: &Facts, cluster: &Cluster, primary: &NodeName) -> Forecast {
    let dead = BTreeSet::from([primary.clone()]);
    let outage = outage(facts, cluster, primary);
    match without(facts, cluster, primary, &dead) {
        Err(no_winner) => Forecast {
            primary: primary.clone(),
            winner: Err(no_winner),
            next: Vec::new(),
            loss: None,
            outage,
            remarks: Vec::new(),
            fails_without: Vec::new(),
        },
        Ok(Promoted { winner, next, loss, remarks }) => {
            let online = cluster.nodes.iter().filter(|(node, member)| member.is_online && *node != primary);
            let fails = |(other, _): (&NodeName, &Member)| {
                let dead = dead.iter().chain([other]).cloned().collect();
                match without(facts, cluster, primary, &dead) {
                    Err(NoWinner::Cause(cause)) => Some((other.clone(), cause.text)),
                    Ok(_) | Err(NoWinner::Unseen(_)) => None,
                }
            };
            let fails_without = online.filter_map(fails).collect();
            Forecast {
                primary: primary.clone(),
                winner: Ok(winner),
                next,
                loss: Some(loss),
                outage,
                remarks,
                fails_without,
            }
        }
    }
}

/// The node that would be promoted if the nodes `dead` were off, and fenced.
fn without(
    facts: &Facts,
    cluster: &Cluster,
    primary: &NodeName,
    dead: &BTreeSet<NodeName>,
) -> Result<Promoted, NoWinner> {
    let keeps_quorum = keeps_quorum(facts, cluster, dead);
    let mut after = cluster.clone();
    after.has_quorum &= keeps_quorum.unwrap_or(true);
    after.nodes.iter_mut().filter(|(node, _)| dead.contains(*node)).for_each(|(_, member)| *member = Member::default());
    if let Some(cause) = cluster::cause(facts, &after) {
        return Err(NoWinner::Cause(cause));
    }
    let standbys = after.nodes.iter().filter(|(_, member)| member.role == Some(Role::Standby));
    let (mut free, barred): (Vec<_>, Vec<_>) =
        standbys.partition(|(node, _)| node::cause(facts, &after, node).is_none());
    let score = |member: &Member| member.score.as_deref().and_then(|score| score.parse::<i64>().ok());
    free.sort_by_key(|(node, member)| (std::cmp::Reverse(score(member)), (*node).clone()));
    let Some((winner, best)) = free.first() else {
        let cause = node::all_barred(facts, &after, dead);
        return Err(cause.map_or_else(|| NoWinner::Unseen("no standby runs".to_owned()), NoWinner::Cause));
    };
    if free.len() > 1 && score(best).is_none_or(|score| score < 0) {
        let names: Vec<&str> = free.iter().map(|(node, _)| node.as_str()).collect();
        let why = format!("{}: whichever holds more WAL, and none has a promotion score now", names.join(" or "));
        return Err(NoWinner::Unseen(why));
    }
    let barred: Vec<&NodeName> = barred.into_iter().map(|(node, _)| node).collect();
    let (loss, mut remarks) = promise(facts, &after, primary, winner, &barred)?;
    if keeps_quorum.is_none() {
        remarks.push("Whether the nodes that are left have quorum cannot be seen.".to_owned());
    }
    if !cluster.has_fencing {
        remarks.push(format!("Fencing is off: where {primary} is cut off and not dead, there are two primaries."));
    }
    let next = free.iter().skip(1).map(|(node, _)| (*node).clone()).collect();
    Ok(Promoted { winner: (*winner).clone(), next, loss, remarks })
}

/// Whether the nodes that are left would have quorum; nothing where that cannot be seen.
fn keeps_quorum(facts: &Facts, cluster: &Cluster, dead: &BTreeSet<NodeName>) -> Option<bool> {
    if cluster.no_quorum_policy.as_deref() == Some("ignore") {
        return Some(true);
    }
    let votes = facts.quorum.as_ref().ok().filter(|votes| votes.one_each)?;
    let gone = dead.iter().filter(|node| cluster.nodes.get(*node).is_some_and(|member| member.is_online)).count();
    let left = votes.total.saturating_sub(u32::try_from(gone).unwrap_or(u32::MAX));
    Some(left >= votes.needed || (votes.two_nodes && left > 0))
}

/// Up to where `node` has WAL on its disk, by what the primary sees.
fn flushed(facts: &Facts, node: &NodeName) -> Option<Lsn> {
    let report = facts.seen.report().filter(|_| facts.seen.primaries().contains(&facts.seen.me))?;
    let peer = report.peers.iter().find(|peer| peer.name == node.as_str())?;
    peer.flushed.or(peer.replayed)
}

/// How many bytes of the primary's WAL `node` has not on its disk.
pub(super) fn behind(facts: &Facts, node: &NodeName) -> Option<u64> {
    Some(facts.seen.report()?.lsn?.bytes_after(flushed(facts, node)?))
}

/// What the promotion of `winner` would lose; it would be refused where that may be an acknowledged commit of a synchronous
/// primary.
fn promise(
    facts: &Facts,
    after: &Cluster,
    primary: &NodeName,
    winner: &NodeName,
    barred: &[&NodeName],
) -> Result<(Loss, Vec<String>), NoWinner> {
    let election = match &facts.election {
        Ok(election) => election,
        Err(why) => {
            return Ok((Loss::Unknown(format!("what {primary} has promised cannot be seen: {why}")), Vec::new()));
        }
    };
    let judge = |unknown: Lsn, without: &[&NodeName]| {
        let runs = after.nodes.iter().filter(|(node, member)| member.role.is_some() && !without.contains(node));
        let votes: BTreeMap<NodeName, Option<Lsn>> =
            runs.map(|(node, _)| (node.clone(), Some(flushed(facts, node).unwrap_or(unknown)))).collect();
        let last = election.record.last();
        synchronous::verdict(&PromotionFacts {
            candidate: winner.clone(),
            members: election.members.clone(),
            published: election.published.clone(),
            votes,
            last_primary: last.map(|last| LastPrimary {
                node: last.node.clone(),
                began: last.switch,
                reached: last.reached(),
            }),
            operator: Operator::Silent,
        })
    };
    // Of a node that is not seen nothing is assumed; and if the verdict refuses with any WAL of that node, it refuses.
    match (judge(Lsn(0), &[]), judge(Lsn(u64::MAX), &[])) {
        (Verdict::Safe(_), _) => {
            let is_safe_without = matches!(judge(Lsn(0), barred), Verdict::Safe(_));
            let remark = (!barred.is_empty() && !is_safe_without).then(|| {
                let names: Vec<&str> = barred.iter().map(|node| node.as_str()).collect();
                format!("No node would be promoted if {}, which is barred, held more then.", names.join(" or "))
            });
            let published = election.published.as_ref();
            Ok((loss(facts, after, primary, published), remark.into_iter().collect()))
        }
        (Verdict::Unsafe(refusal) | Verdict::Overridden { refusal, .. }, Verdict::Unsafe(_)) => {
            Err(NoWinner::Cause(refused(facts, after, primary, &refusal)))
        }
        _ => Err(NoWinner::Unseen(format!(
            "whether the standbys hold all that {primary} has acknowledged cannot be seen from here: run this on {primary}"
        ))),
    }
}

/// No node would be promoted, because of the primary's promises.
fn refused(facts: &Facts, after: &Cluster, primary: &NodeName, refusal: &synchronous::Refusal) -> Cause {
    let missing = match refusal {
        synchronous::Refusal::Unpublished => BTreeSet::new(),
        synchronous::Refusal::Shortfalls(shortfalls) => shortfalls
            .iter()
            .flat_map(|it| it.missing.iter().chain(&it.holders))
            .cloned()
            .collect::<BTreeSet<NodeName>>(),
    };
    let helps = after
        .nodes
        .iter()
        .filter(|(node, member)| missing.contains(*node) && *node != primary && member.role.is_none());
    let cures: Vec<Cure> = helps.map(|(node, member)| start(&facts.seen, node, member)).collect();
    Cause { number: 11, id: "synchronous", text: refusal.to_string(), cures }
}

fn loss(facts: &Facts, after: &Cluster, primary: &NodeName, published: Option<&Published>) -> Loss {
    let setting = published.and_then(|published| published.0.first()).map(|guard| &guard.setting);
    if let Some(setting @ SyncSetting::Quorum { .. }) = setting {
        return Loss::Nothing(format!("commits wait for {setting}, and enough of these would vote"));
    }
    let why = "replication is asynchronous, and what no standby has received is lost".to_owned();
    let least = after.nodes.keys().filter_map(|node| behind(facts, node)).min();
    match least {
        Some(bytes) => Loss::Bytes(bytes, why),
        None => Loss::Unknown(format!("{why}; how much that is now can be seen on {primary}")),
    }
}

/// What the time without writes consists of. Nothing of it is measured here.
fn outage(facts: &Facts, cluster: &Cluster, primary: &NodeName) -> String {
    let token = facts.token.map_or(String::new(), |token| format!(" (its token: {token} ms)"));
    let fenced = if cluster.has_fencing { format!(", {primary} is fenced") } else { String::new() };
    format!("No writes until Corosync notices{token}{fenced} and the promotion has ended")
}
