//! Commands for a person, beside the actions for Pacemaker.

pub mod check;
pub mod doctor;
pub mod forget_history;
pub mod interruption;
pub mod metrics;
pub mod promote_anyway;
pub mod rebuild;
pub mod rejoin;
pub mod restart;
mod sight;
pub mod status;
pub mod subject;
pub mod switchover;
pub mod why;

use std::fmt::Write as _;
use std::time::Duration;

use clap::{Args, CommandFactory, Parser, Subcommand};

use crate::agent::Agent;
use crate::failure::Failure;
use check::Check;
use doctor::Doctor;
use forget_history::ForgetHistory;
use metrics::Metrics;
use promote_anyway::PromoteAnyway;
use rebuild::Rebuild;
use rejoin::Rejoin;
use restart::Restart;
use status::Status;
use switchover::Switchover;
use why::Why;

/// What a proxy asks for, which needs no cluster: [`Check`].
pub const CHECK: &str = "check";

/// What may run without a cluster, and is an action where Pacemaker asks for it: [`Status`].
pub const STATUS: &str = "status";

/// What a monitoring system asks for, and may run without a cluster: [`Metrics`].
pub const METRICS: &str = "metrics";

/// What may run without a cluster: [`Why`].
pub const WHY: &str = "why";

/// What shows its progress, and has exit codes of its own: [`Switchover`].
pub const SWITCHOVER: &str = "switchover";

/// The same for the restart of all instances: [`Restart`].
pub const RESTART: &str = "restart";

/// What may run without a cluster: [`Doctor`].
pub const DOCTOR: &str = "doctor";

/// What a person can ask for. A command's first paragraph of documentation is what `--help` says about it.
#[derive(Debug, Clone, Parser)]
#[command(name = "pgsqlms")]
pub enum Command {
    /// Promotes a node although the agent refuses to, accepting the loss of what it does not hold.
    PromoteAnyway(PromoteAnyway),
    /// Forgets the promotions on record, after pg_upgrade, initdb or a restore of the whole cluster.
    ForgetHistory(ForgetHistory),
    /// Brings this node back after it has diverged: keeps what it alone holds, and rewinds it to the primary.
    Rejoin(Rejoin),
    /// Replaces this node's data by a copy of the primary's, made by pg_basebackup.
    Rebuild(Rebuild),
}

/// Which resource a command is about.
#[derive(Debug, Clone, Args)]
pub struct Which {
    /// The resource, or its clone, as it is called in the cluster. Not needed where this agent has only one.
    #[arg(long)]
    pub resource: Option<String>,
}

/// Whether a command has to know the resource's parameters.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Needs {
    /// It is about a resource of the cluster.
    Resource,
    /// The resource may be gone.
    Nothing,
}

impl Command {
    /// Whether `name` is a command and no action.
    pub fn is_named(name: &str) -> bool {
        Self::has_subcommand(name)
    }

    /// All commands for a person, each under its own name, in the order in which they are shown.
    pub fn all() -> Vec<clap::Command> {
        let looking = [Status::command().name(STATUS), Why::command().name(WHY), Doctor::command().name(DOCTOR)];
        let moving = [Switchover::command().name(SWITCHOVER), Restart::command().name(RESTART)];
        let after = [Check::command().name(CHECK), Metrics::command().name(METRICS)];
        let before = looking.into_iter().chain(moving);
        before.chain(Self::command().get_subcommands().cloned()).chain(after).collect()
    }

    /// All commands and what they do, for `--help`.
    pub fn list() -> String {
        let mut list = "Commands for an operator; `pgsqlms COMMAND --help` lists their options:\n".to_owned();
        for command in Self::all() {
            let about = command.get_about().map(ToString::to_string).unwrap_or_default();
            let _ = writeln!(list, "  {:<16}{about}", command.get_name());
        }
        list
    }

    /// The resource it is about, if it says so.
    pub fn resource(&self) -> Option<&str> {
        let which = match self {
            Command::PromoteAnyway(command) => &command.which,
            Command::ForgetHistory(command) => &command.which,
            Command::Rejoin(command) => &command.which,
            Command::Rebuild(command) => &command.which,
        };
        which.resource.as_deref()
    }

    /// Whether there has to be such a resource.
    pub fn needs(&self) -> Needs {
        match self {
            Command::ForgetHistory(_) => Needs::Nothing,
            Command::PromoteAnyway(_) | Command::Rejoin(_) | Command::Rebuild(_) => Needs::Resource,
        }
    }

    /// Whether it is the agent that has begun it.
    pub fn is_unattended(&self) -> bool {
        matches!(self, Command::Rebuild(Rebuild { unattended: true, .. }))
    }

    /// How long it may take.
    pub fn timeout(&self) -> Duration {
        match self {
            Command::PromoteAnyway(_) | Command::ForgetHistory(_) => Duration::from_secs(60),
            Command::Rejoin(_) => rejoin::TIMEOUT,
            Command::Rebuild(_) => rebuild::TIMEOUT,
        }
    }

    /// Carries it out; returns the text to print.
    ///
    /// # Errors
    ///
    /// See the command's own module.
    pub fn run(&self, agent: &mut Agent) -> Result<String, Failure> {
        match self {
            Command::PromoteAnyway(command) => promote_anyway::run(agent, command),
            Command::ForgetHistory(command) => forget_history::run(agent, command),
            Command::Rejoin(command) => rejoin::run(agent, command),
            Command::Rebuild(command) => rebuild::run(agent, command),
        }
    }
}
