//! notify: this instance's part in the actions of the others. Pacemaker ignores how it ends, so failures are logged.

use std::time::Duration;

use crate::agent::{Agent, Outcome};
use crate::failure::Failure;
use crate::pacemaker::{Attribute, Reach};
use crate::rules::cold_start::{self, Claim, Patience};
use crate::rules::steps::{self, Part};
use crate::score::Score;

use super::{monitor, promote};

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
        Part::Vote => vote(agent)?,
        Part::Forget => after_promotion(agent)?,
        Part::FindCandidate => find_candidate(agent)?,
    }
    Ok(Outcome::SUCCESS)
}

/// Publishes how far this node's WAL reaches. An older vote must not stand in for one that cannot be cast.
fn vote(agent: &mut Agent) -> Result<(), Failure> {
    let name = agent.attribute(Attribute::Vote);
    match agent.postgres.vote() {
        Ok(vote) => {
            log::info!("votes with {vote}");
            Ok(agent.pacemaker.set_attribute(&name, &agent.request.me, &vote.to_string(), Reach::Private)?)
        }
        Err(error) => {
            agent.pacemaker.delete_attribute(&name, &agent.request.me)?;
            Err(error.into())
        }
    }
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

/// Sees that one of the instances that run becomes a candidate when none is.
fn find_candidate(agent: &mut Agent) -> Result<(), Failure> {
    vote(agent)?;
    let voters = agent.request.transition.voters();
    let scores = monitor::known_scores(agent)?;
    let (clock, me) = (agent.clock, agent.request.me.clone());
    let patience = agent.request.deadline.or_after(clock, COLD_START_PATIENCE);
    let claim = agent.wait_for("the votes of the started instances", agent.request.deadline, |agent| {
        let patience = if patience.has_passed(clock) { Patience::Spent } else { Patience::Left };
        let votes = promote::read_votes(agent, &voters);
        Ok(match cold_start::claim(&me, &scores, &votes, patience) {
            Claim::Wait(_) => None,
            claim => Some(claim),
        })
    })?;
    match claim {
        Claim::Claim => {
            log::info!("no node is promotable and this one holds the most: it becomes the candidate");
            let (name, score) = (agent.attribute(Attribute::Score), Score::CANDIDATE.to_string());
            Ok(agent.pacemaker.set_attribute(&name, &me, &score, Reach::Scheduler)?)
        }
        Claim::Leave(node) => {
            log::info!("no node is promotable and {node} holds the most: leaving it to {node}");
            Ok(())
        }
        Claim::NotNeeded(_) | Claim::Wait(_) => Ok(()),
    }
}
