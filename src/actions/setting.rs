//! A setting of the agent's, from its own configuration file into force.

use std::time::Duration;

use crate::agent::Agent;
use crate::clock::Deadline;
use crate::failure::Failure;
use crate::postgres::managed::{self, Setting};
use crate::rules::managed::{Blocked, Obstacle, Step, step};

/// How long the server is given to use a new setting.
const PATIENCE: Duration = Duration::from_secs(1);

/// Sees that `setting` has the value `wanted`; what keeps it from that, if anything.
///
/// # Errors
///
/// When our file cannot be written, or PostgreSQL does not answer.
pub fn bring_into_force(agent: &mut Agent, setting: Setting, wanted: &str) -> Result<Option<Blocked>, Failure> {
    let path = agent.request.config.datadir().join(managed::FILE).display().to_string();
    let blocked = |obstacle: Obstacle| Some(Blocked { name: setting.name(), path: path.clone(), obstacle });
    let (clock, deadline) = (agent.clock, agent.request.deadline);
    let until = Deadline::share(deadline, clock, 0.3).or_after(clock, PATIENCE);
    let mut written = false;
    let ended = agent.wait_for("a setting to be in force", until, |agent| {
        let managed = agent.postgres.managed()?;
        let now = agent.postgres.setting(setting)?;
        match step(wanted, &now, managed.get(setting)) {
            Step::Nothing => Ok(Some(None)),
            Step::Blocked(obstacle) => Ok(Some(blocked(obstacle))),
            Step::Reload if written => Ok(None),
            Step::Write | Step::Reload => {
                written = true;
                agent.postgres.write_managed(&managed.with(setting, Some(wanted.to_owned())))?;
                Ok(None)
            }
        }
    });
    match ended {
        Err(Failure::Deadline { .. }) => Ok(blocked(Obstacle::Unknown)),
        ended => ended,
    }
}
