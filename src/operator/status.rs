//! status: the state of a resource on all nodes, for people and monitoring. It changes nothing. With `--watch` it is shown again and
//! again, each time as if it was asked for once.

mod json;

use std::io::{IsTerminal, Write};
use std::time::Duration;

use clap::Parser;

use crate::clock::{Clock, SystemClock};
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
    /// Show it again every so many seconds (2 unless given), until interrupted.
    #[arg(
        long,
        value_name = "SECONDS",
        num_args = 0..=1,
        default_missing_value = "2",
        value_parser = clap::value_parser!(u32).range(1..=86_400)
    )]
    watch: Option<u32>,
    #[command(flatten)]
    parameters: Parameters,
}

/// Clears a terminal.
const CLEAR: &str = "\x1b[H\x1b[2J\x1b[3J";

/// Looks and reports; the exit code.
pub fn run(status: &Status, environment: &Environment) -> OcfExitCode {
    let mut between = if std::io::stdout().is_terminal() && status.watch.is_some() { CLEAR } else { "" };
    loop {
        let (level, is_heard) = look_once(status, environment, between);
        let Some(seconds) = status.watch.filter(|_| is_heard) else { return code(level) };
        if between.is_empty() {
            between = "\n";
        }
        // What ends a look that hangs must not end the pause.
        nix::unistd::alarm::cancel();
        SystemClock::start().sleep(Duration::from_secs(seconds.into()));
    }
}

/// Looks and reports after what is `between` two reports; what was found, and whether a reader is left.
fn look_once(status: &Status, environment: &Environment, between: &str) -> (Level, bool) {
    sight::live_shortly(sight::LONGEST_LIFE);
    let sight = match Sight::new(None) {
        Ok(sight) => sight,
        Err(failure) => return (Level::Unknown, show(&format!("{between}UNKNOWN {failure}"))),
    };
    let seen = sight.look(status.resource.as_deref(), &status.parameters, environment);
    let (text, level) = match seen {
        Ok(mut seen) => {
            sight.look_around(&mut seen);
            let (facts, verdict) = (&seen.facts, overview::judge(&seen.facts));
            let text = if status.json { json::report(facts, &verdict) } else { overview::report(facts, &verdict) };
            (text, verdict.level)
        }
        Err(failure) => (format!("UNKNOWN {failure}"), Level::Unknown),
    };
    let is_heard = show(&format!("{between}{text}"));
    sight.end();
    (level, is_heard)
}

/// Prints a report; whether there is a reader. One that takes only the first lines closes the pipe.
fn show(text: &str) -> bool {
    let mut output = std::io::stdout();
    writeln!(output, "{text}").and_then(|()| output.flush()).is_ok()
}

/// Prints a report, or why there is none; the exit code.
pub(super) fn print(report: Result<(String, Level), Failure>) -> OcfExitCode {
    let (text, level) = report.unwrap_or_else(|failure| (format!("UNKNOWN {failure}"), Level::Unknown));
    show(&text);
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

/// All that can be seen from here without asking other nodes.
pub(super) fn gather(
    named: Option<&str>,
    parameters: &Parameters,
    environment: &Environment,
) -> Result<Facts, Failure> {
    Ok(Sight::new(None)?.look(named, parameters, environment)?.facts)
}
