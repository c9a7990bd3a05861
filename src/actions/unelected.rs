//! A running primary that no election made: promoted by a person or a tool, or by PostgreSQL itself.

use std::collections::BTreeSet;

use crate::agent::Agent;
use crate::failure::Failure;
use crate::node::NodeName;
use crate::pacemaker::cib::Cib;
use crate::pacemaker::{Attribute, Property};
use crate::parameters::Rejoin;
use crate::postgres::{About, Replication};
use crate::record::Record;
use crate::rules::office::{self, Office};
use crate::rules::promotion::Facts;
use crate::rules::scores::SenderState;
use crate::rules::synchronous::Published;
use crate::score::Score;
use crate::vote::{self, Ballot, Extent, Vote};

use super::{election, rebuild, score, stopped};

/// Reading WAL gets this share of the time that is left.
const READING: f64 = 0.4;

/// Sees whether this primary was elected, or may be adopted: then nothing is returned, and `facts` hold the record and the
/// promises that it goes on with. Otherwise it gives way; what a person should know.
///
/// # Errors
///
/// When PostgreSQL or the cluster does not answer.
pub fn take_office(
    agent: &mut Agent,
    cib: &Cib,
    facts: &mut Facts,
    replication: &Replication,
    own: &Vote,
) -> Result<Option<String>, Failure> {
    let me = agent.request.me.clone();
    if office::is_elected(&me, own, &facts.record) {
        return Ok(None);
    }
    let online = agent.pacemaker.members()?;
    let scores = election::scores(agent, cib);
    let presence = election::presence(agent, &online, &scores)?;
    let mut voters = facts.clone();
    for node in &presence.running {
        voters.votes.insert(node.clone(), None);
    }
    if let Err(error) = ask(agent, own, &presence.running, &mut voters) {
        log::warn!("the other nodes cannot be asked how far their WAL reaches: {error}");
    }
    let followers = followers(replication, own, &mut voters);
    let present = presence.running.union(&followers).cloned().collect();
    stopped::count(agent, cib, &present, &mut voters)?;
    voters.votes.remove(&me);
    voters.count_vote(&me, own.clone());
    let voted = voters.votes.iter().filter(|(_, vote)| vote.is_some()).map(|(node, _)| node.clone());
    // A node that has answered runs as a standby, of this or another database.
    let foreign = voters.foreign.keys().cloned();
    let are_none: BTreeSet<NodeName> = voted.chain(foreign).chain(presence.stopped).chain(followers.clone()).collect();
    let rivals = office::rivals(&me, &online, &scores, &facts.record, &are_none);
    let is_quorate = agent.pacemaker.is_quorate()?;
    match office::office(&me, &voters, &followers, &rivals, is_quorate) {
        Office::Elected => Ok(None),
        Office::Adopted(record) => {
            log::warn!("this primary was promoted outside an election; it is adopted, because nothing is lost by it");
            facts.record = record;
            facts.is_news = true;
            Ok(None)
        }
        Office::NewDatabase => {
            log::warn!(
                "this primary has another database than the one on record ({}): a new record begins",
                facts.record
            );
            facts.record = Record::default();
            facts.published = Some(Published::default());
            let name = Property::Synchronous.of(&agent.request.instance);
            agent.pacemaker.set_property(&name, None)?;
            Ok(None)
        }
        Office::Waits(wait) => Ok(Some(wait.to_string())),
        Office::Stray(stray) => {
            let reason = stray.reason(&agent.request.instance);
            log::error!("{reason}");
            if let Some(primary) = office::writes_anothers_timeline(&me, own, &voters.record, &facts.members) {
                agent.postgres.note_fork(Some(&primary));
            }
            if scores.get(&me) != Some(&Score::NEVER) {
                score::set(agent, &me, Score::NEVER)?;
            }
            Ok(Some(reason))
        }
    }
}

/// Asks the `others` how far their WAL reaches, and counts what they have answered. Their votes may be from long ago, and
/// they may have received more since.
fn ask(agent: &mut Agent, own: &Vote, others: &BTreeSet<NodeName>, voters: &mut Facts) -> Result<(), Failure> {
    let me = agent.request.me.clone();
    let name = agent.attribute(Attribute::Question);
    let begin = own.history.begin(own.timeline()).unwrap_or_default();
    let about = format!("{}@{begin}", own.timeline());
    let asked = agent.pacemaker.attributes(&name)?.remove(&me).filter(|question| is_about(question, &about));
    let question = match asked {
        Some(question) => question,
        None => {
            let question = format!("{about}/{}", agent.clock.unix_time());
            agent.postgres.pass_on(About::Question, Some(&question));
            agent.set(Attribute::Question, &me, &question)?;
            question
        }
    };
    let answers = agent.pacemaker.attributes(&agent.attribute(Attribute::Answer))?;
    for node in others {
        let answer = answers.get(node).and_then(|text| text.split_once(' ')).filter(|(about, _)| *about == question);
        if let Some(ballot) = answer.and_then(|(_, ballot)| ballot.parse::<Ballot>().ok()) {
            voters.count(node, ballot);
        }
    }
    Ok(())
}

/// Withdraws what this node has asked as a primary: it is a standby now. The others answer the last question only, and another
/// primary that has asked before would wait for ever.
pub fn withdraw_question(agent: &mut Agent) {
    if agent.postgres.passing_note(About::Question).is_none() {
        return;
    }
    let me = agent.request.me.clone();
    match agent.clear(Attribute::Question, &me) {
        Ok(()) => _ = agent.postgres.pass_on(About::Question, None),
        Err(error) => log::warn!("the question of this node as a primary is not withdrawn: {error}"),
    }
}

fn is_about(question: &str, about: &str) -> bool {
    question.rsplit_once('/').is_some_and(|(asked, _)| asked == about)
}

/// Answers the question of a primary that no election made, if there is one.
///
/// # Errors
///
/// When the cluster does not answer, or the end of its WAL cannot be determined.
pub fn answer(agent: &mut Agent, record: &Record) -> Result<(), Failure> {
    let me = agent.request.me.clone();
    let questions = agent.pacemaker.attributes(&agent.attribute(Attribute::Question))?;
    let Some(question) = office::asked_last(&me, &questions).map(str::to_owned) else { return Ok(()) };
    let name = agent.attribute(Attribute::Answer);
    let given = agent.pacemaker.attributes(&name)?.remove(&me);
    let given = given.as_deref().and_then(|text| text.split_once(' ')).filter(|(about, _)| *about == question);
    let given = given.and_then(|(_, ballot)| ballot.parse::<Ballot>().ok());
    if given.is_some_and(|ballot| ballot.vote.extent == Extent::Exact) {
        return Ok(());
    }
    let until = agent.request.deadline.share(agent.clock, READING);
    let ballot = election::ballot(agent, record, until)?;
    log::info!("answers {question}: {ballot}");
    Ok(agent.set(Attribute::Answer, &me, &format!("{question} {ballot}"))?)
}

/// What this primary would vote.
///
/// # Errors
///
/// When the history of its timeline cannot be read.
pub fn own_vote(agent: &mut Agent, replication: &Replication) -> Result<Vote, Failure> {
    let Replication { timeline, current, .. } = *replication;
    let history = agent.postgres.history(timeline)?;
    let reach = vote::Reach { on_disk: Some(current), ..vote::Reach::default() };
    Ok(Vote { system: agent.postgres.system(), replaced: false, history, reach, extent: Extent::Exact })
}

/// The nodes that stream from this primary, whose votes are what they have flushed.
fn followers(replication: &Replication, own: &Vote, voters: &mut Facts) -> BTreeSet<NodeName> {
    let mut followers = BTreeSet::new();
    for replica in replication.replicas.iter().filter(|replica| replica.state == SenderState::Streaming) {
        let node = NodeName::new(replica.name.as_str());
        let Some(flushed) = replica.flushed.filter(|_| voters.members.contains(&node)) else { continue };
        voters.foreign.remove(&node);
        voters.votes.insert(node.clone(), Some(office::follower(own, flushed)));
        followers.insert(node);
    }
    followers
}

/// Notes it, if this instance has written the timeline of another node: it ran as a primary, and has just been stopped. Whether it
/// was copied or restored before does not matter then.
pub fn note_namesake(agent: &mut Agent) {
    match written(agent, office::writes_anothers_timeline) {
        Ok(Some((primary, _))) => agent.postgres.note_fork(Some(&primary)),
        Ok(None) => {}
        Err(error) => {
            log::warn!("whether this instance has written the timeline of another node is not known: {error}")
        }
    }
}

/// Whose timeline, as `judge` says, and whether an operator has ordered this node to be promoted.
fn written(
    agent: &mut Agent,
    judge: fn(&NodeName, &Vote, &Record, &BTreeSet<NodeName>) -> Option<NodeName>,
) -> Result<Option<(NodeName, bool)>, Failure> {
    let found = agent.postgres.evidence();
    if !found.was_a_primary() || !agent.pacemaker.is_running() {
        return Ok(None);
    }
    let me = agent.request.me.clone();
    let until = agent.request.deadline.share(agent.clock, READING);
    let Ok(vote) = agent.postgres.vote(until).inspect_err(|error| log::warn!("{error}")) else { return Ok(None) };
    let is_ours = |record: &Record| record.last().is_some_and(|it| it.node == me && it.timeline == vote.timeline());
    if is_ours(&agent.postgres.memory().promotions) {
        return Ok(None);
    }
    let cib = agent.pacemaker.cib()?;
    let facts = election::circumstances(agent, &cib)?;
    let primary = judge(&me, &vote, &facts.record, &facts.members);
    Ok(primary.map(|primary| (primary, facts.ordered.as_ref() == Some(&me))))
}

/// Refuses to launch an instance that has written the timeline of another node as a primary: it would follow that one although
/// their WAL differs.
///
/// # Errors
///
/// When it must not be launched.
pub fn refuse_namesake(agent: &mut Agent) -> Result<(), Failure> {
    let noted = match agent.postgres.forked() {
        Some(primary) => Some((primary, is_ordered(agent)?)),
        None => None,
    };
    let found = match noted {
        Some(noted) => Some(noted),
        None => written(agent, office::wrote_anothers_timeline)?,
    };
    let Some((primary, false)) = found else { return Ok(()) };
    agent.postgres.note_fork(Some(&primary));
    let advice = advice(agent, &primary)?;
    Err(Failure::Namesake { advice, primary })
}

/// Whether an operator has ordered this node to be promoted, at the price of losing commits.
fn is_ordered(agent: &mut Agent) -> Result<bool, Failure> {
    if !agent.pacemaker.is_running() {
        return Ok(false);
    }
    let cib = agent.pacemaker.cib()?;
    Ok(election::circumstances(agent, &cib)?.ordered.as_ref() == Some(&agent.request.me))
}

/// What helps a node that has written the timeline of `primary` by itself.
///
/// # Errors
///
/// When it cannot be rebuilt although that is wanted.
pub fn advice(agent: &mut Agent, primary: &NodeName) -> Result<String, Failure> {
    let why = format!("it was started as a primary on the timeline of {primary}");
    match agent.request.config.rejoin {
        Rejoin::Rebuild => rebuild::unattended(agent, &why),
        Rejoin::None | Rejoin::Report | Rejoin::Rewind => {
            Ok(format!("run `pgsqlms rebuild --resource {}` here", agent.request.instance))
        }
    }
}
