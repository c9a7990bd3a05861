//! The report of `pgsqlms status`: the state of a resource on all nodes, what is wrong with it, and which command cures that.

mod findings;
mod instances;
mod members;
mod metrics;
mod others;
mod table;
mod text;

use std::collections::BTreeMap;
use std::fmt;

use crate::location::Lsn;
use crate::node::NodeName;
use crate::rules::check::Following;
use crate::rules::fitness::TooLow;
use crate::rules::status::{Role, Status};
use crate::rules::synchronous::waiting::Waiting;

pub use findings::judge;
pub(in crate::rules) use findings::{FREE, clone_of, end_of_maintenance, start_nodes};
pub(in crate::rules) use members::start;
pub use metrics::metrics;
pub use others::{Answer, Details, limits, psql};
pub(in crate::rules) use table::short_score;
pub use table::{Row, rows};
pub use text::report;
pub(in crate::rules) use text::{not_seen, plain, wrapped};

/// What was seen, from one node.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Facts {
    /// The resource.
    pub resource: String,
    /// The node that looked.
    pub me: NodeName,
    /// What Pacemaker knows; or why that could not be seen.
    pub cluster: Result<Cluster, String>,
    /// This node's instance; or why it could not be seen.
    pub local: Result<Local, String>,
    /// What the instances of the other nodes say, as far as they were asked; or why they do not.
    pub others: BTreeMap<NodeName, Result<Answer, String>>,
    /// How root calls psql on these nodes.
    pub psql: String,
}

/// What Pacemaker knows.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Cluster {
    /// This partition has quorum.
    pub has_quorum: bool,
    /// Fencing is on.
    pub has_fencing: bool,
    /// Pacemaker starts, stops and promotes nothing.
    pub in_maintenance: bool,
    /// The resource's clone.
    pub clone: Option<String>,
    /// The resource is disabled (`target-role=Stopped`).
    pub is_disabled: bool,
    /// The role that is set for the resource (`target-role`).
    pub target_role: Option<String>,
    /// All resources are to be stopped.
    pub stops_all: bool,
    /// What Pacemaker does without quorum: `stop` unless set.
    pub no_quorum_policy: Option<String>,
    /// When the configuration was changed for the last time, and by whom.
    pub last_change: Option<String>,
    /// The location constraints that keep the resource from nodes: names of constraint and node.
    pub bans: Vec<(String, NodeName)>,
    /// Attempts to fence a node that have failed or go on: the node, and what is known of the attempt.
    pub fencing: Vec<(NodeName, String)>,
    /// The configured nodes.
    pub nodes: BTreeMap<NodeName, Member>,
}

/// A node, as Pacemaker sees it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Member {
    /// It is in this partition of the cluster.
    pub is_online: bool,
    /// It is to run nothing.
    pub in_standby: bool,
    /// Pacemaker does nothing there.
    pub in_maintenance: bool,
    /// It must be fenced, and has not been yet.
    pub is_unclean: bool,
    /// What runs there, if anything.
    pub role: Option<Role>,
    /// Pacemaker does not manage what runs there.
    pub is_unmanaged: bool,
    /// An action failed there that is not cleaned up.
    pub is_failed: bool,
    /// It failed there as often as Pacemaker puts up with (`migration-threshold`).
    pub is_given_up: bool,
    /// Pacemaker does nothing with it there, because it could not be stopped.
    pub is_blocked: bool,
    /// What Pacemaker is doing with it: `Starting`, `Promoting`, `Stopping` and so on.
    pub pending: Option<String>,
    /// Its promotion score.
    pub score: Option<String>,
    /// The last exit reason that still holds.
    pub reason: Option<String>,
    /// The settings for which its replay is paused, as it says itself.
    pub too_low: Vec<TooLow>,
    /// Where its instance is reached, if not by its name.
    pub address: Option<String>,
    /// At which port, if not at that of `primary_conninfo`.
    pub port: Option<u16>,
}

/// This node's instance.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Local {
    /// What it is doing.
    pub status: Status,
    /// Its report in a session; or why there is none.
    pub report: Result<Report, String>,
}

/// The report of an instance in a session.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Report {
    /// The server's version.
    pub version: String,
    /// The server's port.
    pub port: Option<u16>,
    /// Its timeline.
    pub timeline: Option<u32>,
    /// Where it writes, or has replayed to.
    pub lsn: Option<Lsn>,
    /// Settings that wait for a restart.
    pub pending: Vec<String>,
    /// Replay is paused.
    pub is_paused: bool,
    /// The settings for which it is paused.
    pub too_low: Vec<TooLow>,
    /// Commits that wait, on a primary.
    pub waiting: Waiting,
    /// How it follows, on a standby.
    pub following: Option<Following>,
    /// The settings that a standby must not have below its primary's.
    pub limits: BTreeMap<String, u32>,
    /// The names of those that replicate from it.
    pub standbys: Vec<String>,
    /// What it sees of them, on a primary.
    pub peers: Vec<Peer>,
    /// Its `synchronous_standby_names`.
    pub synchronous: String,
}

/// A standby, as its primary sees it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Peer {
    /// Its `application_name`.
    pub name: String,
    /// `streaming`, `catchup` and so on.
    pub state: String,
    /// `sync`, `quorum`, `potential` or `async`.
    pub sync: String,
    /// Where it has replayed to.
    pub replayed: Option<Lsn>,
    /// Up to where it has WAL on its disk.
    pub flushed: Option<Lsn>,
    /// What it has not replayed.
    pub bytes: Option<u64>,
    /// How long ago the primary wrote what it replays now, in tenths of a second.
    pub tenths: Option<u64>,
}

/// How bad it is. The number is that of a monitoring plugin.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Level {
    /// All is well.
    Ok = 0,
    /// An operator should look.
    Warning = 1,
    /// Clients cannot write, or soon may not.
    Critical = 2,
    /// Nothing could be seen.
    Unknown = 3,
}

impl fmt::Display for Level {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Level::Ok => "OK",
            Level::Warning => "WARN",
            Level::Critical => "FAIL",
            Level::Unknown => "UNKNOWN",
        })
    }
}

/// A command that cures something, and what that costs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cure {
    /// The command.
    pub command: String,
    /// Where to run it, and what it costs.
    pub costs: String,
}

/// Something that a person should know.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    /// A name for programs.
    pub id: &'static str,
    /// How bad it is.
    pub level: Level,
    /// The node that it is about, if it is about one.
    pub node: Option<NodeName>,
    /// What it is, in one line.
    pub text: String,
    /// What the cluster shows as the reason.
    pub why: Option<String>,
    /// What helps, the best first.
    pub cures: Vec<Cure>,
}

/// What the facts amount to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Verdict {
    /// The worst of the findings.
    pub level: Level,
    /// All of them, the worst first; one that says that all is well if there is nothing else.
    pub findings: Vec<Finding>,
    /// What could not be seen, and why.
    pub unseen: Vec<String>,
}

impl Cluster {
    /// The node that a person calls so: Pacemaker ignores case. An unknown one as it was called.
    pub fn named(&self, name: &str) -> NodeName {
        let known = self.nodes.keys().find(|node| node.as_str().eq_ignore_ascii_case(name));
        known.cloned().unwrap_or_else(|| NodeName::new(name))
    }
}

impl Finding {
    /// All that is said of it.
    pub fn sentence(&self) -> String {
        self.why.as_ref().map_or(self.text.clone(), |why| format!("{}: {why}", self.text))
    }
}

impl Facts {
    /// The primaries: by Pacemaker, and by what the instances say themselves, as far as they answer.
    pub fn primaries(&self) -> Vec<NodeName> {
        let members = self.cluster.iter().flat_map(|cluster| &cluster.nodes);
        let mut found: Vec<NodeName> =
            members.filter(|(_, member)| member.role == Some(Role::Primary)).map(|(node, _)| node.clone()).collect();
        if let Ok(local) = &self.local {
            let is_down = matches!(local.status, Status::Stopped | Status::Crashed(_));
            found.retain(|node| *node != self.me || !(is_down || local.status.runs_as(Role::Standby)));
            if local.status.runs_as(Role::Primary) && !found.contains(&self.me) {
                found.push(self.me.clone());
            }
        }
        let role = |node: &NodeName| self.answer(node).and_then(|answer| answer.role);
        found.retain(|node| role(node) != Some(Role::Standby));
        let others = self.others.keys().filter(|node| role(node) == Some(Role::Primary));
        let more: Vec<NodeName> = others.filter(|node| !found.contains(node)).cloned().collect();
        found.extend(more);
        found
    }

    /// What the instance of another node says.
    pub fn answer(&self, node: &NodeName) -> Option<&Answer> {
        self.others.get(node)?.as_ref().ok()
    }

    /// The report of this node's instance.
    pub fn report(&self) -> Option<&Report> {
        self.local.as_ref().ok()?.report.as_ref().ok()
    }
}
