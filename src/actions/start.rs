//! start: bring the instance up, always as a standby. Repeating it does nothing.

use std::time::Duration;

use crate::agent::{Agent, Outcome};
use crate::clock::Deadline;
use crate::failure::Failure;
use crate::postgres::About;
use crate::rules::progress::Progress;
use crate::rules::setup;
use crate::rules::status::{self, Phase, Role, Status};
use crate::rules::steps::{self, Start};
use crate::score::Score;

use super::{election, follow, rebuild, rejoin, score, stop, stopped, unelected, validate};

/// Waiting for recovery gets this share of the time.
const RECOVERY: f64 = 0.85;

/// Starts the instance as a standby.
///
/// # Errors
///
/// When this node is not set up for it, or the server does not come up in time.
pub fn run(agent: &mut Agent) -> Result<Outcome, Failure> {
    validate::check_parameters(agent)?;
    rebuild::before_start(agent)?;
    validate::check_node(agent)?;
    stopped::forget(agent)?;
    agent.postgres.pass_on(About::Score, None);
    let mut outcome = standby(agent, agent.request.deadline)?;
    if agent.pacemaker.cib().is_ok_and(|cib| cib.without_fencing) {
        // The agent can do nothing else about it, and the operator must be able to see it.
        let warning = "fencing is disabled: there may be two primaries; `pcs property set stonith-enabled=true`";
        outcome.reason = Some(outcome.reason.map_or(warning.to_owned(), |reason| format!("{reason}; {warning}")));
    }
    if let Some(warning) = setup::oom_warning(agent.pacemaker.oom_policy().as_deref()) {
        log::warn!("{warning}");
    }
    let links = agent.postgres.links().map_err(Failure::from);
    match links.and_then(|links| follow::look_after(agent, &links, false, &agent.request.transition)) {
        Ok(trouble) => trouble.iter().for_each(|trouble| log::warn!("{trouble}")),
        Err(error) => log::warn!("{error}"),
    }
    // Where a candidate will have to be found, the vote is cast now: on a busy cluster Pacemaker notifies one instance
    // after the other, and the first would wait in vain for votes that the others cast only when they are notified.
    let has_primary = agent.request.transition.has_or_gets_primary();
    if let Err(error) = if has_primary { election::withdraw(agent) } else { election::vote(agent) } {
        log::debug!("{error}");
    }
    Ok(outcome)
}

/// Brings up a standby from any state of the data directory.
///
/// # Errors
///
/// When something is there that start must not touch, or the server does not come up until `deadline`.
pub fn standby(agent: &mut Agent, deadline: Deadline) -> Result<Outcome, Failure> {
    let outcome = bring_up(agent, deadline)?;
    // From now on its end is news to Pacemaker.
    agent.postgres.pass_on(About::Runs, Some(""));
    Ok(outcome)
}

fn bring_up(agent: &mut Agent, deadline: Deadline) -> Result<Outcome, Failure> {
    let status = status::status(&agent.postgres.evidence());
    match steps::start(&status) {
        Start::Done => return Ok(Outcome::SUCCESS),
        Start::Refuse => return Err(Failure::Unexpected { action: "start", status }),
        Start::Wait => {}
        Start::Launch => launch(agent, &status, deadline)?,
        Start::ClearThenLaunch => {
            stop::until_gone(agent, deadline.share(agent.clock, 0.5))?;
            launch(agent, &status, deadline)?;
        }
    }
    wait_until_up(agent, deadline)
}

fn launch(agent: &mut Agent, found: &Status, deadline: Deadline) -> Result<(), Failure> {
    unelected::refuse_namesake(agent)?;
    rejoin::before_launch(agent, deadline)?;
    if let Status::Crashed(role) = found {
        log::warn!("the instance was left by a crash, as a {role}: PostgreSQL recovers it as a standby");
    }
    if let Err(error) = follow::prepare(agent) {
        log::warn!("{error}");
    }
    Ok(agent.postgres.launch_standby()?)
}

fn wait_until_up(agent: &mut Agent, deadline: Deadline) -> Result<Outcome, Failure> {
    let awaited = "recovery to become consistent: see PostgreSQL's log, or raise the timeout of start";
    // The rest of the time is for publishing the vote.
    let patience = deadline.share(agent.clock, RECOVERY);
    let mut progress = Progress::default();
    let up = agent.wait_for(awaited, patience, |agent| match agent.postgres.phase() {
        Some(Phase::Ready | Phase::WarmStandby) => Ok(Some(())),
        Some(Phase::Starting | Phase::Stopping | Phase::Unknown) => {
            look_at(agent, &mut progress);
            Ok(None)
        }
        None => Err(rejoin::why_it_died(agent)),
    });
    match up {
        Err(Failure::Deadline { after, .. }) if progress.goes_on(agent.clock.now()) => {
            return Ok(still_recovering(agent, &progress, after));
        }
        up => up?,
    }
    let status = status::status(&agent.postgres.evidence());
    if !status.runs_as(Role::Standby) {
        return Err(Failure::Unexpected { action: "start it as a standby", status });
    }
    log::info!("started as a standby");
    Ok(Outcome::SUCCESS)
}

/// Looks how far recovery has come, now and then.
fn look_at(agent: &mut Agent, progress: &mut Progress) {
    let now = agent.clock.now();
    if progress.is_due(now) {
        progress.note(agent.postgres.recovery(), now);
    }
}

/// Pacemaker would stop what has not started in time, and the next start would recover from the same point again, for ever.
/// So this one is a success, and the monitors say what the instance is doing. Until it follows a primary, or makes itself
/// the candidate, it is not to be promoted.
fn still_recovering(agent: &mut Agent, progress: &Progress, after: Duration) -> Outcome {
    let me = agent.request.me.clone();
    if let Err(error) = score::set(agent, &me, Score::NEVER) {
        log::warn!("{error}");
    }
    let reason =
        format!("still recovering after {:.0} s, {progress}: the monitors report its end", after.as_secs_f64());
    Outcome { reason: Some(reason), ..Outcome::SUCCESS }
}

/// What the server said before it ended.
pub fn last_words(agent: &mut Agent) -> String {
    agent.postgres.last_words().unwrap_or_else(|| "it left no message".to_owned())
}
