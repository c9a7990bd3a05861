//! The votes, and finding a candidate when no node is promotable.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use crate::agent::Agent;
use crate::failure::Failure;
use crate::node::NodeName;
use crate::pacemaker::{Attribute, Reach};
use crate::rules::cold_start::{self, Claim, Patience};
use crate::score::Score;
use crate::vote::Vote;

/// Publishes how far this node's WAL reaches. An older vote must not stand in for one that cannot be cast.
///
/// # Errors
///
/// When the vote cannot be cast.
pub fn vote(agent: &mut Agent) -> Result<(), Failure> {
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

/// The votes that `voters` have cast.
pub fn votes(agent: &mut Agent, voters: &BTreeSet<NodeName>) -> BTreeMap<NodeName, Option<Vote>> {
    if voters.is_empty() {
        return BTreeMap::new();
    }
    let name = agent.attribute(Attribute::Vote);
    let cast = agent.pacemaker.attributes(&name).unwrap_or_else(|error| {
        log::warn!("cannot read the votes: {error}");
        BTreeMap::new()
    });
    let vote = |node: &NodeName| {
        let text = cast.get(node)?;
        text.parse().map_err(|error| log::warn!("{node}: {error}")).ok()
    };
    voters.iter().map(|node| (node.clone(), vote(node))).collect()
}

/// The scores as they are. What is no number counts as 0, as it does for Pacemaker.
///
/// # Errors
///
/// When the cluster does not answer.
pub fn scores(agent: &mut Agent) -> Result<BTreeMap<NodeName, Score>, Failure> {
    let name = agent.attribute(Attribute::Score);
    let values = agent.pacemaker.attributes(&name)?;
    Ok(values.into_iter().map(|(node, value)| (node, value.parse().unwrap_or(Score(0)))).collect())
}

/// Sees that one of `voters` becomes a candidate when none of them is, waiting `patience` for the votes of all.
///
/// # Errors
///
/// When the cluster does not answer, or nobody can vote.
pub fn find(agent: &mut Agent, voters: &BTreeSet<NodeName>, patience: Duration) -> Result<(), Failure> {
    let (clock, me, deadline) = (agent.clock, agent.request.me.clone(), agent.request.deadline);
    let scores = scores(agent)?;
    if let Some(node) = cold_start::promotable(&scores, voters) {
        log::debug!("{node} is promotable");
        return Ok(());
    }
    vote(agent)?;
    let until = deadline.or_after(clock, patience);
    let claim = agent.wait_for("the votes of the other instances", deadline, |agent| {
        let patience = if until.has_passed(clock) { Patience::Spent } else { Patience::Left };
        let votes = votes(agent, voters);
        Ok(match cold_start::claim(&me, &votes, patience) {
            Claim::Wait(_) => None,
            claim => Some(claim),
        })
    })?;
    match claim {
        Claim::Claim => {
            log::info!("no node is promotable and this one holds the most: it becomes the candidate");
            let (name, score) = (agent.attribute(Attribute::Score), Score::CANDIDATE.to_string());
            agent.pacemaker.set_attribute(&name, &me, &score, Reach::Scheduler)?;
        }
        Claim::Leave(node) => log::info!("no node is promotable and {node} holds the most: leaving it to {node}"),
        Claim::Wait(_) => {}
    }
    Ok(())
}
