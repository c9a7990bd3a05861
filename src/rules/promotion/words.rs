//! What a person reads about an election.

use std::fmt;

use super::{Refusal, Warning};
use crate::node::NodeName;
use crate::rules::synchronous::OVERRIDE_COMMAND;

/// What an operator runs when the record is about a database that is gone.
pub(super) const FORGET_COMMAND: &str = "pgsqlms forget-history";

impl fmt::Display for Warning {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Warning::Silent(nodes) => write!(f, "{} did not vote: what they hold is not known", listed(nodes)),
            Warning::Barred { node, bar, bytes } => {
                write!(f, "{node} holds {bytes} bytes of WAL more and is not promoted, because {bar}")
            }
            Warning::Unfinished(node, lsn) => {
                write!(f, "{node} has not read all its WAL, which reaches at least {lsn}: what follows may be lost")
            }
            Warning::Unreadable(node, why) => {
                write!(f, "{node} cannot read its WAL ({why}): what it alone holds may be lost")
            }
            Warning::Adopted(timeline, node) => write!(
                f,
                "{node} began timeline {timeline} outside an election; it counts, because nothing is lost by it"
            ),
            Warning::Ordered(against) => write!(f, "promoted by the operator's order; without it: {against}"),
        }
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Refusal::NoVotes => f.write_str("no node could determine the end of its WAL: see the system log"),
            Refusal::OlderRecord(node, timeline) => write!(
                f,
                "the CIB has lost promotions up to timeline {timeline}, which {node} knows: its next monitor gives them back"
            ),
            Refusal::OtherDatabase(recorded, nodes) => {
                let nodes: Vec<String> = nodes.iter().map(|(node, system)| format!("{node} {system}")).collect();
                write!(
                    f,
                    "another database than on record; if that is intended, run {FORGET_COMMAND}: system identifier \
                     {recorded} is on record, {}",
                    nodes.join(", ")
                )
            }
            Refusal::SeveralDatabases(nodes) => {
                let nodes: Vec<String> = nodes.iter().map(|(node, system)| format!("{node} {system}")).collect();
                write!(
                    f,
                    "run {OVERRIDE_COMMAND} on the node with the right database: the nodes hold several, by system \
                     identifier: {}",
                    nodes.join(", ")
                )
            }
            Refusal::RunningPrimary(node) => {
                write!(
                    f,
                    "{node} runs as a primary, promoted outside an election: its monitor makes it a standby first"
                )
            }
            Refusal::Namesakes(timeline, nodes) => write!(
                f,
                "run {OVERRIDE_COMMAND} on the right one of {}: each has begun a timeline {timeline} of its own",
                listed(nodes)
            ),
            Refusal::Unfinished(node, lsn) => {
                write!(f, "waits for {node}, which may hold the most and is reading its WAL: up to {lsn} so far")
            }
            Refusal::Unreadable(node, why) => write!(
                f,
                "mend {node}, or run {OVERRIDE_COMMAND}: it cannot read its WAL and may hold acknowledged commits: {why}"
            ),
            Refusal::History(lacking) => lacking.fmt(f),
            Refusal::AllBarred(barred) => {
                let ways_out: Vec<String> = barred.iter().filter_map(|(node, bar)| bar.way_out(node)).collect();
                let barred: Vec<String> = barred.iter().map(|(node, bar)| format!("{node}: {bar}")).collect();
                if !ways_out.is_empty() {
                    write!(f, "{}: ", ways_out.join(", or "))?;
                }
                write!(f, "all that could be promoted are barred ({})", barred.join("; "))
            }
            Refusal::BarredHoldsMore(node, bar) => match bar.way_out(node) {
                Some(way_out) => {
                    write!(f, "{way_out}: it may hold acknowledged commits that the others lack; {bar}")
                }
                None => {
                    write!(f, "{node} may hold acknowledged commits that the others lack, and is barred from promotion")
                }
            },
            Refusal::Synchronous(refusal) => f.write_str(&refusal.brief()),
        }
    }
}

pub(super) fn listed(nodes: &[NodeName]) -> String {
    nodes.iter().map(NodeName::as_str).collect::<Vec<_>>().join(", ")
}
