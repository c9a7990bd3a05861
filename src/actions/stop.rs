//! stop: no process uses the data directory any more, whatever it takes. Repeating it does nothing.
//!
//! It needs processes and signals only: no configuration, no connection, no program of PostgreSQL.

use crate::agent::{Agent, Outcome};
use crate::clock::Deadline;
use crate::failure::Failure;
use crate::postgres::End;
use crate::rules::shutdown;
use crate::rules::status::{self, Status};

use super::election;

/// A clean shutdown gets this share of the time that is left: it ends only when the WAL has been sent to every standby and
/// archived.
const FAST: f64 = 0.6;

/// Ending at once gets this share of what then is left; SIGKILL the rest.
const IMMEDIATE: f64 = 0.5;

/// Stops the instance.
///
/// # Errors
///
/// Only when a process can neither be ended nor killed in time.
pub fn run(agent: &mut Agent) -> Result<Outcome, Failure> {
    if agent.postgres.phase().is_some() {
        until_gone(agent, agent.request.deadline)?;
    }
    // What no longer runs must not be waited for in an election. It vanishes with the node anyway.
    if let Err(error) = election::abstain(agent) {
        log::debug!("{error}");
    }
    let status = status::status(&agent.postgres.evidence());
    let reason = matches!(status, Status::Crashed(_)).then(|| status.to_string());
    Ok(Outcome { reason, ..Outcome::SUCCESS })
}

/// Ends the instance and waits until nothing of it is left: first cleanly, then at once, then by force. What cannot be
/// done is no reason not to do the next.
///
/// # Errors
///
/// When something is left at the deadline.
pub fn until_gone(agent: &mut Agent, deadline: Deadline) -> Result<(), Failure> {
    for (how, share) in [(End::Fast, FAST), (End::Immediate, IMMEDIATE), (End::Kill, 1.0)] {
        let patience = deadline.share(agent.clock, share);
        if let Err(error) = agent.postgres.end(how) {
            log::warn!("{error}");
            if how != End::Kill {
                continue;
            }
        }
        match gone(agent, patience) {
            Err(Failure::Deadline { after, .. }) if how != End::Kill => {
                let awaited = shutdown::waits_for(&agent.postgres.titles());
                log::warn!("not ended {:.0} s after the beginning ({awaited}): {}", after.as_secs_f64(), next(how));
            }
            ended => return ended,
        }
    }
    gone(agent, deadline)
}

fn gone(agent: &mut Agent, deadline: Deadline) -> Result<(), Failure> {
    let awaited = "PostgreSQL's processes to end";
    agent.wait_for(awaited, deadline, |agent| Ok(agent.postgres.phase().is_none().then_some(())))
}

fn next(how: End) -> &'static str {
    match how {
        End::Fast => "the clean shutdown takes too long, ending it at once",
        End::Immediate | End::Kill => "killing all its processes",
    }
}
