//! The votes, what else an election depends on, and finding a candidate when no node is promotable.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use crate::agent::Agent;
use crate::clock::Deadline;
use crate::failure::Failure;
use crate::node::NodeName;
use crate::notification::Transition;
use crate::pacemaker::cib::Cib;
use crate::pacemaker::{Attribute, MAINTENANCE, NO_FAILOVER, PRIORITY, Property, STANDBY};
use crate::parameters::Follow;
use crate::record::Record;
use crate::rules::bars::{self, Bar, Said};
use crate::rules::cold_start::{self, Claim, Patience};
use crate::rules::follow;
use crate::rules::memory::Recalled;
use crate::rules::promotion::{self, Facts, Refusal};
use crate::rules::status::{Phase, Role};
use crate::rules::synchronous::Published;
use crate::score::Score;
use crate::vote::{Ballot, Extent};

use super::{candidates, fitness, lasting, monitor, recall, score, stopped, unelected};

/// The share of an action's time that is spent on reading WAL where the vote is what the action is for.
const READING: f64 = 0.7;

/// The share where more is to be done.
const READING_BESIDE: f64 = 0.4;

/// Publishes how far this node's WAL reaches, and sees that it can be read.
///
/// # Errors
///
/// When the vote cannot be cast.
pub fn vote(agent: &mut Agent) -> Result<(), Failure> {
    let cib = agent.pacemaker.cib()?;
    let facts = circumstances(agent, &cib)?;
    recall::give_back(agent, &facts)?;
    cast(agent, &facts.record, READING)
}

/// Votes anew if the vote that this node has cast was not exact: the others may wait for one that is. A node that recovers
/// votes also where no election has asked for it: without its vote the others would take each other for the best, and fail to be
/// promoted.
///
/// # Errors
///
/// When the vote cannot be cast.
pub fn read_on(agent: &mut Agent) -> Result<(), Failure> {
    let cast = agent.pacemaker.attributes(&agent.attribute(Attribute::Vote))?;
    let ballot = cast.get(&agent.request.me).and_then(|text| text.parse::<Ballot>().ok());
    let is_due = match ballot {
        Some(ballot) => ballot.vote.extent != Extent::Exact,
        None => agent.postgres.phase() == Some(Phase::Starting),
    };
    if is_due { vote(agent) } else { Ok(()) }
}

/// The promotions so far.
///
/// # Errors
///
/// When the cluster does not answer.
pub fn record(agent: &mut Agent) -> Result<Record, Failure> {
    let cib = agent.pacemaker.cib()?;
    Ok(circumstances(agent, &cib)?.record)
}

/// The promotions so far, and the primary after `transition`.
///
/// # Errors
///
/// When the cluster does not answer.
pub fn record_and_primary(agent: &mut Agent, transition: &Transition) -> Result<(Record, Option<NodeName>), Failure> {
    let cib = agent.pacemaker.cib()?;
    let record = circumstances(agent, &cib)?.record;
    let primary = follow::primary(transition, &record, &scores(agent, &cib));
    Ok((record, primary))
}

/// Votes, given the promotions so far. An older vote must not stand in for one that cannot be cast, nor for one that is
/// still on its way.
fn cast(agent: &mut Agent, record: &Record, reading: f64) -> Result<(), Failure> {
    let me = agent.request.me.clone();
    let until = agent.request.deadline.share(agent.clock, reading);
    let vote = match ballot(agent, record, until) {
        Ok(ballot) => ballot.to_string(),
        Err(error) => {
            let why: String = error.to_string().chars().take(200).collect();
            agent.set(Attribute::Vote, &me, &format!("{UNKNOWN}{why}"))?;
            return Err(error);
        }
    };
    log::info!("votes with {vote}");
    agent.set(Attribute::Vote, &me, &vote)?;
    let deadline = agent.request.deadline.share(agent.clock, 0.5);
    let name = agent.attribute(Attribute::Vote);
    agent.wait_for("its own vote to be readable", deadline, |agent| {
        let votes = agent.pacemaker.attributes(&name)?;
        Ok((votes.get(&me) == Some(&vote)).then_some(()))
    })
}

/// What this node votes, given the promotions so far, after reading its WAL until `until` at most.
///
/// # Errors
///
/// When the end of its WAL cannot be determined.
pub fn ballot(agent: &mut Agent, record: &Record, until: Deadline) -> Result<Ballot, Failure> {
    let vote = agent.postgres.vote(until)?;
    let room = agent.postgres.room().is_none_or(|room| room.is_enough());
    let settings_too_low = fitness::has_too_low_settings(agent);
    let recovering = agent.postgres.phase() == Some(Phase::Starting);
    let primary = monitor::runs_as(agent, Role::Primary);
    let forked = agent.postgres.forked().is_some();
    Ok(Ballot { vote, after: record.newest_timeline(), room, settings_too_low, recovering, primary, forked })
}

/// Withdraws this node's vote.
///
/// # Errors
///
/// When the cluster does not take it.
pub fn withdraw(agent: &mut Agent) -> Result<(), Failure> {
    let me = agent.request.me.clone();
    Ok(agent.clear(Attribute::Vote, &me)?)
}

/// What stands in the place of the vote of a node whose instance was stopped: it will not vote, and its score, which is
/// there for when it is started again, makes no node a candidate.
pub const STOPPED: &str = "stopped";

/// Says that this node's instance has stopped, and how far its WAL reaches if that was `clean`.
///
/// # Errors
///
/// When the cluster does not take it.
pub fn abstain(agent: &mut Agent, clean: bool) -> Result<(), Failure> {
    let me = &agent.request.me.clone();
    if let Err(error) = stopped::leave(agent, clean) {
        log::debug!("how far the WAL of this node reaches is not known to the others: {error}");
    }
    Ok(agent.set(Attribute::Vote, me, STOPPED)?)
}

/// What the vote of a node begins with that is there and does not even know its own database; the reason follows.
const UNKNOWN: &str = "unknown: ";

/// Which of the nodes that are there run an instance.
#[derive(Debug, Clone, Default)]
pub struct Presence {
    /// Those that run one, as far as known: they have a vote or a score.
    pub running: BTreeSet<NodeName>,
    /// Those that have stopped it.
    pub stopped: BTreeSet<NodeName>,
}

/// Which of the nodes that are `online` run an instance.
///
/// # Errors
///
/// When the cluster does not answer.
pub fn presence(
    agent: &mut Agent,
    online: &BTreeSet<NodeName>,
    scores: &BTreeMap<NodeName, Score>,
) -> Result<Presence, Failure> {
    let cast = agent.pacemaker.attributes(&agent.attribute(Attribute::Vote))?;
    let is_stopped = |node: &NodeName| cast.get(node).is_some_and(|vote| vote == STOPPED);
    let (stopped, others): (BTreeSet<_>, BTreeSet<_>) = online.iter().cloned().partition(is_stopped);
    let runs = |node: &NodeName| cast.contains_key(node) || scores.contains_key(node);
    let running = others.into_iter().filter(|node| *node != agent.request.me && runs(node)).collect();
    Ok(Presence { running, stopped })
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
        if let Some(ballot) = ballot {
            facts.read(node, ballot);
        } else {
            facts.votes.entry(node.clone()).or_default();
        }
    }
    Ok(())
}

/// The promotion scores in `cib`. A value that is not a number counts as 0, as it does for Pacemaker.
pub fn scores(agent: &Agent, cib: &Cib) -> BTreeMap<NodeName, Score> {
    scores_of(&agent.request.instance, cib)
}

fn scores_of(instance: &str, cib: &Cib) -> BTreeMap<NodeName, Score> {
    let values = cib.transient(&Attribute::Score.of(instance)).into_iter();
    values.map(|(node, value)| (node, value.parse().unwrap_or(Score(0)))).collect()
}

/// The nodes that must not be promoted, as far as the cluster says so.
fn barred(instance: &str, cib: &Cib) -> BTreeMap<NodeName, Bar> {
    bars::bars(&Said {
        no_failover: cib.permanent(NO_FAILOVER),
        maintenance: cib.attribute(MAINTENANCE),
        standby: cib.attribute(STANDBY),
        banned: cib.banned.get(instance).cloned().unwrap_or_default(),
        scores: scores_of(instance, cib),
    })
}

/// What the choice of a primary depends on, apart from the votes.
///
/// # Errors
///
/// When the record of promotions cannot be understood: then it is unknown whose history counts.
pub fn circumstances(agent: &mut Agent, cib: &Cib) -> Result<Facts, Failure> {
    let recalled = recall::recall(agent, cib)?;
    Ok(stated(&agent.request.instance, cib, recalled, agent.clock.unix_time()))
}

/// What the choice of a primary depends on, by the cluster's configuration and status, where this is what counts of the past.
pub fn stated(instance: &str, cib: &Cib, recalled: Recalled, now: u64) -> Facts {
    let property = |property: Property| cib.properties.get(&property.of(instance)).map(String::as_str);
    let ordered = promotion::in_force(property(Property::Order), property(Property::OrderedAt), now);
    let published = match recalled.synchronous {
        None => Some(Published::default()),
        Some(text) => text.parse().map_err(|error| log::error!("{error}")).ok(),
    };
    let priority = cib.permanent(PRIORITY).into_iter();
    let priority = priority.filter_map(|(node, value)| Some((node, value.parse().ok()?)));
    Facts {
        members: cib.nodes.clone(),
        record: recalled.promotions,
        is_news: recalled.is_news,
        published,
        barred: barred(instance, cib),
        priority: priority.collect(),
        ordered: ordered.map(NodeName::new),
        ..Facts::default()
    }
}

/// How the search for a candidate ended.
#[derive(Debug, Clone)]
pub enum Search {
    /// There is one already, or even a primary; these were the circumstances.
    NotNeeded {
        /// The circumstances.
        facts: Box<Facts>,
        /// Whether there is a primary.
        has_primary: bool,
    },
    /// There is one now, or another node makes itself one.
    Done,
    /// No node may become one.
    Refused(Refusal),
}

/// How long instances wait for each other's votes when no node is promotable. They may have been started together, and
/// the first one must not make itself the candidate before the others could publish their votes.
const PATIENCE: Duration = Duration::from_secs(5);

/// Sees that one of `voters` becomes a candidate when none of them is.
///
/// # Errors
///
/// When the cluster does not answer.
pub fn find_candidate(agent: &mut Agent, voters: &BTreeSet<NodeName>) -> Result<Search, Failure> {
    let (clock, me, deadline) = (agent.clock, agent.request.me.clone(), agent.request.deadline);
    let cib = agent.pacemaker.cib()?;
    if agent.is_tried(&cib) {
        return Ok(Search::Done);
    }
    let mut facts = circumstances(agent, &cib)?;
    recall::give_back(agent, &facts)?;
    let scores = scores(agent, &cib);
    let presence = presence(agent, voters, &scores)?;
    let voters = &voters.difference(&presence.stopped).cloned().collect();
    candidates::bar(agent, &scores, voters, &mut facts);
    let promotable = cold_start::promotable(&scores, &facts.barred, voters).next();
    if let Some(node) = promotable {
        log::debug!("{node} is promotable");
        unelected::answer(agent, &facts.record)?;
        let has_primary = follow::primary(&Transition::default(), &facts.record, &scores).is_some();
        return Ok(Search::NotNeeded { facts: Box::new(facts), has_primary });
    }
    // A primary that no election made has no score either, and waits for the answer.
    if let Err(error) = unelected::answer(agent, &facts.record) {
        log::warn!("{error}");
    }
    stopped::count(agent, &cib, voters, &mut facts)?;
    cast(agent, &facts.record, READING_BESIDE)?;
    let until = deadline.share(clock, 0.6).or_after(clock, PATIENCE);
    let claim = agent.wait_for("the votes of the other instances", deadline, |agent| {
        let patience = if until.has_passed(clock) { Patience::Spent } else { Patience::Left };
        read_votes(agent, voters, &mut facts)?;
        Ok(match cold_start::claim(&me, &facts, patience) {
            Claim::Wait(_) => None,
            claim => Some(claim),
        })
    })?;
    let claim = match claim {
        Claim::NoNode(Refusal::Unfinished(node, _)) if lasting::waited_long_enough(agent, &node) => {
            facts.passed_over.insert(node);
            cold_start::claim(&me, &facts, Patience::Spent)
        }
        claim => claim,
    };
    make_candidate(agent, &facts, claim)
}

/// Makes the node the candidate that is to be promoted, or leaves that to it.
fn make_candidate(agent: &mut Agent, facts: &Facts, claim: Claim) -> Result<Search, Failure> {
    match claim {
        Claim::Claim => {
            log::info!("no node is promotable and this one should be promoted: it becomes the candidate");
            score::set(agent, &agent.request.me.clone(), Score::CANDIDATE)?;
        }
        Claim::Leave(node) if agent.request.config.follow == Follow::Node && !facts.recovering.contains(&node) => {
            log::info!("no node is promotable and {node} should be promoted: it becomes the candidate");
            // It may stream from here, and then it does not look for one.
            score::set(agent, &node, Score::CANDIDATE)?;
        }
        Claim::Leave(node) => log::info!("no node is promotable and {node} should be promoted: leaving it to {node}"),
        Claim::NoNode(refusal) => return Ok(Search::Refused(refusal)),
        Claim::Wait(_) => {}
    }
    Ok(Search::Done)
}
