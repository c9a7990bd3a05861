//! What the election itself says: causes 9 to 13.

use super::{Cause, Facts, cure};
use crate::node::NodeName;
use crate::rules::overview::{Cluster, Cure, start};
use crate::rules::promotion::{self, Choice, Helps, Refusal, account, choose};
use crate::rules::status::Role;
use crate::rules::synchronous;

/// Why no node is promoted although nothing keeps each of them from it.
///
/// # Errors
///
/// When that cannot be seen; why not.
pub(super) fn cause(facts: &Facts, cluster: &Cluster) -> Result<Cause, String> {
    let election = match (&facts.election, &facts.no_votes) {
        (Ok(election), None) => election,
        (Err(why), _) | (Ok(_), Some(why)) => return as_published(facts, cluster, why),
    };
    match choose(election, None) {
        Choice::NoNode(refusal) => Ok(refused(facts, cluster, election, &refusal)),
        Choice::Node { node, .. } => soon(facts, cluster, &node),
    }
}

/// What the monitors have said of it, where the votes are not seen.
fn as_published(facts: &Facts, cluster: &Cluster, why: &str) -> Result<Cause, String> {
    if let Some(node) = facts.plan.as_ref().ok().and_then(|plan| plan.promotes.first()) {
        return Ok(about_to(node));
    }
    let reasons = cluster.nodes.iter().filter_map(|(node, member)| Some((node, member.reason.as_deref()?)));
    let Some((node, reason)) = reasons.into_iter().find(|(_, reason)| reason.starts_with("no primary")) else {
        return Err(format!("nothing keeps Pacemaker from it, and how the nodes vote cannot be seen: {why}"));
    };
    let text = format!("the monitor of {node} said: {reason}");
    Ok(Cause { number: 11, id: "refused", text, cures: helps(facts, cluster, &away(cluster)) })
}

fn refused(facts: &Facts, cluster: &Cluster, election: &promotion::Facts, refusal: &Refusal) -> Cause {
    let node = |node: &NodeName| vec![node.clone()];
    let (number, id, nodes): (_, _, Vec<NodeName>) = match refusal {
        Refusal::NoVotes => (12, "no-votes", Vec::new()),
        // The next monitor of that node ends it.
        Refusal::OlderRecord(holder, _) => (9, "older-record", node(holder)),
        Refusal::Unreadable(holder, _) => (12, "unreadable", node(holder)),
        Refusal::Unfinished(reader, _) => (9, "reading", node(reader)),
        Refusal::History(lacking) => match &lacking.helps {
            Helps::Start(nodes) => (10, "history", nodes.clone()),
            Helps::Wait(one) | Helps::Restore(one) => (10, "history", node(one)),
            Helps::Nothing => (10, "history", Vec::new()),
        },
        Refusal::OtherDatabase(..) | Refusal::SeveralDatabases(_) => (10, "database", Vec::new()),
        Refusal::RunningPrimary(primary) => (10, "running-primary", node(primary)),
        Refusal::Namesakes(..) => (10, "namesakes", Vec::new()),
        Refusal::AllBarred(bars) => (10, "all-barred", bars.keys().cloned().collect()),
        Refusal::BarredHoldsMore(holder, _) => (11, "synchronous", node(holder)),
        Refusal::Synchronous(refusal) => (11, "synchronous", missing(refusal)),
    };
    let mut cures = helps(facts, cluster, &nodes);
    cures.extend(match number {
        9 => vec![cure("crm_mon", "wait: the next monitor goes on with it")],
        12 => vec![cure("journalctl -t pgsqlms --since -10min", "on each node: why it has not voted")],
        _ => Vec::new(),
    });
    cures.extend(anyway(cluster, election, &nodes));
    Cause { number, id, text: refusal.to_string(), cures }
}

/// The nodes that may hold the commits that are in question.
fn missing(refusal: &synchronous::Refusal) -> Vec<NodeName> {
    match refusal {
        synchronous::Refusal::Unpublished => Vec::new(),
        synchronous::Refusal::Shortfalls(shortfalls) => {
            shortfalls.iter().flat_map(|it| it.holders.iter().chain(&it.missing)).cloned().collect()
        }
    }
}

fn away(cluster: &Cluster) -> Vec<NodeName> {
    cluster.nodes.iter().filter(|(_, member)| member.role.is_none()).map(|(node, _)| node.clone()).collect()
}

/// How those of `nodes` are started that do not run it; those that are there come first.
fn helps(facts: &Facts, cluster: &Cluster, nodes: &[NodeName]) -> Vec<Cure> {
    let mut stopped: Vec<_> =
        cluster.nodes.iter().filter(|(node, member)| nodes.contains(node) && member.role.is_none()).collect();
    stopped.sort_by_key(|(_, member)| !member.is_online);
    let mut cures: Vec<Cure> = Vec::new();
    for (node, member) in stopped {
        let cure = start(&facts.seen, node, member);
        if !cures.contains(&cure) {
            cures.push(cure);
        }
    }
    cures
}

/// The command for an operator who accepts the loss, with the known part of it: for the node that holds the most.
fn anyway(cluster: &Cluster, election: &promotion::Facts, helps: &[NodeName]) -> Option<Cure> {
    let runs =
        |node: &&NodeName| cluster.nodes.get(*node).is_some_and(|it| it.is_online && it.role == Some(Role::Standby));
    let voted = election.votes.iter().filter_map(|(node, vote)| Some((node, vote.as_ref()?)));
    let (node, _) = voted.filter(|(node, _)| runs(node)).max_by_key(|(_, vote)| vote.position())?;
    let account_text = account(election, node);
    let lost = account_text.lines().find(|line| line.contains("would be lost"));
    let held: Vec<&str> = helps.iter().filter(|it| *it != node).map(NodeName::as_str).collect();
    let costs = match (lost, held.as_slice()) {
        (Some(lost), _) => lost.trim_end_matches('.').to_owned(),
        (None, []) => "loses what no node that votes holds: how much is not known".to_owned(),
        (None, held) => format!("loses what only {} holds: how much is not known", held.join(" or ")),
    };
    Some(cure(format!("pgsqlms promote-anyway --node {node}"), format!("shows what would be lost; with --yes {costs}")))
}

fn about_to(node: &NodeName) -> Cause {
    let text = format!("Pacemaker is about to promote {node}");
    Cause { number: 13, id: "soon", text, cures: vec![cure("crm_mon", "wait: shows how it goes on")] }
}

/// The election has a winner.
fn soon(facts: &Facts, cluster: &Cluster, winner: &NodeName) -> Result<Cause, String> {
    let plan = match &facts.plan {
        Ok(plan) => plan,
        Err(why) => return Err(format!("{winner} may be promoted; what Pacemaker does cannot be seen: {why}")),
    };
    if let Some(node) = plan.promotes.first() {
        return Ok(about_to(node));
    }
    let has_score = cluster.nodes.get(winner).is_some_and(|member| {
        member.score.as_deref().and_then(|score| score.parse::<i64>().ok()).is_some_and(|score| score >= 0)
    });
    if !has_score {
        let text = format!("{winner} may be promoted; its next monitor gives it the score for that");
        let cures = vec![cure("crm_mon", "wait: one interval of the monitor")];
        return Ok(Cause { number: 13, id: "soon", text, cures });
    }
    let text = format!("{winner} may be promoted and has a score for it, and Pacemaker does not promote it");
    let cures = vec![cure("crm_simulate -sL", "shows the scores: what keeps it from that is in none of the above")];
    Ok(Cause { number: 13, id: "not-promoted", text, cures })
}
