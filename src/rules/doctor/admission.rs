//! Which roles may connect to replicate and to rewind: pg_hba.conf, and what the role of replication may do.

use super::Severity::{Failure, Warning};
use super::{Check, Facts, Found, HbaLine, Server, found, found_if, served};
use crate::postgres::conninfo::Conninfo;

pub(super) const CHECKS: [Check; 7] = [
    served(
        "hba-error",
        Failure,
        "A line of `pg_hba.conf` is wrong: the server refuses the whole file when it reads it.",
        hba_error,
    ),
    served("hba-replication", Failure, "`pg_hba.conf` lets no node in to replicate.", hba_replication),
    served(
        "hba-self",
        Warning,
        "A server that comes back may replicate from itself through the virtual address.",
        hba_self,
    ),
    served("hba-rewind", Warning, "`pg_hba.conf` does not let `pg_rewind` in.", hba_rewind),
    served("rewind-grants", Warning, "The role of replication lacks rights that `pg_rewind` needs.", rewind_grants),
    served("passfile-mode", Failure, "The file of passwords can be read by others: libpq ignores it.", passfile_mode),
    served(
        "passfile-missing",
        Failure,
        "The file of passwords that `primary_conninfo` names is not there.",
        passfile_missing,
    ),
];

/// How the agent's pages call the command that makes a changed file count.
const RELOAD: &str = "then `SELECT pg_reload_conf()`";

fn role(it: &Server) -> Option<String> {
    let conninfo: Conninfo = it.setting("primary_conninfo").parse().ok()?;
    conninfo.get("user").map(str::to_owned)
}

fn is_over_network(line: &HbaLine) -> bool {
    line.kind.starts_with("host")
}

fn has(names: &[String], wanted: &str) -> bool {
    names.iter().any(|name| name == wanted)
}

/// Whether a line is about the role. Of groups and patterns nothing is known.
fn may_mean(line: &HbaLine, role: Option<&str>) -> bool {
    let is_vague = line.users.iter().any(|user| user == "all" || user.starts_with(['+', '/']));
    is_vague || role.is_none_or(|role| has(&line.users, role))
}

/// The role that rewinds: that of the parameter, or the role of replication.
fn rewinding_role(facts: &Facts, it: &Server) -> Option<String> {
    let named = facts.configuration.as_ref().ok().and_then(|it| it.parameter("rejoin_user"));
    named.map(str::to_owned).or_else(|| role(it))
}

fn wants_rewind(facts: &Facts) -> bool {
    facts.configuration.as_ref().is_ok_and(|it| it.parameter("rejoin") == Some("rewind"))
}

fn hba_error(_: &Facts, it: &Server) -> Vec<Found> {
    let describe = |line: &HbaLine| {
        let error = line.error.as_deref().unwrap_or_default();
        found(
            format!("line {} of pg_hba.conf: {error}: the server does not start with it", line.number),
            "SELECT * FROM pg_hba_file_rules WHERE error IS NOT NULL",
            "correct the line",
        )
    };
    it.hba.iter().filter(|line| line.error.is_some()).map(describe).collect()
}

/// The lines that allow replication over the network.
fn replicating(it: &Server) -> impl Iterator<Item = (usize, &HbaLine)> {
    let role = role(it);
    let lines =
        it.hba.iter().enumerate().filter(|(_, line)| is_over_network(line) && has(&line.databases, "replication"));
    lines.filter(move |(_, line)| line.method != "reject" && may_mean(line, role.as_deref()))
}

fn hba_replication(_: &Facts, it: &Server) -> Vec<Found> {
    found_if(!it.hba.is_empty() && replicating(it).next().is_none(), || {
        let role = role(it).unwrap_or_else(|| "replicator".to_owned());
        found(
            "pg_hba.conf allows no replication over the network: no standby can follow this node",
            format!("host replication {role} NETWORK scram-sha-256"),
            format!("in pg_hba.conf; {RELOAD}"),
        )
    })
}

fn hba_self(facts: &Facts, it: &Server) -> Vec<Found> {
    // Where each standby follows a node by name, none follows itself.
    if !facts.configuration.as_ref().is_ok_and(|it| it.parameter("follow") != Some("node")) {
        return Vec::new();
    }
    let refuses = |line: &HbaLine| {
        is_over_network(line)
            && has(&line.databases, "replication")
            && line.address == "samehost"
            && line.method == "reject"
    };
    let refused = it.hba.iter().position(refuses);
    // A line for one address is one for another node.
    let is_wide = |line: &HbaLine| {
        line.mask != "255.255.255.255" && !line.mask.contains("ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff")
    };
    let admitted = replicating(it).find(|(_, line)| is_wide(line)).map(|(at, _)| at);
    found_if(admitted.is_some_and(|at| refused.is_none_or(|refused| refused > at)), || {
        found(
            "a server that comes back may replicate from itself through the virtual address, and never notices",
            "host replication all samehost reject",
            format!("in pg_hba.conf, before the other lines for replication; {RELOAD}"),
        )
    })
}

fn hba_rewind(facts: &Facts, it: &Server) -> Vec<Found> {
    let role = rewinding_role(facts, it);
    let admits = |line: &HbaLine| {
        let is_database = has(&line.databases, "all") || has(&line.databases, "postgres");
        is_over_network(line) && is_database && line.method != "reject" && may_mean(line, role.as_deref())
    };
    found_if(wants_rewind(facts) && !it.hba.is_empty() && !it.hba.iter().any(admits), || {
        let role = role.clone().unwrap_or_else(|| "replicator".to_owned());
        found(
            format!("rejoin=rewind, and pg_hba.conf does not let {role} into the database postgres: no rewind works"),
            format!("host postgres {role} NETWORK scram-sha-256"),
            format!("in pg_hba.conf; {RELOAD}"),
        )
    })
}

fn rewind_grants(facts: &Facts, it: &Server) -> Vec<Found> {
    let Some(role) = rewinding_role(facts, it).filter(|_| wants_rewind(facts)) else { return Vec::new() };
    let describe = |function: &String| {
        found(
            format!("rejoin=rewind, and {role} may not call {function}: no rewind works"),
            format!("GRANT EXECUTE ON FUNCTION pg_catalog.{function} TO {role}"),
            "in the database postgres, on the primary",
        )
    };
    it.not_granted.iter().map(describe).collect()
}

fn passfile_mode(_: &Facts, it: &Server) -> Vec<Found> {
    let open = it.passfile.as_ref().filter(|file| file.mode.is_some_and(|mode| mode & 0o077 != 0));
    open.map(|file| {
        let path = &file.path;
        found(
            format!("{path} can be read by others than its owner: libpq ignores it"),
            format!("chmod 0600 {path}"),
            "takes effect at once",
        )
    })
    .into_iter()
    .collect()
}

fn passfile_missing(_: &Facts, it: &Server) -> Vec<Found> {
    let missing = it.passfile.as_ref().filter(|file| file.mode.is_none());
    missing
        .map(|file| {
            let (path, role) = (&file.path, role(it).unwrap_or_else(|| "replicator".to_owned()));
            found(
                format!("{path}, which primary_conninfo names, is not there, or PostgreSQL's account may not read it"),
                format!("echo '*:*:*:{role}:PASSWORD' >{path}"),
                "as PostgreSQL's account, with the mode 0600",
            )
        })
        .into_iter()
        .collect()
}
