//! What a primary publishes about its slots.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::str::FromStr;

use super::{CLOSE, Slot, name_of};
use crate::location::{Lsn, Timeline};
use crate::node::NodeName;

/// From where on each node may need WAL, by the primary of a timeline.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Positions {
    /// The primary's timeline.
    pub timeline: Timeline,
    /// The primary itself, should it come back as a standby, and every node for which it keeps a slot.
    pub nodes: BTreeMap<NodeName, Lsn>,
}

/// Text that says nothing about slots.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} says nothing about slots, as 5 srv1=0/5000060 does")]
pub struct BadPositions(pub String);

impl Positions {
    /// What the primary `me` with these slots publishes. Empty if it has no slots.
    pub fn new(me: &NodeName, timeline: Timeline, redo: Lsn, nodes: &BTreeSet<NodeName>, slots: &[Slot]) -> Self {
        let position = |node: &NodeName| {
            let slot = slots.iter().find(|slot| slot.name == name_of(node) && !slot.lost)?;
            Some((node.clone(), slot.restart?))
        };
        let others: BTreeMap<_, _> = nodes.iter().filter(|node| *node != me).filter_map(position).collect();
        let me = (me.clone(), redo);
        Self { timeline, nodes: if others.is_empty() { others } else { others.into_iter().chain([me]).collect() } }
    }

    /// Whether this is worth publishing, where `known` was published before.
    pub fn is_news(&self, known: Option<&Positions>) -> bool {
        let Some(known) = known.filter(|known| known.timeline == self.timeline) else { return true };
        let moved = |(node, lsn): (&NodeName, &Lsn)| {
            known.nodes.get(node).is_none_or(|known| lsn.bytes_after(*known) >= CLOSE || lsn < known)
        };
        self.nodes.len() != known.nodes.len() || self.nodes.iter().any(moved)
    }

    /// Of what all nodes have published, the newest primary's; none if that is `me`, which is not the primary any more.
    pub fn newest(me: &NodeName, published: BTreeMap<NodeName, Positions>) -> Option<Positions> {
        let newest = published.into_iter().max_by_key(|(_, positions)| positions.timeline)?;
        (newest.0 != *me).then_some(newest.1)
    }
}

/// `5 srv1=0/5000060 srv2=0/5000000`.
impl fmt::Display for Positions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.timeline)?;
        self.nodes.iter().try_for_each(|(node, lsn)| write!(f, " {node}={lsn}"))
    }
}

impl FromStr for Positions {
    type Err = BadPositions;

    fn from_str(text: &str) -> Result<Self, BadPositions> {
        let mut words = text.split_whitespace();
        let position = |word: &str| {
            let (node, lsn) = word.rsplit_once('=')?;
            Some((NodeName::new(node), lsn.parse().ok()?))
        };
        let timeline = words.next().and_then(|timeline| timeline.parse().ok()).map(Timeline);
        let nodes = words.map(position).collect::<Option<_>>();
        timeline
            .zip(nodes)
            .map(|(timeline, nodes)| Self { timeline, nodes })
            .ok_or_else(|| BadPositions(text.chars().take(200).collect()))
    }
}
