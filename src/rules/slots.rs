//! Physical replication slots: one for each other node, on every node, so that the promoted node still has the WAL that
//! its standbys need.
//!
//! The primary decides which node has a slot, from what the nodes say of themselves ([`Wish`]), and publishes how far each has come
//! ([`Positions`]). A standby keeps the same slots and moves them on, so that they hold back no more WAL than the primary's.

mod name;
mod positions;

#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use crate::location::Lsn;
use crate::node::NodeName;
use crate::parameters::Slots;

pub use name::{is_ours, name_of};
pub use positions::Positions;

/// Differences below one default WAL segment are ignored, so that attributes do not change with every transaction.
const CLOSE: u64 = 16 << 20;

/// A physical slot of ours.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Slot {
    /// Its name.
    pub name: String,
    /// The WAL from here on is kept.
    pub restart: Option<Lsn>,
    /// A standby streams from it now.
    pub active: bool,
    /// The WAL is gone, and with it the use of the slot.
    pub lost: bool,
}

/// What a server is set up for.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Setup {
    /// It reads our configuration file.
    pub reads_our_file: bool,
    /// `primary_slot_name`.
    pub slot: String,
    /// Whether slots hold back a bounded amount of WAL; nothing before PostgreSQL 13, which knows no bound.
    pub bounded: Option<bool>,
    /// Where recovery would begin after a crash: older WAL is kept for slots only.
    pub redo: Lsn,
    /// Our slots.
    pub slots: Vec<Slot>,
}

/// What a node says about the slot that others are to keep for it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Wish {
    /// It uses one.
    Slot,
    /// It uses none.
    NoSlot,
}

impl Wish {
    /// As the text of an attribute.
    pub fn as_str(self) -> &'static str {
        match self {
            Wish::Slot => "on",
            Wish::NoSlot => "off",
        }
    }

    /// What an attribute says; anything else is not a wish.
    pub fn read(text: &str) -> Option<Self> {
        [Wish::Slot, Wish::NoSlot].into_iter().find(|wish| wish.as_str() == text)
    }
}

/// One change to the slots of a server.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Step {
    /// Make it, and keep the WAL from now on.
    Create(String),
    /// Make it anew: it is lost.
    Recreate(String),
    /// Let go of the WAL before a position.
    Advance(String, Lsn),
    /// Remove it.
    Drop(String),
}

impl fmt::Display for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Step::Create(name) => write!(f, "create {name}"),
            Step::Recreate(name) => write!(f, "create {name} anew, whose WAL is gone"),
            Step::Advance(name, lsn) => write!(f, "advance {name} to {lsn}"),
            Step::Drop(name) => write!(f, "drop {name}"),
        }
    }
}

/// Whether this server keeps slots for others.
pub fn keeps(mode: Slots, setup: &Setup) -> bool {
    match mode {
        Slots::Off => false,
        Slots::On => setup.bounded.is_some(),
        Slots::Auto => setup.bounded == Some(true),
    }
}

/// Whether this server is to stream from a slot of ours. A slot that the DBA has named is left alone, unless ours are
/// asked for.
pub fn uses(mode: Slots, setup: &Setup) -> bool {
    let free = setup.slot.is_empty() || is_ours(&setup.slot) || mode == Slots::On;
    keeps(mode, setup) && setup.reads_our_file && free
}

/// What a primary does with its slots, for `nodes` with their wishes; a configured node that is down has none. Nothing is
/// done to a slot that is in use, or that is not ours.
pub fn on_primary(
    me: &NodeName,
    keeps: bool,
    nodes: &BTreeSet<NodeName>,
    wishes: &BTreeMap<NodeName, Wish>,
    slots: &[Slot],
) -> Vec<Step> {
    let others = || nodes.iter().filter(|node| *node != me && keeps);
    let wanted = others().filter(|node| wishes.get(node) == Some(&Wish::Slot)).map(|node| (name_of(node), None));
    let spared = others().filter(|node| wishes.get(node) != Some(&Wish::NoSlot)).map(name_of);
    steps(&wanted.collect(), &spared.collect(), slots)
}

/// What a standby does with its slots so that they are those that the primary has published.
pub fn on_standby(me: &NodeName, positions: &Positions, slots: &[Slot]) -> Vec<Step> {
    let others = positions.nodes.iter().filter(|(node, _)| *node != me);
    let wanted: BTreeMap<_, _> = others.map(|(node, lsn)| (name_of(node), Some(*lsn))).collect();
    steps(&wanted, &wanted.keys().cloned().collect(), slots)
}

/// What a server does with its slots that keeps none any more.
pub fn unused(slots: &[Slot]) -> Vec<Step> {
    steps(&BTreeMap::new(), &BTreeSet::new(), slots)
}

fn steps(wanted: &BTreeMap<String, Option<Lsn>>, spared: &BTreeSet<String>, slots: &[Slot]) -> Vec<Step> {
    let mut steps = Vec::new();
    for (name, position) in wanted {
        match (slots.iter().find(|slot| slot.name == *name), position) {
            (None, _) => steps.push(Step::Create(name.clone())),
            (Some(slot), _) if slot.active => {}
            (Some(Slot { lost: true, .. } | Slot { restart: None, .. }), _) => steps.push(Step::Recreate(name.clone())),
            (Some(Slot { restart: Some(restart), .. }), Some(position)) if position > restart => {
                steps.push(Step::Advance(name.clone(), *position));
            }
            (Some(_), _) => {}
        }
    }
    let unwanted = slots.iter().filter(|slot| is_ours(&slot.name) && !slot.active && !spared.contains(&slot.name));
    steps.extend(unwanted.map(|slot| Step::Drop(slot.name.clone())));
    steps
}

/// Whether a standby has to look what the primary has published: a slot is missing, lost, or holds back WAL that nothing
/// else needs; it streams from none where it should, or the other way round.
pub fn is_due(mode: Slots, setup: &Setup) -> bool {
    let Setup { slot, slots, redo, .. } = setup;
    if !uses(mode, setup) {
        return is_ours(slot) || slots.iter().any(|slot| !slot.active) || (mode == Slots::On && !setup.reads_our_file);
    }
    let behind = |slot: &Slot| slot.restart.is_none_or(|restart| redo.bytes_after(restart) > CLOSE);
    !is_ours(slot) || slots.is_empty() || slots.iter().any(|slot| !slot.active && (slot.lost || behind(slot)))
}

/// The `primary_slot_name` that a standby should have; none if it should stay as it is. The primary's is not known before it
/// has published something.
pub fn slot_to_use(me: &NodeName, uses: bool, positions: Option<&Positions>, now: &str) -> Option<String> {
    let name = name_of(me);
    let wanted = match positions {
        _ if !uses => String::new(),
        None => return None,
        Some(positions) if positions.nodes.contains_key(me) => name,
        Some(_) => String::new(),
    };
    // What is not ours is the DBA's, unless ours takes its place.
    (wanted != now && (is_ours(now) || !wanted.is_empty())).then_some(wanted)
}
