//! The votes, what else an election depends on, and finding a candidate when no node is promotable.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use crate::agent::Agent;
use crate::failure::Failure;
use crate::node::NodeName;
use crate::notification::Transition;
use crate::pacemaker::cib::Cib;
use crate::pacemaker::{Attribute, NO_FAILOVER, PRIORITY, Property, Reach};
use crate::parameters::Follow;
use crate::record::Record;
use crate::rules::cold_start::{self, Claim, Patience};
use crate::rules::follow;
use crate::rules::promotion::{Bar, Facts, Refusal};
use crate::rules::synchronous::Published;
use crate::score::Score;
use crate::vote::Ballot;

/// Publishes how far this node's WAL reaches, and sees that it can be read.
///
/// # Errors
///
/// When the vote cannot be cast.
pub fn vote(agent: &mut Agent) -> Result<(), Failure> {
    let record = record(agent)?;
    cast(agent, &record)
}

/// The promotions so far.
///
/// # Errors
///
/// When the cluster does not tell.
pub fn record(agent: &mut Agent) -> Result<Record, Failure> {
    let cib = agent.pacemaker.cib()?;
    Ok(circumstances(agent, &cib)?.record)
}

/// The promotions so far, and who is the primary after `transition`.
///
/// # Errors
///
/// When the cluster does not tell.
pub fn record_and_primary(agent: &mut Agent, transition: &Transition) -> Result<(Record, Option<NodeName>), Failure> {
    let cib = agent.pacemaker.cib()?;
    let record = circumstances(agent, &cib)?.record;
    let primary = follow::primary(transition, &record, &scores(agent, &cib));
    Ok((record, primary))
}

/// Votes, given the promotions so far. An older vote must not stand in for one that cannot be cast, nor for one that is
/// still on its way.
fn cast(agent: &mut Agent, record: &Record) -> Result<(), Failure> {
    let name = agent.attribute(Attribute::Vote);
    let me = agent.request.me.clone();
    let vote = match agent.postgres.vote() {
        Ok(vote) => {
            let room = agent.postgres.room().is_none_or(|room| room.is_enough());
            Ballot { vote, after: record.newest_timeline(), room }.to_string()
        }
        Err(error) => {
            agent.pacemaker.delete_attribute(&name, &me)?;
            return Err(error.into());
        }
    };
    log::info!("votes with {vote}");
    agent.pacemaker.set_attribute(&name, &me, &vote, Reach::Private)?;
    let deadline = agent.request.deadline.share(agent.clock, 0.5);
    agent.wait_for("its own vote to be readable", deadline, |agent| {
        let votes = agent.pacemaker.attributes(&name)?;
        Ok((votes.get(&me) == Some(&vote)).then_some(()))
    })
}

/// Withdraws this node's vote.
///
/// # Errors
///
/// When the cluster does not take it.
pub fn withdraw(agent: &mut Agent) -> Result<(), Failure> {
    let name = agent.attribute(Attribute::Vote);
    Ok(agent.pacemaker.delete_attribute(&name, &agent.request.me)?)
}

/// What stands in the place of the vote of a node whose instance was stopped: it will not vote, and its score, which is
/// there for when it is started again, makes nobody a candidate.
const STOPPED: &str = "stopped";

/// Says that this node's instance has stopped.
///
/// # Errors
///
/// When the cluster does not take it.
pub fn abstain(agent: &mut Agent) -> Result<(), Failure> {
    let name = agent.attribute(Attribute::Vote);
    Ok(agent.pacemaker.set_attribute(&name, &agent.request.me, STOPPED, Reach::Private)?)
}

/// Those of `nodes` whose instance was not stopped.
fn not_stopped(agent: &mut Agent, nodes: &BTreeSet<NodeName>) -> Result<BTreeSet<NodeName>, Failure> {
    let name = agent.attribute(Attribute::Vote);
    let cast = agent.pacemaker.attributes(&name)?;
    let stopped = |node: &&NodeName| cast.get(*node).is_some_and(|vote| vote == STOPPED);
    Ok(nodes.iter().filter(|node| !stopped(node)).cloned().collect())
}

/// What `voters` have voted since the last promotion, added to the votes of `facts`. That one cannot be read now is no
/// reason to forget it.
///
/// # Errors
///
/// When the cluster does not answer.
pub fn read_votes(agent: &mut Agent, voters: &BTreeSet<NodeName>, facts: &mut Facts) -> Result<(), Failure> {
    if voters.is_empty() {
        return Ok(());
    }
    let name = agent.attribute(Attribute::Vote);
    let cast = agent.pacemaker.attributes(&name)?;
    for node in voters {
        let text = cast.get(node).filter(|text| *text != STOPPED);
        let ballot = text.and_then(|text| text.parse().map_err(|error| log::warn!("{node}: {error}")).ok());
        match ballot.filter(|ballot: &Ballot| ballot.counts(&facts.record)) {
            Some(ballot) => facts.count(node, ballot),
            None => _ = facts.votes.entry(node.clone()).or_default(),
        }
    }
    Ok(())
}

/// The promotion scores in `cib`. What is no number counts as 0, as it does for Pacemaker.
pub fn scores(agent: &Agent, cib: &Cib) -> BTreeMap<NodeName, Score> {
    let values = cib.transient(&agent.attribute(Attribute::Score)).into_iter();
    values.map(|(node, value)| (node, value.parse().unwrap_or(Score(0)))).collect()
}

/// What an operator has said about nodes: who must not be promoted, and whom to prefer.
fn wishes(cib: &Cib) -> (BTreeSet<NodeName>, BTreeMap<NodeName, i32>) {
    let no_failover = cib.permanent(NO_FAILOVER).into_iter();
    let no_failover = no_failover.filter(|(_, value)| !matches!(*value, "false" | "no" | "off" | "0" | ""));
    let priority = cib.permanent(PRIORITY).into_iter();
    let priority = priority.filter_map(|(node, value)| Some((node, value.parse().ok()?)));
    (no_failover.map(|(node, _)| node).collect(), priority.collect())
}

/// What the choice of a primary depends on, apart from the votes.
///
/// # Errors
///
/// When the record of promotions cannot be understood: nobody can tell whose history counts.
pub fn circumstances(agent: &Agent, cib: &Cib) -> Result<Facts, Failure> {
    let property = |property: Property| cib.properties.get(&property.of(&agent.request.instance));
    let record = property(Property::Promotions).map(|text| text.parse()).transpose()?;
    let published = match property(Property::Synchronous) {
        None => Some(Published::default()),
        Some(text) => text.parse().map_err(|error| log::error!("{error}")).ok(),
    };
    let (no_failover, priority) = wishes(cib);
    let too_far = scores(agent, cib).into_iter().filter(|(_, score)| score.is_too_far_behind());
    let too_far = too_far.map(|(node, _)| (node, Bar::TooFarBehind));
    Ok(Facts {
        votes: BTreeMap::new(),
        members: cib.nodes.clone(),
        record: record.unwrap_or_default(),
        published,
        barred: too_far.chain(no_failover.into_iter().map(|node| (node, Bar::NoFailover))).collect(),
        priority,
        ordered: property(Property::Order).map(NodeName::new),
    })
}

/// How the search for a candidate ended.
#[derive(Debug, Clone)]
pub enum Search {
    /// There is one already; these were the circumstances.
    NotNeeded(Box<Facts>),
    /// There is one now, or another node makes itself one.
    Done,
    /// No node may become one.
    Refused(Refusal),
}

/// How long instances wait for each other's votes when no node is promotable. They may have been started together, and
/// whoever is first must not make itself the candidate before the others could say what they hold.
const PATIENCE: Duration = Duration::from_secs(5);

/// Sees that one of `voters` becomes a candidate when none of them is.
///
/// # Errors
///
/// When the cluster does not answer.
pub fn find_candidate(agent: &mut Agent, voters: &BTreeSet<NodeName>) -> Result<Search, Failure> {
    let (clock, me, deadline) = (agent.clock, agent.request.me.clone(), agent.request.deadline);
    let cib = agent.pacemaker.cib()?;
    let mut facts = circumstances(agent, &cib)?;
    let voters = &not_stopped(agent, voters)?;
    if let Some(node) = cold_start::promotable(&scores(agent, &cib), voters) {
        log::debug!("{node} is promotable");
        return Ok(Search::NotNeeded(Box::new(facts)));
    }
    cast(agent, &facts.record)?;
    let until = deadline.share(clock, 0.6).or_after(clock, PATIENCE);
    let claim = agent.wait_for("the votes of the other instances", deadline, |agent| {
        let patience = if until.has_passed(clock) { Patience::Spent } else { Patience::Left };
        read_votes(agent, voters, &mut facts)?;
        Ok(match cold_start::claim(&me, &facts, patience) {
            Claim::Wait(_) => None,
            claim => Some(claim),
        })
    })?;
    match claim {
        Claim::Claim => {
            log::info!("no node is promotable and this one should be promoted: it becomes the candidate");
            set_score(agent, &me, Score::CANDIDATE)?;
        }
        Claim::Leave(node) if agent.request.config.follow == Follow::Node => {
            log::info!("no node is promotable and {node} should be promoted: it becomes the candidate");
            // It may stream from here, and then it does not look for one.
            set_score(agent, &node, Score::CANDIDATE)?;
        }
        Claim::Leave(node) => log::info!("no node is promotable and {node} should be promoted: leaving it to {node}"),
        Claim::Nobody(refusal) => return Ok(Search::Refused(refusal)),
        Claim::Wait(_) => {}
    }
    Ok(Search::Done)
}

/// Tells Pacemaker what `node` is worth, where the CIB does not say so yet.
///
/// # Errors
///
/// When the cluster does not take it.
pub fn set_score(agent: &mut Agent, node: &NodeName, score: Score) -> Result<(), Failure> {
    let (name, value) = (agent.attribute(Attribute::Score), score.to_string());
    if agent.pacemaker.attributes(&name).is_ok_and(|held| held.get(node) == Some(&value)) {
        log::info!("the promotion score of {node} is set and not in the CIB: having it written again");
        return Ok(agent.pacemaker.resend_attributes()?);
    }
    Ok(agent.pacemaker.set_attribute(&name, node, &value, Reach::Scheduler)?)
}
