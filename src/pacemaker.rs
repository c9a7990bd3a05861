//! What the agent asks of the cluster.

pub mod cib;
pub mod tools;

use std::collections::{BTreeMap, BTreeSet};

use crate::command::CommandError;
use crate::node::NodeName;
use cib::Cib;

/// The cluster, as far as an agent needs it.
///
/// Attribute names are the full ones, with the resource in them; see [`Attribute`].
pub trait Pacemaker {
    /// Whether Pacemaker runs on this node at all.
    fn is_running(&mut self) -> bool;

    /// An attribute's value on each node that has one.
    ///
    /// # Errors
    ///
    /// When the cluster does not answer; that no node has a value is an empty map.
    fn attributes(&mut self, name: &str) -> Result<BTreeMap<NodeName, String>, PacemakerError>;

    /// Sets an attribute of a node until the node leaves the cluster.
    ///
    /// # Errors
    ///
    /// When the cluster does not take it.
    fn set_attribute(&mut self, name: &str, node: &NodeName, value: &str, reach: Reach) -> Result<(), PacemakerError>;

    /// Writes every attribute that the scheduler sees to the CIB once more. When a daemon is restarted, the CIB loses those of
    /// its node, while the attribute daemons of the other nodes may remember them: then to set the same value again does nothing.
    ///
    /// # Errors
    ///
    /// When the cluster does not take it.
    fn resend_attributes(&mut self) -> Result<(), PacemakerError>;

    /// Removes an attribute of a node; it need not be there.
    ///
    /// # Errors
    ///
    /// When the cluster does not take it.
    fn delete_attribute(&mut self, name: &str, node: &NodeName) -> Result<(), PacemakerError>;

    /// Everything that the cluster's configuration and status say about this resource's nodes, in one question.
    ///
    /// # Errors
    ///
    /// When the cluster does not answer.
    fn cib(&mut self) -> Result<Cib, PacemakerError>;

    /// Sets one of the agent's own cluster properties, which outlive every node; removes it if there is no value.
    ///
    /// # Errors
    ///
    /// When the cluster does not take it.
    fn set_property(&mut self, name: &str, value: Option<&str>) -> Result<(), PacemakerError>;

    /// Makes Pacemaker forget the failures of the resource `instance`, which may keep it from being promoted.
    ///
    /// # Errors
    ///
    /// When the cluster does not answer.
    fn clean_up(&mut self, instance: &str) -> Result<(), PacemakerError>;

    /// Removes a permanent attribute of a node; it need not be there.
    ///
    /// # Errors
    ///
    /// When the cluster does not take it.
    fn delete_permanent_attribute(&mut self, name: &str, node: &NodeName) -> Result<(), PacemakerError>;

    /// The nodes in this partition of the cluster.
    ///
    /// # Errors
    ///
    /// When the cluster does not answer.
    fn members(&mut self) -> Result<BTreeSet<NodeName>, PacemakerError>;
}

/// Whether an attribute is the scheduler's business.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reach {
    /// Seen by everybody; a new value makes the scheduler think again.
    Scheduler,
    /// Passed between the agents only.
    Private,
}

/// The attributes that one resource keeps on each node.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Attribute {
    /// The promotion score, named as Pacemaker names it.
    Score,
    /// How far a node's WAL reaches: its vote in the election. PAF's name.
    Vote,
    /// Whether the node streams from a replication slot that the others keep for it.
    Slot,
    /// How far the slots of a primary have come.
    Slots,
    /// The logical slots that a primary keeps, or that a standby has and lacks.
    Logical,
    /// The divergence that hooks have been told of.
    Diverged,
}

impl Attribute {
    /// The attribute's name for the resource `instance`.
    pub fn of(self, instance: &str) -> String {
        match self {
            Attribute::Score => format!("master-{instance}"),
            Attribute::Vote => format!("lsn_location-{instance}"),
            Attribute::Slot => format!("pgsqlms-slot-{instance}"),
            Attribute::Slots => format!("pgsqlms-slots-{instance}"),
            Attribute::Logical => format!("pgsqlms-logical-{instance}"),
            Attribute::Diverged => format!("pgsqlms-diverged-{instance}"),
        }
    }
}

/// What one resource keeps in the cluster's configuration, where it outlives every node.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Property {
    /// The promotions so far: [`crate::record::Record`].
    Promotions,
    /// What the primary promised about synchronous replication: [`crate::rules::synchronous::Published`].
    Synchronous,
    /// The node that an operator wants to be promoted whatever is lost.
    Order,
}

impl Property {
    /// The property's name for the resource `instance`.
    pub fn of(self, instance: &str) -> String {
        let name = match self {
            Property::Promotions => "promotions",
            Property::Synchronous => "synchronous",
            Property::Order => "promote-anyway",
        };
        format!("pgsqlms-{instance}-{name}")
    }
}

/// The permanent node attribute by which an operator keeps a node from being promoted: `true`.
pub const NO_FAILOVER: &str = "pgsqlms-nofailover";

/// The permanent node attribute that decides between nodes that hold the same: a number, the greater the better.
pub const PRIORITY: &str = "pgsqlms-priority";

/// The permanent node attribute that says where a node's instance is reached, if not by the node's name.
pub const ADDRESS: &str = "pgsqlms-address";

/// The permanent node attribute that says at which port, if not at that of `primary_conninfo`.
pub const PORT: &str = "pgsqlms-port";

/// The cluster did not do what it was asked.
#[derive(Debug, thiserror::Error)]
pub enum PacemakerError {
    /// Its tool failed.
    #[error(transparent)]
    Tool(#[from] CommandError),
    /// Its tool's output was not understood.
    #[error("cannot read what {tool} printed: {why}")]
    Output {
        /// The tool.
        tool: &'static str,
        /// What is wrong with it.
        why: String,
    },
}
