//! Synchronous replication: which commits it means, and when they hang.

use super::Severity::{Failure, Hint, Warning};
use super::{Check, Facts, Found, Server, found, found_if, served};
use crate::rules::synchronous::{Member, SyncSetting};

pub(super) const CHECKS: [Check; 6] = [
    served("sync-names-unknown", Warning, "`synchronous_standby_names` has a name that is not a node.", names_unknown),
    served("sync-wildcard", Warning, "Any receiver counts as a synchronous standby, a backup as well.", wildcard),
    served(
        "sync-more-than-nodes",
        Failure,
        "Commits wait for more standbys than there are: they hang for ever.",
        more_than_nodes,
    ),
    served("sync-no-spare", Hint, "Commits hang as soon as one standby is away.", no_spare),
    served(
        "sync-auto-conf",
        Warning,
        "Synchronous replication is set on one node alone, and gone after a failover.",
        auto_conf,
    ),
    served(
        "synchronous-commit",
        Warning,
        "Commits wait for no standby, although standbys are named.",
        synchronous_commit,
    ),
];

const SETTING: &str = "synchronous_standby_names";

/// How many standbys commits wait for, and the names.
fn names(it: &Server) -> Option<(usize, Vec<Member>)> {
    match it.setting(SETTING).parse() {
        Ok(SyncSetting::Quorum { required, members, .. }) => Some((required.get() as usize, members)),
        Ok(SyncSetting::Off) | Err(_) => None,
    }
}

/// How many of the other nodes are named: all of them by a star.
fn eligible(facts: &Facts, members: &[Member]) -> Option<usize> {
    let nodes = &facts.configuration.as_ref().ok()?.nodes;
    let is_named = |node: &str| {
        members.iter().any(|member| match member {
            Member::Wildcard => true,
            Member::Named(name) => name.eq_ignore_ascii_case(node),
        })
    };
    Some(nodes.iter().filter(|node| **node != facts.seen.me && is_named(node.as_str())).count())
}

fn names_unknown(facts: &Facts, it: &Server) -> Vec<Found> {
    let (Ok(configuration), Some((_, members))) = (&facts.configuration, names(it)) else { return Vec::new() };
    let is_node = |name: &str| configuration.nodes.iter().any(|node| node.as_str().eq_ignore_ascii_case(name));
    let unknown = members.into_iter().filter_map(|member| match member {
        Member::Named(name) if !is_node(&name) => Some(name),
        Member::Named(_) | Member::Wildcard => None,
    });
    let describe = |name: String| {
        found(
            format!("{SETTING} names {name}, which is not a node: commits that wait for it are lost in a failover"),
            format!("{SETTING} in postgresql.conf"),
            "names of nodes only, the same on each node; then reload",
        )
    };
    unknown.map(describe).collect()
}

fn wildcard(_: &Facts, it: &Server) -> Vec<Found> {
    found_if(names(it).is_some_and(|(_, members)| members.contains(&Member::Wildcard)), || {
        found(
            format!("{SETTING} has a star: a backup or a subscriber may be what a commit waited for"),
            format!("{SETTING} in postgresql.conf"),
            "names of nodes only, the same on each node; then reload",
        )
    })
}

fn more_than_nodes(facts: &Facts, it: &Server) -> Vec<Found> {
    let too_many = names(it).and_then(|(required, members)| {
        let eligible = eligible(facts, &members)?;
        (required > eligible).then_some((required, eligible))
    });
    let describe = |(required, eligible)| {
        found(
            format!("commits wait for {required} standbys, and {eligible} other nodes are named: they hang for ever"),
            format!("{SETTING} in postgresql.conf"),
            "a smaller number, the same on each node; then reload",
        )
    };
    too_many.map(describe).into_iter().collect()
}

fn no_spare(facts: &Facts, it: &Server) -> Vec<Found> {
    let exact = names(it).and_then(|(required, members)| eligible(facts, &members).filter(|it| *it == required));
    let describe = |required| {
        found(
            format!("commits wait for {required} of {required} standbys: they hang while one of them is away"),
            format!("pcs resource update {} sync_management=quorum", facts.seen.resource),
            "or wait for fewer: `ANY 1 (...)` with all nodes",
        )
    };
    exact.filter(|_| !is_managed(facts)).map(describe).into_iter().collect()
}

/// The agent keeps the setting at the standbys that stream.
fn is_managed(facts: &Facts) -> bool {
    facts.configuration.as_ref().is_ok_and(|it| it.parameter("sync_management").is_some_and(|how| how != "none"))
}

fn auto_conf(_: &Facts, it: &Server) -> Vec<Found> {
    let file = it.settings.get(SETTING).and_then(|setting| setting.file.as_deref()).unwrap_or_default();
    found_if(file.ends_with("/postgresql.auto.conf"), || {
        found(
            format!("{SETTING} is in postgresql.auto.conf of this node alone: after a failover it is gone"),
            format!("ALTER SYSTEM RESET {SETTING}"),
            "after postgresql.conf of each node has it; then reload",
        )
    })
}

fn synchronous_commit(_: &Facts, it: &Server) -> Vec<Found> {
    let how = it.setting("synchronous_commit");
    found_if(names(it).is_some() && matches!(how, "off" | "local"), || {
        found(
            format!("synchronous_commit is {how}: commits wait for no standby, although {SETTING} is set"),
            "ALTER SYSTEM SET synchronous_commit = 'on'",
            "on each node; then `SELECT pg_reload_conf()`",
        )
    })
}
