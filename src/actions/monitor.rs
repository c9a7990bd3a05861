//! monitor: what the instance is; and, on the primary, what every node is worth as the next one.
//!
//! It changes nothing on a standby, and no trouble with the cluster changes what it says about PostgreSQL.

use crate::agent::{Agent, Outcome};
use crate::exit::OcfExitCode;
use crate::failure::Failure;
use crate::notification::Transition;
use crate::parameters::Rejoin;
use crate::postgres::Upstream;
use crate::rules::shown::{self, Told};
use crate::rules::status::{self, Asked, Role};
use crate::rules::{crash, cut_off};
use crate::score::Score;

use super::election::{self, Search};
use super::{follow, primary, rebuild, rejoin};

/// Tells what the instance is doing.
///
/// # Errors
///
/// Never: whatever is wrong is an answer.
pub fn run(agent: &mut Agent) -> Result<Outcome, Failure> {
    let found = look(agent)?;
    Ok(if agent.request.asked == Asked::Recurring { tell(agent, found) } else { found })
}

/// Holds a new reason back for once, where Pacemaker would not take note of it, and the note of that can be kept.
fn tell(agent: &mut Agent, found: Outcome) -> Outcome {
    let noted = agent.postgres.told();
    let Told { code, reason, note } = shown::told(found.code, found.reason.as_deref(), noted.as_ref());
    if note != noted && !agent.postgres.note_told(note.as_ref()) {
        return found;
    }
    if let (None, Some(held_back)) = (&reason, &found.reason) {
        log::info!("Pacemaker takes note of it with the next monitor: {held_back}");
    }
    Outcome { code, reason }
}

fn look(agent: &mut Agent) -> Result<Outcome, Failure> {
    let status = status::status(&agent.postgres.evidence());
    let code = status.exit_code(agent.request.asked);
    let trouble = match (code, agent.request.asked) {
        (OcfExitCode::RunningPromoted, Asked::Recurring) => {
            primary::publish(agent).map(|trouble| trouble.map(as_primary))
        }
        (OcfExitCode::RunningPromoted, Asked::Probe) => primary::claim_role(agent).map(|()| None),
        (OcfExitCode::Success, Asked::Recurring) => look_for_a_primary(agent),
        (OcfExitCode::FailedPromoted, Asked::Recurring) => after_a_crash(agent).map(|()| None),
        _ => Ok(None),
    };
    match trouble {
        Ok(None) => {}
        Ok(Some(trouble)) => return Ok(trouble),
        Err(error) => log::warn!("{error}"),
    }
    // A probe that finds nothing is no news (OCF's Dummy agent does the same).
    let quiet = status.is_well() && !(code == OcfExitCode::NotRunning && agent.request.asked == Asked::Recurring);
    let reason = (!quiet).then(|| status.to_string());
    Ok(Outcome { code, reason })
}

/// A standby that nobody sends WAL to sees that there is somebody to promote, and whether it can follow who was. What a
/// person should know, if anything.
fn look_for_a_primary(agent: &mut Agent) -> Result<Option<Outcome>, Failure> {
    let upstream = agent.postgres.upstream()?;
    let streams = upstream == Upstream::Streaming;
    let cut_off = agent.postgres.cut_off(upstream != Upstream::Disconnected);
    // What Pacemaker tells a monitor about the other instances was so when the monitor was first scheduled.
    let trouble = follow::look_after(agent, streams, &Transition::default()).unwrap_or_else(|error| {
        log::warn!("{error}");
        None
    });
    if streams {
        if let Err(error) = rebuild::finish(agent) {
            log::warn!("{error}");
        }
        return Ok(trouble.map(degraded));
    }
    match rebuild::while_running(agent) {
        Ok(Some(restart)) => return Ok(Some(restart)),
        Ok(None) => {}
        Err(error) => log::warn!("{error}"),
    }
    let lacks_wal = cut_off.as_deref().is_some_and(cut_off::lacks_wal);
    let trouble = trouble.or(cut_off).map(degraded);
    match search(agent) {
        Ok(None) if lacks_wal && agent.request.config.rejoin == Rejoin::Rebuild => {
            Ok(rebuild::without_wal(agent)?.map(degraded).or(trouble))
        }
        Ok(found) => Ok(found.or(trouble)),
        Err(error) if trouble.is_some() => {
            log::warn!("{error}");
            Ok(trouble)
        }
        Err(error) => Err(error),
    }
}

/// It runs as a standby, and this is what a person should know.
fn degraded(reason: String) -> Outcome {
    Outcome { code: OcfExitCode::Degraded, reason: Some(reason) }
}

/// It runs as the primary, and this is what a person should know.
fn as_primary(reason: String) -> Outcome {
    Outcome { code: OcfExitCode::DegradedPromoted, reason: Some(reason) }
}

/// Sees that there is somebody to promote. What keeps everybody, or this standby, from it.
fn search(agent: &mut Agent) -> Result<Option<Outcome>, Failure> {
    let members = agent.pacemaker.members()?;
    Ok(match election::find_candidate(agent, &members)? {
        Search::Refused(refusal) => Some(degraded(format!("no primary: {refusal}"))),
        Search::NotNeeded(facts) => rejoin::while_running(agent, &facts)?,
        Search::Done => None,
    })
}

/// Lets Pacemaker prefer a standby to the crashed primary, if that is wanted and there is one.
fn after_a_crash(agent: &mut Agent) -> Result<(), Failure> {
    let cib = agent.pacemaker.cib()?;
    let scores = election::scores(agent, &cib);
    let me = agent.request.me.clone();
    if crash::gives_up(agent.request.config.on_crash, &me, &scores) {
        log::info!("the primary crashed: a standby is to be promoted (on_crash=failover)");
        election::set_score(agent, &me, Score::CANDIDATE)?;
    }
    Ok(())
}

/// Whether the instance now runs in `role`.
pub fn runs_as(agent: &mut Agent, role: Role) -> bool {
    status::status(&agent.postgres.evidence()).runs_as(role)
}
