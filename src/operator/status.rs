//! status: the state of a resource on all nodes, for people and monitoring. It changes nothing.

mod json;

use std::io::Write;

use clap::Parser;

use crate::env::Environment;
use crate::exit::OcfExitCode;
use crate::failure::Failure;
use crate::rules::overview::{self, Facts, Level};

use super::check::Parameters;
use super::sight::{self, Sight};

/// Shows the state of all nodes, what is wrong, and which command helps.
///
/// The exit code is that of a monitoring plugin: 0 well, 1 a warning, 2 critical, 3 nothing could be seen.
#[derive(Debug, Clone, Parser)]
#[command(name = "pgsqlms status", no_binary_name = true)]
pub struct Status {
    /// The resource, or its clone. Not needed where this agent has only one.
    #[arg(long)]
    resource: Option<String>,
    /// One object for programs.
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    parameters: Parameters,
}

/// Looks and reports; the exit code.
pub fn run(status: &Status, environment: &Environment) -> OcfExitCode {
    sight::live_shortly(sight::LONGEST_LIFE);
    let facts = gather(status.resource.as_deref(), &status.parameters, environment);
    print(facts.map(|facts| {
        let verdict = overview::judge(&facts);
        let text = if status.json { json::report(&facts, &verdict) } else { overview::report(&facts, &verdict) };
        (text, verdict.level)
    }))
}

/// Prints a report, or why there is none; the exit code.
pub(super) fn print(report: Result<(String, Level), Failure>) -> OcfExitCode {
    let (text, level) = report.unwrap_or_else(|failure| (format!("UNKNOWN {failure}"), Level::Unknown));
    // A reader that takes only the first lines closes the pipe.
    let _ = writeln!(std::io::stdout(), "{text}");
    code(level)
}

/// The exit codes of a monitoring plugin have the numbers of some of OCF's.
fn code(level: Level) -> OcfExitCode {
    match level {
        Level::Ok => OcfExitCode::Success,
        Level::Warning => OcfExitCode::GenericError,
        Level::Critical => OcfExitCode::BadArguments,
        Level::Unknown => OcfExitCode::Unimplemented,
    }
}

/// All that can be seen from here.
pub(super) fn gather(
    named: Option<&str>,
    parameters: &Parameters,
    environment: &Environment,
) -> Result<Facts, Failure> {
    Ok(Sight::new(None)?.look(named, parameters, environment)?.facts)
}
