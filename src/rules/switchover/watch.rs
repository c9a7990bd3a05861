//! How far a switchover is, from what is seen of the nodes again and again.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use super::Plan;
use crate::node::NodeName;
use crate::rules::overview::Member;
use crate::rules::status::Role;
use crate::score::Score;

/// What is seen of an instance at a moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Sight {
    /// It accepts writes.
    Writable,
    /// It runs as a standby.
    Standby {
        /// The timeline that it has received, if it says.
        timeline: Option<u32>,
    },
    /// It runs as a standby, and the primary ranks it among those that stream.
    Ranked,
    /// It does not answer.
    Silent,
}

/// What Pacemaker says of a node whose instance cannot be reached from here.
pub fn by_pacemaker(member: Option<&Member>) -> Sight {
    let score = member.and_then(|member| member.score.as_ref()?.parse::<Score>().ok());
    match member.and_then(|member| member.role) {
        None => Sight::Silent,
        Some(Role::Primary) => Sight::Writable,
        // A score of the primary's is what it had before it was demoted.
        Some(Role::Standby) if score.is_some_and(|it| it.allows_promotion() && it < Score::PRIMARY) => Sight::Ranked,
        Some(Role::Standby) => Sight::Standby { timeline: None },
    }
}

/// What is seen of all of them.
pub type Moment = BTreeMap<NodeName, Sight>;

/// How it ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum End {
    /// The target is the primary, and the others follow it.
    Done,
    /// Another node is the primary, after a demotion.
    Other(NodeName),
}

/// What was seen so far.
#[derive(Debug, Clone)]
pub struct Watch {
    plan: Plan,
    /// When the old primary was last seen to accept writes.
    last_write: Duration,
    /// When it was first seen not to.
    demoted: Option<Duration>,
    /// It was seen as a standby.
    is_standby: bool,
    /// When the new primary was first seen to accept writes.
    promoted: Option<Duration>,
    /// Its timeline.
    timeline: Option<u32>,
    /// The standbys that follow it.
    following: BTreeSet<NodeName>,
}

impl Watch {
    /// Begins at the time `now`, when the old primary accepts writes.
    pub fn new(plan: Plan, now: Duration) -> Self {
        Self {
            plan,
            last_write: now,
            demoted: None,
            is_standby: false,
            promoted: None,
            timeline: None,
            following: BTreeSet::new(),
        }
    }

    /// The node that is to be the primary.
    pub fn target(&self) -> &NodeName {
        &self.plan.to
    }

    /// Takes note of the state seen at the time `now`; returns the lines to print.
    pub fn see(&mut self, now: Duration, moment: &Moment, new_timeline: Option<u32>) -> Vec<String> {
        let mut lines = Vec::new();
        let Plan { from, to, .. } = self.plan.clone();
        match moment.get(&from) {
            Some(Sight::Writable) if self.promoted.is_none() => self.last_write = now,
            Some(Sight::Silent | Sight::Standby { .. } | Sight::Ranked) if self.demoted.is_none() => {
                self.demoted = Some(now);
                lines.push(format!("{from} accepts no writes any more"));
            }
            _ => {}
        }
        if matches!(moment.get(&from), Some(Sight::Standby { .. } | Sight::Ranked)) && !self.is_standby {
            self.is_standby = true;
            lines.push(format!("{from} runs as a standby"));
        }
        if moment.get(&to) == Some(&Sight::Writable) {
            self.timeline = self.timeline.max(new_timeline);
            if self.promoted.is_none() {
                self.promoted = Some(now);
                let timeline = new_timeline.map_or(String::new(), |timeline| format!(", timeline {timeline}"));
                lines.push(format!("{to} accepts writes{timeline}"));
            }
        }
        if self.promoted.is_some() {
            let new = self.plan.followers.difference(&self.following).filter(|node| self.follows(moment.get(*node)));
            let new: Vec<NodeName> = new.cloned().collect();
            lines.extend(new.iter().map(|node| format!("{node} follows {to}")));
            self.following.extend(new);
        }
        lines
    }

    /// Whether an instance has received WAL of the new primary.
    fn follows(&self, sight: Option<&Sight>) -> bool {
        match (sight, self.timeline) {
            (Some(Sight::Standby { timeline: Some(theirs) }), Some(new)) => *theirs >= new,
            (Some(Sight::Ranked), _) => true,
            _ => false,
        }
    }

    /// How it has ended, if it has.
    pub fn end(&self, moment: &Moment) -> Option<End> {
        if self.promoted.is_some() {
            let all = self.plan.followers.iter().all(|node| self.following.contains(node));
            return all.then_some(End::Done);
        }
        let writes = moment.iter().filter(|(_, sight)| **sight == Sight::Writable).map(|(node, _)| node);
        let mut others = writes.filter(|node| **node != self.plan.to);
        // The old primary accepts writes until it is demoted; afterwards it has been promoted again.
        others.find(|node| **node != self.plan.from || self.is_standby).map(|node| End::Other(node.clone()))
    }

    /// How long no node accepted writes, as seen from here, in milliseconds.
    pub fn outage(&self) -> Option<u128> {
        Some(self.promoted?.saturating_sub(self.last_write).as_millis())
    }

    /// Where it stands.
    pub fn stands(&self) -> String {
        let Plan { from, to, followers, .. } = &self.plan;
        let missing: Vec<&str> =
            followers.iter().filter(|node| !self.following.contains(*node)).map(NodeName::as_str).collect();
        match (self.promoted, self.demoted) {
            (Some(_), _) if missing.is_empty() => format!("{to} is the primary"),
            (Some(_), _) => format!("{to} is the primary; not seen to follow it: {}", missing.join(", ")),
            (None, Some(_)) => format!("{from} has been demoted, and {to} is not the primary yet"),
            (None, None) => format!("{from} is still the primary"),
        }
    }
}
