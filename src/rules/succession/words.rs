//! What a person reads about a primary that no node could follow. Pacemaker shows about 120 bytes of it.

use std::collections::BTreeSet;
use std::num::NonZeroU32;

use super::Situation;
use crate::node::NodeName;
use crate::rules::fitness;
use crate::rules::promotion::{Bar, Facts, Refusal};
use crate::rules::scores::SenderState;
use crate::rules::synchronous::{self, Shortfall, SyncSetting};

/// Each reason begins so.
const CONSEQUENCE: &str = "no failover possible";

pub(super) fn reason(now: &Situation, facts: &Facts, refusal: &Refusal) -> String {
    let why = match refusal {
        Refusal::NoVotes => return no_standby_follows(now),
        Refusal::AllBarred(_) => all_barred(now, facts),
        Refusal::Synchronous(refusal) => match refusal.as_ref() {
            synchronous::Refusal::Shortfalls(shortfalls) if !shortfalls.is_empty() => commits(now, &shortfalls[0]),
            synchronous::Refusal::Unpublished => "what this primary has promised cannot be read".to_owned(),
            refusal => refusal.brief(),
        },
        refusal => refusal.to_string(),
    };
    format!("{CONSEQUENCE}: {why}")
}

/// No node of the cluster streams, or only such as are kept away. Those that run would vote all the same: that is not seen here.
fn no_standby_follows(now: &Situation) -> String {
    let others = || now.facts.members.iter().filter(|node| *node != now.me);
    let connected = now.replicas.iter().filter(|replica| replica.state != SenderState::NotReplicating);
    let is_stranger = |name: &&str| !others().any(|node| node.as_str() == *name);
    let strangers: BTreeSet<&str> = connected.map(|replica| replica.name.as_str()).filter(is_stranger).collect();
    let away = away(now, others());
    let present = listed(others().filter(|node| planned(now.facts, node).is_none()).map(NodeName::as_str));
    if present.is_empty() {
        return format!("{CONSEQUENCE}: {away}");
    }
    let seen = format!("{CONSEQUENCE} as far as seen from here");
    if !strangers.is_empty() {
        let strangers = listed(strangers);
        return format!(
            "{seen}: set application_name to its node's name on {present}, or start it there: only {strangers} streams"
        );
    }
    let away = if away.is_empty() { away } else { format!("; {away}") };
    format!("{seen}: no standby streams; see {present}{away}")
}

/// Those that follow must not be promoted, or would fail.
fn all_barred(now: &Situation, facts: &Facts) -> String {
    let votes = |(node, _): &(&NodeName, &Bar)| facts.votes.contains_key(*node);
    let barred: Vec<(&NodeName, Bar)> = facts.barred.iter().filter(votes).map(|(node, bar)| (node, *bar)).collect();
    let nodes = listed(barred.iter().map(|(node, _)| node.as_str()));
    let first = barred.first().map(|(_, bar)| *bar).filter(|first| barred.iter().all(|(_, bar)| bar == first));
    match (first, now.max_lag) {
        (Some(Bar::TooFarBehind), Some(most)) => {
            format!("{nodes} further behind than maxlag ({most} bytes): raise it, or see pg_stat_replication")
        }
        (Some(Bar::SettingsTooLow), _) => {
            let low = barred.iter().find_map(|(node, _)| now.fitness.get(*node));
            let low = fitness::listed(low.map_or(&[], |fitness| fitness.too_low.as_slice()));
            format!("raise {low} on {nodes} and restart PostgreSQL there: replay is paused")
        }
        (Some(Bar::NoRoom), _) => format!("free space on {nodes}: {}", Bar::NoRoom),
        _ => barred.iter().map(said).collect::<Vec<_>>().join("; "),
    }
}

/// Those that follow cannot prove that they have every acknowledged commit.
fn commits(now: &Situation, shortfall: &Shortfall) -> String {
    let Shortfall { setting, more, missing, strangers, .. } = shortfall;
    if let SyncSetting::Quorum { required, .. } = setting
        && missing.len() < *more
        && !strangers.is_empty()
    {
        // More than there are other nodes would block commits.
        let others = now.facts.members.iter().filter(|node| *node != now.me).count();
        let required =
            u32::try_from(others).ok().and_then(NonZeroU32::new).map_or(*required, |most| most.min(*required));
        let nodes = SyncSetting::any(required, now.facts.members.iter().map(NodeName::as_str));
        let strangers = listed(strangers.iter().map(String::as_str));
        return format!(
            "set synchronous_standby_names = '{nodes}': {strangers} may confirm commits alone and cannot vote"
        );
    }
    // The positions of all others are known, and one that has diverged proves nothing.
    let strayed: BTreeSet<NodeName> = if missing.is_empty() { idle(now) } else { BTreeSet::new() };
    let missing = if missing.is_empty() { &strayed } else { missing };
    let away = away(now, missing);
    let nodes = listed(missing.iter().map(NodeName::as_str));
    let needed = if *more < missing.len() { format!("{more} of {nodes}") } else { nodes };
    let why = format!("under {setting} a failover needs {needed}");
    match away.is_empty() {
        true => format!("{why}, which does not stream from here"),
        false => format!("{why}; {away}"),
    }
}

/// The other nodes that do not stream.
fn idle(now: &Situation) -> BTreeSet<NodeName> {
    let streams = |node: &NodeName| now.replicas.iter().any(|replica| replica.name == node.as_str());
    now.facts.members.iter().filter(|node| *node != now.me && !streams(node)).cloned().collect()
}

/// Why an operator keeps Pacemaker from running the instance of a node, or from promoting it.
fn planned(facts: &Facts, node: &NodeName) -> Option<Bar> {
    facts.barred.get(node).copied().filter(|bar| matches!(bar, Bar::Standby | Bar::Maintenance | Bar::Banned))
}

/// Those of `nodes` that an operator keeps away.
fn away<'a>(now: &Situation, nodes: impl IntoIterator<Item = &'a NodeName>) -> String {
    let away = nodes.into_iter().filter_map(|node| Some(said(&(node, planned(now.facts, node)?))));
    away.collect::<Vec<_>>().join("; ")
}

/// Why a node is barred, and what ends that while there is a primary.
fn said((node, bar): &(&NodeName, Bar)) -> String {
    let way_out = if *bar == Bar::Stopped { Some(format!("start {node}")) } else { bar.way_out(node) };
    let way_out = way_out.map_or(String::new(), |way_out| format!(" ({way_out})"));
    format!("{node}: {bar}{way_out}")
}

fn listed<'a>(names: impl IntoIterator<Item = &'a str>) -> String {
    names.into_iter().collect::<Vec<_>>().join(", ")
}
