//! The replication slots that each node keeps for the others.

use std::collections::BTreeMap;

use crate::agent::Agent;
use crate::failure::Failure;
use crate::location::Timeline;
use crate::node::NodeName;
use crate::pacemaker::Attribute;
use crate::pacemaker::cib::Cib;
use crate::parameters::Slots;
use crate::postgres::Links;
use crate::postgres::managed::{self, Setting};
use crate::rules::managed::{Blocked, Obstacle};
use crate::rules::slots::{self, Positions, Step, Wish};

use super::setting;

/// Keeps the slots of the primary, and publishes their positions, if WAL may just have been removed or they have changed.
///
/// # Errors
///
/// When PostgreSQL or the cluster does not answer.
pub fn keep(agent: &mut Agent, cib: &Cib, timeline: Timeline, mut links: Links) -> Result<(), Failure> {
    let me = agent.request.me.clone();
    let keeps = slots::keeps(agent.request.config.slots, &links.setup);
    let wishes = cib.transient(&agent.attribute(Attribute::Slot));
    let wishes: BTreeMap<NodeName, Wish> =
        wishes.into_iter().filter_map(|(node, wish)| Some((node, Wish::read(wish)?))).collect();
    let steps = slots::on_primary(&me, keeps, &cib.nodes, &wishes, &links.setup.slots);
    carry_out(agent, &steps);
    let wished = wishes.iter().any(|(node, wish)| *node != me && *wish == Wish::Slot);
    if (steps.is_empty() && !links.checkpointed) || (!wished && links.setup.slots.is_empty()) {
        return Ok(());
    }
    if !steps.is_empty() {
        links = agent.postgres.links()?;
    }
    let now = Positions::new(&me, timeline, links.setup.redo, &cib.nodes, &links.setup.slots);
    if now.is_news(published(agent)?.get(&me)) {
        agent.set(Attribute::Slots, &me, &now.to_string())?;
    }
    Ok(())
}

/// Keeps the slots of a standby as its primary's are, and has it stream from its own; what a person should know, if
/// anything. Where nothing is to be done, it asks no other node.
///
/// # Errors
///
/// When PostgreSQL or the cluster does not answer.
pub fn mirror(agent: &mut Agent, links: &Links, streams: bool) -> Result<Option<String>, Failure> {
    let (me, mode, setup) = (agent.request.me.clone(), agent.request.config.slots, &links.setup);
    let uses = slots::uses(mode, setup);
    // While connections are new, more nodes may be about to get a slot, for which nothing else would be seen here.
    let unsettled = (!streams || links.just_connected) && (uses || slots::is_ours(&setup.slot));
    if !unsettled && !slots::is_due(mode, setup) {
        return Ok(None);
    }
    if slots::keeps(mode, setup) && !setup.reads_our_file {
        return include(agent).map(Some);
    }
    if !streams || uses != slots::is_ours(&setup.slot) {
        if mode == Slots::On && setup.bounded == Some(false) {
            log::warn!("slots=on, and max_slot_wal_keep_size is -1: the disk fills up when a standby stays away");
        }
        declare(agent, if uses { Wish::Slot } else { Wish::NoSlot })?;
    }
    let known = if uses { Positions::newest(&me, published(agent)?) } else { None };
    match &known {
        Some(known) => carry_out(agent, &slots::on_standby(&me, known, &setup.slots)),
        None if !uses => carry_out(agent, &slots::unused(&setup.slots)),
        None => {}
    }
    match slots::slot_to_use(&me, uses, known.as_ref(), &setup.slot) {
        None => Ok(None),
        Some(name) if uses => {
            log::info!("streams from {}", if name.is_empty() { "no slot" } else { &name });
            let blocked = setting::bring_into_force(agent, Setting::PrimarySlotName, &name)?;
            Ok(blocked.map(|blocked| blocked.to_string()))
        }
        Some(_) => {
            log::info!("streams from no slot of the agent's any more");
            let managed = agent.postgres.managed()?.with(Setting::PrimarySlotName, None);
            agent.postgres.write_managed(&managed)?;
            Ok(None)
        }
    }
}

/// Has a standby stream from no slot that lets no session in and does not stream: the primary sends no WAL for a slot that it lacks,
/// and what keeps sessions out may last until WAL comes. A slot that the primary has keeps the WAL all the same, and is taken up
/// again by the next monitor with a session.
///
/// # Errors
///
/// When the file cannot be read or written.
pub fn go_without(agent: &mut Agent) -> Result<(), Failure> {
    let managed = agent.postgres.managed()?;
    if managed.get(Setting::PrimarySlotName).is_some_and(slots::is_ours) {
        log::info!("streams from no slot, as long as no session gets in");
        agent.postgres.write_managed(&managed.with(Setting::PrimarySlotName, None))?;
    }
    Ok(())
}

/// Has the server read our file, if it is included; what is in the way, if it is not.
fn include(agent: &mut Agent) -> Result<String, Failure> {
    let managed = agent.postgres.managed()?;
    agent.postgres.write_managed(&managed)?;
    let path = agent.request.config.datadir().join(managed::FILE).display().to_string();
    Ok(Blocked { name: Setting::PrimarySlotName.name(), path, obstacle: Obstacle::NotIncluded }.to_string())
}

/// Publishes whether the other nodes are to keep a slot for this node.
fn declare(agent: &mut Agent, wish: Wish) -> Result<(), Failure> {
    let (name, me) = (agent.attribute(Attribute::Slot), agent.request.me.clone());
    let cib = agent.pacemaker.cib()?;
    let published = cib.transient(&name).get(&me).copied().and_then(Wish::read);
    if published != Some(wish) && (wish == Wish::Slot || published.is_some()) {
        agent.set(Attribute::Slot, &me, wish.as_str())?;
    }
    Ok(())
}

/// What primaries have published about their slots.
fn published(agent: &mut Agent) -> Result<BTreeMap<NodeName, Positions>, Failure> {
    let name = agent.attribute(Attribute::Slots);
    let texts = agent.pacemaker.attributes(&name)?.into_iter();
    let read = |text: &str| text.parse().map_err(|error| log::warn!("{error}")).ok();
    Ok(texts.filter_map(|(node, text)| Some((node, read(&text)?))).collect())
}

/// Changes slots. If one cannot be changed, the others are changed all the same.
pub(super) fn carry_out(agent: &mut Agent, steps: &[Step]) {
    for step in steps {
        match agent.postgres.change_slot(step) {
            Ok(()) if matches!(step, Step::Advance(..)) => log::debug!("replication slots: {step}"),
            Ok(()) => log::info!("replication slots: {step}"),
            Err(error) => log::warn!("replication slots: cannot {step}: {error}"),
        }
    }
}
