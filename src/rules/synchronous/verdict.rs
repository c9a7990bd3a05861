//! May this candidate be promoted? Only if the voters together hold every acknowledged commit.
//!
//! Whether the candidate has the most WAL among the voters, on the right history, is for the election to decide.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use super::published::{Guard, Published};
use super::setting::SyncSetting;
use crate::location::Lsn;
use crate::node::NodeName;

/// What an operator runs on the node that is to be promoted at the price of losing commits.
pub const OVERRIDE_COMMAND: &str = "pgsqlms promote-anyway";

/// Whether an operator has accepted the loss.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Operator {
    /// The operator has said nothing.
    Silent,
    /// The override was given for this node.
    AcceptsLoss,
}

/// What is known when a candidate is about to be promoted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PromotionFacts {
    /// The node that wants to be promoted.
    pub candidate: NodeName,
    /// The nodes of the cluster, present or not.
    pub members: BTreeSet<NodeName>,
    /// What the last primary published; `None` if nothing can be read. A cluster that never had a primary has promised
    /// nothing: that is an empty list, for the caller to report.
    pub published: Option<Published>,
    /// Where the WAL of each voter ends, the candidate's own among them. A vote without a position counts for nothing.
    pub votes: BTreeMap<NodeName, Option<Lsn>>,
    /// The last primary, where one is on record.
    pub last_primary: Option<LastPrimary>,
    /// The operator's word.
    pub operator: Operator,
}

/// What is on record of the last primary.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LastPrimary {
    /// Its node.
    pub node: NodeName,
    /// Where its timeline leaves that of the primary before it, on the history that counts.
    pub began: Lsn,
    /// A position that its WAL has certainly reached.
    pub reached: Lsn,
}

/// May the candidate be promoted, as far as synchronous replication is concerned?
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict {
    /// The voters hold every acknowledged commit, for the reason given with each promise.
    Safe(Vec<Proof>),
    /// They may not.
    Unsafe(Refusal),
    /// They may not, and an operator takes responsibility.
    Overridden {
        /// What stands against it.
        refusal: Refusal,
        /// What it may cost.
        loss: Loss,
    },
}

/// Why the voters hold everything that one guard protects.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Proof {
    /// No standby was waited for, so nothing was promised.
    Asynchronous,
    /// This voter holds it all: the primary that acknowledged it, or one that was proven to have it.
    Holder(NodeName),
    /// So many of those eligible vote that any quorum includes one of them.
    Intersection {
        /// Those eligible that vote.
        voters: BTreeSet<NodeName>,
        /// How many were needed.
        needed: usize,
        /// Whether that is subject to no receiver having connected unseen under a wildcard.
        wildcard: bool,
    },
}

/// Why not.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Refusal {
    /// What the last primary promised is not known.
    Unpublished,
    /// Some promises are not covered. Never empty.
    Shortfalls(Vec<Shortfall>),
}

/// A promise that the votes do not cover.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Shortfall {
    /// The primary that promised it.
    pub primary: NodeName,
    /// Under which setting.
    pub setting: SyncSetting,
    /// How many more votes of `missing` it takes. There may be too few of them.
    pub more: usize,
    /// Nodes that may hold a commit and whose position is not known; not those of `holders`.
    pub missing: BTreeSet<NodeName>,
    /// Names from outside the cluster that may hold a commit and never vote.
    pub strangers: BTreeSet<String>,
    /// Nodes of which a single one would do, the primary first.
    pub holders: Vec<NodeName>,
}

/// What may be lost when the candidate is promoted all the same.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Loss {
    /// What comes after this, the candidate's own position, may be lost.
    pub after: Option<Lsn>,
    /// How far the last primary is known to have been; it may have written more since.
    pub last_known: Option<Lsn>,
}

/// Judges the promotion of a candidate.
pub fn verdict(facts: &PromotionFacts) -> Verdict {
    let refusal = match &facts.published {
        None => Refusal::Unpublished,
        Some(Published(guards)) => {
            let present =
                facts.votes.iter().filter_map(|(node, position)| Some((node.clone(), (*position)?))).collect();
            let (mut proofs, mut shortfalls) = (Vec::new(), Vec::new());
            for guard in guards {
                match judge(guard, &present, facts) {
                    Ok(proof) => proofs.push(proof),
                    Err(shortfall) => shortfalls.push(*shortfall),
                }
            }
            if shortfalls.is_empty() {
                return Verdict::Safe(proofs);
            }
            Refusal::Shortfalls(shortfalls)
        }
    };
    match facts.operator {
        Operator::Silent => Verdict::Unsafe(refusal),
        Operator::AcceptsLoss => {
            let own = facts.votes.get(&facts.candidate).copied().flatten();
            let last_known = facts.last_primary.as_ref().map(|last| last.reached);
            let loss = Loss { after: own, last_known };
            Verdict::Overridden { refusal, loss }
        }
    }
}

/// Whether `node`, whose WAL ends at `position`, shows by that what one guard protects.
///
/// A name proves nothing: the node may have been restored from a backup, or copied from a standby that lagged. Once the guard
/// is closed, its end is the measure. Before, the node must have what its primary is known to have written: of an earlier
/// primary what the last one began with; and the primary itself must not hold less than any node that followed it.
fn proves(
    guard: &Guard,
    node: &NodeName,
    position: Lsn,
    present: &BTreeMap<NodeName, Lsn>,
    facts: &PromotionFacts,
) -> bool {
    if guard.until.is_some_and(|until| position >= until) {
        return true;
    }
    let last = facts.last_primary.as_ref();
    let written = |last: &LastPrimary| if last.node == guard.primary { last.reached } else { last.began };
    let reached = last.is_none_or(|last| position >= written(last));
    let is_primary = last.map_or(*node == guard.primary, |last| last.node == *node);
    let is_furthest = present.values().all(|other| *other <= position);
    reached && (is_furthest || !is_primary)
}

/// Whether the votes of those present cover what one guard protects.
fn judge(guard: &Guard, present: &BTreeMap<NodeName, Lsn>, facts: &PromotionFacts) -> Result<Proof, Box<Shortfall>> {
    if guard.setting == SyncSetting::Off {
        return Ok(Proof::Asynchronous);
    }
    let mut held = present.iter().filter(|(node, _)| guard.is_held_by(node));
    if let Some((holder, _)) = held.find(|(node, position)| proves(guard, node, **position, present, facts)) {
        return Ok(Proof::Holder(holder.clone()));
    }
    let electorate = guard.electorate(&facts.members);
    let voters: BTreeSet<_> = electorate.voters.iter().filter(|node| present.contains_key(*node)).cloned().collect();
    if voters.len() >= electorate.needed {
        let wildcard = guard.setting.has_wildcard();
        return Ok(Proof::Intersection { voters, needed: electorate.needed, wildcard });
    }
    Err(Box::new(Shortfall {
        primary: guard.primary.clone(),
        setting: guard.setting.clone(),
        more: electorate.needed - voters.len(),
        missing: electorate
            .voters
            .into_iter()
            .filter(|node| !present.contains_key(node) && !guard.is_held_by(node))
            .collect(),
        strangers: electorate.strangers,
        holders: [&guard.primary].into_iter().chain(&guard.heirs).cloned().collect(),
    }))
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Safe(proofs) if proofs.is_empty() => f.write_str("nothing was promised"),
            Self::Safe(proofs) => f.write_str(&joined(proofs, ", ")),
            Self::Unsafe(refusal) => write!(f, "{refusal}, or run `{OVERRIDE_COMMAND}` and lose them"),
            Self::Overridden { refusal, loss } => {
                write!(f, "promoted by the operator's order although {refusal}; {loss}")
            }
        }
    }
}

impl fmt::Display for Proof {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Asynchronous => f.write_str("replication was asynchronous"),
            Self::Holder(node) => write!(f, "{node} votes and holds every acknowledged commit"),
            Self::Intersection { voters, needed, wildcard } => {
                write!(f, "{} of {needed} needed synchronous standbys vote: {}", voters.len(), joined(voters, ", "))?;
                f.write_str(if *wildcard { " (provided nothing else connected under `*`)" } else { "" })
            }
        }
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unpublished => {
                f.write_str("what the last primary promised is not known: acknowledged commits may be missing here; start the last primary")
            }
            Self::Shortfalls(shortfalls) => f.write_str(&joined(shortfalls, "; also ")),
        }
    }
}

impl fmt::Display for Shortfall {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { primary, setting, more, missing, strangers, holders } = self;
        write!(f, "commits acknowledged by {primary} under {setting} may be missing here: ")?;
        if !strangers.is_empty() {
            write!(f, "{} may hold them and cannot vote; ", joined(strangers, ", "))?;
        }
        f.write_str(&what_helps(holders, missing, *more).unwrap_or_else(|| "to start a node does not help".to_owned()))
    }
}

/// Which nodes to start, if that helps.
fn what_helps(holders: &[NodeName], missing: &BTreeSet<NodeName>, more: usize) -> Option<String> {
    let others = match (missing.len(), more) {
        (there, more) if there < more => None,
        (there, more) if there == more => Some(joined(missing, " and ")),
        (_, more) => Some(format!("{more} of {}", joined(missing, ", "))),
    };
    match (holders.is_empty(), others) {
        (true, others) => others.map(|others| format!("start {others}")),
        (false, None) => Some(format!("start {}", joined(holders, " or "))),
        (false, Some(others)) => Some(format!("start {}, or {others}", joined(holders, " or "))),
    }
}

impl Refusal {
    /// The same, but for nodes that do not help.
    #[must_use]
    pub fn without(mut self, nodes: &BTreeSet<NodeName>) -> Refusal {
        if let Self::Shortfalls(shortfalls) = &mut self {
            for shortfall in shortfalls {
                shortfall.missing.retain(|node| !nodes.contains(node));
                shortfall.holders.retain(|node| !nodes.contains(node));
            }
        }
        self
    }

    /// What helps, then what is wrong: for where there is little room.
    pub fn brief(&self) -> String {
        match self {
            Self::Unpublished => {
                format!("start the last primary, or run {OVERRIDE_COMMAND}: what it promised is not known")
            }
            Self::Shortfalls(shortfalls) => {
                let brief = |Shortfall { primary, setting, more, missing, holders, .. }: &Shortfall| {
                    let helps = what_helps(holders, missing, *more).map_or_else(String::new, |helps| helps + ", or ");
                    format!("{helps}run {OVERRIDE_COMMAND}: commits of {primary} under {setting} may be missing here")
                };
                shortfalls.first().map(brief).unwrap_or_default()
            }
        }
    }
}

impl fmt::Display for Loss {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self.after, self.last_known) {
            (Some(after), Some(known)) if known > after => write!(
                f,
                "what follows {after} may be lost: {} bytes up to {known}, and what was written since that was published",
                known.bytes_after(after)
            ),
            (Some(after), Some(known)) => {
                write!(
                    f,
                    "what follows {after} may be lost: nothing up to {known}, but what was written since that was published"
                )
            }
            (Some(after), None) => write!(f, "what follows {after} may be lost, and how much that is, is not known"),
            (None, _) => f.write_str("how much may be lost is not known"),
        }
    }
}

fn joined<T: fmt::Display>(items: impl IntoIterator<Item = T>, separator: &str) -> String {
    items.into_iter().map(|item| item.to_string()).collect::<Vec<_>>().join(separator)
}
