//! Commands for a person, beside the actions for Pacemaker.

pub mod check;
pub mod promote_anyway;
pub mod rebuild;
pub mod rejoin;

use std::fmt::Write as _;
use std::time::Duration;

use clap::{CommandFactory, Parser, Subcommand};

use crate::agent::Agent;
use crate::failure::Failure;
use check::Check;
use promote_anyway::PromoteAnyway;
use rebuild::Rebuild;
use rejoin::Rejoin;

/// What a proxy asks for, which needs no cluster: [`Check`].
pub const CHECK: &str = "check";

/// What a person can ask for. A command's first paragraph of documentation is what `--help` says about it.
#[derive(Debug, Clone, Parser)]
#[command(name = "pgsqlms")]
pub enum Command {
    /// Promotes a node although the agent refuses to, accepting the loss of what it does not hold.
    PromoteAnyway(PromoteAnyway),
    /// Brings this node back after it has diverged: keeps what it alone holds, and rewinds it to the primary.
    Rejoin(Rejoin),
    /// Replaces this node's data by a copy of the primary's, made by pg_basebackup.
    Rebuild(Rebuild),
}

impl Command {
    /// Whether `name` is a command and no action.
    pub fn is_named(name: &str) -> bool {
        Self::has_subcommand(name)
    }

    /// All commands and what they do, for `--help`.
    pub fn list() -> String {
        let mut list = "Commands for a person; `pgsqlms COMMAND --help` tells their options:\n".to_owned();
        let mut tell = |name: &str, command: &clap::Command| {
            let about = command.get_about().map(ToString::to_string).unwrap_or_default();
            let _ = writeln!(list, "  {name:<16}{about}");
        };
        Self::command().get_subcommands().for_each(|command| tell(command.get_name(), command));
        tell(CHECK, &Check::command());
        list
    }

    /// The resource it is about.
    pub fn resource(&self) -> &str {
        match self {
            Command::PromoteAnyway(command) => &command.resource,
            Command::Rejoin(command) => &command.resource,
            Command::Rebuild(command) => &command.resource,
        }
    }

    /// Whether it looks at the instance of this node, and so has to know the resource's parameters.
    pub fn needs_parameters(&self) -> bool {
        match self {
            Command::PromoteAnyway(_) => false,
            Command::Rejoin(_) | Command::Rebuild(_) => true,
        }
    }

    /// Whether it is the agent that has begun it.
    pub fn is_unattended(&self) -> bool {
        matches!(self, Command::Rebuild(Rebuild { unattended: true, .. }))
    }

    /// How long it may take.
    pub fn timeout(&self) -> Duration {
        match self {
            Command::PromoteAnyway(_) => Duration::from_secs(60),
            Command::Rejoin(_) => rejoin::TIMEOUT,
            Command::Rebuild(_) => rebuild::TIMEOUT,
        }
    }

    /// Carries it out; what to tell the person.
    ///
    /// # Errors
    ///
    /// See the command's own module.
    pub fn run(&self, agent: &mut Agent) -> Result<String, Failure> {
        match self {
            Command::PromoteAnyway(command) => promote_anyway::run(agent, command),
            Command::Rejoin(command) => rejoin::run(agent, command),
            Command::Rebuild(command) => rebuild::run(agent, command),
        }
    }
}
