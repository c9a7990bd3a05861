//! `pgsqlms rebuild`: an operator replaces a node's data by a copy of the primary's. Pacemaker does the restarting; start puts
//! the copy in its place.

mod loss;

use std::time::Duration;

use clap::Parser;

use super::Which;
use super::rejoin::print_line;
use crate::actions::{election, rebuild};
use crate::agent::Agent;
use crate::clock::Deadline;
use crate::failure::Failure;
use crate::node::NodeName;
use crate::postgres::{Outlook, Place};
use crate::record::Record;
use crate::rules::rebuild::{
    AtStake, Facts, MOST_TRIES, Order, PAUSE, Progress, Stage, Wish, lacks_room, progress, refusal, unkept,
};
use crate::rules::rejoin::divergence;
use crate::rules::status::{self, Role, Status};

/// How long the whole may take: a week. A copy that stands still is given up long before.
pub const TIMEOUT: Duration = Duration::from_secs(7 * 24 * 3600);

/// How long the node is watched once the primary has been copied. What goes on then goes on without being watched.
const WATCH: Duration = Duration::from_secs(3600);

/// Replaces this node's data by a copy of the primary's, made by pg_basebackup.
///
/// The copy is made beside the data directory, while PostgreSQL goes on as it is. The old data is removed when the copy follows
/// the primary.
#[derive(Debug, Clone, Parser)]
#[command(name = "pgsqlms rebuild")]
pub struct Rebuild {
    /// The resource.
    #[command(flatten)]
    pub which: Which,
    /// Do it.
    #[arg(long)]
    pub yes: bool,
    /// Leave the old data beside the new.
    #[arg(long)]
    pub keep_old: bool,
    /// Drop what only this node holds even if it cannot be kept in evidence_dir first.
    #[arg(long)]
    pub without_evidence: bool,
    /// The agent has started it, and no operator watches.
    #[arg(long, hide = true, requires = "yes", conflicts_with_all = ["keep_old", "without_evidence"])]
    pub unattended: bool,
}

impl Rebuild {
    fn wish(&self) -> Wish {
        Wish { keep_old: self.keep_old, without_evidence: self.without_evidence }
    }

    /// Prints a line for the operator who waits, or logs it.
    fn report(&self, line: &str) {
        if self.unattended { log::info!("{line}") } else { print_line(line) }
    }
}

/// Rebuilds the node: prints the consequences and, if they are accepted, does it.
///
/// # Errors
///
/// When it is refused, the primary cannot be copied, or the node does not come back.
pub fn run(agent: &mut Agent, command: &Rebuild) -> Result<String, Failure> {
    if command.unattended { unattended(agent, command) } else { by_hand(agent, command) }
}

/// Counts each attempt, and records and logs why it failed. Normally the next monitor starts the next attempt. If the instance
/// has not started there is no monitor, so this process retries here; after the last failure, it runs a cleanup, so that the
/// resulting start reports the reason.
fn unattended(agent: &mut Agent, command: &Rebuild) -> Result<String, Failure> {
    // The lock must be held before the order is written.
    agent.postgres.claim_job().inspect_err(|error| log::warn!("not rebuilt: {error}"))?;
    loop {
        // What cannot be counted is not done: it would have no end.
        count(agent).inspect_err(|error| log::warn!("not rebuilt: {error}"))?;
        let failure = match by_hand(agent, command) {
            Ok(text) => {
                log::info!("{text}");
                return Ok(text);
            }
            Err(failure) => failure,
        };
        log::warn!("{failure}");
        let order = agent.postgres.order()?;
        if order.stage != Stage::Nothing {
            return Err(failure);
        }
        let why = if let Failure::NotRebuilt(why) = &failure { why.clone() } else { failure.to_string() };
        agent.postgres.put_order(&Order { why, ..order.clone() })?;
        if agent.postgres.phase().is_some() {
            return Err(failure);
        }
        if order.tries >= MOST_TRIES {
            agent.pacemaker.clean_up(&agent.request.instance)?;
            return Err(failure);
        }
        let until = agent.request.deadline.or_after(agent.clock, PAUSE);
        let starts = |agent: &mut Agent| Ok(agent.postgres.phase().map(|_| ()));
        if agent.wait_for("the instance to be started", until, starts).is_ok() {
            return Err(failure);
        }
    }
}

/// Counts one more attempt for the last promotion, where something is to be copied.
fn count(agent: &mut Agent) -> Result<(), Failure> {
    let order = agent.postgres.order()?;
    if order.stage == Stage::Rebuilt {
        return Ok(());
    }
    let about = election::record(agent)?.last_switch();
    let about = about.ok_or_else(|| Failure::NotRebuilt("no node was promoted yet".to_owned()))?;
    if order.stage == Stage::Copied && order.about == Some(about) {
        return Ok(());
    }
    Ok(agent.postgres.put_order(&order.tried_again(about, agent.clock.unix_time()))?)
}

/// Prints what a rebuild would do and, if that is accepted, copies the primary, orders the exchange, and watches until the node
/// follows the primary.
///
/// # Errors
///
/// When it is refused, the primary cannot be copied, or the node does not come back.
fn by_hand(agent: &mut Agent, command: &Rebuild) -> Result<String, Failure> {
    let transition = agent.request.transition.clone();
    let (record, primary) = election::record_and_primary(agent, &transition)?;
    let order = agent.postgres.order()?;
    let about = record.last_switch();
    let streams = matches!(agent.postgres.follows(), Ok(true));
    let has_old = agent.postgres.sites()?.old;
    if (order.stage == Stage::Copied && order.about == about)
        || (order.stage == Stage::Rebuilt && streams && (has_old || command.unattended))
    {
        return go_on(agent, command);
    }
    let outlook = agent.postgres.outlook()?;
    let me = agent.request.me.clone();
    let facts = Facts {
        is_primary: primary.as_ref() == Some(&me) || may_be_primary(agent),
        streams,
        primary: primary.clone(),
        copying: outlook.copying,
        obstacle: outlook.obstacle.clone(),
    };
    if let Some(why) = refusal(&facts) {
        return Err(Failure::NotRebuilt(why));
    }
    let (at_stake, divergence) = loss::at_stake(agent)?;
    if !command.unattended {
        describe(command, &outlook, primary.as_ref());
        loss::describe(agent, &at_stake, divergence.as_ref());
    }
    if let Some(why) = unkept(&at_stake, command.wish()) {
        return Err(Failure::NotRebuilt(why));
    }
    if !command.yes {
        return Ok("Nothing has been done. To do this, run it again with --yes.".to_owned());
    }
    agent.postgres.claim_job()?;
    if command.unattended && at_stake == AtStake::Nothing {
        if let Some(why) = rebuild::hindrance(agent)? {
            return Err(Failure::NotRebuilt(why));
        }
    }
    let is_kept = loss::keep(agent, command, &at_stake, divergence.as_ref())?;
    copy(agent, command, &outlook, &record, is_kept)?;
    watch(agent, command)
}

/// Whether the instance is a primary, or runs and does not say what it is.
fn may_be_primary(agent: &mut Agent) -> bool {
    match status::status(&agent.postgres.evidence()) {
        Status::Running { role, .. } | Status::Starting(role) => role == Role::Primary,
        Status::Unclear(_) | Status::Obscure { .. } | Status::StorageHangs { .. } | Status::Unresponsive { .. } => true,
        Status::Stopped | Status::Crashed(_) | Status::Orphaned { .. } | Status::Stopping => false,
    }
}

/// Prints the steps, and the loss.
fn describe(command: &Rebuild, outlook: &Outlook, primary: Option<&NodeName>) {
    let Outlook { source, beside, old, free, size, .. } = outlook;
    let primary = primary.map_or(String::new(), ToString::to_string);
    print_line(&format!("The primary is {primary}. It would be copied from: {source}"));
    let (free, size) = (free >> 20, size >> 20);
    print_line(&format!(
        "The copy would be made in {}: {free} MB are free there; the data here takes {size} MB.",
        beside.display()
    ));
    if let Some(lack) = lacks_room(outlook.free, outlook.size, 0) {
        print_line(&format!("That may not be enough: {lack}. It is not begun if the primary's is too large."));
    }
    let fate = if command.keep_old { "stays" } else { "stays until the copy follows the primary, then it is removed" };
    print_line(&format!("The old data is put aside as {}, and {fate}.", old.display()));
}

/// Copies the primary and orders the exchange.
fn copy(
    agent: &mut Agent,
    command: &Rebuild,
    outlook: &Outlook,
    record: &Record,
    is_kept: bool,
) -> Result<(), Failure> {
    command.report(&format!("Copying to {} ...", outlook.beside.display()));
    let own = agent.postgres.system();
    let vote = agent.postgres.copy(&mut |line| command.report(line))?;
    let now = election::record(agent)?;
    if vote.system.zip(record.system().or(own)).is_some_and(|(copied, wanted)| copied != wanted) {
        agent.postgres.change_place(Place::DropCopy)?;
        return Err(Failure::NotRebuilt("primary_conninfo leads to another database: correct it".to_owned()));
    }
    let is_behind = now.last_switch().is_some_and(|(timeline, _)| vote.timeline() < timeline);
    if now.last_switch() != record.last_switch() || is_behind || divergence(&agent.request.me, &vote, &now).is_some() {
        agent.postgres.change_place(Place::DropCopy)?;
        let why = "what was copied is not the present primary: see primary_conninfo, then run this again";
        return Err(Failure::NotRebuilt(why.to_owned()));
    }
    let order = if command.unattended { agent.postgres.order()? } else { Order::default() };
    let unkept = !is_kept && !command.without_evidence;
    let order = Order { stage: Stage::Copied, about: now.last_switch(), end: vote.lsn(), unkept, ..order };
    agent.postgres.put_order(&order)?;
    if agent.postgres.phase().is_none() {
        agent.pacemaker.clean_up(&agent.request.instance)?;
    }
    Ok(())
}

/// A rebuild that was ordered before.
fn go_on(agent: &mut Agent, command: &Rebuild) -> Result<String, Failure> {
    let order = agent.postgres.order()?;
    let data = agent.request.config.datadir().display();
    match order.stage {
        Stage::Rebuilt => {
            command.report(&format!("This node is rebuilt. What is left is to remove {data}.pgsqlms-old."))
        }
        Stage::Nothing | Stage::Copied => {
            command.report("The primary has been copied. What is left is to put the copy in its place.")
        }
    }
    if !command.yes {
        return Ok("Nothing has been done. To go on with it, run this again with --yes.".to_owned());
    }
    if order.stage == Stage::Copied && !command.unattended {
        agent.postgres.put_order(&Order { attempts: 0, ..order })?;
        if agent.postgres.phase().is_none() {
            agent.pacemaker.clean_up(&agent.request.instance)?;
        }
    }
    watch(agent, command)
}

/// Reports the progress of the node, until it follows the primary or cannot; then the old data is removed.
fn watch(agent: &mut Agent, command: &Rebuild) -> Result<String, Failure> {
    let until = Deadline::or_after(agent.request.deadline, agent.clock, WATCH);
    let mut reported = None;
    agent.wait_for("the node to follow the primary; it may still do so", until, |agent| {
        let order = agent.postgres.order()?;
        let streams = order.stage == Stage::Rebuilt && matches!(agent.postgres.follows(), Ok(true));
        let progress = progress(&order, streams);
        if reported.as_ref() != Some(&progress) {
            command.report(&progress.to_string());
        }
        match &progress {
            Progress::Done => return Ok(Some(())),
            Progress::Failed(why) => return Err(Failure::NotRebuilt(why.clone())),
            Progress::Waiting | Progress::Starting => {}
        }
        reported = Some(progress);
        Ok(None)
    })?;
    agent.pacemaker.clean_up(&agent.request.instance)?;
    let me = agent.request.me.clone();
    let stays = command.keep_old || (agent.postgres.order()?.unkept && !command.without_evidence);
    if !stays {
        if let Err(error) = agent.postgres.change_place(Place::DropOld) {
            command.report(&format!("The old data is left over: remove it. {error}"));
        }
    }
    let order = if command.unattended { agent.postgres.order()?.finished() } else { Order::default() };
    agent.postgres.put_order(&order)?;
    let data = agent.request.config.datadir().display();
    let old = if stays { format!(" Its old data is in {data}.pgsqlms-old.") } else { String::new() };
    Ok(format!("{me} follows the primary.{old}"))
}
