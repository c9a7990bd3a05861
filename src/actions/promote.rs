//! promote: a standby becomes the primary, if nobody holds more. Repeating it joins what is going on.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use crate::agent::{Agent, Outcome};
use crate::failure::Failure;
use crate::node::NodeName;
use crate::pacemaker::{Attribute, Reach};
use crate::rules::election::{self, Better, Election};
use crate::rules::status::{self, Role};
use crate::rules::steps::{self, Promote};
use crate::score::Score;
use crate::vote::Vote;

use super::{candidate, monitor, start, validate};

/// The votes were cast before promote began; this is for one that is late.
const VOTES_PATIENCE: Duration = Duration::from_secs(5);

/// Promotes the instance, unless another node should be promoted instead.
///
/// # Errors
///
/// When another node holds more, or PostgreSQL does not become the primary in time.
pub fn run(agent: &mut Agent) -> Result<Outcome, Failure> {
    let status = status::status(&agent.postgres.evidence());
    match steps::promote(&status) {
        Promote::Done => return Ok(Outcome::SUCCESS),
        Promote::Refuse => return Err(Failure::Unexpected { action: "promote", status }),
        Promote::Elect => validate::check_parameters(agent)?,
        Promote::StartThenElect => drop(start::run(agent)?),
    }
    hold_election(agent)?;
    agent.postgres.promote()?;
    let awaited = "PostgreSQL to replay what it holds and become the primary";
    let deadline = agent.request.deadline;
    agent.wait_for(awaited, deadline, |agent| Ok(monitor::runs_as(agent, Role::Primary).then_some(())))?;
    log::info!("promoted");
    Ok(Outcome::SUCCESS)
}

fn hold_election(agent: &mut Agent) -> Result<(), Failure> {
    let ours = agent.postgres.vote()?;
    let mut voters = agent.request.transition.voters();
    voters.remove(&agent.request.me);
    let votes = others_votes(agent, &voters);
    match election::elect(&ours, &votes) {
        Election::Won { silent } => {
            for node in silent {
                log::warn!("{node} did not vote: promoting without knowing what it holds");
            }
            log::info!("won the election with {ours} over {}", listed(&votes));
            Ok(())
        }
        Election::Lost(better) => {
            yield_to(agent, &better);
            Err(Failure::BetterCandidate(better.into()))
        }
    }
}

/// The votes of `voters`; of those that are late, as many as come in time.
fn others_votes(agent: &mut Agent, voters: &BTreeSet<NodeName>) -> BTreeMap<NodeName, Option<Vote>> {
    let deadline = agent.request.deadline;
    let patience = deadline.share(agent.clock, 0.3).or_after(agent.clock, VOTES_PATIENCE);
    let mut votes = BTreeMap::new();
    let complete = agent.wait_for("the others' votes", patience, |agent| {
        votes = candidate::votes(agent, voters);
        Ok(votes.values().all(Option::is_some).then_some(()))
    });
    if let Err(error) = complete {
        log::warn!("{error}");
    }
    votes
}

/// Makes Pacemaker choose the better node in its next transition, also where a constraint prefers this one. The new
/// primary's monitor gives this node its score back.
fn yield_to(agent: &mut Agent, better: &Better) {
    let name = agent.attribute(Attribute::Score);
    let scores = [(agent.request.me.clone(), Score::NEVER), (better.node.clone(), Score::BEST_STANDBY)];
    for (node, score) in scores {
        if let Err(error) = agent.pacemaker.set_attribute(&name, &node, &score.to_string(), Reach::Scheduler) {
            log::warn!("cannot set the promotion score of {node} to {score}: {error}");
        }
    }
}

fn listed(votes: &BTreeMap<NodeName, Option<Vote>>) -> String {
    let vote = |vote: &Option<Vote>| vote.as_ref().map_or("no vote".to_owned(), Vote::to_string);
    let list: Vec<String> = votes.iter().map(|(node, cast)| format!("{node} ({})", vote(cast))).collect();
    if list.is_empty() { "nobody".to_owned() } else { list.join(", ") }
}
