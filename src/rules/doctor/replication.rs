//! The server that a standby follows, and the name of the standby.

use super::Severity::{Failure, Hint, Warning};
use super::{Check, Configuration, Facts, Found, Server, found, found_if, served};
use crate::postgres::conninfo::Conninfo;
use crate::rules::names;

pub(super) const CHECKS: [Check; 6] = [
    served(
        "application-name",
        Failure,
        "The primary does not know the standby as its node: it gets no score.",
        application_name,
    ),
    served("nameless-standby", Failure, "A standby streams under no node's name: it gets no score.", nameless_standby),
    served("conninfo-missing", Failure, "The node follows no primary when it is a standby.", conninfo_missing),
    served(
        "conninfo-of-node",
        Failure,
        "A standby follows one node for ever, whichever is promoted.",
        conninfo_of_node,
    ),
    served(
        "conninfo-auto-conf",
        Warning,
        "`pg_basebackup -R` has left a line that a rebuild copies to another node.",
        conninfo_auto_conf,
    ),
    served("connect-timeout", Hint, "A standby waits minutes for an address that does not answer.", connect_timeout),
];

/// The configuration, where standbys follow by `primary_conninfo` as it stands in the files.
fn by_conninfo(facts: &Facts) -> Option<&Configuration> {
    facts.configuration.as_ref().ok().filter(|it| it.parameter("follow") != Some("node"))
}

fn conninfo(it: &Server) -> Conninfo {
    it.setting("primary_conninfo").parse().unwrap_or_default()
}

fn application_name(facts: &Facts, it: &Server) -> Vec<Found> {
    let Some(configuration) = by_conninfo(facts) else { return Vec::new() };
    let me = &facts.seen.me;
    let name = names::known_as(it.setting("primary_conninfo"), it.setting("cluster_name"));
    let wrong = name.and_then(|name| names::check(name, me, &configuration.nodes).err());
    let describe = |wrong: names::WrongName| {
        found(wrong.to_string(), format!("application_name={me} in primary_conninfo"), format!("on {me}, then reload"))
    };
    wrong.map(describe).into_iter().collect()
}

fn nameless_standby(facts: &Facts, _: &Server) -> Vec<Found> {
    let peers = facts.seen.report().into_iter().flat_map(|report| &report.peers);
    let nameless = peers.filter(|peer| names::is_nameless(&peer.name)).count();
    found_if(nameless > 0, || {
        found(
            format!(
                "{nameless} of the standbys stream as \"{}\", which is not a node: they get no score",
                names::NAMELESS
            ),
            "application_name=NODE in primary_conninfo",
            "on each of them, then reload",
        )
    })
}

fn conninfo_missing(facts: &Facts, it: &Server) -> Vec<Found> {
    let is_empty = it.setting("primary_conninfo").is_empty() && it.setting("restore_command").is_empty();
    let me = &facts.seen.me;
    found_if(by_conninfo(facts).is_some() && is_empty, || {
        found(
            "primary_conninfo is empty: the node follows no primary when it is a standby",
            format!("primary_conninfo = 'host=ADDRESS user=ROLE application_name={me}'"),
            "in a file that is not in the data directory, then reload",
        )
    })
}

fn conninfo_of_node(facts: &Facts, it: &Server) -> Vec<Found> {
    let conninfo = conninfo(it);
    let host = conninfo.get("host").unwrap_or_default();
    let is_node = by_conninfo(facts).is_some_and(|it| it.nodes.iter().any(|node| node.as_str() == host));
    found_if(is_node, || {
        found(
            format!("primary_conninfo points to {host}: this node follows it also when another node is promoted"),
            format!("pcs resource update {} follow=node", facts.seen.resource),
            "or let it point to an address that moves with the primary",
        )
    })
}

fn conninfo_auto_conf(facts: &Facts, it: &Server) -> Vec<Found> {
    let file = it.settings.get("primary_conninfo").and_then(|setting| setting.file.as_deref()).unwrap_or_default();
    found_if(by_conninfo(facts).is_some() && file.ends_with("/postgresql.auto.conf"), || {
        found(
            "primary_conninfo is in postgresql.auto.conf: it wins over other files, and a rebuild copies it to other nodes",
            "ALTER SYSTEM RESET primary_conninfo",
            "after a file outside the data directory has it; then reload",
        )
    })
}

fn connect_timeout(facts: &Facts, it: &Server) -> Vec<Found> {
    let conninfo = conninfo(it);
    let is_unbounded = conninfo.iter().next().is_some()
        && conninfo.get("service").is_none()
        && ["connect_timeout", "tcp_user_timeout"].iter().all(|name| conninfo.get(name).is_none());
    found_if(by_conninfo(facts).is_some() && is_unbounded, || {
        found(
            "primary_conninfo has no connect_timeout: after a failover a standby may wait for minutes",
            "connect_timeout=2 in primary_conninfo",
            "on each node, then reload",
        )
    })
}
