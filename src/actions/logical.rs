//! The logical replication slots that are to outlive the primary: which node has which, and which node would lose which.

use std::collections::BTreeSet;

use crate::agent::Agent;
use crate::failure::Failure;
use crate::node::NodeName;
use crate::pacemaker::Attribute;
use crate::pacemaker::cib::Cib;
use crate::parameters::Slots;
use crate::postgres::Links;
use crate::rules::logical::{self, Published};
use crate::rules::slots::Step;
use crate::score::Score;

use super::{election, slots};

/// Publishes the slots that this primary keeps, and which standby would lose which of them; returns the nodes that would lose any.
///
/// # Errors
///
/// When the cluster does not take it.
pub fn publish(agent: &mut Agent, cib: &Cib, links: &Links) -> Result<BTreeSet<NodeName>, Failure> {
    let (me, name) = (agent.request.me.clone(), agent.attribute(Attribute::Logical));
    let published = cib.transient(&name);
    let losses = logical::losses(&me, &links.logical, &cib.nodes, &published);
    let physical = links.setup.slots.iter().map(|slot| slot.name.as_str());
    match (logical::on_primary(&links.logical, &losses, physical), published.get(&me)) {
        (Some(text), Some(before)) if text == *before => {}
        (Some(text), _) => {
            log::info!("logical slots: {text}");
            agent.set(Attribute::Logical, &me, &text)?;
        }
        (None, Some(_)) => agent.clear(Attribute::Logical, &me)?,
        (None, None) => {}
    }
    Ok(losses.into_keys().collect())
}

/// Publishes which of them this standby has, and makes room for the primary's where it has older ones of its own. It asks no other node
/// where the server neither copies nor has any.
///
/// # Errors
///
/// When the cluster does not answer.
pub fn look_after(agent: &mut Agent, links: &Links) -> Result<(), Failure> {
    if !logical::is_due(&links.logical) {
        return Ok(());
    }
    if !logical::of_its_own(&links.logical).is_empty() && agent.request.config.slots != Slots::Off {
        make_room(agent, links)?;
    }
    let (me, name) = (agent.request.me.clone(), agent.attribute(Attribute::Logical));
    let published = agent.pacemaker.attributes(&name)?;
    let published: Published = published.iter().map(|(node, text)| (node.clone(), text.as_str())).collect();
    let text = logical::on_standby(&me, &links.logical, &published);
    if published.get(&me) != Some(&text.as_str()) {
        log::info!("logical slots: {text}");
        agent.set(Attribute::Logical, &me, &text)?;
    }
    Ok(())
}

/// Removes slots that this node has made when it was the primary, and that the primary has now.
fn make_room(agent: &mut Agent, links: &Links) -> Result<(), Failure> {
    let cib = agent.pacemaker.cib()?;
    let scores = election::scores(agent, &cib);
    let published = cib.transient(&agent.attribute(Attribute::Logical));
    let is_primary = |node: &NodeName| *node != agent.request.me && scores.get(node) == Some(&Score::PRIMARY);
    let primary = published.into_iter().find(|(node, _)| is_primary(node));
    let steps = primary.map(|(_, text)| logical::replaced(&links.logical, text)).unwrap_or_default();
    let steps: Vec<Step> = steps.into_iter().map(Step::Drop).collect();
    slots::carry_out(agent, &steps);
    Ok(())
}

/// Says what this node would lose if it were promoted now.
pub fn warn(agent: &Agent, cib: &Cib) {
    let published = cib.transient(&agent.attribute(Attribute::Logical));
    if let Some(lost) = published.get(&agent.request.me).and_then(|text| logical::lost(text)) {
        log::warn!("logical slots that this node lacks, and that are lost if it is promoted: {lost}");
    }
}
