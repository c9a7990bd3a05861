//! Whether a switchover may begin, to whom, and what it costs: the preflight of `pgsqlms switchover`.

mod plan;
#[cfg(test)]
mod tests;
pub mod watch;

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use crate::location::Lsn;
use crate::node::NodeName;
use crate::rules::bars::Bar;
use crate::rules::fitness::Fitness;
use crate::rules::overview::{Cluster, Member};
use crate::rules::status::Role;
use crate::rules::synchronous::waiting::Waiting;
use crate::score::Score;

pub use plan::{hindrances, preflight};

/// What was seen before a switchover.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Facts {
    /// What Pacemaker knows.
    pub cluster: Cluster,
    /// Pacemaker has nothing left to do.
    pub is_idle: bool,
    /// Why nodes must not be promoted, by what the cluster's configuration says.
    pub barred: BTreeMap<NodeName, Bar>,
    /// What standbys say about themselves.
    pub fitness: BTreeMap<NodeName, Fitness>,
    /// The constraints that earlier commands have left, and that are in force.
    pub leftovers: BTreeSet<String>,
    /// A lasting constraint prefers some node as the primary.
    pub has_preference: bool,
    /// The node that a person wants.
    pub wanted: Option<NodeName>,
    /// What the instances say of themselves, as far as they were reached.
    pub instances: BTreeMap<NodeName, Instance>,
    /// What goes on at the primary; nothing where it is not this node.
    pub load: Option<Load>,
}

/// What an instance says of itself.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Instance {
    /// Its timeline.
    pub timeline: Option<u32>,
    /// Where it writes, or how far it has received.
    pub lsn: Option<Lsn>,
    /// What commits would wait for if it were the primary.
    pub synchronous: Option<String>,
}

/// What goes on at the primary.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Load {
    /// Clients' sessions.
    pub sessions: u64,
    /// The age of the oldest transaction, in seconds.
    pub oldest: u64,
    /// Prepared transactions.
    pub prepared: u64,
    /// The archiver's last attempt has failed.
    pub archiver_fails: bool,
    /// Commits that wait for a standby.
    pub waiting: Waiting,
    /// The names of the standbys that stream from it.
    pub streaming: BTreeSet<String>,
}

/// How a line of the plan counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Weight {
    /// It is as it should be.
    Ok,
    /// A person should know.
    Warning,
    /// Nothing is done.
    Refusal,
    /// What is to be expected.
    Expectation,
}

impl fmt::Display for Weight {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Weight::Ok => "ok",
            Weight::Warning => "warn",
            Weight::Refusal => "refused",
            Weight::Expectation => "expect",
        })
    }
}

/// One line of the plan.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Line {
    /// How it counts.
    pub weight: Weight,
    /// What it says.
    pub text: String,
}

/// What is to become of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict {
    /// This node is the primary already.
    Already(NodeName),
    /// Nothing is done, for these reasons.
    Refused(Vec<Line>),
    /// It may begin.
    Planned(Plan),
}

/// A switchover that may begin.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Plan {
    /// The primary.
    pub from: NodeName,
    /// The standby that is to be promoted.
    pub to: NodeName,
    /// The standbys that are to follow it.
    pub followers: BTreeSet<NodeName>,
    /// The present timeline, if it is known.
    pub timeline: Option<u32>,
    /// What was found.
    pub lines: Vec<Line>,
}

impl Facts {
    /// The nodes with this role, by Pacemaker.
    pub fn with_role(&self, role: Role) -> Vec<&NodeName> {
        let members = self.cluster.nodes.iter().filter(|(_, member)| member.role == Some(role));
        members.map(|(node, _)| node).collect()
    }

    /// The promotion score of a node.
    fn score(&self, node: &NodeName) -> Option<Score> {
        self.cluster.nodes.get(node)?.score.as_ref()?.parse().ok()
    }

    /// What Pacemaker knows of a node.
    fn member(&self, node: &NodeName) -> Option<&Member> {
        self.cluster.nodes.get(node)
    }

    /// How many bytes `node` has not received of what `primary` has written; nothing where one of them was not reached.
    fn behind(&self, primary: &NodeName, node: &NodeName) -> Option<u64> {
        let lsn = |node| self.instances.get(node)?.lsn;
        Some(lsn(primary)?.0.saturating_sub(lsn(node)?.0))
    }
}
