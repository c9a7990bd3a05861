//! Who is to be promoted: lineage first, then the most WAL, and never at the cost of an acknowledged commit.

use std::cmp::Ordering;
use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use crate::location::Lsn;
use crate::node::NodeName;
use crate::record::{Record, Stage};
use crate::rules::lineage::{self, Standing};
use crate::rules::synchronous::{self, OVERRIDE_COMMAND, Operator, PromotionFacts, Published, Verdict};
use crate::vote::{Ballot, Vote};

/// Everything that the choice depends on; the same on every node.
#[derive(Debug, Clone, Default)]
pub struct Facts {
    /// The nodes that run an instance, with their votes; those that did not vote have none.
    pub votes: BTreeMap<NodeName, Option<Vote>>,
    /// All nodes of the cluster, there or not.
    pub members: BTreeSet<NodeName>,
    /// The promotions so far.
    pub record: Record,
    /// What the last primary promised about synchronous replication; none if it cannot be read.
    pub published: Option<Published>,
    /// Nodes that must not be promoted.
    pub barred: BTreeMap<NodeName, Bar>,
    /// What decides between nodes that hold the same; 0 unless set.
    pub priority: BTreeMap<NodeName, i32>,
    /// The node that an operator wants to be promoted, whatever is lost.
    pub ordered: Option<NodeName>,
}

impl Facts {
    /// The nodes that an operator keeps from being promoted.
    pub fn kept_back(&self) -> BTreeSet<NodeName> {
        self.barred.iter().filter(|(_, bar)| **bar == Bar::NoFailover).map(|(node, _)| node.clone()).collect()
    }

    /// Counts what a node has said last: its vote, and whether it has room. Nobody else can tell.
    pub fn count(&mut self, node: &NodeName, ballot: Ballot) {
        match (ballot.room, self.barred.get(node)) {
            (false, None) => _ = self.barred.insert(node.clone(), Bar::NoRoom),
            (true, Some(Bar::NoRoom)) => _ = self.barred.remove(node),
            _ => {}
        }
        self.votes.insert(node.clone(), Some(ballot.vote));
    }
}

/// Why a node must not be promoted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Bar {
    /// An operator said so.
    NoFailover,
    /// It was further behind the last primary than `maxlag` allows.
    TooFarBehind,
    /// Its disk has no room for the WAL file that a promotion begins.
    NoRoom,
}

/// Who is to be promoted.
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
    /// Nobody, for now.
    Nobody(Refusal),
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
    /// An operator takes responsibility for this.
    Ordered(String),
}

/// Why nobody is to be promoted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Refusal {
    /// Nobody has voted.
    NoVotes,
    /// Nobody who voted holds the history that the cluster went on with.
    History(Vec<(NodeName, Standing)>),
    /// All that hold enough are barred.
    AllBarred(BTreeMap<NodeName, Bar>),
    /// The chosen one may lack acknowledged commits that this barred node holds.
    BarredHoldsMore(NodeName, Bar),
    /// Acknowledged commits may be missing.
    Synchronous(Box<synchronous::Refusal>),
}

/// Chooses who is to be promoted; of nodes that hold the same, `preferred`, then priority, then the first by name.
///
/// A node that has strayed from the cluster's history is never chosen. One that has missed the last promotion is chosen
/// only while that promotion's history does not count yet ([`Stage::Kept`]). Synchronous commits are
/// guarded by [`synchronous`]: the voters must include a holder of each, and the winner must hold what any voter holds.
pub fn choose(facts: &Facts, preferred: Option<&NodeName>) -> Choice {
    if let Some(ordered) = facts.ordered.as_ref().filter(|ordered| facts.votes.contains_key(*ordered)) {
        return match facts.barred.get(ordered) {
            // It would end instead of becoming the primary, and others with less would be next.
            Some(Bar::NoRoom) => Choice::Nobody(Refusal::AllBarred([(ordered.clone(), Bar::NoRoom)].into())),
            _ => by_order(facts, ordered),
        };
    }
    let voted: Vec<(&NodeName, &Vote)> =
        facts.votes.iter().filter_map(|(node, vote)| Some((node, vote.as_ref()?))).collect();
    if voted.is_empty() {
        return Choice::Nobody(Refusal::NoVotes);
    }
    let record = facts.record.proven_by(voted.iter().map(|(_, vote)| *vote));
    let (fit, standings) = fit(&voted, &record);
    let order = |a: &(&NodeName, &Vote), b: &(&NodeName, &Vote)| order(facts, preferred, a, b);
    let free = fit.iter().filter(|(node, _)| !facts.barred.contains_key(*node)).copied();
    let Some((node, vote)) = free.max_by(order) else {
        return Choice::Nobody(match fit.is_empty() {
            true => Refusal::History(standings),
            false => Refusal::AllBarred(facts.barred.clone()),
        });
    };
    let barred = fit.iter().filter(|(other, _)| facts.barred.contains_key(*other)).copied().max_by(order);
    let ahead = barred.filter(|(_, theirs)| position(theirs) > position(vote));
    if let Err(refusal) = keeps_promises(facts, &record, node, ahead) {
        return Choice::Nobody(refusal);
    }
    let silent: Vec<NodeName> =
        facts.votes.iter().filter(|(_, vote)| vote.is_none()).map(|(node, _)| node.clone()).collect();
    let silent = (!silent.is_empty()).then_some(Warning::Silent(silent));
    let ahead = ahead.map(|(other, theirs)| Warning::Barred {
        node: other.clone(),
        bar: facts.barred[other],
        bytes: theirs.lsn().bytes_after(vote.lsn()),
    });
    let warnings = silent.into_iter().chain(ahead).collect();
    Choice::Node { node: node.clone(), vote: Some(vote.clone()), warnings }
}

/// Chooses for a node that Pacemaker wants to promote: among those that hold the most itself, else `former`, the primary
/// that has just been demoted for it. Everybody who can follow it still does.
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
    // Who has come short of the end of that promotion's WAL has joined it.
    if fit.is_empty() && with(|standing| matches!(standing, Standing::Short { .. })).is_empty() {
        fit = with(|standing| matches!(standing, Standing::Behind(last) if last.stage < Stage::Kept));
    }
    let standings = standings.into_iter().map(|((node, _), standing)| (node.clone(), standing)).collect();
    (fit, standings)
}

/// Which of two holds more: a later timeline beats any position, because a node on an earlier one has missed a promotion.
fn order(facts: &Facts, preferred: Option<&NodeName>, a: &Voter, b: &Voter) -> Ordering {
    let priority = |node: &NodeName| facts.priority.get(node).copied().unwrap_or(0);
    let rank = |(node, vote): &Voter| (position(vote), preferred == Some(*node), priority(node));
    rank(a).cmp(&rank(b)).then_with(|| b.0.cmp(a.0))
}

fn position(vote: &Vote) -> (crate::location::Timeline, Lsn) {
    (vote.timeline(), vote.lsn())
}

/// Whether promoting `node` loses no commit that was acknowledged with synchronous replication. What a strayed node holds
/// the winner need not hold, so its vote proves nothing.
fn keeps_promises(facts: &Facts, record: &Record, node: &NodeName, barred_ahead: Option<Voter>) -> Result<(), Refusal> {
    let counts = |vote: &&Vote| !matches!(lineage::standing(vote, record), Standing::Strayed { .. });
    let judge = |without: &BTreeMap<NodeName, Bar>| {
        let position = |(node, vote): (&NodeName, &Option<Vote>)| {
            let vote = vote.as_ref().filter(counts).filter(|_| !without.contains_key(node));
            (node.clone(), vote.map(Vote::lsn))
        };
        synchronous::verdict(&PromotionFacts {
            candidate: node.clone(),
            members: facts.members.clone(),
            published: facts.published.clone(),
            votes: facts.votes.iter().map(position).collect(),
            last_known: None,
            operator: Operator::Silent,
        })
    };
    if let Verdict::Unsafe(refusal) | Verdict::Overridden { refusal, .. } = judge(&BTreeMap::new()) {
        return Err(Refusal::Synchronous(Box::new(refusal)));
    }
    match barred_ahead {
        // The winner does not hold what these do: it must be safe without them.
        Some((holder, _)) if !matches!(judge(&facts.barred), Verdict::Safe(_)) => {
            Err(Refusal::BarredHoldsMore(holder.clone(), facts.barred[holder]))
        }
        _ => Ok(()),
    }
}

/// What an operator ordered, with what stands against it.
fn by_order(facts: &Facts, ordered: &NodeName) -> Choice {
    let vote = facts.votes.get(ordered).cloned().flatten();
    let without = choose(&Facts { ordered: None, ..facts.clone() }, Some(ordered));
    let warning = match without {
        Choice::Node { node, .. } if node == *ordered => None,
        Choice::Node { node, vote: Some(better), .. } => {
            let lost = vote.as_ref().map_or(better.lsn().0, |ours| better.lsn().bytes_after(ours.lsn()));
            Some(format!("{node} holds {lost} bytes of WAL more"))
        }
        Choice::Node { node, vote: None, .. } => Some(format!("{node} should be promoted")),
        Choice::Nobody(refusal) => Some(refusal.to_string()),
    };
    Choice::Node { node: ordered.clone(), vote, warnings: warning.map(Warning::Ordered).into_iter().collect() }
}

impl fmt::Display for Bar {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Bar::NoFailover => "its node attribute says nofailover",
            Bar::TooFarBehind => "it was further behind than maxlag allows",
            Bar::NoRoom => "No space left on device for pg_wal",
        })
    }
}

impl fmt::Display for Warning {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Warning::Silent(nodes) => write!(f, "{} did not vote: what they hold is not known", listed(nodes)),
            Warning::Barred { node, bar, bytes } => {
                write!(f, "{node} holds {bytes} bytes of WAL more and is not promoted, because {bar}")
            }
            Warning::Ordered(against) => write!(f, "promoted by the operator's order, although {against}"),
        }
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Refusal::NoVotes => f.write_str("no node could tell how far its WAL reaches: see the system log"),
            Refusal::History(standings) => {
                let (first, others) =
                    standings.split_first().map_or((None, 0), |(first, rest)| (Some(first), rest.len()));
                let Some((node, standing)) = first else { return Ok(()) };
                write!(f, "start {}, or run {OVERRIDE_COMMAND}: {node} {standing}", standing.holder())?;
                if others > 0 { write!(f, ", and {others} more like it") } else { Ok(()) }
            }
            Refusal::AllBarred(barred) => {
                let full = barred.iter().filter(|(_, bar)| **bar == Bar::NoRoom).map(|(node, _)| node.clone());
                let full: Vec<NodeName> = full.collect();
                let barred: Vec<String> = barred.iter().map(|(node, bar)| format!("{node}: {bar}")).collect();
                if !full.is_empty() {
                    write!(f, "free space on {}: ", listed(&full))?;
                }
                write!(f, "all that could be promoted are barred ({})", barred.join("; "))
            }
            Refusal::BarredHoldsMore(node, Bar::NoRoom) => {
                write!(
                    f,
                    "free space on {node}: it may hold acknowledged commits that the others lack; {}",
                    Bar::NoRoom
                )
            }
            Refusal::BarredHoldsMore(node, Bar::NoFailover | Bar::TooFarBehind) => {
                write!(f, "{node} may hold acknowledged commits that the others lack, and is barred from promotion")
            }
            Refusal::Synchronous(refusal) => f.write_str(&refusal.brief()),
        }
    }
}

fn listed(nodes: &[NodeName]) -> String {
    nodes.iter().map(NodeName::as_str).collect::<Vec<_>>().join(", ")
}

#[cfg(test)]
mod tests;
