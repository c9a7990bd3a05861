//! The node that a standby follows, where no address moves with the primary (`follow=node`).

use crate::agent::Agent;
use crate::failure::Failure;
use crate::node::NodeName;
use crate::notification::Transition;
use crate::pacemaker::cib::Cib;
use crate::pacemaker::{ADDRESS, PORT};
use crate::parameters::{Follow, Slots};
use crate::postgres::conninfo::Conninfo;
use crate::postgres::managed::Setting;
use crate::postgres::{About, Links};
use crate::rules::follow::{self, Leader, Place};

use super::setting::bring_into_force;
use super::{election, logical, slots};

/// Makes this standby, which has these links, follow the primary after the transition, from its slot; returns the reason for
/// the operator, if any. Where it streams and has done so for a while, it asks no other node.
///
/// # Errors
///
/// When PostgreSQL or the cluster does not answer.
pub fn look_after(
    agent: &mut Agent,
    links: &Links,
    streams: bool,
    transition: &Transition,
) -> Result<Option<String>, Failure> {
    let managed = agent.postgres.managed()?;
    let written = managed.get(Setting::PrimaryConninfo);
    let follows = agent.request.config.follow == Follow::Node;
    let is_due = follows && follow::is_due(streams, links.just_connected, &links.conninfo, written);
    let trouble = if is_due { switch(agent, transition)? } else { None };
    let trouble = slots::mirror(agent, links, streams)?.or(trouble);
    if let Err(error) = logical::look_after(agent, links) {
        log::warn!("logical slots: {error}");
    }
    Ok(trouble)
}

/// Another node was promoted: points this standby at the primary that the transition leaves, has it connect now if it waits for its next
/// attempt, and remembers what the cluster has recorded. Repeating it does no harm.
///
/// # Errors
///
/// When PostgreSQL or the cluster does not answer.
pub fn primary_of(agent: &mut Agent, transition: &Transition) -> Result<Option<String>, Failure> {
    agent.postgres.pass_on(About::Promotion, Some(""));
    match agent.request.config.follow {
        Follow::None => {
            // First of all: an address may be still to come, and TCP repeats an attempt that meets none.
            try_now(agent);
            election::record(agent).map(|_| None)
        }
        Follow::Node => {
            let trouble = switch(agent, transition)?;
            try_now(agent);
            Ok(trouble)
        }
    }
}

/// Whether a standby that waited for its next attempt was made to try now.
fn try_now(agent: &mut Agent) -> bool {
    agent.postgres.try_now().unwrap_or_else(|error| {
        log::warn!("{error}");
        false
    })
}

/// There is a primary, and this standby does not stream: if that one was promoted since it did, it tries to connect now. Once only:
/// where that does not help, PostgreSQL tries in its own time.
pub fn has_primary(agent: &mut Agent) {
    if agent.postgres.passing_note(About::Promotion).is_some() && try_now(agent) {
        agent.postgres.pass_on(About::Promotion, None);
    }
}

/// Makes our file this node's before a start: a copy of a data directory brings the file of another node with it.
///
/// # Errors
///
/// When the file cannot be read or written.
pub fn prepare(agent: &mut Agent) -> Result<(), Failure> {
    let managed = agent.postgres.managed()?;
    let follows = agent.request.config.follow == Follow::Node;
    let leader = if follows { leader(agent) } else { Leader::None };
    let localized = follow::localized(&managed, &agent.request.me, follows, &leader);
    let slots = agent.request.config.slots;
    let localized = follow::localized_slot(localized, &agent.request.me, slots);
    // Where slots are to be used, the server must show that it reads the file.
    if localized != managed || slots != Slots::Off {
        agent.postgres.write_managed(&localized)?;
    }
    Ok(())
}

/// The node that an instance is to follow that is started now. A node that is only about to be promoted is not a primary yet.
fn leader(agent: &mut Agent) -> Leader {
    let transition = &agent.request.transition;
    let Some(primary) = follow::lasting_primary(transition).filter(|node| **node != agent.request.me) else {
        return Leader::None;
    };
    match agent.pacemaker.cib() {
        Ok(cib) => Leader::At(place_of(primary, &cib)),
        Err(error) => {
            log::debug!("{error}");
            Leader::Somewhere
        }
    }
}

/// Where the primary is; none if that is this node, or the primary is unknown.
fn place(agent: &mut Agent, transition: &Transition, cib: &Cib) -> Result<Option<Place>, Failure> {
    let record = election::circumstances(agent, cib)?.record;
    let primary =
        follow::primary(transition, &record, &election::scores(agent, cib)).filter(|node| *node != agent.request.me);
    Ok(primary.map(|primary| place_of(&primary, cib)))
}

fn place_of(node: &NodeName, cib: &Cib) -> Place {
    let host = cib.permanent(ADDRESS).get(node).map_or_else(|| node.to_string(), |host| (*host).to_owned());
    Place { host, port: cib.permanent(PORT).get(node).and_then(|port| port.parse().ok()) }
}

fn switch(agent: &mut Agent, transition: &Transition) -> Result<Option<String>, Failure> {
    let cib = agent.pacemaker.cib()?;
    let Some(place) = place(agent, transition, &cib)? else { return Ok(None) };
    let now = agent.postgres.setting(Setting::PrimaryConninfo)?;
    let base: Conninfo = now.theirs.as_ref().unwrap_or(&now.value).parse()?;
    let wanted = follow::pointed(&base, &place, &agent.request.me);
    let blocked = bring_into_force(agent, Setting::PrimaryConninfo, &wanted.text())?;
    if blocked.is_none() && now.value != wanted.text() {
        log::info!("follows {}: {wanted}", place.host);
    }
    Ok(blocked.map(|blocked| blocked.to_string()))
}
