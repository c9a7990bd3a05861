//! stop: no process uses the data directory any more, if need be by SIGKILL. Repeating it does nothing.
//!
//! It needs processes and signals only: no configuration, no connection, no program of PostgreSQL.

use std::time::Duration;

use crate::agent::{Agent, Outcome};
use crate::clock::Deadline;
use crate::failure::Failure;
use crate::postgres::{About, End, PostgresError};
use crate::rules::cut_off::Break;
use crate::rules::shutdown;
use crate::rules::status::{self, Phase, Status};

use super::{election, unelected};

/// A clean shutdown gets this share of the time that is left: it ends only when the WAL has been sent to every standby and
/// archived.
const FAST: f64 = 0.6;

/// Ending at once gets this share of what then is left; SIGKILL the rest.
const IMMEDIATE: f64 = 0.5;

/// Processes without a postmaster get no longer than this: there is nothing to be clean about, and an archiver waits for an
/// `archive_command`, which nothing but SIGKILL may end.
const ORPHANED: Duration = Duration::from_secs(3);

/// Where the storage is dead, no step gets longer than this: what waits for the disk cannot be ended, and what comes next is fencing.
const HOPELESS: Duration = Duration::from_secs(2);

/// Stops the instance.
///
/// # Errors
///
/// Only when a process can neither be ended nor killed in time.
pub fn run(agent: &mut Agent) -> Result<Outcome, Failure> {
    if let Some(phase) = agent.postgres.phase() {
        until_gone(agent, agent.request.deadline)?;
        // pg_control says whether it ran as a primary, once it has come up.
        if phase == Phase::Ready {
            unelected::note_namesake(agent);
        }
    }
    let status = status::status(&agent.postgres.evidence());
    // What no longer runs must not be waited for in an election. It vanishes with the node anyway.
    if let Err(error) = election::abstain(agent, status == Status::Stopped) {
        log::debug!("{error}");
    }
    let reason = matches!(status, Status::Crashed(_)).then(|| status.to_string());
    Ok(Outcome { reason, ..Outcome::SUCCESS })
}

/// Ends the instance and waits until nothing of it is left: first cleanly, then at once, then by force. If a step
/// fails, the next is done all the same.
///
/// # Errors
///
/// When something is left at the deadline.
pub fn until_gone(agent: &mut Agent, deadline: Deadline) -> Result<(), Failure> {
    let is_hopeless = has_dead_storage(agent);
    for (how, share) in [(End::Fast, FAST), (End::Immediate, IMMEDIATE), (End::Kill, 1.0)] {
        let mut patience = deadline.share(agent.clock, share);
        if how != End::Kill && agent.postgres.is_orphaned() {
            patience = patience.or_after(agent.clock, ORPHANED);
        }
        if is_hopeless {
            patience = patience.or_after(agent.clock, HOPELESS);
        }
        match agent.postgres.end(how) {
            Err(error @ PostgresError::Hidden(_)) => return Err(error.into()),
            Err(error) => {
                log::warn!("{error}");
                if how != End::Kill {
                    continue;
                }
            }
            Ok(()) => {}
        }
        match gone(agent, how, patience) {
            Ok(Left::Nothing) => return Ok(()),
            Ok(Left::Orphans) => log::warn!("the postmaster has died while it shut down: ending what it has left"),
            Err(Failure::Deadline { after, .. }) if how != End::Kill => {
                let awaited = shutdown::waits_for(&agent.postgres.titles());
                log::warn!("not ended {:.0} s after the beginning ({awaited}): {}", after.as_secs_f64(), next(how));
            }
            Err(failure) => return Err(failure),
        }
    }
    gone(agent, End::Kill, deadline).map(drop)
}

fn has_dead_storage(agent: &mut Agent) -> bool {
    let noted = agent.postgres.passing_note(About::Storage).and_then(|text| Break::read(&text));
    status::has_dead_storage(noted, agent.clock.uptime())
}

/// What is left of an instance that was to end.
enum Left {
    Nothing,
    /// Processes of a postmaster that has died meanwhile.
    Orphans,
}

/// Waits for the end of all; or, after a request to shut down cleanly, for that of the postmaster alone, because no process is left
/// then that waits for the rest.
fn gone(agent: &mut Agent, how: End, deadline: Deadline) -> Result<Left, Failure> {
    let awaited = "PostgreSQL's processes to end";
    let had_postmaster = how == End::Fast && !agent.postgres.is_orphaned();
    agent.wait_for(awaited, deadline, |agent| {
        Ok(match agent.postgres.phase() {
            None => Some(Left::Nothing),
            Some(Phase::Unknown) if had_postmaster && agent.postgres.is_orphaned() => Some(Left::Orphans),
            Some(_) => None,
        })
    })
}

fn next(how: End) -> &'static str {
    match how {
        End::Fast => "the clean shutdown takes too long, ending it at once",
        End::Immediate | End::Kill => "killing all its processes",
    }
}
