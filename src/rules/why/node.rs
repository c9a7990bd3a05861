//! What keeps one node from being promoted: causes 5, 6 and 8 to 10; and the table of all nodes.

use std::collections::BTreeSet;

use super::{Cause, Facts, cure};
use crate::node::NodeName;
use crate::rules::bars::Bar;
use crate::rules::overview::{Cluster, Cure, FREE, Member, clone_of, short_score, start};
use crate::rules::status::{Role, Status};

/// What keeps `node` from being promoted; nothing where nothing is known that does.
pub(super) fn cause(facts: &Facts, cluster: &Cluster, node: &NodeName) -> Option<Cause> {
    let member = cluster.nodes.get(node)?;
    let found = |number, id, text: String, cures| Some(Cause { number, id, text, cures });
    let start = || vec![start(&facts.seen, node, member)];
    let why = member.reason.as_ref().map_or(String::new(), |reason| format!(": {reason}"));
    if !member.is_online {
        return found(8, "offline", format!("{node} is offline"), start());
    }
    if member.in_standby {
        return found(4, "node-standby", format!("{node} is in standby: nothing runs there"), start());
    }
    if member.in_maintenance {
        let text = format!("{node} is in maintenance: Pacemaker does nothing there");
        let end = cure(format!("pcs node unmaintenance {node}"), "Pacemaker acts again there");
        return found(4, "node-maintenance", text, vec![end]);
    }
    if let Some((id, _)) = cluster.bans.iter().find(|(_, banned)| banned == node) {
        let text = format!("the constraint {id} keeps it from {node}");
        return found(5, "banned", text, vec![unban(facts, id, node)]);
    }
    if member.is_given_up {
        let text = format!("{node}: it has failed there as often as Pacemaker puts up with{why}");
        return found(6, "failed", text, vec![clean_up(facts)]);
    }
    if member.is_blocked {
        let text = format!("{node}: it could not be stopped, and Pacemaker does nothing more with it{why}");
        return found(7, "blocked", text, vec![clean_up(facts)]);
    }
    if let Some(cause) = busy(facts, node, member) {
        return Some(cause);
    }
    if member.role.is_none() {
        return found(8, "stopped", format!("PostgreSQL is stopped on {node}{why}"), start());
    }
    unfit(facts, node, member)
}

fn clean_up(facts: &Facts) -> Cure {
    let resource = &facts.seen.resource;
    cure(format!("pcs resource cleanup {resource}"), format!("tries again, after the cause is mended; {FREE}"))
}

fn unban(facts: &Facts, id: &str, node: &NodeName) -> Cure {
    let clone = clone_of(&facts.seen);
    match id.starts_with("cli-") {
        true => cure(format!("pcs resource clear {clone}"), format!("ends the move or ban; {FREE}")),
        false => cure(format!("pcs constraint remove {id}"), format!("if {node} may be the primary; {FREE}")),
    }
}

/// It is on its way.
fn busy(facts: &Facts, node: &NodeName, member: &Member) -> Option<Cause> {
    let what = match (&member.pending, &facts.seen.local) {
        (Some(pending), _) if !pending.eq_ignore_ascii_case("monitoring") => pending.to_lowercase(),
        (_, Ok(local)) if *node == facts.seen.me && matches!(local.status, Status::Starting(_)) => {
            "starting".to_owned()
        }
        _ if facts.election.as_ref().is_ok_and(|it| it.recovering.contains(node)) => {
            "recovering after a crash".to_owned()
        }
        _ => return None,
    };
    let cures = vec![cure("crm_mon", "wait: shows how it goes on")];
    Some(Cause { number: 9, id: "busy", text: format!("{node} is {what}"), cures })
}

/// It runs as a standby, and must not be promoted.
fn unfit(facts: &Facts, node: &NodeName, member: &Member) -> Option<Cause> {
    let found = |id, text, cures| Some(Cause { number: 10, id, text, cures });
    let bars = facts.election.as_ref().ok().map(|election| &election.barred);
    if let Some(bar) = bars.and_then(|bars| bars.get(node)).filter(|bar| **bar != Bar::Stopped) {
        let help = match (bar, bar.way_out(node)) {
            (Bar::NoFailover, _) => {
                vec![cure(
                    format!("crm_attribute --node {node} --name pgsqlms-nofailover --delete"),
                    format!("if {node} may be the primary; {FREE}"),
                )]
            }
            (_, Some(way_out)) => vec![cure(way_out, FREE)],
            (_, None) => Vec::new(),
        };
        return found(id_of(*bar), format!("{node}: {bar}"), help);
    }
    if let Some(report) = facts.seen.report().filter(|report| *node == facts.seen.me && !report.too_low.is_empty()) {
        let low: Vec<String> =
            report.too_low.iter().map(|low| format!("{} = {} < {}", low.name, low.own, low.least)).collect();
        let text = format!("{node}: replay is paused by {}: a promotion would end PostgreSQL", low.join(", "));
        let restart = cure(
            format!("pcs resource restart {} {node}", clone_of(&facts.seen)),
            "after the setting is raised there; interrupts reading there",
        );
        return found("paused-by-settings", text, vec![restart]);
    }
    let is_never = member.score.as_deref().is_some_and(|score| short_score(score) == "-INF");
    let why = member.reason.as_ref().map_or(String::new(), |reason| format!(": {reason}"));
    is_never.then(|| Cause {
        number: 10,
        id: "never",
        text: format!("{node} has the score -INFINITY{why}"),
        cures: vec![cure("pgsqlms rejoin", format!("on {node}: shows what is wrong, changes nothing"))],
    })
}

fn id_of(bar: Bar) -> &'static str {
    match bar {
        Bar::TooFarBehind => "maxlag",
        Bar::NoRoom => "no-room",
        Bar::SettingsTooLow => "paused-by-settings",
        Bar::Stopped => "stopped",
        Bar::NotPromoted => "not-promoted",
        Bar::Standby => "node-standby",
        Bar::Maintenance => "node-maintenance",
        Bar::Banned => "banned",
        Bar::NoFailover => "nofailover",
    }
}

/// Why no node may be promoted, where something keeps each of them from it. Of the causes that of a node that is there counts, and of
/// those the first of the list.
pub(super) fn all_barred(facts: &Facts, cluster: &Cluster, dead: &BTreeSet<NodeName>) -> Option<Cause> {
    let nodes = || cluster.nodes.keys().filter(|node| !dead.contains(*node));
    let causes: Vec<Cause> = nodes().map_while(|node| cause(facts, cluster, node)).collect();
    if causes.len() < nodes().count() {
        return None;
    }
    let first = causes.iter().min_by_key(|cause| (cause.id == "offline", cause.number))?;
    let texts: Vec<&str> = causes.iter().map(|cause| cause.text.as_str()).collect();
    let mut cures: Vec<Cure> = Vec::new();
    let mut ordered: Vec<&Cause> = causes.iter().collect();
    ordered.sort_by_key(|cause| (cause.id == "offline", cause.number));
    for cure in ordered.into_iter().flat_map(|cause| &cause.cures) {
        if !cures.contains(cure) {
            cures.push(cure.clone());
        }
    }
    Some(Cause { number: first.number, id: first.id, text: texts.join("; "), cures })
}

/// Each node, its score, and why it would be promoted or not.
pub(super) fn table(facts: &Facts) -> Vec<(NodeName, String, String)> {
    let Ok(cluster) = &facts.seen.cluster else { return Vec::new() };
    let primaries = facts.seen.primaries();
    let row = |(node, member): (&NodeName, &Member)| {
        let because = if primaries.contains(node) {
            "primary".to_owned()
        } else {
            match cause(facts, cluster, node) {
                Some(cause) => cause.text,
                None => standby(facts, node, member),
            }
        };
        (node.clone(), member.score.as_deref().map(short_score).unwrap_or_default(), because)
    };
    cluster.nodes.iter().map(row).collect()
}

fn standby(facts: &Facts, node: &NodeName, member: &Member) -> String {
    let vote = facts.election.as_ref().ok().and_then(|election| election.votes.get(node));
    let what = if member.role == Some(Role::Standby) { "standby" } else { "runs" };
    match (vote, super::forecast::behind(facts, node)) {
        (_, Some(bytes)) => format!("{what}, {bytes} B of WAL behind; nothing bars it"),
        (Some(Some(vote)), None) => {
            format!("{what}; votes with {} on timeline {}; nothing bars it", vote.lsn(), vote.timeline())
        }
        (Some(None), None) => format!("{what}; has not voted; nothing bars it"),
        (None, None) => format!("{what}; nothing bars it"),
    }
}
