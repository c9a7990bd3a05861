//! `pgsqlms rejoin`: an operator brings a diverged node back. Pacemaker does the restarting; start does the rewinding.

use std::io::Write as _;
use std::time::Duration;

use clap::Parser;

use super::Which;
use crate::actions::rejoin;
use crate::agent::Agent;
use crate::failure::Failure;
use crate::postgres::Upstream;
use crate::rules::rejoin::{Divergence, Notes, Progress, Stage, progress};

/// How long the node is watched. What goes on then goes on without being watched.
pub const TIMEOUT: Duration = Duration::from_secs(3600);

/// Brings this node back after it has diverged: keeps what it alone holds, and rewinds it to the primary.
///
/// The WAL that only this node has is copied to evidence_dir first, with a list of its transactions.
#[derive(Debug, Clone, Parser)]
#[command(name = "pgsqlms rejoin")]
pub struct Rejoin {
    /// The resource.
    #[command(flatten)]
    pub which: Which,
    /// Only print what would be dropped, and what hinders it; this is what happens without --yes.
    #[arg(long, conflicts_with = "yes")]
    pub dry_run: bool,
    /// Do it.
    #[arg(long)]
    pub yes: bool,
}

/// Prints what a rewind would drop and, if that is accepted, orders it and watches until the node follows the primary.
///
/// # Errors
///
/// When the state of the node cannot be determined, or it does not come back.
pub fn run(agent: &mut Agent, command: &Rejoin) -> Result<String, Failure> {
    let notes = agent.postgres.notes()?;
    if notes.stage == Stage::Rewinding {
        return half(agent, command, notes);
    }
    let me = agent.request.me.clone();
    let Some(divergence) = rejoin::look(agent)? else {
        let on_it = format!("{me} is on the cluster's history: there is nothing to rewind");
        // Something else may keep it from following.
        let cut_off = if matches!(agent.postgres.follows(), Ok(false)) { agent.postgres.cut_off(false) } else { None };
        return match cut_off {
            Some(cut_off) => {
                let wal = agent.postgres.primary_wal()?;
                let trouble = cut_off.reason(&wal, &agent.request.instance);
                Err(Failure::NotRejoined(format!("{trouble} ({on_it})")))
            }
            None => Ok(format!("{on_it}.")),
        };
    };
    print_line(&format!("{me} has {divergence}."));
    match agent.postgres.at_stake(&divergence) {
        Ok(transactions) => print_line(transactions.trim_end()),
        Err(error) => print_line(&format!("Its transactions cannot be listed: {error}")),
    }
    if let Some(obstacle) = agent.postgres.obstacle() {
        let resource = &agent.request.instance;
        return Err(Failure::NotRejoined(format!("run `pgsqlms rebuild --resource {resource}`: {obstacle}")));
    }
    if let Some(hindrance) = agent.postgres.hindrance(&divergence)? {
        return Err(Failure::NotRejoined(hindrance));
    }
    if !command.yes {
        let kept = agent.request.config.evidence_dir.join(&agent.request.instance);
        return Ok(format!(
            "Nothing has been done. To keep this in {} and then drop it, run this again with --yes.",
            kept.display()
        ));
    }
    order(agent, &divergence)?;
    watch(agent)
}

/// A node whose rewind has begun: there is nothing to decide.
fn half(agent: &mut Agent, command: &Rejoin, notes: Notes) -> Result<String, Failure> {
    print_line(&format!(
        "{} is half rewound: {}. What was dropped is in {}.",
        agent.request.me, notes.why, notes.evidence
    ));
    if !command.yes {
        return Ok("Nothing has been done. To go on with it, run this again with --yes.".to_owned());
    }
    agent.postgres.note(&Notes { attempts: 0, ..notes })?;
    agent.pacemaker.clean_up(&agent.request.instance)?;
    watch(agent)
}

fn order(agent: &mut Agent, divergence: &Divergence) -> Result<(), Failure> {
    let about = Some((divergence.timeline, divergence.switch));
    agent.postgres.note(&Notes { stage: Stage::Ordered, about, ..Notes::default() })?;
    // A running standby is restarted because its monitor asks for it; one that could not be started is forgiven.
    if agent.postgres.phase().is_none() {
        agent.pacemaker.clean_up(&agent.request.instance)?;
    }
    Ok(())
}

/// Prints the progress of the node, until it follows the primary or cannot.
fn watch(agent: &mut Agent) -> Result<String, Failure> {
    let deadline = agent.request.deadline;
    let mut printed = None;
    let evidence = agent.wait_for("the node to follow the primary; it may still do so", deadline, |agent| {
        let notes = agent.postgres.notes()?;
        let follows = notes.stage == Stage::Rewound && matches!(agent.postgres.upstream(), Ok(Upstream::Streaming));
        let progress = progress(&notes, agent.postgres.phase(), follows);
        if printed.as_ref() != Some(&progress) {
            print_line(&progress.to_string());
        }
        match &progress {
            Progress::Done => return Ok(Some(notes.evidence)),
            Progress::Failed(why) => return Err(Failure::NotRejoined(why.clone())),
            Progress::Waiting | Progress::Rewinding | Progress::Starting => {}
        }
        printed = Some(progress);
        Ok(None)
    })?;
    agent.pacemaker.clean_up(&agent.request.instance)?;
    Ok(format!("{} follows the primary. What was dropped is in {evidence}.", agent.request.me))
}

/// Prints a line for the operator who waits.
pub(super) fn print_line(line: &str) {
    let _ = writeln!(std::io::stdout(), "{line}");
}
