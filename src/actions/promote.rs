//! promote: a standby becomes the primary, if nobody holds more. Repeating it joins what is going on.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use crate::agent::{Agent, Outcome};
use crate::failure::{Better, Failure};
use crate::node::NodeName;
use crate::rules::promotion::{self, Bar, Choice, Facts};
use crate::rules::status::{self, Role};
use crate::rules::steps::{self, Promote};
use crate::rules::synchronous::Published;
use crate::score::Score;
use crate::vote::Vote;

use super::start::last_words;
use super::{election, logical, monitor, primary, start, validate};

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
        Promote::StartThenElect => {
            start::run(agent)?;
            if !monitor::runs_as(agent, Role::Standby) {
                let awaited = "recovery to become consistent: raise the timeout of promote".to_owned();
                return Err(Failure::Deadline { awaited, after: agent.clock.now() });
            }
        }
    }
    hold_election(agent)?;
    agent.postgres.promote()?;
    let awaited = "PostgreSQL to replay its WAL: see its log, or raise the timeout of promote";
    let deadline = agent.request.deadline;
    let promoted = agent.wait_for(awaited, deadline, |agent| match agent.postgres.phase() {
        Some(_) => Ok(monitor::runs_as(agent, Role::Primary).then_some(())),
        None => Err(Failure::DiedInPromotion(last_words(agent))),
    });
    if matches!(promoted, Err(Failure::DiedInPromotion(_))) {
        // Its disk may be full, and it would die again: another node's turn, until it follows that one.
        give_up(agent, None);
    }
    promoted?;
    log::info!("promoted");
    Ok(Outcome::SUCCESS)
}

/// Decides whether this node is to be promoted, and publishes what its being the primary will mean.
fn hold_election(agent: &mut Agent) -> Result<(), Failure> {
    let me = &agent.request.me;
    let mut facts = circumstances(agent)?;
    let ours = agent.postgres.vote()?;
    let mut voters = agent.request.transition.voters();
    voters.remove(me);
    read_votes(agent, &voters, &mut facts)?;
    facts.votes.insert(me.clone(), Some(ours.clone()));
    if agent.postgres.room().is_some_and(|room| !room.is_enough()) {
        facts.barred.insert(me.clone(), Bar::NoRoom);
    }
    let former = agent.request.transition.promoted.iter().find(|node| *node != me);
    match promotion::choose_for(&facts, me, former) {
        Choice::Node { node, warnings, .. } if node == *me => {
            warnings.iter().for_each(|warning| log::warn!("{warning}"));
            log::info!("won the election: {}", listed(&facts.votes));
            primary::promise(agent, &facts, &ours)
        }
        Choice::Node { node, vote, .. } => {
            log::info!("lost the election to {node}: {}", listed(&facts.votes));
            give_up(agent, Some(&node));
            Err(Failure::BetterCandidate(Better { node, theirs: vote.map(Box::new), ours: Box::new(ours) }))
        }
        Choice::Nobody(refusal) => {
            give_up(agent, None);
            Err(Failure::NotPromotable(Box::new(refusal)))
        }
    }
}

/// What the election depends on apart from the votes. Where no cluster runs, as when an action is tried by hand, it
/// depends on nothing.
fn circumstances(agent: &mut Agent) -> Result<Facts, Failure> {
    match agent.pacemaker.cib() {
        Ok(cib) => {
            logical::warn(agent, &cib);
            election::circumstances(agent, &cib)
        }
        Err(error) if agent.pacemaker.is_running() => Err(error.into()),
        Err(_) => Ok(Facts { published: Some(Published::default()), ..Facts::default() }),
    }
}

/// Reads the votes of `voters`; of those that are late, as many as come in time.
///
/// # Errors
///
/// When the votes could not be read even once: that is no reason to decide alone.
fn read_votes(agent: &mut Agent, voters: &BTreeSet<NodeName>, facts: &mut Facts) -> Result<(), Failure> {
    let deadline = agent.request.deadline;
    let patience = deadline.share(agent.clock, 0.3).or_after(agent.clock, VOTES_PATIENCE);
    let mut read = Err(Failure::NoVotesRead);
    let complete = agent.wait_for("the others' votes", patience, |agent| {
        match election::read_votes(agent, voters, facts) {
            Ok(()) => read = Ok(()),
            Err(error) => log::warn!("{error}"),
        }
        Ok((read.is_ok() && facts.votes.values().all(Option::is_some)).then_some(()))
    });
    if let Err(error) = complete {
        log::warn!("{error}");
    }
    read
}

/// Makes Pacemaker choose `better` in its next transition, also where a constraint prefers this node. The new primary's
/// monitor, or the search for a candidate, gives this node its score back.
fn give_up(agent: &mut Agent, better: Option<&NodeName>) {
    let me = agent.request.me.clone();
    // More than any other standby can have.
    let better = better.map(|node| (node.clone(), Score::PRIMARY));
    for (node, score) in [(me, Score::NEVER)].into_iter().chain(better) {
        if let Err(error) = election::set_score(agent, &node, score) {
            log::warn!("cannot set the promotion score of {node} to {score}: {error}");
        }
    }
}

fn listed(votes: &BTreeMap<NodeName, Option<Vote>>) -> String {
    let vote = |vote: &Option<Vote>| vote.as_ref().map_or("no vote".to_owned(), Vote::to_string);
    let list: Vec<String> = votes.iter().map(|(node, cast)| format!("{node} ({})", vote(cast))).collect();
    list.join(", ")
}
