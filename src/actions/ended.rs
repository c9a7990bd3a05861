//! ended: the postmaster of this node has ended, which is reported to Pacemaker where it was not wanted. No action of Pacemaker's:
//! the unit of PostgreSQL calls it ([`crate::postgres::unit`]).
//!
//! It changes nothing but the score, as the monitor does that would find the same. Without it the monitor finds the end.

use crate::agent::Agent;
use crate::failure::Failure;
use crate::postgres::About;
use crate::rules::ended::{self, End, Here, Silence};
use crate::rules::status;

use super::monitor;

/// Reports it to Pacemaker, or returns why not.
///
/// # Errors
///
/// When Pacemaker does not take it.
pub fn run(agent: &mut Agent, end: &End) -> Result<Option<Silence>, Failure> {
    let here = Here {
        is_to_run: agent.postgres.passing_note(About::Runs).is_some(),
        machine_stops: agent.pacemaker.machine_stops(),
        has_pacemaker: agent.pacemaker.is_running(),
    };
    if let Some(silence) = ended::silent_here(end, here) {
        return Ok(Some(silence));
    }
    let (me, resource) = (agent.request.me.clone(), agent.request.instance.clone());
    let seen = agent.pacemaker.sees(&resource, &me)?;
    if let Some(silence) = seen.map_or(Some(Silence::NotStarted), |seen| ended::silent_in_cluster(&seen)) {
        return Ok(Some(silence));
    }
    if status::status(&agent.postgres.evidence()).is_a_crashed_primary() {
        if let Err(error) = monitor::after_a_crash(agent) {
            log::warn!("{error}");
        }
    }
    agent.pacemaker.report_failure(&resource, &me)?;
    Ok(None)
}
