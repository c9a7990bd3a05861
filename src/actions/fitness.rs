//! Whether this standby could be promoted: its monitor reports the obstacle, and publishes it for the primary, which ranks the
//! node last.

use std::collections::BTreeMap;

use crate::agent::Agent;
use crate::failure::Failure;
use crate::node::NodeName;
use crate::pacemaker::Attribute;
use crate::pacemaker::cib::Cib;
use crate::parameters::Follow;
use crate::postgres::{About, Links};
use crate::rules::fitness::Fitness;
use crate::rules::{names, succession};

use super::lasting::lasts;

/// Publishes for the primary whether this standby could be promoted; returns the reason for the operator, if any. As long as
/// nothing is in the way, it asks no other node.
pub fn look_after(agent: &mut Agent, links: &Links) -> Option<String> {
    lasts(agent, About::NoSession, false);
    let fitness = Fitness {
        too_low: links.too_low.clone(),
        has_room: agent.postgres.room().is_none_or(|room| room.is_enough()),
        has_session: true,
    };
    declare(agent, &fitness);
    fitness.reason().or_else(|| wrong_name(agent, links))
}

/// The agent cannot connect to this standby. There may only be too many sessions for a moment.
pub fn without_session(agent: &mut Agent) {
    if lasts(agent, About::NoSession, true).is_some_and(|lasted| lasted >= succession::PATIENCE) {
        declare(agent, &Fitness { has_session: false, ..Fitness::default() });
    }
}

/// Whether settings of this node would end its server in a promotion. A server that cannot be asked says nothing.
pub fn has_too_low_settings(agent: &mut Agent) -> bool {
    let links = agent.postgres.links().inspect_err(|error| log::debug!("{error}"));
    links.is_ok_and(|links| !links.too_low.is_empty())
}

/// What is wrong with the name by which the primary knows this standby.
fn wrong_name(agent: &Agent, links: &Links) -> Option<String> {
    // Where an action is tried without a cluster, any name will do.
    if agent.request.config.follow == Follow::Node || agent.request.meta.feature_set.is_none() {
        return None;
    }
    let name = names::known_as(&links.conninfo, &links.cluster_name)?;
    names::check(name, &agent.request.me, &[].into()).err().map(|wrong| wrong.to_string())
}

/// What the standbys say of themselves, as far as something is in the way. What this primary has said as one is over.
pub fn unfit(agent: &mut Agent, cib: &Cib) -> BTreeMap<NodeName, Fitness> {
    let mut published = cib.transient(&agent.attribute(Attribute::Fitness));
    if published.remove(&agent.request.me).is_some() {
        lasts(agent, About::Unfit, true);
        declare(agent, &Fitness::default());
    }
    let published = published.into_iter();
    let published = published.filter_map(|(node, text)| Some((node, text.parse::<Fitness>().ok()?)));
    published.filter(|(_, fitness)| !fitness.is_fit()).collect()
}

/// Publishes it. If the cluster does not accept it, the next monitor publishes it again.
fn declare(agent: &mut Agent, fitness: &Fitness) {
    let declared = if fitness.is_fit() { withdraw(agent) } else { publish(agent, fitness) };
    if let Err(error) = declared {
        log::warn!("{error}");
    }
}

fn publish(agent: &mut Agent, fitness: &Fitness) -> Result<(), Failure> {
    // Without a note it would never be withdrawn.
    if lasts(agent, About::Unfit, true).is_none() {
        return Ok(());
    }
    let (me, text) = (agent.request.me.clone(), fitness.to_string());
    let name = agent.attribute(Attribute::Fitness);
    if agent.pacemaker.attributes(&name)?.get(&me) == Some(&text) {
        return Ok(());
    }
    log::warn!("this node is not to be promoted: {text}");
    Ok(agent.set(Attribute::Fitness, &me, &text)?)
}

fn withdraw(agent: &mut Agent) -> Result<(), Failure> {
    if lasts(agent, About::Unfit, false).is_none() {
        return Ok(());
    }
    let me = agent.request.me.clone();
    log::info!("nothing is in the way of a promotion any more");
    let withdrawn = agent.clear(Attribute::Fitness, &me);
    if withdrawn.is_err() {
        lasts(agent, About::Unfit, true);
    }
    Ok(withdrawn?)
}
