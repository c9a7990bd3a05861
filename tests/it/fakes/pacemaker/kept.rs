//! The state that the cluster keeps: its properties, and the attributes of its nodes.

use std::collections::BTreeMap;
use std::time::Duration;

use pgsqlms::node::NodeName;
use pgsqlms::pacemaker::{Property, Reach};
use pgsqlms::record::{Promotion, Record};

use super::{Attributes, Information, Withheld, Write};
use crate::fakes::{Planted, RESOURCE, State, log};

/// A copy of the permanent state in the CIB.
#[derive(Debug, Clone)]
pub struct Backup {
    properties: BTreeMap<String, String>,
    permanent: Attributes,
}

impl Information {
    pub(super) fn apply(&mut self, Write { node, name, value, reach, .. }: Write) {
        let attributes = match *self.known.entry(name.clone()).or_insert(reach) {
            Reach::Scheduler => self.transient.entry(node).or_default(),
            Reach::Private => self.private.entry(node).or_default(),
        };
        let changed = attributes.get(&name) != value.as_ref();
        match value {
            Some(value) => drop(attributes.insert(name.clone(), value)),
            None => drop(attributes.remove(&name)),
        }
        self.changes += u64::from(changed && self.reach(&name) == Some(Reach::Scheduler));
    }

    /// Whether an attribute matters to the scheduler, if it was ever set.
    fn reach(&self, name: &str) -> Option<Reach> {
        self.known.get(name).copied()
    }

    /// Whether the CIB is changed if an attribute of a node gets this value.
    pub(super) fn is_change(&self, node: &NodeName, name: &str, value: Option<&str>, reach: Reach) -> bool {
        self.reach(name).unwrap_or(reach) == Reach::Scheduler && self.transient(node, name) != value
    }

    pub fn back_up(&self) -> Backup {
        Backup { properties: self.properties.clone(), permanent: self.permanent.clone() }
    }

    pub fn restore(&mut self, backup: Backup) {
        (self.properties, self.permanent) = (backup.properties, backup.permanent);
        self.changes += 1;
    }
}

/// A property gets its value, or is removed.
pub(super) fn put(state: &mut State, me: usize, name: &str, value: Option<&str>) {
    log!(state, "{} sets {name} to {}", state.nodes[me].name, value.unwrap_or("nothing"));
    if state.planted == Some(Planted::PromisesTooLate) && name == Property::Synchronous.of(RESOURCE) {
        // A late property is also late when it is set in two steps.
        let still = state.information.withheld.take().filter(|it| it.by == me && it.until > state.now);
        let now = state.information.properties.get(name).cloned();
        let before = still.map_or(now, |still| still.before);
        let until = state.now + Duration::from_secs(10);
        state.information.withheld = Some(Withheld { by: me, until, before });
    }
    if state.planted == Some(Planted::OldRecordStays) && name == Property::Promotions.of(RESOURCE) {
        let system = |text: Option<&str>| text.and_then(|text| text.parse::<Record>().ok()).and_then(|it| it.system());
        let known = system(state.information.properties.get(name).map(String::as_str));
        if known.is_some() && known != system(value) {
            return;
        }
    }
    match value {
        Some(value) => drop(state.information.properties.insert(name.to_owned(), value.to_owned())),
        None => drop(state.information.properties.remove(name)),
    }
    let record = value.filter(|_| name == Property::Promotions.of(RESOURCE)).and_then(|text| text.parse().ok());
    let counts = |last: &&Promotion| Some(last.timeline) >= state.overruled;
    let last = record.and_then(|record: Record| record.last().filter(counts).cloned());
    state.recorded = last.or(state.recorded.take());
    if name == Property::Promotions.of(RESOURCE) {
        (state.on_record)(state, me);
    }
    let ordered = state.information.properties.get(&Property::Order.of(RESOURCE));
    let ordered = ordered.is_some_and(|node| *node == *state.nodes[me].name.as_str());
    if ordered && name == Property::Synchronous.of(RESOURCE) {
        // Promises start over, also if the promotion fails.
        state.acknowledged.clear();
    }
}
