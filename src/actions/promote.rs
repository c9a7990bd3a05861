//! promote: a standby becomes the primary, if no node holds more WAL. Repeating it joins what is going on.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use crate::agent::{Agent, Outcome};
use crate::failure::{Better, Failure};
use crate::node::NodeName;
use crate::pacemaker::cib::Cib;
use crate::record::Record;
use crate::rules::office;
use crate::rules::promotion::{self, Bar, Choice, Facts};
use crate::rules::status::{self, Role};
use crate::rules::steps::{self, Promote};
use crate::rules::synchronous::Published;
use crate::score::Score;
use crate::vote::Vote;

use super::election::Presence;
use super::start::last_words;
use super::{candidates, election, fitness, logical, monitor, primary, score, start, stopped, validate};

/// The votes were cast before promote began; this is for one that is late.
const VOTES_PATIENCE: Duration = Duration::from_secs(5);

/// Reading this node's WAL gets this share of the time: it runs, so little is left to read.
const READING: f64 = 0.3;

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
        // Pacemaker takes it for stopped, and would promote another one beside it.
        Promote::StartThenElect if is_by_hand(agent) && agent.pacemaker.is_running() => {
            return Err(Failure::Unexpected { action: "promote", status });
        }
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
    let (cib, mut facts) = circumstances(agent)?;
    let ours = agent.postgres.vote(agent.request.deadline.share(agent.clock, READING))?;
    // No cluster runs, or it manages no such resource, as when ocf-tester tries the agent.
    let is_alone = cib.nodes.is_empty();
    let by_person = is_by_hand(agent) && !is_alone;
    let mut voters = agent.request.transition.voters();
    if by_person {
        // Pacemaker does not say which instances run.
        let online = agent.pacemaker.members()?;
        let scores = election::scores(agent, &cib);
        let Presence { running, stopped } = election::presence(agent, &online, &scores)?;
        voters = running;
        read_votes(agent, &voters, &mut facts)?;
        by_hand(agent, &cib, &online, stopped, &facts)?;
    } else {
        voters.remove(me);
        read_votes(agent, &voters, &mut facts)?;
    }
    if !is_alone {
        stopped::count(agent, &cib, &voters, &mut facts)?;
    }
    // Only an operator can say that this is the line from now on.
    if facts.ordered.as_ref() == Some(me) || agent.postgres.forked().is_none() {
        facts.count_vote(me, ours.clone());
    }
    if agent.postgres.room().is_some_and(|room| !room.is_enough()) {
        facts.barred.insert(me.clone(), Bar::NoRoom);
    }
    if fitness::has_too_low_settings(agent) {
        facts.barred.insert(me.clone(), Bar::SettingsTooLow);
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
            // What is still in recovery cannot be promoted yet, and an attempt would end its recovery.
            give_up(agent, Some(&node).filter(|node| !facts.recovering.contains(*node)));
            Err(Failure::BetterCandidate(Better { node, theirs: vote.map(Box::new), ours: Box::new(ours) }))
        }
        Choice::NoNode(refusal) => {
            give_up(agent, None);
            Err(Failure::NotPromotable(Box::new(refusal)))
        }
    }
}

/// Whether a person has asked for the promotion: Pacemaker names the node in the transition that it promotes in.
fn is_by_hand(agent: &Agent) -> bool {
    !agent.request.transition.promote.contains(&agent.request.me)
}

/// Refuses a promotion that a person has asked for outside any transition, as long as another of the nodes that are `online` is or
/// may be the primary, or has not voted.
fn by_hand(
    agent: &mut Agent,
    cib: &Cib,
    online: &BTreeSet<NodeName>,
    stopped: BTreeSet<NodeName>,
    facts: &Facts,
) -> Result<(), Failure> {
    if !agent.pacemaker.is_quorate()? {
        return Err(Failure::NoQuorum);
    }
    let voted = facts.votes.iter().filter(|(_, vote)| vote.is_some()).map(|(node, _)| node.clone());
    let are_none = voted.chain(stopped).collect();
    let scores = election::scores(agent, cib);
    let rivals = office::rivals(&agent.request.me, online, &scores, &facts.record, &are_none);
    if let Some(primary) = rivals.into_iter().next() {
        return Err(Failure::AnotherPrimary(primary));
    }
    match facts.votes.iter().find(|(_, vote)| vote.is_none()) {
        Some((node, _)) => Err(Failure::NoVote(node.clone())),
        None => Ok(()),
    }
}

/// What the election depends on apart from the votes. Where no cluster runs, as when an action is tried by hand, it
/// depends on nothing.
fn circumstances(agent: &mut Agent) -> Result<(Cib, Facts), Failure> {
    match agent.pacemaker.cib() {
        Ok(cib) if !is_by_hand(agent) || cib.manages(&agent.request.instance) => {
            logical::warn(agent, &cib);
            let mut facts = election::circumstances(agent, &cib)?;
            candidates::bar_for_us(agent, &election::scores(agent, &cib), &mut facts);
            return Ok((cib, facts));
        }
        // ocf-tester makes up a resource. The name may also be that of a clone.
        Ok(cib) => refuse_another_name(agent, &cib)?,
        Err(error) if agent.pacemaker.is_running() => return Err(error.into()),
        Err(_) => {}
    }
    let nothing_promised = Facts { published: Some(Published::default()), ..Facts::default() };
    Ok((Cib::default(), nothing_promised))
}

/// Refuses to promote a database of the cluster's under a name that is not that of its resource: neither record nor votes
/// would be found.
fn refuse_another_name(agent: &mut Agent, cib: &Cib) -> Result<(), Failure> {
    let own = agent.postgres.system();
    let records = cib.properties.iter().filter(|(name, _)| name.ends_with("-promotions"));
    let records = records.filter_map(|(_, text)| text.parse::<Record>().ok());
    let mut ours = records.filter(|record| record.system().is_none() || own.is_none() || record.system() == own);
    match ours.find_map(|record| record.last().map(|last| last.node.clone())) {
        Some(primary) => Err(Failure::AnotherPrimary(primary)),
        None => Ok(()),
    }
}

/// Reads the votes of `voters`; of those that are late, as many as come in time.
///
/// # Errors
///
/// When the votes could not be read even once: then this node must not decide alone.
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
        if let Err(error) = score::set(agent, &node, score) {
            log::warn!("cannot set the promotion score of {node} to {score}: {error}");
        }
    }
}

fn listed(votes: &BTreeMap<NodeName, Option<Vote>>) -> String {
    let vote = |vote: &Option<Vote>| vote.as_ref().map_or("no vote".to_owned(), Vote::to_string);
    let list: Vec<String> = votes.iter().map(|(node, cast)| format!("{node} ({})", vote(cast))).collect();
    list.join(", ")
}
