//! `pgsqlms forget-history`: the promotions on record are about data that is gone.

use std::collections::{BTreeMap, BTreeSet};

use clap::Parser;

use crate::actions::election;
use crate::agent::Agent;
use crate::failure::Failure;
use crate::node::NodeName;
use crate::pacemaker::cib::Cib;
use crate::pacemaker::{Attribute, Property, left_of};
use crate::record::Record;
use crate::rules::forget::{self, Facts, Holds};
use crate::rules::memory;
use crate::rules::office;
use crate::vote::Ballot;

use super::Which;

/// The properties that are removed, in this order: promises without a record let no node win that should not.
const FORGOTTEN: [Property; 4] = [Property::Promotions, Property::Synchronous, Property::Order, Property::OrderedAt];

/// How much of the command's time reading the WAL on disk may take.
const READING: f64 = 0.3;

/// Forgets the promotions on record, after pg_upgrade, initdb or a restore of the whole cluster.
///
/// Also of a resource that is gone: then all that the cluster has kept of it is removed.
#[derive(Debug, Clone, Parser)]
#[command(name = "pgsqlms forget-history")]
pub struct ForgetHistory {
    /// The resource.
    #[command(flatten)]
    pub which: Which,
    /// Do it. Without this, only what is on record and what forgetting means is printed.
    #[arg(long)]
    pub yes: bool,
}

/// Prints the record and the WAL of each node and, if that is accepted, forgets the record; returns the text to print.
///
/// It may be repeated, and killed between any two steps: what is there of the record goes on to count.
///
/// # Errors
///
/// When it is refused, or the cluster does not answer.
pub fn run(agent: &mut Agent, command: &ForgetHistory) -> Result<String, Failure> {
    let cib = agent.pacemaker.cib()?;
    let facts = facts(agent, &cib)?;
    let refusal = forget::refusal(&facts);
    if let Some(refusal) = refusal {
        return Err(Failure::NotForgotten(refusal));
    }
    let account = forget::account(&facts);
    if !command.yes {
        return Ok(format!("{account}\nNothing has been done. To forget this, run it again with --yes."));
    }
    forget(agent, &cib, &facts)?;
    let next = match facts.is_configured {
        true => "The running nodes elect a primary by what they hold: watch it with `crm_mon`.".to_owned(),
        false => format!("On each node, {} is left: remove it yourself.", directory(agent)),
    };
    Ok(format!("{account}\nThat is forgotten. {next}"))
}

fn directory(agent: &Agent) -> String {
    agent.request.config.evidence_dir.join(&agent.request.instance).display().to_string()
}

fn facts(agent: &mut Agent, cib: &Cib) -> Result<Facts, Failure> {
    let (me, resource) = (agent.request.me.clone(), agent.request.instance.clone());
    let is_configured = agent.pacemaker.parameters(&resource)?.is_some();
    let left_over = if is_configured { 0 } else { attributes(agent)?.len() + left_in(cib, &resource).count() };
    let property = |property: Property| cib.properties.get(&property.of(&resource));
    let record = property(Property::Promotions).map_or(Ok(Record::default()), |text| text.parse());
    let mut promised = property(Property::Synchronous).cloned();
    let record = match record {
        Ok(record) if is_configured => {
            let forgotten = property(Property::Forgotten).and_then(|time| time.parse().ok());
            let (memory, own) = (agent.postgres.memory(), agent.postgres.system());
            let recalled = memory::recall(record, promised, &memory, own, forgotten);
            promised = recalled.synchronous;
            Ok(recalled.promotions)
        }
        record => record,
    };
    let online = agent.pacemaker.members()?;
    let cast = agent.pacemaker.attributes(&agent.attribute(Attribute::Vote))?;
    let are_none = are_no_primary(&cast, record.as_ref().unwrap_or(&Record::default()));
    let left = agent.pacemaker.attributes(&agent.attribute(Attribute::Left))?;
    let mut nodes = BTreeMap::new();
    for node in &cib.nodes {
        let left = left.get(node).or_else(|| cib.properties.get(&left_of(&resource, node)));
        nodes.insert(node.clone(), holds(online.contains(node), cast.get(node), left));
    }
    if is_configured {
        match agent.postgres.vote(agent.request.deadline.share(agent.clock, READING)) {
            Ok(vote) => _ = nodes.insert(me.clone(), Holds::Vote(vote)),
            Err(error) => log::debug!("{error}"),
        }
    }
    Ok(Facts {
        primary: office::primary(&online, &election::scores(agent, cib), &are_none),
        is_quorate: agent.pacemaker.is_quorate()?,
        ordered: property(Property::Order).map(NodeName::new),
        me,
        resource,
        is_configured,
        left_over,
        record,
        promised,
        nodes,
    })
}

/// The nodes that have stopped their instance, or voted as standbys since the last promotion.
fn are_no_primary(cast: &BTreeMap<NodeName, String>, record: &Record) -> BTreeSet<NodeName> {
    let counts = |vote: &str| vote.parse().is_ok_and(|ballot: Ballot| ballot.counts(record));
    let is_none = |vote: &str| vote == election::STOPPED || counts(vote);
    cast.iter().filter(|(_, vote)| is_none(vote)).map(|(node, _)| node.clone()).collect()
}

/// What a node has `cast` or `left`.
fn holds(is_online: bool, cast: Option<&String>, left: Option<&String>) -> Holds {
    let vote = |text: &String| text.parse().ok().map(|ballot: Ballot| ballot.vote);
    match cast {
        Some(cast) if cast == election::STOPPED => Holds::Stopped(left.and_then(vote)),
        _ if !is_online => left.and_then(vote).map_or(Holds::Offline, |vote| Holds::Stopped(Some(vote))),
        Some(cast) => vote(cast).map_or(Holds::Silent, Holds::Vote),
        None => Holds::Silent,
    }
}

/// The properties that say what nodes have left when they were stopped.
fn left_in<'a>(cib: &'a Cib, resource: &'a str) -> impl Iterator<Item = String> + 'a {
    cib.nodes.iter().map(|node| left_of(resource, node)).filter(|name| cib.properties.contains_key(name))
}

/// The attributes that nodes have, by name and node.
fn attributes(agent: &mut Agent) -> Result<Vec<(Attribute, NodeName)>, Failure> {
    let mut found = Vec::new();
    for attribute in Attribute::ALL {
        let nodes = agent.pacemaker.attributes(&agent.attribute(attribute))?.into_keys();
        found.extend(nodes.map(|node| (attribute, node)));
    }
    Ok(found)
}

/// What the nodes remember must not count before anything is removed: they would bring it back.
fn forget(agent: &mut Agent, cib: &Cib, facts: &Facts) -> Result<(), Failure> {
    let resource = &facts.resource;
    let now = agent.clock.unix_time();
    let until = facts.record.as_ref().map_or(now, |record| forget::until(record, now));
    agent.pacemaker.set_property(&Property::Forgotten.of(resource), Some(&until.to_string()))?;
    let recorded = FORGOTTEN.into_iter().map(|property| property.of(resource));
    let recorded = recorded.filter(|name| cib.properties.contains_key(name));
    for name in recorded.chain(left_in(cib, resource)) {
        agent.pacemaker.set_property(&name, None)?;
    }
    // What a node has left when it was stopped would count as a vote. A ballot names the promotion that it was cast after: it would
    // show that the record is older than it should be.
    let goes = |attribute: Attribute, node: &NodeName| match attribute {
        Attribute::Left => true,
        Attribute::Vote => !facts.is_configured || matches!(facts.nodes.get(node), Some(Holds::Vote(_))),
        _ => !facts.is_configured,
    };
    for (attribute, node) in attributes(agent)?.into_iter().filter(|(attribute, node)| goes(*attribute, node)) {
        agent.clear(attribute, &node)?;
    }
    log::warn!("an operator has had the promotions of {resource} forgotten");
    if facts.is_configured {
        return Ok(agent.pacemaker.clean_up(resource)?);
    }
    let score = agent.attribute(Attribute::Score);
    for node in cib.permanent(&score).into_keys() {
        agent.pacemaker.delete_permanent_attribute(&score, &node)?;
    }
    Ok(())
}
