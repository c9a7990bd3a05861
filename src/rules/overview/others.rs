//! What the instances of other nodes say over replication connections, and what that amounts to.

use std::collections::BTreeMap;

use super::Facts;
use crate::location::Lsn;
use crate::node::NodeName;
use crate::rules::fitness::TooLow;
use crate::rules::status::Role;

/// Where psql looks by itself.
const PORT: u16 = 5432;
const SOCKET_DIRECTORIES: [&str; 3] = ["/var/run/postgresql", "/run/postgresql", "/tmp"];

/// What an instance says to a replication connection.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answer {
    /// Its role, if it says that.
    pub role: Option<Role>,
    /// The timeline that it writes or replays.
    pub timeline: Option<u32>,
    /// Where it writes, or how far it has received.
    pub lsn: Option<Lsn>,
    /// What takes a right to connect to the database `postgres`; or why it does not say.
    pub details: Result<Details, String>,
}

/// What an instance says in SQL to a role that has no rights but to replicate.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Details {
    /// How far a standby has replayed.
    pub replayed: Option<Lsn>,
    /// Replay is paused.
    pub is_paused: bool,
    /// The names of those that replicate from it.
    pub standbys: Vec<String>,
    /// Settings that wait for a restart.
    pub pending: Vec<String>,
    /// The settings that a standby must not have below its primary's.
    pub limits: BTreeMap<String, u32>,
}

/// Reads `max_connections=100 max_wal_senders=10`.
pub fn limits(text: &str) -> BTreeMap<String, u32> {
    let limit = |(name, value): (&str, &str)| Some((name.to_owned(), value.parse().ok()?));
    text.split_whitespace().filter_map(|word| word.split_once('=')).filter_map(limit).collect()
}

/// What has paused the replay of a standby.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Paused {
    /// Settings that are below the primary's.
    By(Vec<TooLow>),
    /// An operator.
    ByOperator,
    /// One of the two: resuming it ends the server if it was for settings.
    Unclear,
}

/// Which of the standbys stream, as far as that is seen.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Streams<'a> {
    /// From this node.
    From(&'a NodeName),
    /// From no node, as all say from which it could.
    Nowhere,
    /// The primary does not say.
    Unseen,
}

/// How root calls psql there. What libpq would look for by itself is left out.
pub fn psql(user: &str, host: Option<&str>, port: Option<u16>) -> String {
    let host = host.filter(|host| !SOCKET_DIRECTORIES.contains(host)).map(|host| format!(" -h {}", quoted(host)));
    let port = port.filter(|port| *port != PORT).map(|port| format!(" -p {port}"));
    format!("runuser -u {} -- psql{}{}", quoted(user), host.unwrap_or_default(), port.unwrap_or_default())
}

/// A word as a shell reads it.
fn quoted(word: &str) -> String {
    let is_plain = |c: char| c.is_ascii_alphanumeric() || "_./-:".contains(c);
    match word.chars().all(is_plain) {
        true => word.to_owned(),
        false => format!("'{}'", word.replace('\'', "'\\''")),
    }
}

impl Facts {
    /// Who replicates from `node`, if that is seen.
    fn standbys_of(&self, node: &NodeName) -> Option<Vec<&str>> {
        if *node != self.me {
            let details = self.answer(node)?.details.as_ref().ok()?;
            return Some(details.standbys.iter().map(String::as_str).collect());
        }
        let report = self.report()?;
        Some(report.standbys.iter().chain(report.peers.iter().map(|peer| &peer.name)).map(String::as_str).collect())
    }

    /// From which node `standby` streams.
    pub fn streams(&self, standby: &NodeName) -> Streams<'_> {
        let members = self.cluster.iter().flat_map(|cluster| cluster.nodes.keys());
        let sends = |node: &&NodeName| self.standbys_of(node).is_some_and(|names| names.contains(&standby.as_str()));
        if let Some(from) = members.filter(|node| *node != standby).find(sends) {
            return Streams::From(from);
        }
        let primaries = self.primaries();
        let all_say = !primaries.is_empty() && primaries.iter().all(|node| self.standbys_of(node).is_some());
        if all_say { Streams::Nowhere } else { Streams::Unseen }
    }

    /// Where the only primary writes.
    pub fn end_of_wal(&self) -> Option<Lsn> {
        let primaries = self.primaries();
        let [primary] = primaries.as_slice() else { return None };
        match *primary == self.me {
            true => self.report()?.lsn,
            false => self.answer(primary)?.lsn,
        }
    }

    /// The settings of an instance that a standby must not have below its primary's, if they are seen.
    fn limits(&self, node: &NodeName) -> Option<&BTreeMap<String, u32>> {
        let limits = match *node == self.me {
            true => &self.report()?.limits,
            false => &self.answer(node)?.details.as_ref().ok()?.limits,
        };
        Some(limits).filter(|limits| !limits.is_empty())
    }

    /// What has paused the replay of a node: what it says itself, or what its settings and the primary's amount to.
    pub fn paused(&self, node: &NodeName) -> Option<Paused> {
        let local = self.report().filter(|_| *node == self.me);
        let member = self.cluster.as_ref().ok().and_then(|cluster| cluster.nodes.get(node));
        let said = local.map(|report| &report.too_low).or(member.map(|member| &member.too_low));
        if let Some(too_low) = said.filter(|too_low| !too_low.is_empty()) {
            return Some(Paused::By(too_low.clone()));
        }
        if !self.is_paused(node) {
            return None;
        }
        if local.is_some() {
            return Some(Paused::ByOperator);
        }
        let primaries = self.primaries();
        let (Some(least), Some(own)) = (primaries.first().and_then(|it| self.limits(it)), self.limits(node)) else {
            return Some(Paused::Unclear);
        };
        let too_low = own.iter().filter_map(|(name, own)| {
            let least = least.get(name).filter(|least| *least > own)?;
            Some(TooLow { name: name.clone(), own: *own, least: *least })
        });
        let too_low: Vec<TooLow> = too_low.collect();
        Some(if too_low.is_empty() { Paused::ByOperator } else { Paused::By(too_low) })
    }

    /// Whether the replay of this node is paused.
    pub fn is_paused(&self, node: &NodeName) -> bool {
        match *node == self.me {
            true => self.report().is_some_and(|report| report.is_paused),
            false => self.answer(node).and_then(|it| it.details.as_ref().ok()).is_some_and(|it| it.is_paused),
        }
    }
}

/// What was not seen of the other nodes, and why: those with the same cause in one line.
pub(super) fn unseen(facts: &Facts) -> Vec<String> {
    let Ok(cluster) = &facts.cluster else { return Vec::new() };
    let (mut silent, mut short) = (BTreeMap::new(), BTreeMap::new());
    for (node, member) in cluster.nodes.iter().filter(|(node, member)| **node != facts.me && member.role.is_some()) {
        // What the primary, here, sees of a standby that streams is enough.
        let is_seen = facts.report().is_some_and(|report| report.peers.iter().any(|peer| peer.name == node.as_str()));
        let (group, why) = match facts.others.get(node) {
            _ if is_seen || member.is_unclean || !member.is_online => continue,
            None => continue,
            Some(Err(why)) => (&mut silent, why),
            Some(Ok(Answer { details: Err(why), .. })) => (&mut short, why),
            Some(Ok(_)) => continue,
        };
        group.entry(cause(node, why)).or_insert_with(Vec::new).push(node.as_str());
    }
    let silent = silent.into_iter().map(|(why, nodes)| format!("{} ({why})", nodes.join(", ")));
    let short = short.into_iter().map(|(why, nodes)| format!("replay and standbys of {} ({why})", nodes.join(", ")));
    silent.chain(short).collect()
}

/// Why a node does not say anything, in words that say where to mend that.
fn cause(node: &NodeName, why: &str) -> String {
    if !why.contains("pg_hba.conf") {
        return why.to_owned();
    }
    let host = why.split_once("host \"").and_then(|(_, rest)| rest.split_once('"')).map(|(host, _)| host);
    let from = host.map_or(String::new(), |host| format!(" from {host}"));
    let what = if why.contains("replication") { "replication".to_owned() } else { database(why) };
    format!("pg_hba.conf of {node} rejects {what}{from}")
}

fn database(why: &str) -> String {
    let database = why.split_once("database \"").and_then(|(_, rest)| rest.split_once('"'));
    database.map_or("this node".to_owned(), |(name, _)| format!("a connection to the database {name}"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rules::table;

    fn said(why: &str) -> String {
        cause(&NodeName::new("srv3"), why)
    }

    fn called((user, host, port): (&str, Option<&str>, Option<u16>)) -> String {
        psql(user, host, port)
    }

    table! { called;
        as_by_default: ("postgres", Some("/var/run/postgresql"), Some(5432)) => "runuser -u postgres -- psql";
        elsewhere: ("pg", Some("/srv/a b's"), Some(5433)) => "runuser -u pg -- psql -h '/srv/a b'\\''s' -p 5433";
    }

    table! { said;
        no_entry: "no pg_hba.conf entry for replication connection from host \"10.20.30.11\", user \"replicator\", no encryption"
            => "pg_hba.conf of srv3 rejects replication from 10.20.30.11";
        rejected: "pg_hba.conf rejects replication connection for host \"10.20.30.11\", user \"replicator\", no encryption"
            => "pg_hba.conf of srv3 rejects replication from 10.20.30.11";
        no_database: "no pg_hba.conf entry for host \"10.20.30.11\", user \"replicator\", database \"postgres\", no encryption"
            => "pg_hba.conf of srv3 rejects a connection to the database postgres from 10.20.30.11";
        in_another_language: "kein pg_hba.conf-Eintrag" => "pg_hba.conf of srv3 rejects this node";
        nothing_listens: "10.20.30.13: Connection refused (os error 111)" => "10.20.30.13: Connection refused (os error 111)";
    }
}
