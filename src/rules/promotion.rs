//! Which node is to be promoted: lineage first, then the most WAL, and never at the cost of an acknowledged commit.

mod counted;
mod lacking;
mod line;
mod loss;
mod order;
mod promises;
mod words;

pub use lacking::{Helps, Lacking};
pub use line::leaves;
pub use loss::{Refused, account, refused};
pub use order::{LASTS, in_force};

use std::cmp::Ordering;
use std::collections::{BTreeMap, BTreeSet};

use crate::location::{Lsn, SystemId, Timeline};
use crate::node::NodeName;
use crate::record::{Record, Stage};
pub use crate::rules::bars::Bar;
use crate::rules::lineage::{self, Standing};
use crate::rules::synchronous::{self, Published};
use crate::vote::{Extent, Vote};

/// Everything that the choice depends on; the same on every node.
#[derive(Debug, Clone, Default)]
pub struct Facts {
    /// The nodes that run an instance, with their votes; those that did not vote have none.
    pub votes: BTreeMap<NodeName, Option<Vote>>,
    /// All nodes of the cluster, there or not.
    pub members: BTreeSet<NodeName>,
    /// The promotions so far.
    pub record: Record,
    /// Whether the CIB lacks some of the promotions or of the promises, which this node remembers.
    pub is_news: bool,
    /// What the last primary promised about synchronous replication; none if it cannot be read.
    pub published: Option<Published>,
    /// Nodes that must not be promoted.
    pub barred: BTreeMap<NodeName, Bar>,
    /// What decides between nodes that hold the same; 0 unless set.
    pub priority: BTreeMap<NodeName, i32>,
    /// The node that an operator wants to be promoted, at the price of losing commits.
    pub ordered: Option<NodeName>,
    /// Nodes that run another database than the record is about, and which: they have no vote.
    pub foreign: BTreeMap<NodeName, SystemId>,
    /// Nodes that cannot be promoted yet: their servers are still in recovery after a crash.
    pub recovering: BTreeSet<NodeName>,
    /// Nodes that run as a primary which no election made.
    pub primaries: BTreeSet<NodeName>,
    /// Nodes that have not read all their WAL, and that have been waited for long enough.
    pub passed_over: BTreeSet<NodeName>,
    /// Nodes that know of promotions up to this timeline, which the record lacks: the CIB has lost them, and so has this node.
    pub ahead: BTreeMap<NodeName, Timeline>,
}

/// The node that is to be promoted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Choice {
    /// This node.
    Node {
        /// The node.
        node: NodeName,
        /// What it holds; nothing is known of a node that an operator ordered and that did not vote.
        vote: Option<Vote>,
        /// What a person should know about it.
        warnings: Vec<Warning>,
    },
    /// No node, for now.
    NoNode(Refusal),
}

/// Something that does not stand against a promotion, and that a person should know.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Warning {
    /// These run an instance and did not vote.
    Silent(Vec<NodeName>),
    /// This node holds more and must not be promoted.
    Barred {
        /// The node.
        node: NodeName,
        /// Why.
        bar: Bar,
        /// How many bytes of WAL it has that the chosen one lacks.
        bytes: u64,
    },
    /// This node has not read all its WAL, and is not waited for any longer; it reaches at least that far.
    Unfinished(NodeName, Lsn),
    /// This node cannot read its WAL, for this reason.
    Unreadable(NodeName, String),
    /// This timeline was begun outside an election, by this node, and counts: nothing is lost by it.
    Adopted(Timeline, NodeName),
    /// An operator takes responsibility for this.
    Ordered(String),
}

/// Why no node is to be promoted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Refusal {
    /// No node has voted.
    NoVotes,
    /// This node knows of promotions up to this timeline, which are not on record.
    OlderRecord(NodeName, Timeline),
    /// All that run an instance have another database than the record is about: this one.
    OtherDatabase(SystemId, BTreeMap<NodeName, SystemId>),
    /// There is no record, and the nodes hold several databases.
    SeveralDatabases(BTreeMap<NodeName, SystemId>),
    /// This node runs as a primary, and a node promoted beside it would be a second one.
    RunningPrimary(NodeName),
    /// There is no record, and these nodes have each begun a timeline of this number.
    Namesakes(Timeline, Vec<NodeName>),
    /// This node has not read all its WAL yet, and may hold the most; it reaches at least that far.
    Unfinished(NodeName, Lsn),
    /// This node cannot read its WAL, for this reason, and may hold acknowledged commits.
    Unreadable(NodeName, String),
    /// No node that voted holds the history that the cluster went on with.
    History(Lacking),
    /// All that hold enough are barred.
    AllBarred(BTreeMap<NodeName, Bar>),
    /// The chosen one may lack acknowledged commits that this barred node holds.
    BarredHoldsMore(NodeName, Bar),
    /// Acknowledged commits may be missing.
    Synchronous(Box<synchronous::Refusal>),
}

/// Chooses the node to promote; of nodes that hold the same, `preferred`, then priority, then the first by name.
///
/// A node that has diverged from the cluster's history is never chosen. One that has missed the last promotion is chosen
/// only while that promotion's history does not count yet ([`Stage::Kept`]). Synchronous commits are
/// guarded by [`synchronous`]: the voters must include a holder of each, and the winner must hold what any voter holds.
pub fn choose(facts: &Facts, preferred: Option<&NodeName>) -> Choice {
    if let Some(ordered) = facts.ordered.as_ref().filter(|ordered| facts.votes.contains_key(*ordered)) {
        return match facts.barred.get(ordered) {
            // It would not become the primary, and others with less would be next.
            Some(bar) if bar.is_final() => Choice::NoNode(Refusal::AllBarred([(ordered.clone(), *bar)].into())),
            _ => match facts.primaries.iter().find(|primary| *primary != ordered) {
                // An order accepts what is lost, and not two writers: Pacemaker demotes that one first.
                Some(primary) => Choice::NoNode(Refusal::RunningPrimary(primary.clone())),
                None => order::by_order(facts, ordered),
            },
        };
    }
    if let Some((node, timeline)) = facts.ahead.iter().max_by_key(|(_, timeline)| **timeline) {
        return Choice::NoNode(Refusal::OlderRecord(node.clone(), *timeline));
    }
    let voted: Vec<Voter> = facts.votes.iter().filter_map(|(node, vote)| Some((node, vote.as_ref()?))).collect();
    let line = match line::settled(facts, &voted) {
        Ok(line) => line,
        Err(refusal) => return Choice::NoNode(refusal),
    };
    let (fit, standings) = fit(&voted, &line.record);
    let order = |a: &Voter, b: &Voter| order(facts, preferred, a, b);
    let free = fit.iter().filter(|(node, _)| !facts.barred.contains_key(*node)).copied();
    let winner = free.max_by(order);
    let unread = match unread(facts, &voted, &standings, winner.map(|(node, _)| node)) {
        Ok(unread) => unread,
        Err(refusal) => return Choice::NoNode(refusal),
    };
    if let Some(primary) = facts.primaries.iter().find(|primary| winner.is_none_or(|(node, _)| node != *primary)) {
        return Choice::NoNode(Refusal::RunningPrimary(primary.clone()));
    }
    let Some((node, vote)) = winner else {
        return Choice::NoNode(match fit.is_empty() {
            true => Refusal::History(Lacking::new(facts, standings)),
            false => Refusal::AllBarred(facts.barred.clone()),
        });
    };
    let barred = fit.iter().filter(|(other, _)| facts.barred.contains_key(*other)).copied().max_by(order);
    let ahead = barred.filter(|(_, theirs)| theirs.position() > vote.position());
    if let Err(refusal) = promises::kept(facts, &line.record, node, ahead) {
        return Choice::NoNode(refusal);
    }
    let silent: Vec<NodeName> =
        facts.votes.iter().filter(|(_, vote)| vote.is_none()).map(|(node, _)| node.clone()).collect();
    let silent = (!silent.is_empty()).then_some(Warning::Silent(silent));
    let ahead = ahead.map(|(other, theirs)| Warning::Barred {
        node: other.clone(),
        bar: facts.barred[other],
        bytes: theirs.lsn().bytes_after(vote.lsn()),
    });
    let warnings = line.adopted.into_iter().chain(silent).chain(unread).chain(ahead).collect();
    Choice::Node { node: node.clone(), vote: Some(vote.clone()), warnings }
}

/// Chooses for a node that Pacemaker wants to promote: among those that hold the most itself, else `former`, the primary
/// that has just been demoted for it. All standbys that can follow it still do.
pub fn choose_for(facts: &Facts, candidate: &NodeName, former: Option<&NodeName>) -> Choice {
    match choose(facts, Some(candidate)) {
        Choice::Node { node, .. } if node != *candidate => choose(facts, former),
        choice => choice,
    }
}

type Voter<'a> = (&'a NodeName, &'a Vote);

/// Those that hold the cluster's history, and how all of them stand to it.
fn fit<'a>(voted: &[Voter<'a>], record: &Record) -> (Vec<Voter<'a>>, Vec<(NodeName, Standing)>) {
    let standings: Vec<(Voter, Standing)> =
        voted.iter().map(|voter| (*voter, lineage::standing(voter.1, record))).collect();
    let with = |wanted: fn(&Standing) -> bool| -> Vec<Voter<'a>> {
        standings.iter().filter(|(_, standing)| wanted(standing)).map(|(voter, _)| *voter).collect()
    };
    let mut fit = with(|standing| *standing == Standing::Current);
    // A node that has come short of the end of that promotion's WAL has joined it. Otherwise it counts for nothing as long as it is
    // not kept, and the one before it decides.
    let is_kept = record.last().is_none_or(|last| last.stage == Stage::Kept);
    if fit.is_empty() && !is_kept && with(|standing| matches!(standing, Standing::Short { .. })).is_empty() {
        let behind = with(|standing| matches!(standing, Standing::Behind(_)));
        fit = self::fit(&behind, &record.before_last()).0;
    }
    let standings = standings.into_iter().map(|((node, _), standing)| (node.clone(), standing)).collect();
    (fit, standings)
}

/// Which of two holds more: a later timeline beats any position, because a node on an earlier one has missed a promotion.
fn order(facts: &Facts, preferred: Option<&NodeName>, a: &Voter, b: &Voter) -> Ordering {
    let priority = |node: &NodeName| facts.priority.get(node).copied().unwrap_or(0);
    let rank = |(node, vote): &Voter| (vote.position(), preferred == Some(*node), priority(node));
    rank(a).cmp(&rank(b)).then_with(|| b.0.cmp(a.0))
}

/// The record with what the votes prove, imply, or make good: see [`choose`].
///
/// # Errors
///
/// When there is no one line that counts.
pub fn line_of(facts: &Facts) -> Result<Record, Refusal> {
    let voted: Vec<Voter> = facts.votes.iter().filter_map(|(node, vote)| Some((node, vote.as_ref()?))).collect();
    line::settled(facts, &voted).map(|line| line.record)
}

/// Whether commits that were acknowledged with synchronous replication may be lost where `node` goes on as the primary of
/// this line.
pub fn may_lose(facts: &Facts, line: &Record, node: &NodeName) -> bool {
    promises::kept(facts, line, node, None).is_err()
}

/// What speaks against `winner` because other nodes have not read all their WAL: what they hold besides is not known. Where
/// replication is synchronous no node may be promoted then. Otherwise a reader that goes on is waited for, but not for
/// ever, and one that has failed is not.
fn unread(
    facts: &Facts,
    voted: &[Voter],
    standings: &[(NodeName, Standing)],
    winner: Option<&NodeName>,
) -> Result<Vec<Warning>, Refusal> {
    let mut warnings = Vec::new();
    for ((node, vote), (_, standing)) in voted.iter().zip(standings) {
        if Some(*node) == winner || standing.is_diverged() {
            continue;
        }
        let waits = facts.is_synchronous() || winner.is_none();
        let name = || (*node).clone();
        match &vote.extent {
            Extent::Exact => {}
            Extent::AtLeast if waits || !facts.passed_over.contains(*node) => {
                return Err(Refusal::Unfinished(name(), vote.lsn()));
            }
            Extent::AtLeast => warnings.push(Warning::Unfinished(name(), vote.lsn())),
            Extent::Unread(why) if waits => return Err(Refusal::Unreadable(name(), why.clone())),
            Extent::Unread(why) => warnings.push(Warning::Unreadable(name(), why.clone())),
        }
    }
    Ok(warnings)
}

#[cfg(test)]
pub(super) mod tests;
