//! demote: a primary becomes a standby, by a clean stop and a start. Repeating it does nothing.

use crate::agent::{Agent, Outcome};
use crate::clock::Deadline;
use crate::failure::Failure;
use crate::rules::status::{self, Role, Status};
use crate::rules::steps::{self, Demote};

use super::{start, stop, unelected};

/// The checkpoint before the shutdown gets this share of the time: clients are still served while it is written.
const CHECKPOINT: f64 = 0.3;

/// The shutdown gets this share of what then is left, the start the rest.
const STOP: f64 = 0.6;

/// Turns the primary into a standby.
///
/// # Errors
///
/// When it cannot be stopped or does not come up again in time.
pub fn run(agent: &mut Agent) -> Result<Outcome, Failure> {
    let deadline = agent.request.deadline;
    let status = status::status(&agent.postgres.evidence());
    match steps::demote(&status, &agent.request.transition, &agent.request.me) {
        Demote::Done => {
            log::info!("nothing to demote: {status}");
            Ok(Outcome::SUCCESS)
        }
        Demote::Start => start::standby(agent, deadline),
        Demote::StopThenStart => {
            shut_down(agent, &status, deadline.share(agent.clock, STOP))?;
            start::standby(agent, deadline)
        }
        Demote::Stop => {
            // The stop that follows says where its WAL ended.
            shut_down(agent, &status, deadline.share(agent.clock, STOP))?;
            Ok(Outcome::SUCCESS)
        }
    }
}

/// Ends the primary.
fn shut_down(agent: &mut Agent, status: &Status, deadline: Deadline) -> Result<(), Failure> {
    if status.runs_as(Role::Primary) {
        checkpoint(agent, deadline);
    }
    stop::until_gone(agent, deadline)?;
    if status.runs_as(Role::Primary) {
        unelected::note_namesake(agent);
    }
    let left = status::status(&agent.postgres.evidence());
    if left != Status::Stopped {
        log::warn!("the primary did not shut down cleanly: {left}");
    }
    Ok(())
}

/// Makes the shutdown short. Not having done so only makes it longer.
fn checkpoint(agent: &mut Agent, deadline: Deadline) {
    let patience = deadline.left(agent.clock).mul_f64(CHECKPOINT);
    if let Err(error) = agent.postgres.checkpoint(patience) {
        log::warn!("no checkpoint before the shutdown: {error}");
    }
}
