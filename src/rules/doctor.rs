//! What `pgsqlms doctor` finds: mistakes in how a cluster is set up, each with a command that cures it. It is about what is
//! configured; `status` is about what happens now. A fact that was not seen is not checked, and does not count as a mistake.

mod address;
mod admission;
mod clone;
mod corosync;
mod facts;
mod fencing;
mod left;
mod machine;
mod operations;
mod replication;
mod settings;
mod storage;
mod synchronous;
mod text;

use std::fmt;

use crate::rules::overview::{Cure, Level};

pub use facts::{
    Colocation, Configuration, Corosync, Facts, HbaLine, Location, Machine, Order, Pairs, PassFile, Resource, Server,
    Setting, Slot,
};
pub use text::{markdown_table, report};

/// How bad a mistake is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Severity {
    /// It could be better.
    Hint,
    /// It will hurt in some failure.
    Warning,
    /// It does not work, or data is at risk.
    Failure,
}

impl fmt::Display for Severity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Severity::Hint => "HINT",
            Severity::Warning => "WARN",
            Severity::Failure => "FAIL",
        })
    }
}

/// One of the checks.
#[derive(Debug)]
pub struct Check {
    /// Its name, for programs and for the documentation.
    pub id: &'static str,
    /// How bad it is if it finds something.
    pub severity: Severity,
    /// What is wrong then, for the documentation.
    pub about: &'static str,
    look: Look,
}

/// What a check looks at, and how.
#[derive(Debug)]
enum Look {
    Configuration(fn(&Configuration) -> Vec<Found>),
    Corosync(fn(&Facts, &Corosync) -> Vec<Found>),
    Machine(fn(&Facts, &Machine) -> Vec<Found>),
    Server(fn(&Facts, &Server) -> Vec<Found>),
}

/// What a check has found.
#[derive(Debug)]
struct Found {
    text: String,
    cure: Cure,
}

/// A mistake.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mistake {
    /// The check that has found it.
    pub id: &'static str,
    /// How bad it is.
    pub severity: Severity,
    /// A node, or the cluster as a whole.
    pub place: String,
    /// What is wrong, and why that matters.
    pub text: String,
    /// What cures it.
    pub cure: Cure,
}

/// What was found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Diagnosis {
    /// The exit code's level: a hint alone is none.
    pub level: Level,
    /// How many checks were made.
    pub checked: usize,
    /// The mistakes, the worst of each place first.
    pub mistakes: Vec<Mistake>,
    /// What could not be checked, and why.
    pub unseen: Vec<String>,
}

/// All checks.
pub fn checks() -> impl Iterator<Item = &'static Check> {
    let of_cluster = fencing::CHECKS.iter().chain(&clone::CHECKS).chain(&operations::CHECKS).chain(&address::CHECKS);
    let of_cluster = of_cluster.chain(&left::CHECKS).chain(&corosync::CHECKS);
    let of_node =
        machine::CHECKS.iter().chain(&settings::CHECKS).chain(&replication::CHECKS).chain(&synchronous::CHECKS);
    of_cluster.chain(of_node).chain(&admission::CHECKS).chain(&storage::CHECKS)
}

/// What the facts amount to.
pub fn examine(facts: &Facts) -> Diagnosis {
    let (mut checked, mut mistakes) = (0, Vec::new());
    for check in checks() {
        let Some((place, found)) = check.run(facts) else { continue };
        checked += 1;
        mistakes.extend(found.into_iter().map(|Found { text, cure }| Mistake {
            id: check.id,
            severity: check.severity,
            place: place.to_owned(),
            text,
            cure,
        }));
    }
    // The cluster first, and in each place the worst.
    mistakes.sort_by_key(|mistake| (mistake.place != CLUSTER, std::cmp::Reverse(mistake.severity)));
    let level = match mistakes.iter().map(|mistake| mistake.severity).max() {
        _ if checked == 0 => Level::Unknown,
        Some(Severity::Failure) => Level::Critical,
        Some(Severity::Warning) => Level::Warning,
        Some(Severity::Hint) | None => Level::Ok,
    };
    Diagnosis { level, checked, mistakes, unseen: unseen(facts) }
}

/// What is not of one node.
const CLUSTER: &str = "cluster";

impl Check {
    /// Where it looks and what it finds there; nothing if that was not seen.
    fn run<'a>(&self, facts: &'a Facts) -> Option<(&'a str, Vec<Found>)> {
        let me = facts.seen.me.as_str();
        Some(match self.look {
            Look::Configuration(look) => (CLUSTER, look(facts.configuration.as_ref().ok()?)),
            Look::Corosync(look) => (CLUSTER, look(facts, facts.corosync.as_ref().ok()?)),
            Look::Machine(look) => (me, look(facts, facts.machine.as_ref().ok()?)),
            Look::Server(look) => (me, look(facts, facts.server.as_ref().ok()?)),
        })
    }
}

fn unseen(facts: &Facts) -> Vec<String> {
    let me = &facts.seen.me;
    let why = |what: String, why: Option<&String>| why.map(|why| format!("{what}: {why}"));
    let sources = [
        why("the cluster's configuration".to_owned(), facts.configuration.as_ref().err()),
        why("Corosync".to_owned(), facts.corosync.as_ref().err()),
        why(format!("the machine {me}"), facts.machine.as_ref().err()),
        why(format!("PostgreSQL on {me}"), facts.server.as_ref().err()),
    ];
    sources.into_iter().flatten().collect()
}

/// A check of the cluster's configuration.
const fn configured(
    id: &'static str,
    severity: Severity,
    about: &'static str,
    look: fn(&Configuration) -> Vec<Found>,
) -> Check {
    Check { id, severity, about, look: Look::Configuration(look) }
}

/// A check of this node's PostgreSQL.
const fn served(
    id: &'static str,
    severity: Severity,
    about: &'static str,
    look: fn(&Facts, &Server) -> Vec<Found>,
) -> Check {
    Check { id, severity, about, look: Look::Server(look) }
}

/// A check of this node's machine.
const fn on_machine(
    id: &'static str,
    severity: Severity,
    about: &'static str,
    look: fn(&Facts, &Machine) -> Vec<Found>,
) -> Check {
    Check { id, severity, about, look: Look::Machine(look) }
}

/// What was found, with a command and what a person should know of it.
fn found(text: impl Into<String>, command: impl Into<String>, costs: impl Into<String>) -> Found {
    Found { text: text.into(), cure: Cure { command: command.into(), costs: costs.into() } }
}

/// That, if `is_wrong`.
fn found_if(is_wrong: bool, it: impl FnOnce() -> Found) -> Vec<Found> {
    is_wrong.then(it).into_iter().collect()
}

/// Pacemaker's lengths of time in milliseconds: `10s`, `5min`, `500ms`. Nothing where it is written otherwise.
fn milliseconds(text: &str) -> Option<u64> {
    let text = text.trim();
    let (number, unit) = text.split_at(text.bytes().take_while(u8::is_ascii_digit).count());
    let number: u64 = number.parse().ok()?;
    match unit.trim() {
        "" | "s" | "sec" => number.checked_mul(1000),
        "ms" | "msec" => Some(number),
        "us" | "usec" => Some(number / 1000),
        "m" | "min" => number.checked_mul(60_000),
        "h" | "hr" => number.checked_mul(3_600_000),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rules::table;

    table! { milliseconds;
        seconds: "10s" => Some(10_000);
        without_a_unit: "20" => Some(20_000);
        minutes: "10min" => Some(600_000);
        milliseconds_themselves: "1500ms" => Some(1500);
        as_iso_writes_it: "PT10S" => None;
        nothing: "" => None;
        too_long: "99999999999999999999h" => None;
    }

    #[test]
    fn each_check_has_a_name_of_its_own() {
        let mut ids: Vec<&str> = checks().map(|check| check.id).collect();
        let all = ids.len();
        ids.sort_unstable();
        ids.dedup();
        assert_eq!(ids.len(), all);
        assert!(ids.iter().all(|id| id.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'-')), "{ids:?}");
    }
}
