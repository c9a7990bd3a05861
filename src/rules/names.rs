//! By which name a primary knows a standby: `application_name`. Standbys are ranked, counted in synchronous replication and
//! elected by it, so it must be the name of their node.

use std::collections::BTreeSet;

use crate::node::NodeName;
use crate::postgres::conninfo::Conninfo;
use crate::rules::scores::{Replica, SenderState};
use crate::rules::synchronous::receivers;

/// What a WAL receiver without any name calls itself (`libpqwalreceiver.c`), as `pg_basebackup --write-recovery-conf` leaves it.
pub const NAMELESS: &str = "walreceiver";

/// Whether a standby streams without a name of its own.
pub fn is_nameless(name: &str) -> bool {
    name == NAMELESS
}

/// The name by which a primary knows a standby with these settings; none if it follows no primary, or the name is unknown.
pub fn known_as(primary_conninfo: &str, cluster_name: &str) -> Option<String> {
    let conninfo: Conninfo = primary_conninfo.parse().ok()?;
    // A service file may say it.
    if conninfo.iter().next().is_none() || conninfo.get("service").is_some() {
        return None;
    }
    let of_cluster = || Some(cluster_name).filter(|name| !name.is_empty());
    Some(conninfo.get("application_name").or_else(of_cluster).unwrap_or(NAMELESS).to_owned())
}

/// A standby that its primary does not know as its node.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum WrongName {
    /// It takes the place of another node: two of one name count as two in synchronous replication.
    #[error("set application_name={me} in primary_conninfo: {name} is the name of another node")]
    OfAnotherNode {
        /// The node.
        me: NodeName,
        /// What it calls itself.
        name: String,
    },
    /// The primary neither ranks it nor counts it.
    #[error("set application_name={me} in primary_conninfo: the primary does not know this node as {name}")]
    OfNoNode {
        /// The node.
        me: NodeName,
        /// What it calls itself.
        name: String,
    },
}

/// Whether the standby on `me` calls itself like its node, in a cluster of these nodes.
///
/// # Errors
///
/// When it does not.
pub fn check(name: String, me: &NodeName, nodes: &BTreeSet<NodeName>) -> Result<(), WrongName> {
    let me = me.clone();
    match nodes.contains(&NodeName::new(name.as_str())) {
        _ if name == me.as_str() => Ok(()),
        true => Err(WrongName::OfAnotherNode { me, name }),
        false => Err(WrongName::OfNoNode { me, name }),
    }
}

/// The reason for the operator about the names of the standbys that stream from the primary on `me`: two of one name cannot be
/// distinguished, and only this node may have its name.
pub fn confusion(me: &NodeName, members: &BTreeSet<NodeName>, replicas: &[Replica]) -> Option<String> {
    let replicating = replicas.iter().filter(|replica| replica.state != SenderState::NotReplicating);
    let connected: BTreeSet<&str> = replicating.map(|replica| replica.name.as_str()).collect();
    let twice = receivers::twice(replicas);
    let has = |names: &BTreeSet<&str>, node: &NodeName| names.contains(node.as_str());
    let is_wrong = |node: &&NodeName| has(&twice, node) || *node == me && has(&connected, node);
    let wrong: Vec<&str> = members.iter().filter(is_wrong).map(NodeName::as_str).collect();
    if wrong.is_empty() {
        return None;
    }
    let is_missing = |node: &&NodeName| *node != me && !has(&connected, node);
    let missing: Vec<&str> = members.iter().filter(is_missing).map(NodeName::as_str).collect();
    let missing = if missing.is_empty() { String::new() } else { format!("; missing: {}", missing.join(", ")) };
    let wrong = wrong.join(", ");
    Some(format!(
        "set application_name to the node's own name on every standby: more than one node is called {wrong} in \
         pg_stat_replication{missing}"
    ))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::location::Lsn;
    use crate::rules::table;

    fn name((conninfo, cluster_name): (&str, &str)) -> Option<String> {
        known_as(conninfo, cluster_name)
    }

    fn called(name: &str) -> Option<String> {
        Some(name.to_owned())
    }

    table! { name;
        by_its_own_name: ("host=vip application_name=srv1", "x") => called("srv1");
        in_a_uri: ("postgresql://rep@vip/?application_name=srv1", "") => called("srv1");
        // As pg_basebackup -R leaves it.
        without_one: ("host=vip user=rep", "") => called("walreceiver");
        an_empty_one: ("host=vip application_name=''", "") => called("walreceiver");
        by_the_clusters: ("host=vip", "srv1") => called("srv1");
        no_primary_is_followed: ("", "srv1") => None;
        a_service_may_say_it: ("service=primary", "srv1") => None;
        it_cannot_be_read: ("host", "srv1") => None;
    }

    fn nodes() -> BTreeSet<NodeName> {
        ["srv1", "srv2", "srv3"].into_iter().map(NodeName::new).collect()
    }

    fn srv2_called(name: &str) -> String {
        check(name.to_owned(), &NodeName::new("srv2"), &nodes())
            .map_or_else(|wrong| wrong.to_string(), |()| String::new())
    }

    table! { srv2_called;
        itself: "srv2" => "";
        another_node: "srv3" => "set application_name=srv2 in primary_conninfo: srv3 is the name of another node";
        no_node: "walreceiver" => "set application_name=srv2 in primary_conninfo: the primary does not know this node as walreceiver";
        names_compare_whole: "srv20" => "set application_name=srv2 in primary_conninfo: the primary does not know this node as srv20";
    }

    /// The receivers connected to srv1, a `!` for a base backup → the named ones, and the missing ones.
    fn confused(connected: &str) -> String {
        let replica = |word: &str| Replica {
            name: word.trim_end_matches('!').to_owned(),
            state: if word.ends_with('!') { SenderState::NotReplicating } else { SenderState::Streaming },
            flushed: Some(Lsn(5)),
            reports: true,
            synchronous: false,
        };
        let replicas: Vec<Replica> = connected.split_whitespace().map(replica).collect();
        let said = confusion(&NodeName::new("srv1"), &nodes(), &replicas).unwrap_or_default();
        let said = said.split_once("called ").map_or(String::new(), |(_, rest)| rest.to_owned());
        said.replace(" in pg_stat_replication", "")
    }

    table! { confused;
        each_by_its_own: "srv2 srv3" => "";
        two_of_one: "srv2 srv2" => "srv2; missing: srv3";
        an_old_connection_of_its_own: "srv2 srv2 srv3" => "srv2";
        one_called_like_the_primary: "srv1 srv2" => "srv1; missing: srv3";
        both_called_like_the_primary: "srv1 srv1" => "srv1; missing: srv2, srv3";
        copies_are_no_standbys: "srv2 srv2! srv1! srv3" => "";
        strangers_may_be_many: "srv2 srv3 barman barman walreceiver" => "";
        no_standby: "" => "";
    }
}
