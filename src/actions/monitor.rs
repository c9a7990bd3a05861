//! monitor: what the instance is; and, on the primary, what every node is worth as the next one.
//!
//! It changes nothing on a standby, and no trouble with the cluster changes what it says about PostgreSQL.

use std::time::Duration;

use crate::agent::{Agent, Outcome};
use crate::exit::OcfExitCode;
use crate::failure::Failure;
use crate::postgres::Upstream;
use crate::rules::promotion::Refusal;
use crate::rules::status::{self, Asked, Role};

use super::{election, primary};

/// Tells what the instance is doing.
///
/// # Errors
///
/// Never: whatever is wrong is an answer.
pub fn run(agent: &mut Agent) -> Result<Outcome, Failure> {
    let status = status::status(&agent.postgres.evidence());
    let code = status.exit_code(agent.request.asked);
    let trouble = match (code, agent.request.asked) {
        (OcfExitCode::RunningPromoted, Asked::Recurring) => primary::publish(agent).map(|()| None),
        (OcfExitCode::Success, Asked::Recurring) => look_for_a_primary(agent),
        _ => Ok(None),
    };
    match trouble {
        Ok(None) => {}
        Ok(Some(refusal)) => {
            let reason = format!("there is no primary, and none can be promoted: {refusal}");
            return Ok(Outcome { code: OcfExitCode::Degraded, reason: Some(reason) });
        }
        Err(error) => log::warn!("{error}"),
    }
    // A probe that finds nothing is no news (OCF's Dummy agent does the same).
    let quiet = status.is_well() && !(code == OcfExitCode::NotRunning && agent.request.asked == Asked::Recurring);
    let reason = (!quiet).then(|| status.to_string());
    Ok(Outcome { code, reason })
}

/// A standby that nobody sends WAL to sees that there is somebody to promote; why there is nobody, if so.
fn look_for_a_primary(agent: &mut Agent) -> Result<Option<Refusal>, Failure> {
    if agent.postgres.upstream()? == Upstream::Streaming {
        return Ok(None);
    }
    let members = agent.pacemaker.members()?;
    election::find_candidate(agent, &members, Duration::ZERO)
}

/// Whether the instance now runs in `role`.
pub fn runs_as(agent: &mut Agent, role: Role) -> bool {
    status::status(&agent.postgres.evidence()).runs_as(role)
}
