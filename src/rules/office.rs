//! Whether a running primary is the one that the cluster elected.
//!
//! Only such a primary writes the record of promotions, the scores and the promises. Another one was promoted by a person,
//! by a tool, or by PostgreSQL itself. It is adopted if provably nothing is lost by that; otherwise it gives way.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use crate::location::Lsn;
use crate::node::NodeName;
use crate::record::{Promotion, Record};
use crate::rules::lineage::{self, Standing};
use crate::rules::promotion::{self, Facts};
use crate::score::Score;
use crate::vote::{Ballot, Extent, Reach, Vote};

/// What a running primary is to the cluster.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Office {
    /// The last recorded promotion is its own.
    Elected,
    /// No election made it, and nothing is lost by it: it goes on, with this record before its own entry.
    Adopted(Record),
    /// No election made it, and the record is about another database: a new record begins.
    NewDatabase,
    /// No election made it, and whether something is lost by it is not known yet.
    Waits(Wait),
    /// No election made it, and it must not go on.
    Stray(Stray),
}

/// What is waited for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Wait {
    /// Quorum.
    Quorum,
    /// These nodes have not voted.
    Votes(Vec<NodeName>),
}

/// Why a primary must not go on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Stray {
    /// This node is the primary, or may be.
    Beside(NodeName),
    /// What is known of this node's WAL, or of the last primary's, is beyond what this one has.
    Lacks(NodeName),
    /// Its database is another one than that of the record, and this node holds that.
    AnotherDatabase(NodeName),
    /// Its database is another one than that of the record, and this node is the primary of that, or may be.
    ForeignBeside(NodeName),
}

/// Whether the last recorded promotion is that of `me`, which runs as the primary and would vote so.
pub fn is_elected(me: &NodeName, vote: &Vote, record: &Record) -> bool {
    let proven = record.proven_by([(me, vote)]);
    let begin = vote.history.begin(vote.timeline());
    let is_ours = |switch: Lsn| begin.is_none_or(|begin| begin == switch);
    lineage::foreign(vote, record).is_none()
        && proven
            .last()
            .is_some_and(|last| last.node == *me && last.timeline == vote.timeline() && is_ours(last.switch))
}

/// What the primary on `me` is to the cluster. The votes are its own, those of the `followers` that stream from it, and those
/// of all other nodes with an instance; `rivals` are other nodes that are or may be the primary.
pub fn office(
    me: &NodeName,
    facts: &Facts,
    followers: &BTreeSet<NodeName>,
    rivals: &BTreeSet<NodeName>,
    is_quorate: bool,
) -> Office {
    let own = facts.votes.get(me).and_then(Option::as_ref);
    if own.is_some_and(|own| is_elected(me, own, &facts.record)) {
        return Office::Elected;
    }
    if let Some(rival) = rivals.first() {
        let stray = if facts.foreign.contains_key(me) { Stray::ForeignBeside } else { Stray::Beside };
        return Office::Stray(stray(rival.clone()));
    }
    if !is_quorate {
        return Office::Waits(Wait::Quorum);
    }
    let silent: Vec<NodeName> =
        facts.votes.iter().filter(|(_, vote)| vote.is_none()).map(|(node, _)| node.clone()).collect();
    if !silent.is_empty() {
        return Office::Waits(Wait::Votes(silent));
    }
    match own {
        Some(own) => without_rivals(me, own, facts, followers),
        // Its followers have its own database.
        None => match facts.votes.keys().find(|node| !followers.contains(*node)) {
            Some(holder) => Office::Stray(Stray::AnotherDatabase(holder.clone())),
            None => Office::NewDatabase,
        },
    }
}

/// No other node is the primary, and all have voted.
fn without_rivals(me: &NodeName, own: &Vote, facts: &Facts, followers: &BTreeSet<NodeName>) -> Office {
    let holder = || {
        let others = facts.votes.iter().filter_map(|(node, vote)| Some((node, vote.as_ref()?)));
        let others = others.filter(|(node, _)| *node != me && !followers.contains(*node));
        let last = || facts.record.last().map(|last| last.node.clone());
        others.max_by_key(|(_, vote)| vote.lsn()).map(|(node, _)| node.clone()).or_else(last)
    };
    let lacks = || Office::Stray(Stray::Lacks(holder().unwrap_or_else(|| me.clone())));
    let Ok(line) = promotion::line_of(facts) else { return lacks() };
    if !matches!(lineage::standing(own, &line), Standing::Current) || promotion::may_lose(facts, &line, me) {
        return lacks();
    }
    // An announced promotion that another node went through has happened: it may have ended before its first monitor recorded it.
    let record = proven(me, facts, followers);
    let Some(last) = record.last() else {
        let is_furthest = facts.votes.values().flatten().all(|other| other.position() <= own.position());
        return if is_furthest { Office::Adopted(Record::default()) } else { lacks() };
    };
    let is_alone = facts.votes.keys().all(|node| node == me || followers.contains(node));
    // Two nodes on one timeline: where their WAL parts cannot be seen in their histories.
    let is_namesake = last.timeline == own.timeline() && last.node != *me;
    if is_namesake && (!is_alone || own.lsn() < last.reached()) {
        return lacks();
    }
    Office::Adopted(line)
}

/// Whether the data directory of `me`, in which a primary ran last, has written a recorded timeline of another node by itself:
/// that primary. The histories do not distinguish the two, so PostgreSQL would follow the other one with WAL that differs.
///
/// A directory that was copied or restored since is not evidence: a snapshot of the primary looks like this, too. Nor is the
/// record of a node that is not a member any more: it was renamed.
pub fn wrote_anothers_timeline(
    me: &NodeName,
    vote: &Vote,
    record: &Record,
    members: &BTreeSet<NodeName>,
) -> Option<NodeName> {
    writes_anothers_timeline(me, vote, record, members).filter(|_| !vote.replaced)
}

/// The same of a server that runs as a primary, or has just been stopped as one: it has written, even if it was copied before.
pub fn writes_anothers_timeline(
    me: &NodeName,
    vote: &Vote,
    record: &Record,
    members: &BTreeSet<NodeName>,
) -> Option<NodeName> {
    let begin = vote.history.begin(vote.timeline());
    // It is unknown on which timeline WAL ends that is not read yet.
    if vote.extent != Extent::Exact {
        return None;
    }
    // Also one that is only announced: whether it has happened is seen later, and nothing distinguishes the two then.
    let is_there = |it: &&Promotion| it.timeline == vote.timeline() && begin.is_none_or(|begin| begin == it.switch);
    let begun = record.0.iter().find(is_there)?;
    let is_anothers = begun.node != *me && members.contains(&begun.node) && lineage::foreign(vote, record).is_none();
    is_anothers.then(|| begun.node.clone())
}

/// The record with what the votes of others than `me` and its `followers` prove.
fn proven(me: &NodeName, facts: &Facts, followers: &BTreeSet<NodeName>) -> Record {
    let others = facts.votes.iter().filter(|(node, _)| *node != me && !followers.contains(*node));
    facts.record.proven_by(others.filter_map(|(node, vote)| Some((node, vote.as_ref()?))).collect::<Vec<_>>())
}

/// Whether a node says that it has written the recorded timeline of another one by itself, as a primary. Nothing in its history
/// shows that, and its WAL is of no line that counts.
pub fn is_namesake(node: &NodeName, ballot: &Ballot, record: &Record, members: &BTreeSet<NodeName>) -> bool {
    ballot.primary && wrote_anothers_timeline(node, &ballot.vote, record, members).is_some()
}

/// The other nodes that are or may be the primary: by their score, or as the last one on record; not those that follow `me`,
/// have voted as standbys, or have stopped their instance.
pub fn rivals(
    me: &NodeName,
    online: &BTreeSet<NodeName>,
    scores: &BTreeMap<NodeName, Score>,
    record: &Record,
    are_none: &BTreeSet<NodeName>,
) -> BTreeSet<NodeName> {
    let last = record.last().map(|last| &last.node);
    let may_be = |node: &&NodeName| scores.get(*node) == Some(&Score::PRIMARY) || last == Some(*node);
    online.iter().filter(|node| *node != me && !are_none.contains(*node)).filter(may_be).cloned().collect()
}

/// The question of another node that was asked last. One from before is of a primary that has been made a standby since, or that
/// gives way to the later one; a node that answered that first would never come to the other.
pub fn asked_last<'a>(me: &NodeName, questions: &'a BTreeMap<NodeName, String>) -> Option<&'a str> {
    let when = |question: &&String| question.rsplit_once('/').and_then(|(_, time)| time.parse::<u64>().ok());
    let others = questions.iter().filter(|(node, _)| *node != me).map(|(_, question)| question);
    others.max_by_key(when).map(String::as_str)
}

/// The node that is the primary by its score; not one of those that have voted as standbys since the last promotion, or have
/// stopped their instance, and keep a score that they had before.
pub fn primary(
    online: &BTreeSet<NodeName>,
    scores: &BTreeMap<NodeName, Score>,
    are_none: &BTreeSet<NodeName>,
) -> Option<NodeName> {
    let is_primary = |node: &&NodeName| scores.get(*node) == Some(&Score::PRIMARY) && !are_none.contains(*node);
    online.iter().find(is_primary).cloned()
}

impl fmt::Display for Wait {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Wait::Quorum => {
                f.write_str("promoted outside an election: not recorded as the primary before there is quorum")
            }
            Wait::Votes(nodes) => {
                let nodes: Vec<&str> = nodes.iter().map(NodeName::as_str).collect();
                write!(f, "promoted outside an election: waits for {} to say how far its WAL reaches", nodes.join(", "))
            }
        }
    }
}

impl Stray {
    /// The exit reason on the node of this primary.
    pub fn reason(&self, resource: &str) -> String {
        match self {
            Stray::Beside(primary) => format!(
                "promoted outside an election, {primary} is the primary: run `pgsqlms rejoin --resource {resource}` here \
                 when this is a standby"
            ),
            Stray::Lacks(node) => format!(
                "promoted outside an election, {node} may hold more: this is demoted; or run `pgsqlms promote-anyway \
                 --resource {resource}`"
            ),
            Stray::AnotherDatabase(node) => format!(
                "another database than that of {node}: run `pgsqlms rebuild --resource {resource}` here, or \
                 `pgsqlms forget-history`"
            ),
            Stray::ForeignBeside(primary) => format!(
                "another database than that of the primary {primary}: run `pgsqlms rebuild --resource {resource}` here when \
                 this is a standby"
            ),
        }
    }
}

/// The vote of a node that streams from the primary with `own` and has flushed so much of its WAL.
pub fn follower(own: &Vote, flushed: Lsn) -> Vote {
    let history = own.history.up_to(own.history.timeline_at(Lsn(flushed.0.saturating_sub(1))));
    Vote { history, reach: Reach { received: Some(flushed), ..Reach::default() }, ..own.clone() }
}

#[cfg(test)]
mod tests;
