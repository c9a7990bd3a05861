//! What the agent asks of the cluster.

pub mod attributes;
pub mod cib;
pub mod configuration;
mod constraints;
mod crm_mon;
pub mod moves;
pub mod parameters;
mod plan;
mod quorum;
pub mod resources;
mod roles;
pub mod tools;
mod tree;

use std::collections::{BTreeMap, BTreeSet};

use crate::command::CommandError;
use crate::node::NodeName;
use crate::rules::candidates::Roles;
use crate::rules::ended::Seen;
use cib::Cib;

/// The cluster, as far as an agent needs it.
///
/// Attribute names are the full ones, with the resource in them; see [`Attribute`].
pub trait Pacemaker {
    /// Whether Pacemaker runs on this node at all.
    fn is_running(&mut self) -> bool;

    /// What systemd does with Pacemaker when the kernel kills a process for its memory (`OOMPolicy`), where systemd runs it.
    fn oom_policy(&mut self) -> Option<String> {
        None
    }

    /// Whether the machine is shut down.
    fn machine_stops(&mut self) -> bool {
        false
    }

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

    /// Removes an attribute of a node; it need not be there. The first process that mentions an attribute, even to remove it,
    /// decides for all nodes whether it is private (`attrd_create_attribute` in Pacemaker's `attrd_attributes.c`), until no
    /// attribute daemon is left.
    ///
    /// # Errors
    ///
    /// When the cluster does not take it.
    fn delete_attribute(&mut self, name: &str, node: &NodeName, reach: Reach) -> Result<(), PacemakerError>;

    /// Everything that the cluster's configuration and status say about this resource's nodes, in one question.
    ///
    /// # Errors
    ///
    /// When the cluster does not answer.
    fn cib(&mut self) -> Result<Cib, PacemakerError>;

    /// Which nodes have the role of the primary for the resource `instance`, and whether Pacemaker has anything left to do.
    /// It costs three processes.
    ///
    /// # Errors
    ///
    /// When the cluster does not answer.
    fn roles(&mut self, instance: &str) -> Result<Roles, PacemakerError>;

    /// The parameters of a primitive resource; none if there is no such resource.
    ///
    /// # Errors
    ///
    /// When the cluster does not answer.
    fn parameters(&mut self, resource: &str) -> Result<Option<BTreeMap<String, String>>, PacemakerError>;

    /// Sets one of the agent's own cluster properties, which outlive every node; removes it if there is no value.
    ///
    /// # Errors
    ///
    /// When the cluster does not take it.
    fn set_property(&mut self, name: &str, value: Option<&str>) -> Result<(), PacemakerError>;

    /// Sets several of the agent's own cluster properties at once, so that Pacemaker computes its transition anew only once.
    ///
    /// # Errors
    ///
    /// When the cluster does not take them.
    fn set_properties(&mut self, properties: &[(String, String)]) -> Result<(), PacemakerError>;

    /// Makes Pacemaker forget the failures of the resource `instance`, which may keep it from being promoted.
    ///
    /// # Errors
    ///
    /// When the cluster does not answer.
    fn clean_up(&mut self, instance: &str) -> Result<(), PacemakerError>;

    /// The state of the resource's instance on `node`; nothing where Pacemaker does not know that node.
    ///
    /// # Errors
    ///
    /// When the cluster does not answer.
    fn sees(&mut self, instance: &str, node: &NodeName) -> Result<Option<Seen>, PacemakerError>;

    /// Reports that the instance of the resource on `node` has failed: it recovers that as if a monitor had found it.
    ///
    /// # Errors
    ///
    /// When the cluster does not take it.
    fn report_failure(&mut self, instance: &str, node: &NodeName) -> Result<(), PacemakerError>;

    /// Sets a permanent attribute of a node, which counts where no other of that name is in force.
    ///
    /// # Errors
    ///
    /// When the cluster does not take it.
    fn set_permanent_attribute(&mut self, name: &str, node: &NodeName, value: &str) -> Result<(), PacemakerError>;

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

    /// Whether this partition has quorum.
    ///
    /// # Errors
    ///
    /// When the cluster does not answer.
    fn is_quorate(&mut self) -> Result<bool, PacemakerError>;
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
    /// The divergence for which hooks have been run.
    Diverged,
    /// What would make a promotion of the node fail: [`crate::rules::fitness::Fitness`].
    Fitness,
    /// The question of a primary that no election made: how far the others' WAL reaches.
    Question,
    /// The answer to that question.
    Answer,
    /// How far the WAL of an instance reaches that was stopped cleanly.
    Left,
}

impl Attribute {
    /// All of them, in the order of their definition.
    pub const ALL: [Attribute; Attribute::Left as usize + 1] = [
        Attribute::Score,
        Attribute::Vote,
        Attribute::Slot,
        Attribute::Slots,
        Attribute::Logical,
        Attribute::Diverged,
        Attribute::Fitness,
        Attribute::Question,
        Attribute::Answer,
        Attribute::Left,
    ];

    /// Whose business it is. What the scheduler sees is in the CIB, where each change stops the transition that goes on.
    pub fn reach(self) -> Reach {
        match self {
            Attribute::Score | Attribute::Slot | Attribute::Logical | Attribute::Fitness => Reach::Scheduler,
            Attribute::Vote
            | Attribute::Slots
            | Attribute::Diverged
            | Attribute::Question
            | Attribute::Answer
            | Attribute::Left => Reach::Private,
        }
    }

    /// The attribute's name for the resource `instance`.
    pub fn of(self, instance: &str) -> String {
        match self {
            Attribute::Score => format!("master-{instance}"),
            Attribute::Vote => format!("lsn_location-{instance}"),
            Attribute::Slot => format!("pgsqlms-slot-{instance}"),
            Attribute::Slots => format!("pgsqlms-slots-{instance}"),
            Attribute::Logical => format!("pgsqlms-logical-{instance}"),
            Attribute::Diverged => format!("pgsqlms-diverged-{instance}"),
            Attribute::Fitness => format!("pgsqlms-fitness-{instance}"),
            Attribute::Question => format!("pgsqlms-question-{instance}"),
            Attribute::Answer => format!("pgsqlms-answer-{instance}"),
            Attribute::Left => format!("pgsqlms-left-{instance}"),
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
    /// The node that an operator wants to be promoted at the price of losing commits.
    Order,
    /// When that was ordered, in seconds since 1970, and by whom: [`crate::rules::promotion::in_force`].
    OrderedAt,
    /// When an operator has had the promotions forgotten, in seconds since 1970: what nodes remember of them from before then
    /// does not count.
    Forgotten,
}

impl Property {
    /// The property's name for the resource `instance`.
    pub fn of(self, instance: &str) -> String {
        let name = match self {
            Property::Promotions => "promotions",
            Property::Synchronous => "synchronous",
            Property::Order => "promote-anyway",
            Property::OrderedAt => "promote-anyway-at",
            Property::Forgotten => "forgotten",
        };
        format!("pgsqlms-{instance}-{name}")
    }
}

/// The property that says how far the WAL of `node` reaches, which was stopped cleanly: it outlives that node's attributes.
pub fn left_of(instance: &str, node: &NodeName) -> String {
    format!("pgsqlms-{instance}-left-{node}")
}

/// The permanent node attribute by which an operator keeps a node from being promoted: `true`.
pub const NO_FAILOVER: &str = "pgsqlms-nofailover";

/// Pacemaker's own node attribute for a node on which it is to start, stop and promote nothing.
pub const MAINTENANCE: &str = "maintenance";

/// Pacemaker's own node attribute for a node on which it is to run nothing.
pub const STANDBY: &str = "standby";

/// The permanent node attribute that decides between nodes that hold the same: a number, the greater the better.
pub const PRIORITY: &str = "pgsqlms-priority";

/// The permanent node attribute by which an operator accepts that this node, as the primary, acknowledges commits that a failover
/// may lose: `true`. It ends the warnings about that, and nothing else.
pub const ACCEPTS_LOSS: &str = "pgsqlms-accepts-loss";

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
    /// Which parameters a resource has on this node is not ours to say.
    #[error("give the parameters of {resource} in OCF_RESKEY_NAME=VALUE, as Pacemaker does: {why}")]
    Parameters {
        /// The resource.
        resource: String,
        /// Why.
        why: String,
    },
}
