//! `pgsqlms switchover`: another node becomes the primary, by a constraint that ends by itself.

pub(super) mod carry;
pub(super) mod look;

use std::io::Write as _;
use std::time::Duration;

use clap::{Args, Parser};

use super::Which;
use super::interruption::Interruptions;
use crate::env::{self, Environment};
use crate::exit::CommandExitCode;
use crate::failure::Failure;
use crate::logging;
use crate::rules::switchover::{self, Line, Plan, Verdict};
use look::World;

/// Makes another node the primary, and waits until the others follow it.
///
/// Without --yes it only shows what it would do. The exit code is 0 done, 1 refused and nothing changed, 2 begun and not finished,
/// 3 could not look.
#[derive(Debug, Clone, Parser)]
#[command(name = "pgsqlms switchover", no_binary_name = true)]
pub struct Switchover {
    /// The node that is to be the primary; the best standby if not given.
    node: Option<String>,
    #[command(flatten)]
    order: Order,
}

/// The options of a command that moves the primary, or restarts an instance.
#[derive(Debug, Clone, Args)]
pub(super) struct Order {
    #[command(flatten)]
    pub(super) which: Which,
    /// Do it.
    #[arg(long)]
    pub(super) yes: bool,
    /// Give up an instance after so many seconds. A quarter of a minute later Pacemaker does so, too, independently of this
    /// command.
    #[arg(long, default_value_t = 120, value_parser = clap::value_parser!(u16).range(5..=3600), value_name = "SECONDS")]
    wait: u16,
}

/// A command that has begun.
pub(super) struct Begun {
    /// What it looks at.
    pub(super) world: World,
    /// The signals that end it early; nothing where it only shows what it would do.
    pub(super) interruptions: Option<Interruptions>,
}

impl Order {
    /// What comes first: a change takes root, and from then on cleans up when a signal ends it. Then what is seen; the exit code if
    /// that fails.
    pub(super) fn begin<F>(
        &self,
        command: &str,
        environment: &Environment,
        look: impl FnOnce(&mut World) -> Result<F, Failure>,
    ) -> Result<(Begun, F), CommandExitCode> {
        let resource = self.which.resource.as_deref();
        logging::begin(environment, resource.unwrap_or_default());
        let _ = nix::unistd::chdir("/");
        if self.yes && !nix::unistd::geteuid().is_root() {
            complain(&format!("{command} needs root"));
            return Err(CommandExitCode::Unseen);
        }
        let interruptions = self.yes.then(Interruptions::watch).transpose().map_err(|error| {
            complain(&format!("cannot begin: {error}"));
            CommandExitCode::Unseen
        })?;
        let looked = World::open(resource, environment).and_then(|mut world| Ok((look(&mut world)?, world)));
        let (facts, world) = looked.map_err(|failure| {
            complain(&failure.to_string());
            look::code(&failure)
        })?;
        Ok((Begun { world, interruptions }, facts))
    }

    /// How long an instance may take.
    pub(super) fn wait(&self) -> Duration {
        Duration::from_secs(self.wait.into())
    }

    /// The option that names the resource, for the same command once more.
    pub(super) fn resource_option(&self) -> String {
        self.which.resource.as_ref().map_or(String::new(), |resource| format!(" --resource {resource}"))
    }
}

/// Looks, prints the plan, and carries it out if that is wanted; the exit code.
pub fn run(command: &Switchover, environment: &Environment) -> CommandExitCode {
    let looked = command.order.begin("switchover", environment, |world| world.facts(command.node.as_deref()));
    let (Begun { world, interruptions }, facts) = match looked {
        Ok(looked) => looked,
        Err(code) => return code,
    };
    match switchover::preflight(&facts) {
        Verdict::Already(node) => {
            print_line(&format!("{node} is the primary already."));
            CommandExitCode::Done
        }
        Verdict::Refused(lines) => refuse(&lines),
        Verdict::Planned(plan) => {
            describe(&plan);
            let Some(interruptions) = interruptions else {
                let which = command.order.resource_option();
                print_line(&format!("Nothing has been done. To do it: pgsqlms switchover {}{which} --yes", plan.to));
                return CommandExitCode::Done;
            };
            let by = format!("by {} on {}", env::person(), world.me());
            log::warn!("a switchover from {} to {} is ordered {by}", plan.from, plan.to);
            carry::out(world, plan, command.order.wait(), &interruptions)
        }
    }
}

/// Says what is in the way; the exit code.
pub(super) fn refuse(lines: &[Line]) -> CommandExitCode {
    lines.iter().for_each(show);
    print_line("Nothing has been done.");
    CommandExitCode::Refused
}

fn describe(plan: &Plan) {
    let timeline = plan.timeline.map_or(String::new(), |it| format!(", timeline {it} -> {}", it.saturating_add(1)));
    print_line(&format!("plan    {} -> {}{timeline}", plan.from, plan.to));
    plan.lines.iter().for_each(show);
}

pub(super) fn show(line: &Line) {
    print_line(&format!("{:<8}{}", line.weight, line.text));
}

/// Prints a line for the operator. If the output is closed the line is dropped, and the command continues.
pub(super) fn print_line(line: &str) {
    let _ = writeln!(std::io::stdout(), "{line}");
}

pub(super) fn complain(line: &str) {
    let _ = writeln!(std::io::stderr(), "pgsqlms: {line}");
}
