//! What this node remembers of the cluster, should the CIB be lost: facts for [`crate::rules::memory`].

use crate::agent::Agent;
use crate::failure::Failure;
use crate::pacemaker::Property;
use crate::pacemaker::cib::Cib;
use crate::record::Record;
use crate::rules::memory::{self, Memory, Recalled};
use crate::rules::promotion::Facts;
use crate::rules::synchronous::Published;

/// Gives back to the cluster what this node remembers of it and the CIB has lost: the others would decide without that. Where
/// nothing may reach the CIB, the next monitor of this node does so.
///
/// # Errors
///
/// When the cluster does not take it.
pub fn give_back(agent: &mut Agent, facts: &Facts) -> Result<(), Failure> {
    if !facts.is_news || facts.record.0.is_empty() || agent.is_quiet {
        return Ok(());
    }
    let published = facts.published.as_ref().filter(|published| !published.0.is_empty());
    let properties = [
        (Property::Synchronous, published.map(Published::to_string)),
        (Property::Promotions, Some(facts.record.to_string())),
    ];
    let properties = properties.into_iter().filter_map(|(it, value)| Some((it.of(&agent.request.instance), value?)));
    agent.pacemaker.set_properties(&properties.collect::<Vec<_>>())?;
    remember(agent, &facts.record, published);
    Ok(())
}

/// Makes this the record of promotions, which this node remembers from now on.
///
/// # Errors
///
/// When the cluster does not take it.
pub fn write_record(agent: &mut Agent, record: &Record) -> Result<(), Failure> {
    let name = Property::Promotions.of(&agent.request.instance);
    agent.pacemaker.set_property(&name, Some(&record.to_string()))?;
    remember(agent, record, None);
    Ok(())
}

/// Has this node remember the record of promotions, and what is `promised` if that is news: what the CIB has got.
pub fn remember(agent: &mut Agent, record: &Record, promised: Option<&Published>) {
    let memory = agent.postgres.memory();
    let memory = memory.with_record(record.clone());
    let synchronous = promised.map(Published::to_string).or(memory.synchronous);
    agent.postgres.remember(&Memory { synchronous, ..memory });
}

/// The promotions and promises that count, which this node remembers from now on.
///
/// # Errors
///
/// When the record of promotions cannot be understood.
pub fn recall(agent: &mut Agent, cib: &Cib) -> Result<Recalled, Failure> {
    let property = |property: Property| cib.properties.get(&property.of(&agent.request.instance)).cloned();
    let promotions: Option<Record> = property(Property::Promotions).map(|text| text.parse()).transpose()?;
    let forgotten = property(Property::Forgotten).and_then(|time| time.parse().ok());
    let synchronous = property(Property::Synchronous);
    let memory = agent.postgres.memory();
    let own = agent.postgres.system();
    let recalled = memory::recall(promotions.unwrap_or_default(), synchronous, &memory, own, forgotten);
    if recalled.is_news {
        log::warn!("the CIB is older than what this node remembers: {}", recalled.promotions);
    }
    let (promotions, synchronous) = (recalled.promotions.clone(), recalled.synchronous.clone());
    let remembered = Memory { promotions, synchronous, ..memory.clone() };
    if remembered != memory && !remembered.promotions.0.is_empty() {
        agent.postgres.remember(&remembered);
    }
    Ok(recalled)
}
