//! notify: this instance's part in the actions of the others. Pacemaker ignores how it ends, so failures are logged.

use std::time::Duration;

use crate::agent::{Agent, Outcome};
use crate::failure::Failure;
use crate::pacemaker::{Attribute, Reach};
use crate::rules::steps::{self, Part};
use crate::score::Score;

use super::candidate;

/// How long the instances that were started together wait for each other's votes.
const COLD_START_PATIENCE: Duration = Duration::from_secs(5);

/// Plays this instance's part.
///
/// # Errors
///
/// When the part could not be played; the others do without.
pub fn run(agent: &mut Agent) -> Result<Outcome, Failure> {
    let Some(notification) = &agent.request.notification else {
        log::debug!("a notification of a kind that means nothing to this agent");
        return Ok(Outcome::SUCCESS);
    };
    match steps::part(notification) {
        Part::None => {}
        Part::Vote => candidate::vote(agent)?,
        Part::Forget => after_promotion(agent)?,
        Part::FindCandidate => candidate::find(agent, &notification.transition.voters(), COLD_START_PATIENCE)?,
    }
    Ok(Outcome::SUCCESS)
}

fn after_promotion(agent: &mut Agent) -> Result<(), Failure> {
    let me = &agent.request.me;
    agent.pacemaker.delete_attribute(&agent.attribute(Attribute::Vote), me)?;
    if agent.request.transition.promote.contains(me) {
        let (name, score) = (agent.attribute(Attribute::Score), Score::PRIMARY.to_string());
        agent.pacemaker.set_attribute(&name, me, &score, Reach::Scheduler)?;
    }
    Ok(())
}
