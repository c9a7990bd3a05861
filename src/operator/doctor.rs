//! doctor: looks for mistakes in how the cluster, this node and its PostgreSQL are set up. It changes nothing.

mod json;
mod machine;

use clap::Parser;

use crate::env::Environment;
use crate::exit::OcfExitCode;
use crate::failure::Failure;
use crate::rules::doctor::{self, Facts};

use super::check::Parameters;
use super::sight::{self, Seen, Sight};
use super::status;

/// Looks for mistakes in the configuration of the cluster, of this node and of its PostgreSQL, each with a command that cures it.
///
/// The exit code is that of a monitoring plugin: 0 nothing but hints, 1 a warning, 2 a failure, 3 nothing could be seen.
#[derive(Debug, Clone, Parser)]
#[command(name = "pgsqlms doctor", no_binary_name = true)]
pub struct Doctor {
    /// The resource, or its clone. Not needed where this agent has only one.
    #[arg(long)]
    resource: Option<String>,
    /// Before there is a resource: only this node and its PostgreSQL, by --pgdata. It need not run.
    #[arg(long)]
    before: bool,
    /// One object for programs.
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    parameters: Parameters,
}

/// Looks and reports; the exit code.
pub fn run(asked: &Doctor, environment: &Environment) -> OcfExitCode {
    sight::live_shortly(sight::LONGEST_LOOK);
    status::print(gather(asked, environment).map(|facts| {
        let diagnosis = doctor::examine(&facts);
        let text = if asked.json { json::report(&facts, &diagnosis) } else { doctor::report(&facts, &diagnosis) };
        (text, diagnosis.level)
    }))
}

fn gather(asked: &Doctor, environment: &Environment) -> Result<Facts, Failure> {
    let sight = Sight::new(None)?.patiently();
    let Seen { facts: seen, environment, .. } = match asked.before {
        true => sight.look_before(&asked.parameters, environment),
        false => sight.look(asked.resource.as_deref(), &asked.parameters, environment)?,
    };
    let resource = seen.resource.clone();
    let server = environment.clone().and_then(|environment| {
        sight.ask(&environment, &resource, |instance| instance.examine().map_err(|error| error.to_string()))?
    });
    let is_seen = seen.cluster.as_ref().map_err(Clone::clone);
    let configuration =
        is_seen.clone().and_then(|_| sight.tools().configuration(&resource).map_err(|error| error.to_string()));
    let corosync = is_seen.and_then(|_| sight.tools().corosync().map_err(|error| error.to_string()));
    let machine = environment.and_then(|environment| machine::look(&sight, &environment, &resource));
    Ok(Facts { seen, configuration, corosync, machine, server })
}
