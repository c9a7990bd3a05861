//! `pgsqlms restart`: the instances of the resource are restarted one after the other, without Pacemaker's taking one for failed.
//!
//! A standby is restarted by a ban of its node that ends by itself: Pacemaker stops it there, with the notifications that the others
//! expect, and starts it when the ban is removed. `crm_resource --restart` does the same with a ban that has no end: killed, it would
//! leave the node out for ever. Maintenance of the node would keep Pacemaker from a failover meanwhile. The primary is restarted by
//! a switchover, whose demotion is a stop and a start.

mod standby;

use std::time::Duration;

use clap::Parser;

use super::interruption::Interruptions;
use super::switchover::look::World;
use super::switchover::{Begun, Order, carry, complain, print_line, refuse, show};
use crate::env::{self, Environment};
use crate::exit::CommandExitCode;
use crate::failure::Failure;
use crate::node::NodeName;
use crate::rules::restart::{self, Facts, Plan, Verdict};
use crate::rules::switchover;

/// Restarts PostgreSQL on one node after the other: the standbys first, then the primary by a switchover.
///
/// Without --yes it only shows what it would do. The exit code is 0 done, 1 refused and nothing changed, 2 begun and not finished,
/// 3 could not look.
#[derive(Debug, Clone, Parser)]
#[command(name = "pgsqlms restart", no_binary_name = true)]
pub struct Restart {
    /// Restart a standby on this node, and nothing else.
    node: Option<String>,
    /// Restart only where a changed setting waits for that.
    #[arg(long)]
    pending: bool,
    #[command(flatten)]
    order: Order,
}

/// Looks, prints the plan, and carries it out if that is wanted; the exit code.
pub fn run(command: &Restart, environment: &Environment) -> CommandExitCode {
    let looked = command.order.begin("restart", environment, |world| facts(world, command));
    let (Begun { world, interruptions }, facts) = match looked {
        Ok(looked) => looked,
        Err(code) => return code,
    };
    match restart::plan(&facts) {
        Verdict::Nothing => {
            print_line("Nothing waits for a restart.");
            CommandExitCode::Done
        }
        Verdict::Refused(lines) => refuse(&lines),
        Verdict::Planned(plan) => {
            describe(&plan);
            let Some(interruptions) = interruptions else {
                print_line(&format!("Nothing has been done. To do it: {}", command.again()));
                return CommandExitCode::Done;
            };
            carry_out(world, &plan, command.order.wait(), &interruptions)
        }
    }
}

impl Restart {
    /// The command that does it.
    fn again(&self) -> String {
        let node = self.node.as_ref().map_or(String::new(), |node| format!(" {node}"));
        let which = self.order.resource_option();
        let pending = if self.pending { " --pending" } else { "" };
        format!("pgsqlms restart{node}{which}{pending} --yes")
    }
}

fn facts(world: &mut World, command: &Restart) -> Result<Facts, Failure> {
    let switchover = world.facts(None)?;
    let nodes: Vec<NodeName> = switchover.cluster.nodes.keys().cloned().collect();
    let pending = nodes.iter().filter_map(|node| Some((node.clone(), world.pending(node)?))).collect();
    let only = command.node.as_deref().map(|node| switchover.cluster.named(node));
    Ok(Facts { pending, only_pending: command.pending, only, switchover })
}

fn describe(plan: &Plan) {
    let standbys: Vec<&str> = plan.standbys.iter().map(NodeName::as_str).collect();
    let standbys = if standbys.is_empty() { None } else { Some(format!("restart {}", standbys.join(", then "))) };
    let primary = plan.primary.as_ref().map(|node| format!("switch over from {node}, which restarts it"));
    let steps: Vec<String> = standbys.into_iter().chain(primary).collect();
    print_line(&format!("plan    {}", steps.join("; then ")));
    plan.lines.iter().for_each(show);
}

/// One after the other. The first that does not come back is the last that is touched.
fn carry_out(mut world: World, plan: &Plan, wait: Duration, interruptions: &Interruptions) -> CommandExitCode {
    log::warn!("a restart of {plan:?} is ordered by {} on {}", env::person(), world.me());
    for node in &plan.standbys {
        let code = standby::restart(&mut world, node, wait, interruptions);
        if code != CommandExitCode::Done {
            return code;
        }
    }
    let Some(primary) = &plan.primary else {
        print_line("done    All of them run and follow the primary.");
        return CommandExitCode::Done;
    };
    match world.facts(None).map(|facts| switchover::preflight(&facts)) {
        Ok(switchover::Verdict::Planned(plan)) if plan.from == *primary => carry::out(world, plan, wait, interruptions),
        Ok(switchover::Verdict::Refused(lines)) => {
            lines.iter().for_each(show);
            print_line(&format!("{primary} has not been restarted: run this again."));
            CommandExitCode::Unfinished
        }
        Ok(_) => {
            print_line(&format!("{primary} is not the primary any more: see pgsqlms status."));
            CommandExitCode::Unfinished
        }
        Err(failure) => {
            complain(&failure.to_string());
            CommandExitCode::Unfinished
        }
    }
}
