//! Do all nodes hold the same, in the end?

use std::fmt;

use serde::Serialize;

/// One node's state and its contents of the client's tables.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct NodeState {
    /// The node.
    pub node: String,
    /// Is it a standby?
    pub in_recovery: bool,
    /// Which cluster its data belong to.
    pub system_identifier: i64,
    /// The timeline it writes to or receives; `None` for a standby that receives nothing.
    pub timeline: Option<u32>,
    /// Flushed on a primary, replayed on a standby, in bytes.
    pub lsn: u64,
    /// How many rows the tables hold.
    pub rows: i64,
    /// A digest of the tables' contents.
    pub digest: String,
}

/// All nodes, looked at once the standbys had replayed the primary's WAL, or had been waited for long enough.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Nodes {
    /// Each of them.
    pub states: Vec<NodeState>,
    /// Where the primary was when the wait began.
    pub target: u64,
}

/// One way in which nodes differ though they must not.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Difference {
    /// No node is the primary.
    NoPrimary,
    /// More than one node is a primary.
    SeveralPrimaries(Vec<String>),
    /// The node's data belong to another cluster.
    SystemIdentifier(String),
    /// The standby does not receive the primary's timeline.
    Timeline(String),
    /// The standby has not replayed all that the primary had.
    Behind(String),
    /// The node's tables differ from the primary's.
    Content(String),
}

impl fmt::Display for Difference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoPrimary => f.write_str("no node is a primary"),
            Self::SeveralPrimaries(nodes) => write!(f, "several nodes are primaries: {}", nodes.join(", ")),
            Self::SystemIdentifier(node) => write!(f, "{node} has another system identifier than the primary"),
            Self::Timeline(node) => write!(f, "{node} does not receive the primary's timeline"),
            Self::Behind(node) => write!(f, "{node} has not replayed all that the primary had"),
            Self::Content(node) => write!(f, "{node} holds other rows than the primary"),
        }
    }
}

impl Nodes {
    /// Everything in which the nodes differ; empty if they are one primary and its true copies.
    pub fn differences(&self) -> Vec<Difference> {
        let (standbys, primaries): (Vec<_>, Vec<_>) = self.states.iter().partition(|state| state.in_recovery);
        let [primary] = primaries[..] else {
            let names: Vec<String> = primaries.iter().map(|primary| primary.node.clone()).collect();
            return vec![if names.is_empty() { Difference::NoPrimary } else { Difference::SeveralPrimaries(names) }];
        };
        standbys.iter().filter_map(|standby| self.difference(standby, primary)).collect()
    }

    /// The first difference explains the later ones, so there is one for a standby at most.
    fn difference(&self, standby: &NodeState, primary: &NodeState) -> Option<Difference> {
        let node = standby.node.clone();
        if standby.system_identifier != primary.system_identifier {
            Some(Difference::SystemIdentifier(node))
        } else if standby.timeline != primary.timeline {
            Some(Difference::Timeline(node))
        } else if standby.lsn < self.target {
            Some(Difference::Behind(node))
        } else if (standby.rows, &standby.digest) != (primary.rows, &primary.digest) {
            Some(Difference::Content(node))
        } else {
            None
        }
    }
}
