//! Scenarios: one fault each, on real three-node clusters. `cargo test --test lab [-- NAME...]`, as root. Those that take
//! many minutes are a campaign: `cargo test --test lab -- --campaign [NAME...]`.
//!
//! Every scenario looks at the roles, at the data (no acknowledged commit lost, none there twice, never two primaries), at
//! the number of fencings and at the failed actions that Pacemaker shows. Those that can share a cluster do: it must be well
//! before a scenario begins, and it is replaced after one that failed, whose logs stay.

#![allow(clippy::unwrap_used, clippy::disallowed_methods, missing_docs, unreachable_pub)]

/// Transitions that the agent has stopped.
mod aborts;
/// Actions run by hand, in the environment that Pacemaker gives them.
mod by_hand;
/// What `pgsqlms status` says, and the commands in it.
mod cures;
/// How long an election takes.
mod election_cost;
/// Faults of one node.
mod faults;
/// A script between Pacemaker and the agent on one node: it lets promote be caught in the act.
mod hook;
/// Several labs at once.
mod lanes;
/// Obstacles that keep sessions out of PostgreSQL, and surroundings that do not answer.
mod lockouts;
/// An operator's commands on a cluster.
mod operator;
/// Promotions by hand beside a primary.
mod people;
/// Synchronous settings, standbys that lag, and what the agent keeps in the cluster about them.
mod replication;
/// Rewinds that stand still in their midst.
mod rewinding;
/// Chooses scenarios, runs them, reports how they ended.
mod runner;
/// The scenarios, one per file.
mod scenarios;
/// The labs that scenarios are played on.
mod stage;
/// The ways to switch a cluster off.
mod switching_off;
/// A lab's processes, mounts and files on the machine.
mod traces;
/// One scenario from a healthy cluster to a healthy cluster.
mod trial;

use std::process::ExitCode;

/// Set in the environment of a process that shall be the command `lab`: scenarios about that command need one.
const AS_LAB: &str = "PGSQLMS_AS_LAB";

fn main() -> ExitCode {
    if std::env::var_os(AS_LAB).is_some() {
        return lab::cli::main();
    }
    runner::main(&scenarios::everyday(), &scenarios::campaign())
}
