//! What the primary does next about its promises: publish, apply a setting, or nothing.
//!
//! A change is always made in the same order: the new setting is published beside the old one, then applied, and the
//! old one is forgotten only when every node that could win holds what was acknowledged under it. Because *all* that is
//! published must be satisfied, this order is safe for a weaker setting and for a stronger one, and a primary that dies
//! between any two steps leaves behind a promise that covers both. Repeating a step changes nothing.

use std::collections::{BTreeMap, BTreeSet};
use std::num::NonZeroU32;

use super::published::Published;
use super::setting::SyncSetting;
use crate::location::Lsn;
use crate::node::NodeName;

/// The owner of `synchronous_standby_names`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Management {
    /// The DBA; we only publish what is in effect.
    Observed,
    /// The agent, from membership.
    Quorum {
        /// How many standbys should flush a commit before it is acknowledged.
        wanted: NonZeroU32,
        /// What happens when there are none.
        strictness: Strictness,
    },
}

/// What becomes of commits when no standby is streaming.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Strictness {
    /// They are acknowledged without one: available, and lost with the primary.
    Lenient,
    /// They wait until one is back.
    Strict,
}

/// What the primary knows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PrimaryFacts {
    /// Its name.
    pub primary: NodeName,
    /// The nodes of the cluster, the primary included or not.
    pub members: BTreeSet<NodeName>,
    /// What is published, by this primary or an earlier one; empty if nothing is.
    pub published: Published,
    /// The setting that every process of the primary uses, that is, read well after the last reload.
    pub effective: SyncSetting,
    /// A position in its WAL, read after `effective`.
    pub now: Lsn,
    /// Members that are streaming and have caught up, with what each has flushed on the primary's own timeline.
    pub flushed: BTreeMap<NodeName, Lsn>,
    /// The `application_name` of everybody that receives WAL and may be taken for a synchronous standby, members included.
    pub connected: BTreeSet<String>,
}

/// The next thing to do. When it has been done, look again.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Step {
    /// Make this visible to all nodes, and be sure that it is.
    Publish(Published),
    /// Set `synchronous_standby_names` to this and reload.
    Apply(SyncSetting),
    /// Nothing: what is in effect is what is wanted, and it is published.
    Nothing,
}

/// What the primary does next.
pub fn next_step(facts: &PrimaryFacts, management: Management) -> Step {
    let target = target(facts, management);
    let settled = target == facts.effective;
    let mut published = facts.published.clone();
    if !settled {
        published.open(&facts.primary, target.clone());
    }
    published.open(&facts.primary, facts.effective.clone());
    for guard in published.0.iter_mut().filter(|guard| guard.until.is_none() && guard.primary == facts.primary) {
        if guard.setting.has_wildcard() {
            guard.seen.extend(facts.connected.iter().cloned());
        }
    }
    if settled {
        published.close_others(facts.now);
        published.settle(&facts.flushed, &facts.members);
        // Its promise is closed by the next step only: by then the position is surely beyond what they have confirmed.
        let gone = gone(facts, &published);
        if !gone.is_empty() {
            published.leave_out(&gone);
        }
    }
    if published != facts.published {
        Step::Publish(published)
    } else if settled {
        Step::Nothing
    } else {
        Step::Apply(target)
    }
}

/// The strangers of the promise in effect that receive WAL no more. A node of the cluster may confirm commits whenever it is
/// back.
fn gone(facts: &PrimaryFacts, published: &Published) -> BTreeSet<String> {
    let is_member = |name: &str| facts.members.iter().any(|node| node.as_str().eq_ignore_ascii_case(name));
    let seen = published.0.first().map(|guard| guard.seen.clone()).unwrap_or_default();
    seen.difference(&facts.connected).filter(|name| !is_member(name)).cloned().collect()
}

/// What a node that has won an election does before it is promoted: apply the setting, then publish, both on its own.
///
/// The facts are its own: `effective` is what its configuration says now, `flushed` are the other voters' positions.
/// Nothing else will have been published in its name when it starts to acknowledge commits.
pub fn before_promotion(facts: &PrimaryFacts, management: Management) -> (SyncSetting, Published) {
    let setting = target(facts, management);
    let published = facts.published.clone().succeeded_by(&facts.primary, setting.clone());
    (setting, published)
}

/// The setting that suits the standbys there are: as many of them as wanted, or as there are.
///
/// Only standbys that are streaming are named, because each name that cannot vote raises the number of votes needed.
/// Strictly without one, the setting in effect stays: commits wait, and a node that holds the last ones can be promoted.
fn target(facts: &PrimaryFacts, management: Management) -> SyncSetting {
    let Management::Quorum { wanted, strictness } = management else { return facts.effective.clone() };
    let others: Vec<_> = facts.members.iter().filter(|node| **node != facts.primary).collect();
    let streaming: Vec<_> = others.iter().filter(|node| facts.flushed.contains_key(**node)).collect();
    let available = u32::try_from(streaming.len()).unwrap_or(u32::MAX);
    match (NonZeroU32::new(wanted.get().min(available)), strictness) {
        (Some(required), _) => SyncSetting::any(required, streaming.iter().map(|node| node.as_str())),
        (None, Strictness::Lenient) => SyncSetting::Off,
        (None, Strictness::Strict) if facts.effective != SyncSetting::Off => facts.effective.clone(),
        // In a cluster of one node its own name stands in: no standby has it, so commits wait.
        (None, Strictness::Strict) if others.is_empty() => SyncSetting::any(NonZeroU32::MIN, [facts.primary.as_str()]),
        (None, Strictness::Strict) => SyncSetting::any(NonZeroU32::MIN, others.iter().map(|node| node.as_str())),
    }
}
