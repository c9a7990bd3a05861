//! What an instance leaves behind that is stopped cleanly: how far its WAL reaches. It counts as a vote until it runs again.
//!
//! A stop writes nothing to the CIB, because that would abort the transition. So the position goes into a private attribute;
//! the primary is notified of the stop, and its next monitor makes a property of it.

use std::collections::{BTreeMap, BTreeSet};

use crate::agent::Agent;
use crate::failure::Failure;
use crate::node::NodeName;
use crate::pacemaker::cib::Cib;
use crate::pacemaker::{Attribute, left_of};
use crate::postgres::{About, Replication};
use crate::rules::promotion::Facts;
use crate::vote::{Ballot, Extent};

use super::election;

/// Says how far the WAL of this instance reaches, which has just been stopped; nothing where that was not clean.
///
/// # Errors
///
/// When the end of its WAL cannot be determined, or the cluster does not take it.
pub fn leave(agent: &mut Agent, is_clean: bool) -> Result<(), Failure> {
    let me = agent.request.me.clone();
    if !is_clean {
        return Ok(agent.clear(Attribute::Left, &me)?);
    }
    // There is little to read after a shutdown checkpoint.
    let until = agent.request.deadline.share(agent.clock, 0.5);
    let was_a_primary = agent.postgres.evidence().was_a_primary();
    let ballot = Ballot { primary: was_a_primary, ..election::ballot(agent, &Default::default(), until)? };
    if ballot.vote.extent != Extent::Exact {
        return Ok(());
    }
    log::info!("leaves {ballot}");
    Ok(agent.set(Attribute::Left, &me, &ballot.to_string())?)
}

/// Counts what the instances of all nodes but the `voters` have left when they were stopped.
///
/// # Errors
///
/// When the cluster does not answer.
pub fn count(agent: &mut Agent, cib: &Cib, voters: &BTreeSet<NodeName>, facts: &mut Facts) -> Result<(), Failure> {
    let (instance, me) = (agent.request.instance.clone(), agent.request.me.clone());
    let left = agent.pacemaker.attributes(&agent.attribute(Attribute::Left))?;
    for node in cib.nodes.difference(voters).filter(|node| **node != me) {
        let text = left.get(node).or_else(|| cib.properties.get(&left_of(&instance, node)));
        if let Some(ballot) = text.and_then(|text| text.parse().map_err(|error| log::warn!("{error}")).ok()) {
            facts.count_stopped(node, ballot);
        }
    }
    Ok(())
}

/// What the instances of nodes have left, as far as it has been made lasting.
pub fn known(agent: &Agent, cib: &Cib) -> BTreeMap<NodeName, Ballot> {
    let ballot = |node: &NodeName| cib.properties.get(&left_of(&agent.request.instance, node))?.parse().ok();
    cib.nodes.iter().filter_map(|node| Some((node.clone(), ballot(node)?))).collect()
}

/// Remembers what other nodes have left, for the next monitor of this primary.
///
/// # Errors
///
/// When the cluster does not answer.
pub fn look(agent: &mut Agent) -> Result<(), Failure> {
    let stop = agent.request.transition.stop.clone();
    let left = agent.pacemaker.attributes(&agent.attribute(Attribute::Left))?;
    let left = left.into_iter().filter(|(node, _)| stop.contains(node) && *node != agent.request.me);
    let lines: Vec<String> = left.map(|(node, ballot)| format!("{node}\t{ballot}")).collect();
    if !lines.is_empty() {
        agent.postgres.pass_on(About::Left, Some(&lines.join("\n")));
    }
    Ok(())
}

/// Makes lasting what other nodes have left, and forgets it of those that receive WAL again.
///
/// # Errors
///
/// When the cluster does not take it.
pub fn keep(agent: &mut Agent, cib: &Cib, replication: &Replication) -> Result<(), Failure> {
    let instance = agent.request.instance.clone();
    let connected: BTreeSet<NodeName> =
        replication.replicas.iter().map(|replica| NodeName::new(replica.name.as_str())).collect();
    for node in cib.nodes.intersection(&connected).filter(|node| cib.properties.contains_key(&left_of(&instance, node)))
    {
        agent.pacemaker.set_property(&left_of(&instance, node), None)?;
    }
    let Some(noted) = agent.postgres.passing_note(About::Left) else { return Ok(()) };
    for (node, ballot) in noted.lines().filter_map(|line| line.split_once('\t')) {
        let node = NodeName::new(node);
        let property = left_of(&instance, &node);
        let is_known = cib.properties.get(&property).is_some_and(|known| known == ballot);
        if !is_known && !connected.contains(&node) && cib.nodes.contains(&node) {
            log::info!("{node} was stopped with {ballot}");
            agent.pacemaker.set_property(&property, Some(ballot))?;
        }
    }
    agent.postgres.pass_on(About::Left, None);
    Ok(())
}

/// Forgets what this node has left, before its instance runs again: from then on it may confirm commits.
///
/// # Errors
///
/// When the cluster does not take it: then it must not run.
pub fn forget(agent: &mut Agent) -> Result<(), Failure> {
    if !agent.pacemaker.is_running() {
        return Ok(());
    }
    let me = agent.request.me.clone();
    agent.clear(Attribute::Left, &me)?;
    let property = left_of(&agent.request.instance, &me);
    if agent.pacemaker.cib()?.properties.contains_key(&property) {
        agent.pacemaker.set_property(&property, None)?;
    }
    Ok(())
}
