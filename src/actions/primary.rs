//! What a primary keeps up to date in the cluster: everybody's score, the record of its promotion, and its promises.
//!
//! All of it is read in one question and written only where it has changed.

use std::collections::{BTreeMap, BTreeSet};

use crate::agent::Agent;
use crate::failure::Failure;
use crate::location::{Lsn, Timeline};
use crate::node::NodeName;
use crate::pacemaker::cib::Cib;
use crate::pacemaker::{Attribute, Property};
use crate::parameters::Synchronous;
use crate::postgres::Replication;
use crate::postgres::managed::Setting;
use crate::rules::managed::Blocked;
use crate::rules::primary::{self, Reign};
use crate::rules::promotion::Facts;
use crate::rules::scores::{self, Replica, SenderState, Standing};
use crate::rules::synchronous::{self, Management, PrimaryFacts, Published, Step, Strictness, SyncSetting};
use crate::score::Score;
use crate::vote::Vote;

use super::setting::bring_into_force;
use super::{election, logical, slots};

/// Brings everything up to date that the others rely on when this primary is gone; what a person should know, if anything.
///
/// # Errors
///
/// When PostgreSQL or the cluster does not answer.
pub fn publish(agent: &mut Agent) -> Result<Option<String>, Failure> {
    let replication = agent.postgres.replication()?;
    let cib = agent.pacemaker.cib()?;
    let lacking = keep_slots(agent, &cib, replication.timeline).unwrap_or_else(|error| {
        log::warn!("replication slots: {error}");
        BTreeSet::new()
    });
    let circumstances = election::circumstances(agent, &cib)?;
    let blocked = publish_promises(agent, &circumstances, &replication)?;
    publish_record(agent, &circumstances, &replication)?;
    publish_scores(agent, &cib, &circumstances, &replication, &lacking)?;
    if circumstances.ordered.is_some() {
        agent.pacemaker.set_property(&Property::Order.of(&agent.request.instance), None)?;
    }
    Ok(blocked.map(|blocked| blocked.to_string()))
}

/// Keeps all slots; the nodes that would lose some of them.
fn keep_slots(agent: &mut Agent, cib: &Cib, timeline: Timeline) -> Result<BTreeSet<NodeName>, Failure> {
    let links = agent.postgres.links()?;
    let lacking = logical::publish(agent, cib, &links)?;
    slots::keep(agent, cib, timeline, links)?;
    Ok(lacking)
}

/// Gives this primary, which a probe has found, the score back that was lost with its node's daemons: the next transition would
/// promote a standby instead.
///
/// # Errors
///
/// When the cluster does not answer.
pub fn claim_role(agent: &mut Agent) -> Result<(), Failure> {
    if !agent.pacemaker.is_running() {
        return Ok(());
    }
    let cib = agent.pacemaker.cib()?;
    let (scores, record) = (election::scores(agent, &cib), election::circumstances(agent, &cib)?.record);
    let me = agent.request.me.clone();
    if primary::claims_its_role(&me, &scores, &record) {
        log::info!("this node is found as the primary, without a score: it keeps its role");
        election::set_score(agent, &me, Score::PRIMARY)?;
    }
    Ok(())
}

/// Writes the scores that have changed, and removes those that PAF left for ever.
fn publish_scores(
    agent: &mut Agent,
    cib: &Cib,
    circumstances: &Facts,
    replication: &Replication,
    lacking: &BTreeSet<NodeName>,
) -> Result<(), Failure> {
    let before = election::scores(agent, cib);
    let wanted = scores::scores(&Standing {
        me: &agent.request.me,
        members: &members(agent, cib, &before, &replication.replicas),
        replicas: &replication.replicas,
        current: replication.current,
        max_lag: agent.request.config.maxlag,
        scores: &before,
        barred: &circumstances.kept_back(),
        lacking,
        priority: &circumstances.priority,
        new: primary::is_new(replication.timeline, &circumstances.record),
    });
    for (node, score) in scores::changes(&wanted, &before) {
        let was = before.get(&node).map_or("none".to_owned(), Score::to_string);
        log::info!("promotion score of {node}: {score} (was {was})");
        election::set_score(agent, &node, score)?;
    }
    let name = agent.attribute(Attribute::Score);
    for node in cib.permanent(&name).into_keys() {
        log::info!("removing the permanent promotion score of {node}: this agent's vanish with the node");
        agent.pacemaker.delete_permanent_attribute(&name, &node)?;
    }
    Ok(())
}

/// The nodes to rank: those that have a score, and those of the cluster that are connected.
fn members(agent: &Agent, cib: &Cib, scores: &BTreeMap<NodeName, Score>, replicas: &[Replica]) -> BTreeSet<NodeName> {
    let connected = replicas.iter().map(|replica| NodeName::new(replica.name.as_str()));
    let connected = connected.filter(|node| cib.nodes.contains(node));
    scores.keys().cloned().chain(connected).chain([agent.request.me.clone()]).collect()
}

/// Records this primary's promotion.
fn publish_record(agent: &mut Agent, circumstances: &Facts, replication: &Replication) -> Result<(), Failure> {
    let known = &circumstances.record;
    let recorded = known.last().filter(|last| last.timeline == replication.timeline && last.node == agent.request.me);
    let history = match recorded.and_then(|last| last.history.clone()) {
        Some(history) => history,
        None => agent.postgres.history(replication.timeline)?,
    };
    let is_follower = |replica: &Replica| {
        replica.state == SenderState::Streaming && circumstances.members.contains(&NodeName::new(replica.name.as_str()))
    };
    let reign = Reign {
        node: agent.request.me.clone(),
        timeline: replication.timeline,
        history,
        followed: replication.replicas.iter().any(is_follower),
        now: agent.clock.unix_time(),
    };
    if let Some(record) = primary::record(&reign, known) {
        log::info!("record of promotions: {record}");
        agent.pacemaker.set_property(&Property::Promotions.of(&agent.request.instance), Some(&record.to_string()))?;
    }
    Ok(())
}

/// Records where the WAL of this primary ended, now that it is shut down cleanly: whoever is promoted next must have it.
///
/// # Errors
///
/// When the end cannot be found, or the cluster does not take it.
pub fn publish_end(agent: &mut Agent) -> Result<(), Failure> {
    let vote = agent.postgres.vote()?;
    let known = election::record(agent)?;
    if let Some(record) = primary::shut_down(&known, vote.timeline(), vote.lsn()) {
        log::info!("record of promotions: {record}");
        agent.pacemaker.set_property(&Property::Promotions.of(&agent.request.instance), Some(&record.to_string()))?;
    }
    Ok(())
}

/// Publishes what commits wait for, or sets it if it has been published. What keeps it from being in force, if anything.
fn publish_promises(
    agent: &mut Agent,
    circumstances: &Facts,
    replication: &Replication,
) -> Result<Option<Blocked>, Failure> {
    let effective = setting(&replication.synchronous_standby_names)?;
    let published = circumstances.published.clone().unwrap_or_default();
    let management = management(agent);
    if is_asynchronous(&effective, &published) && management == Management::Observed {
        return Ok(None);
    }
    let streaming = |replica: &&Replica| replica.state == SenderState::Streaming;
    let flushed = replication.replicas.iter().filter(streaming);
    let step = synchronous::next_step(
        &PrimaryFacts {
            primary: agent.request.me.clone(),
            members: circumstances.members.clone(),
            published,
            effective,
            now: replication.current,
            flushed: flushed
                .filter_map(|replica| Some((NodeName::new(replica.name.as_str()), replica.flushed?)))
                .collect(),
            connected: replication.replicas.iter().map(|replica| replica.name.clone()).collect(),
        },
        management,
    );
    match step {
        Step::Publish(published) => {
            log::info!("synchronous replication: {published}");
            let name = Property::Synchronous.of(&agent.request.instance);
            agent.pacemaker.set_property(&name, Some(&published.to_string()))?;
            Ok(None)
        }
        Step::Apply(setting) => {
            log::info!("synchronous_standby_names: {setting}");
            bring_into_force(agent, Setting::SynchronousStandbyNames, &setting.to_string())
        }
        Step::Nothing => Ok(None),
    }
}

/// Publishes what this node, the winner of an election with `ours`, is about to do, and makes it possible: it begins a
/// timeline that nobody has taken.
///
/// # Errors
///
/// When something cannot be read or changed, or the cluster does not take it: then it must not be promoted.
pub fn promise(agent: &mut Agent, circumstances: &Facts, ours: &Vote) -> Result<(), Failure> {
    promise_commits(agent, circumstances)?;
    let intention = primary::intention(&agent.request.me, ours, &circumstances.record, agent.clock.unix_time());
    let next = intention.timeline;
    if !circumstances.members.is_empty() {
        let record = circumstances.record.with(intention).to_string();
        agent.pacemaker.set_property(&Property::Promotions.of(&agent.request.instance), Some(&record))?;
    }
    Ok(agent.postgres.take_timelines(ours.timeline(), next)?)
}

/// Sets and publishes what commits will wait for.
fn promise_commits(agent: &mut Agent, circumstances: &Facts) -> Result<(), Failure> {
    let effective = setting(&agent.postgres.synchronous_standby_names()?)?;
    let published = circumstances.published.clone().unwrap_or_default();
    let management = management(agent);
    if is_asynchronous(&effective, &published) && management == Management::Observed {
        return Ok(());
    }
    let others = circumstances.votes.iter().filter(|(node, _)| **node != agent.request.me);
    let mut facts = PrimaryFacts {
        primary: agent.request.me.clone(),
        members: circumstances.members.clone(),
        published: published.clone(),
        effective,
        now: Lsn::default(),
        flushed: others.filter_map(|(node, vote)| Some((node.clone(), vote.as_ref()?.lsn()))).collect(),
        connected: BTreeSet::new(),
    };
    let (mut wanted, mut promised) = synchronous::before_promotion(&facts, management);
    if wanted != facts.effective {
        log::info!("synchronous_standby_names: {wanted}");
        if let Some(blocked) = bring_into_force(agent, Setting::SynchronousStandbyNames, &wanted.to_string())? {
            // Only what is in force can be promised. The monitors will say what is in the way.
            log::warn!("{blocked}");
            facts.effective = setting(&agent.postgres.synchronous_standby_names()?)?;
            (wanted, promised) = synchronous::before_promotion(&facts, Management::Observed);
        }
    }
    let promised = match &circumstances.ordered {
        Some(node) if *node == agent.request.me => {
            synchronous::Published::starting_over(&agent.request.me, wanted.clone())
        }
        _ => promised,
    };
    if promised != published {
        log::info!("synchronous replication: {promised}");
        let name = Property::Synchronous.of(&agent.request.instance);
        agent.pacemaker.set_property(&name, Some(&promised.to_string()))?;
    }
    Ok(())
}

/// Whether nothing is promised, and nothing was.
fn is_asynchronous(effective: &SyncSetting, published: &Published) -> bool {
    *effective == SyncSetting::Off && published.0.iter().all(|guard| guard.setting == SyncSetting::Off)
}

fn management(agent: &Agent) -> Management {
    let Synchronous { managed, standbys, strict } = agent.request.config.synchronous;
    let strictness = if strict { Strictness::Strict } else { Strictness::Lenient };
    if managed { Management::Quorum { wanted: standbys, strictness } } else { Management::Observed }
}

fn setting(text: &str) -> Result<SyncSetting, Failure> {
    Ok(text.parse()?)
}
