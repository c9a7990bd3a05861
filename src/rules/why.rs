//! What `pgsqlms why` explains: why no node is promoted, or what would happen if the primary died now. Each cause is one of a
//! list, and the first that is true is given. A fact that cannot be seen is not a cause.

mod cluster;
mod election;
mod forecast;
mod node;
mod text;

#[cfg(test)]
mod tests;

use std::collections::BTreeSet;

use crate::node::NodeName;
use crate::rules::overview::{self, Cluster, Cure, Level, Local};
use crate::rules::promotion;
use crate::rules::status::Status;

pub use forecast::{Forecast, Loss, NoWinner};
pub use text::report;

/// What was seen.
#[derive(Debug, Clone)]
pub struct Facts {
    /// What `status` sees, too.
    pub seen: overview::Facts,
    /// The file that it is about, if it is not about the running cluster.
    pub file: Option<String>,
    /// Why the cluster does not answer, where that is certain.
    pub gone: Option<Gone>,
    /// What an election depends on, with the votes; or why that was not seen.
    pub election: Result<promotion::Facts, String>,
    /// Why the votes were not seen, where the rest of that was.
    pub no_votes: Option<String>,
    /// What Pacemaker would do next; or why that was not seen.
    pub plan: Result<Plan, String>,
    /// How many votes the cluster counts; or why that was not seen.
    pub quorum: Result<Votes, String>,
    /// For how many milliseconds Corosync waits for a node that is silent.
    pub token: Option<u64>,
}

/// Why a cluster does not answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Gone {
    /// Pacemaker does not run on this node.
    NotRunning,
    /// Its tools are not there, or cannot be run.
    NoTools(String),
    /// It runs, and does not answer root.
    Silent(String),
}

/// What Pacemaker would do next, by its own scheduler.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Plan {
    /// Where it would promote the resource.
    pub promotes: Vec<NodeName>,
    /// What it cannot do, and others wait for.
    pub blocked: Vec<Blocked>,
}

/// Something that Pacemaker would have to do and cannot.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Blocked {
    /// `stop`, `demote` and so on.
    pub action: String,
    /// The resource.
    pub resource: String,
    /// Where.
    pub node: String,
    /// Why, in Pacemaker's words.
    pub reason: String,
    /// The constraints that are about it and about ours.
    pub constraints: Vec<String>,
}

/// How many votes there are, as Corosync counts them.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Votes {
    /// Those in this partition.
    pub total: u32,
    /// Those that quorum takes.
    pub needed: u32,
    /// One of two nodes is enough.
    pub two_nodes: bool,
    /// Each node has one vote.
    pub one_each: bool,
}

/// Why no node is promoted, or a node is not.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cause {
    /// Its place in the list.
    pub number: u8,
    /// A name for programs.
    pub id: &'static str,
    /// What it is.
    pub text: String,
    /// What helps, the best first.
    pub cures: Vec<Cure>,
}

/// What the facts amount to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answer {
    /// How bad it is.
    pub level: Level,
    /// What was found.
    pub found: Found,
    /// Each node, its score, and what follows from what is known of it.
    pub nodes: Vec<(NodeName, String, String)>,
    /// What could not be seen, and why.
    pub unseen: Vec<String>,
}

/// What was found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Found {
    /// There is a primary: what would happen without it.
    Forecast(Forecast),
    /// No node is promoted, for this reason.
    Cause(Cause),
    /// This node is the primary.
    IsPrimary(NodeName),
    /// This node would not be promoted, for this reason. The second one is the primary.
    Barred(NodeName, Option<NodeName>, Cause),
    /// There is no such node.
    NoSuchNode(NodeName),
    /// Several nodes are primaries.
    Several(Vec<NodeName>),
    /// It cannot be seen.
    Unseen(String),
}

/// The answer: about `node`, or about the whole cluster.
pub fn explain(facts: &Facts, node: Option<&NodeName>) -> Answer {
    let answer = |level, found| Answer { level, found, nodes: node::table(facts), unseen: unseen(facts) };
    if let Some(cause) = cluster::gone(facts) {
        return answer(Level::Critical, Found::Cause(cause));
    }
    let cluster = match &facts.seen.cluster {
        Ok(cluster) => cluster,
        Err(why) => return answer(Level::Unknown, Found::Unseen(format!("the cluster cannot be seen: {why}"))),
    };
    if let Some(node) = node.filter(|node| !cluster.nodes.contains_key(*node)) {
        return answer(Level::Unknown, Found::NoSuchNode(node.clone()));
    }
    let primaries = facts.seen.primaries();
    match (primaries.as_slice(), node) {
        ([_, _, ..], _) => answer(Level::Critical, Found::Several(primaries)),
        ([primary], Some(node)) if primary == node => answer(Level::Ok, Found::IsPrimary(node.clone())),
        (primary, Some(node)) => {
            if let Some(cause) = node::cause(facts, cluster, node) {
                let level = if primary.is_empty() { Level::Critical } else { Level::Warning };
                return answer(level, Found::Barred(node.clone(), primary.first().cloned(), cause));
            }
            whole(facts, cluster, primary.first(), answer)
        }
        (primary, None) => whole(facts, cluster, primary.first(), answer),
    }
}

/// What is so of the whole cluster.
fn whole(
    facts: &Facts,
    cluster: &Cluster,
    primary: Option<&NodeName>,
    answer: impl Fn(Level, Found) -> Answer,
) -> Answer {
    match primary {
        Some(primary) => {
            let forecast = forecast::forecast(facts, cluster, primary);
            answer(if forecast.winner.is_ok() { Level::Ok } else { Level::Warning }, Found::Forecast(forecast))
        }
        None => match cause(facts, cluster, &BTreeSet::new()) {
            Ok(cause) => answer(Level::Critical, Found::Cause(cause)),
            Err(why) => answer(Level::Critical, Found::Unseen(why)),
        },
    }
}

/// Why no node is promoted: the first of the list that is true.
///
/// # Errors
///
/// When that cannot be seen; why not.
fn cause(facts: &Facts, cluster: &Cluster, dead: &BTreeSet<NodeName>) -> Result<Cause, String> {
    if let Some(cause) = cluster::cause(facts, cluster) {
        return Ok(cause);
    }
    let barred = node::all_barred(facts, cluster, dead);
    let blocked = cluster::blocked(facts);
    match (barred, blocked) {
        (Some(barred), Some(blocked)) if barred.number > blocked.number => Ok(blocked),
        (Some(cause), _) | (None, Some(cause)) => Ok(cause),
        (None, None) => election::cause(facts, cluster),
    }
}

fn cure(command: impl Into<String>, costs: impl Into<String>) -> Cure {
    Cure { command: command.into(), costs: costs.into() }
}

/// What could not be seen, and why.
fn unseen(facts: &Facts) -> Vec<String> {
    let mut unseen = Vec::new();
    match &facts.file {
        Some(file) => unseen.push(format!("PostgreSQL, the votes and Corosync: {file} does not hold them")),
        None => {
            if let Err(why) = &facts.seen.cluster {
                unseen.push(format!("the cluster: {why}"));
            }
            match &facts.seen.local {
                Err(why) => unseen.push(format!("PostgreSQL on {}: {why}", facts.seen.me)),
                Ok(Local { report: Err(why), status }) if !matches!(status, Status::Stopped) => {
                    unseen.push(format!("PostgreSQL on {}: {why}", facts.seen.me));
                }
                Ok(_) => {}
            }
            if let (Ok(_), Err(why)) = (&facts.seen.cluster, &facts.quorum) {
                unseen.push(format!("how many votes Corosync counts: {why}"));
            }
            unseen.extend(facts.no_votes.iter().map(|why| format!("the votes of the nodes: {why}")));
        }
    }
    if facts.seen.cluster.is_ok() {
        if let Err(why) = &facts.plan {
            unseen.push(format!("what Pacemaker would do next: {why}"));
        }
        if let Err(why) = &facts.election {
            unseen.push(format!("the promotions and promises on record: {why}"));
        }
    }
    unseen
}
