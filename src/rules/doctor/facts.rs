//! What `pgsqlms doctor` looks at.

use std::collections::{BTreeMap, BTreeSet};

use crate::node::NodeName;
use crate::rules::overview;
use crate::rules::room::Room;
use crate::rules::setup::Node;
use crate::rules::why::Votes;

/// Names and values.
pub type Pairs = BTreeMap<String, String>;

/// All that was seen from one node. What was not seen says why.
#[derive(Debug, Clone)]
pub struct Facts {
    /// What `status` sees, too.
    pub seen: overview::Facts,
    /// The configuration of the cluster.
    pub configuration: Result<Configuration, String>,
    /// Corosync.
    pub corosync: Result<Corosync, String>,
    /// This node's machine.
    pub machine: Result<Machine, String>,
    /// This node's PostgreSQL.
    pub server: Result<Server, String>,
}

/// The configuration of the cluster, as the CIB has it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Configuration {
    /// The nodes.
    pub nodes: BTreeSet<NodeName>,
    /// The permanent attributes of nodes.
    pub attributes: BTreeMap<NodeName, Pairs>,
    /// The cluster's properties.
    pub properties: Pairs,
    /// The name of the resource that it is about.
    pub resource: String,
    /// All primitives.
    pub resources: Vec<Resource>,
    /// All clones, with their meta attributes.
    pub clones: BTreeMap<String, Pairs>,
    /// The defaults of meta attributes.
    pub defaults: Pairs,
    /// The defaults of operations.
    pub operation_defaults: Pairs,
    /// Location constraints.
    pub locations: Vec<Location>,
    /// Colocation constraints.
    pub colocations: Vec<Colocation>,
    /// Order constraints.
    pub orders: Vec<Order>,
    /// The resources of constraints that are sets. Nothing is said of them.
    pub in_sets: BTreeSet<String>,
}

/// A primitive.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Resource {
    /// Its name.
    pub id: String,
    /// The agent's class: `ocf`, `stonith`, `systemd` and so on.
    pub class: String,
    /// The agent's type.
    pub kind: String,
    /// The names of its clone and its group, the outermost first.
    pub within: Vec<String>,
    /// Its parameters.
    pub parameters: Pairs,
    /// Its own meta attributes.
    pub meta: Pairs,
    /// Its operations.
    pub operations: Vec<Pairs>,
}

/// A location constraint.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Location {
    /// Its name.
    pub id: String,
    /// The resource.
    pub resource: String,
    /// The node, where it names one.
    pub node: Option<String>,
    /// It says never.
    pub forbids: bool,
    /// The role that it is about.
    pub role: Option<String>,
    /// It ends by itself.
    pub expires: bool,
}

/// A colocation constraint.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Colocation {
    /// Its name.
    pub id: String,
    /// The resource that goes where the other one is.
    pub resource: String,
    /// The other one.
    pub with: String,
    /// In which role.
    pub with_role: Option<String>,
    /// The score.
    pub score: String,
}

/// An order constraint.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Order {
    /// Its name.
    pub id: String,
    /// The resource and the action that come first.
    pub first: (String, String),
    /// Those that come then.
    pub then: (String, String),
    /// It must be kept.
    pub is_mandatory: bool,
    /// It holds in reverse for the opposite actions.
    pub is_symmetrical: bool,
}

/// Corosync's own configuration.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Corosync {
    /// For how many milliseconds it waits for a silent node.
    pub token: Option<u64>,
    /// For how many it then looks for an agreement.
    pub consensus: Option<u64>,
    /// There are two nodes, and one is enough.
    pub two_nodes: bool,
    /// A node that starts waits for all others.
    pub waits_for_all: bool,
    /// Another machine has a vote.
    pub has_device: bool,
    /// The votes, where they could be seen.
    pub votes: Option<Votes>,
}

/// What runs this node.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Machine {
    /// systemd's units that are enabled.
    pub enabled: Vec<String>,
    /// systemd's units that are active.
    pub active: Vec<String>,
    /// What systemd does with Pacemaker when a process is killed for its memory.
    pub oom_policy: Option<String>,
    /// systemd removes shared memory of users who have logged out.
    pub removes_ipc: bool,
    /// The number of the account that runs PostgreSQL.
    pub uid: u32,
    /// What systemd's tmpfiles.d makes.
    pub tmpfiles: BTreeSet<String>,
    /// Parameters with a value that the agent does not take: what is wrong.
    pub bad_parameters: Vec<String>,
    /// What start looks at.
    pub node: Option<Node>,
}

/// A file of passwords.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct PassFile {
    /// Where it is.
    pub path: String,
    /// Its permissions; none if PostgreSQL's account cannot read it.
    pub mode: Option<u32>,
}

/// This node's PostgreSQL, in a session.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Server {
    /// It is a standby.
    pub is_standby: bool,
    /// Its settings.
    pub settings: BTreeMap<String, Setting>,
    /// The lines of pg_hba.conf, in this order.
    pub hba: Vec<HbaLine>,
    /// Replication slots.
    pub slots: Vec<Slot>,
    /// WAL could not be archived since it was for the last time.
    pub archive_fails: bool,
    /// Databases whose collations have another version than the node's library.
    pub old_collations: Vec<String>,
    /// The functions that pg_rewind needs and the role of replication may not call.
    pub not_granted: Vec<String>,
    /// The file of passwords that libpq reads.
    pub passfile: Option<PassFile>,
    /// The room for WAL.
    pub room: Option<Room>,
    /// What Debian's start.conf beside its configuration says: `auto`, `manual` or `disabled`.
    pub start_conf: Option<(String, String)>,
}

/// A setting.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Setting {
    /// Its value, in the unit of `pg_settings`.
    pub value: String,
    /// The file that says so.
    pub file: Option<String>,
}

/// A line of pg_hba.conf.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct HbaLine {
    /// Its number.
    pub number: String,
    /// `local`, `host` and so on.
    pub kind: String,
    /// The databases.
    pub databases: Vec<String>,
    /// The roles.
    pub users: Vec<String>,
    /// From where.
    pub address: String,
    /// The mask of that.
    pub mask: String,
    /// How.
    pub method: String,
    /// What is wrong with it.
    pub error: Option<String>,
}

/// A replication slot.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Slot {
    /// Its name.
    pub name: String,
    /// A client uses it.
    pub is_active: bool,
    /// It is for physical replication.
    pub is_physical: bool,
    /// It has lost WAL that it needs.
    pub is_lost: bool,
}

impl Configuration {
    /// The resource that it is about.
    pub fn ours(&self) -> Option<&Resource> {
        self.resources.iter().find(|resource| resource.id == self.resource)
    }

    /// Its clone and the clone's meta attributes.
    pub fn clone_of_ours(&self) -> Option<(&String, &Pairs)> {
        let within = &self.ours()?.within;
        self.clones.iter().find(|(id, _)| within.contains(*id))
    }

    /// What a person calls it: the clone, or the resource itself.
    pub fn handle(&self) -> &str {
        self.clone_of_ours().map_or(self.resource.as_str(), |(id, _)| id.as_str())
    }

    /// Whether a constraint that names `name` is about the resource.
    pub fn is_ours(&self, name: &str) -> bool {
        self.ours().is_some_and(|ours| ours.id == name || ours.within.iter().any(|outer| outer == name))
    }

    /// A cluster property that is set.
    pub fn property(&self, name: &str) -> Option<&str> {
        self.properties.get(name).map(String::as_str)
    }

    /// A meta attribute of the resource: its own, its clone's, or the default.
    pub fn meta(&self, name: &str) -> Option<&str> {
        let own = self.ours().and_then(|ours| ours.meta.get(name));
        let of_clone = || self.clone_of_ours().and_then(|(_, meta)| meta.get(name));
        own.or_else(of_clone).or_else(|| self.defaults.get(name)).map(String::as_str)
    }

    /// A parameter of the resource.
    pub fn parameter(&self, name: &str) -> Option<&str> {
        self.ours()?.parameters.get(name).map(String::as_str)
    }

    /// The nodes on which the resource may run.
    pub fn homes(&self) -> BTreeSet<&NodeName> {
        let bans = self.locations.iter().filter(|it| it.forbids && it.role.is_none() && self.is_ours(&it.resource));
        let banned: BTreeSet<&str> = bans.filter_map(|it| it.node.as_deref()).collect();
        self.nodes.iter().filter(|node| !banned.contains(node.as_str())).collect()
    }
}

impl Server {
    /// The value of a setting; empty if the server has none of that name.
    pub fn setting(&self, name: &str) -> &str {
        self.settings.get(name).map_or("", |setting| setting.value.as_str())
    }

    /// A setting that is a number.
    pub fn number(&self, name: &str) -> Option<i64> {
        self.setting(name).parse().ok()
    }

    /// Whether a setting is off. One that the server does not have is not.
    pub fn is_off(&self, name: &str) -> bool {
        self.setting(name) == "off"
    }
}
