//! The data that a primary keeps up to date in the cluster: the scores of all nodes, the record of its promotion, and its promises.
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
use crate::record::Record;
use crate::rules::lineage;
use crate::rules::office;
use crate::rules::preference;
use crate::rules::primary::{self, Reign};
use crate::rules::promotion::Facts;
use crate::rules::scores::{self, Replica, SenderState};
use crate::rules::synchronous::{self, Management, PrimaryFacts, Published, Step, Strictness, SyncSetting, receivers};
use crate::score::Score;
use crate::vote::Vote;

use super::setting::bring_into_force;
use super::{commits, election, fitness, logical, recall, score, slots, stopped, succession, unelected};

/// Brings everything up to date that the others rely on when this primary is gone; what a person should know, if anything.
/// A primary that no election made changes nothing of that.
///
/// # Errors
///
/// When PostgreSQL or the cluster does not answer.
pub fn publish(agent: &mut Agent) -> Result<Option<String>, Failure> {
    let replication = agent.postgres.replication()?;
    let cib = agent.pacemaker.cib()?;
    if agent.is_tried(&cib) {
        return Ok(None);
    }
    let mut circumstances = election::circumstances(agent, &cib)?;
    let own = unelected::own_vote(agent, &replication)?;
    let is_elected = office::is_elected(&agent.request.me, &own, &circumstances.record);
    if is_elected && agent.postgres.forked().is_some() {
        // What an operator has ordered to be the line is one.
        agent.postgres.note_fork(None);
    }
    let is_adopted = !is_elected;
    if let Some(reason) = unelected::take_office(agent, &cib, &mut circumstances, &replication, &own)? {
        return Ok(Some(reason));
    }
    let lacking = keep_slots(agent, &cib, replication.timeline).unwrap_or_else(|error| {
        log::warn!("replication slots: {error}");
        BTreeSet::new()
    });
    // If one value cannot be written, the others are written all the same.
    let blocked = publish_promises(agent, &circumstances, &replication);
    let hung = commits::hung(agent, &circumstances, &replication, management(agent));
    let weak = commits::look(agent, &cib, &circumstances, &replication);
    let recorded = publish_record(agent, &circumstances, &replication, &own);
    let fitness = fitness::unfit(agent, &cib);
    let unfit = fitness.keys().cloned().collect();
    let scored = publish_scores(agent, &cib, &circumstances, &replication, is_adopted, &lacking, &unfit);
    let kept = stopped::keep(agent, &cib, &replication);
    if recorded.is_ok() {
        withdraw_order(agent, &cib)?;
    }
    if let Err(error) = agent.postgres.vouch() {
        log::warn!("this data directory does not count under synchronous replication once it is a standby's: {error}");
    }
    let succession = succession::look(agent, &cib, &circumstances, &replication, &own, &fitness);
    let said: Vec<String> = hung.into_iter().chain(succession).chain(blocked?).chain(weak).collect();
    recorded.and(scored).and(kept)?;
    Ok((!said.is_empty()).then(|| said.join("; ")))
}

/// Removes an operator's order: it was carried out, or there is no need for it. It must not decide another election.
fn withdraw_order(agent: &mut Agent, cib: &Cib) -> Result<(), Failure> {
    for property in [Property::Order, Property::OrderedAt] {
        let name = property.of(&agent.request.instance);
        if cib.properties.contains_key(&name) {
            agent.pacemaker.set_property(&name, None)?;
        }
    }
    Ok(())
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
    let timeline = agent.postgres.replication()?.timeline;
    if primary::claims_its_role(&me, timeline, &scores, &record) {
        log::info!("this node is found as the primary, without a score: it keeps its role");
        score::set(agent, &me, Score::PRIMARY)?;
    }
    Ok(())
}

/// Writes the scores that have changed, and removes those that PAF left for ever.
fn publish_scores(
    agent: &mut Agent,
    cib: &Cib,
    circumstances: &Facts,
    replication: &Replication,
    is_adopted: bool,
    lacking: &BTreeSet<NodeName>,
    unfit: &BTreeSet<NodeName>,
) -> Result<(), Failure> {
    let before = election::scores(agent, cib);
    let wanted = scores::scores(&scores::Standing {
        me: &agent.request.me,
        members: &members(agent, cib, &before, &replication.replicas),
        replicas: &replication.replicas,
        current: replication.current,
        max_lag: agent.request.config.maxlag,
        scores: &before,
        barred: &circumstances.kept_back(),
        lacking,
        unfit,
        priority: &circumstances.priority,
        new: primary::is_new(replication.timeline, &circumstances.record),
        adopted: is_adopted,
        preference: cib.preferring.contains(&agent.request.instance),
    });
    for (node, score) in scores::changes(&wanted, &before) {
        let was = before.get(&node).map_or("none".to_owned(), Score::to_string);
        log::info!("promotion score of {node}: {score} (was {was})");
        score::set(agent, &node, score)?;
    }
    publish_defaults(agent, cib)
}

/// Removes the scores that PAF left for ever. Where a constraint prefers some node, each node gets -INFINITY for ever: that
/// is what Pacemaker sees of a node that has just joined, before any action has run there. A score in force goes before it.
fn publish_defaults(agent: &mut Agent, cib: &Cib) -> Result<(), Failure> {
    let name = agent.attribute(Attribute::Score);
    let is_wished = cib.preferring.contains(&agent.request.instance);
    let permanent = cib.permanent(&name);
    let permanent = permanent.iter().map(|(node, value)| (node.clone(), (*value).to_owned())).collect();
    for (node, score) in preference::defaults(&cib.nodes, &permanent, is_wished) {
        match score {
            Some(score) => {
                log::info!("{node} is not to be promoted before it has caught up, although a constraint may prefer it");
                agent.pacemaker.set_permanent_attribute(&name, &node, &score.to_string())?;
            }
            None => {
                log::info!("removing the permanent promotion score of {node}: this agent's vanish with the node");
                agent.pacemaker.delete_permanent_attribute(&name, &node)?;
            }
        }
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
fn publish_record(
    agent: &mut Agent,
    circumstances: &Facts,
    replication: &Replication,
    own: &Vote,
) -> Result<(), Failure> {
    let known = &circumstances.record;
    // A node that has diverged seems to stream for moments, and reports more than it was sent.
    let is_follower = |replica: &Replica| {
        let is_member = circumstances.members.contains(&NodeName::new(replica.name.as_str()));
        is_member && replica.state == SenderState::Streaming && replica.flushed.is_some()
    };
    let reign = Reign {
        node: agent.request.me.clone(),
        timeline: replication.timeline,
        history: own.history.clone(),
        system: own.system,
        current: replication.current,
        followed: replication.replicas.iter().any(is_follower),
        now: agent.clock.unix_time(),
    };
    let changed = primary::record(&reign, known);
    if let Some(record) = changed.or_else(|| circumstances.is_news.then(|| known.clone())) {
        log::info!("record of promotions: {record}");
        recall::write_record(agent, &record)?;
    }
    Ok(())
}

/// Publishes what commits wait for, or sets it if it has been published. What keeps it from being in force, or from being
/// kept, if anything.
fn publish_promises(
    agent: &mut Agent,
    circumstances: &Facts,
    replication: &Replication,
) -> Result<Option<String>, Failure> {
    let effective = setting(&replication.synchronous_standby_names)?;
    let published = circumstances.published.clone().unwrap_or_default();
    let management = management(agent);
    if is_asynchronous(&effective, &published) && management == Management::Observed {
        return Ok(None);
    }
    let newest = effective.clone();
    let step = synchronous::next_step(
        &PrimaryFacts {
            primary: agent.request.me.clone(),
            members: circumstances.members.clone(),
            published,
            effective,
            now: replication.current,
            flushed: receivers::flushed(&replication.replicas),
            connected: receivers::eligible(&replication.replicas),
        },
        management,
    );
    let name = Property::Synchronous.of(&agent.request.instance);
    match step {
        Step::Publish(published) => {
            log::info!("synchronous replication: {published}");
            commits::warn(agent, &newest, circumstances);
            agent.pacemaker.set_property(&name, Some(&published.to_string()))?;
        }
        Step::Apply(setting) => {
            log::info!("synchronous_standby_names: {setting}");
            let blocked = bring_into_force(agent, Setting::SynchronousStandbyNames, &setting.to_string())?;
            return Ok(blocked.map(|blocked| blocked.to_string()));
        }
        Step::Nothing => {
            let published = circumstances.published.as_ref();
            if let Some(published) = published.filter(|it| circumstances.is_news && !it.0.is_empty()) {
                agent.pacemaker.set_property(&name, Some(&published.to_string()))?;
            }
        }
    }
    Ok(None)
}

/// Publishes what this node, the winner of an election with `ours`, is about to do, and makes it possible: it begins a
/// timeline that no node has taken.
///
/// # Errors
///
/// When something cannot be read or changed, or the cluster does not take it: then it must not be promoted.
pub fn promise(agent: &mut Agent, circumstances: &Facts, ours: &Vote) -> Result<(), Failure> {
    let promised = promise_commits(agent, circumstances)?;
    let voted = circumstances.votes.values().flatten().map(Vote::timeline);
    let taken = voted.chain([agent.postgres.newest_timeline()?]).max().unwrap_or(ours.timeline());
    let now = agent.clock.unix_time();
    let intention = primary::intention(&agent.request.me, ours, &circumstances.record, taken, now);
    let next = intention.timeline;
    let record = (!circumstances.members.is_empty()).then(|| circumstances.record.with(intention));
    let properties = [
        (Property::Synchronous, promised.as_ref().map(Published::to_string)),
        (Property::Promotions, record.as_ref().map(Record::to_string)),
    ];
    let properties = properties.into_iter().filter_map(|(it, value)| Some((it.of(&agent.request.instance), value?)));
    agent.pacemaker.set_properties(&properties.collect::<Vec<_>>())?;
    if let Some(record) = &record {
        recall::remember(agent, record, promised.as_ref());
    }
    Ok(agent.postgres.take_timelines(ours.timeline(), next)?)
}

/// Sets what commits will wait for; what is to be published about it, if that is news.
fn promise_commits(agent: &mut Agent, circumstances: &Facts) -> Result<Option<Published>, Failure> {
    let effective = setting(&agent.postgres.synchronous_standby_names()?)?;
    let published = circumstances.published.clone().unwrap_or_default();
    let management = management(agent);
    if is_asynchronous(&effective, &published) && management == Management::Observed {
        return Ok(None);
    }
    let others = circumstances.votes.iter().filter(|(node, _)| **node != agent.request.me);
    let mut facts = PrimaryFacts {
        primary: agent.request.me.clone(),
        members: circumstances.members.clone(),
        published: published.clone(),
        effective,
        now: Lsn::default(),
        flushed: others
            .filter_map(|(node, vote)| Some((node, vote.as_ref()?)))
            .filter(|(_, vote)| !lineage::standing(vote, &circumstances.record).is_diverged())
            .map(|(node, vote)| (node.clone(), vote.lsn()))
            .collect(),
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
    commits::compare(agent, &wanted, &published);
    commits::warn(agent, &wanted, circumstances);
    let promised = match &circumstances.ordered {
        Some(node) if *node == agent.request.me => {
            synchronous::Published::starting_over(&agent.request.me, wanted.clone())
        }
        _ => promised,
    };
    if promised == published {
        return Ok(None);
    }
    log::info!("synchronous replication: {promised}");
    Ok(Some(promised))
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
