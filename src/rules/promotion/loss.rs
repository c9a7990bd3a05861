//! What a promotion loses that an operator orders, and when it is not ordered.
//!
//! Positions are compared on one line of timelines only: where two histories part is computed from both.

use std::collections::BTreeSet;
use std::fmt;

use super::words::FORGET_COMMAND;
use super::{Bar, Choice, Facts, choose};
use crate::location::Lsn;
use crate::node::NodeName;
use crate::record::Promotion;
use crate::rules::lineage::{self, Foreign, Standing};
use crate::vote::{Extent, Vote};

/// Why a promotion is not ordered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Refused {
    /// This partition has no quorum.
    NoQuorum,
    /// The node is not in this partition of the cluster.
    Offline(NodeName),
    /// This node is the primary.
    Primary(NodeName),
    /// The node runs no instance that could be promoted.
    Stopped(NodeName),
    /// The node has another database than the one on record.
    OtherDatabase(NodeName),
}

/// Why the promotion of `node` is not ordered; nothing if it may be. `primary` is the primary by the scores.
pub fn refused(
    facts: &Facts,
    node: &NodeName,
    online: &BTreeSet<NodeName>,
    primary: Option<&NodeName>,
    is_quorate: bool,
) -> Option<Refused> {
    if !is_quorate {
        return Some(Refused::NoQuorum);
    }
    if let Some(primary) = primary.filter(|primary| *primary != node) {
        return Some(Refused::Primary(primary.clone()));
    }
    if !online.contains(node) {
        return Some(Refused::Offline(node.clone()));
    }
    if facts.foreign.contains_key(node) {
        return Some(Refused::OtherDatabase(node.clone()));
    }
    let is_stopped = !facts.votes.contains_key(node) || facts.barred.get(node) == Some(&Bar::Stopped);
    is_stopped.then(|| Refused::Stopped(node.clone()))
}

/// What a person reads before the promotion of `node` is ordered: what it holds, what the election says, and what is lost.
pub fn account(facts: &Facts, node: &NodeName) -> String {
    if let Some(foreign) = foreign(facts, node) {
        return elsewhere(facts, node, foreign);
    }
    let vote = facts.votes.get(node).and_then(Option::as_ref);
    let mut lines =
        vec![format!("{node}: {}", vote.map_or("it has not reported the end of its WAL".to_owned(), reach))];
    let ordered = Facts { ordered: Some(node.clone()), ..facts.clone() };
    if let Choice::Node { warnings, .. } = choose(&ordered, None) {
        lines.extend(warnings.iter().map(|warning| format!("{node} would be {warning}.")));
    }
    lines.extend(vote.and_then(|vote| lost(node, vote, facts)));
    lines.join("\n")
}

fn reach(vote: &Vote) -> String {
    let least = if vote.extent == Extent::Exact { "" } else { "at least " };
    format!("its WAL reaches {least}{} on timeline {}", vote.lsn(), vote.timeline())
}

fn foreign(facts: &Facts, node: &NodeName) -> Option<Foreign> {
    Some(Foreign { own: *facts.foreign.get(node)?, recorded: facts.record.system()? })
}

fn elsewhere(facts: &Facts, node: &NodeName, Foreign { own, recorded }: Foreign) -> String {
    let last = facts.record.last().map_or(String::new(), |Promotion { node, timeline, .. }| {
        format!(", whose last primary was {node} on timeline {timeline}")
    });
    format!(
        "{node}: it has another database, with system identifier {own}. On record is that with {recorded}{last}: all of that \
         would be gone, and no position in one compares with a position in the other."
    )
}

/// What is lost of the cluster's history when `node`, which votes so, goes on.
fn lost(node: &NodeName, vote: &Vote, facts: &Facts) -> Option<String> {
    let record = facts.record.proven_by([(node, vote)]);
    let last = record.last()?;
    let Promotion { timeline, node: primary, switch, .. } = last;
    let least = |bytes: u64| {
        if bytes > 0 { format!("at least {bytes} bytes of WAL") } else { "how much is not known".to_owned() }
    };
    Some(match lineage::standing(vote, &record) {
        Standing::Current => match last.reached().bytes_after(vote.lsn()) {
            0 => return None,
            bytes => {
                format!("The WAL of {primary} had reached {}: {} of it would be lost.", last.reached(), least(bytes))
            }
        },
        Standing::Short { end, node: primary } => format!(
            "The WAL of {primary} ended at {end} when it was shut down: {} bytes of it would be lost.",
            end.bytes_after(vote.lsn())
        ),
        Standing::Behind(_) => format!(
            "{primary} was promoted to timeline {timeline} at {switch}: what was written on that timeline would be lost ({}), and \
             {} bytes of WAL before that.",
            least(last.reached().bytes_after(*switch)),
            switch.bytes_after(vote.lsn())
        ),
        Standing::Diverged { at: None, .. } => format!(
            "{node} is on another history than {primary} on timeline {timeline}: what is written there would be lost. Where the \
             two part is not known."
        ),
        Standing::Diverged { at: Some(at), .. } => format!(
            "{node} left the history of {primary} on timeline {timeline} at {at}: what follows there would be lost ({}), and the \
             {} bytes of WAL that {node} has of its own would count.",
            least(last.reached().bytes_after(at)),
            vote.lsn().bytes_after(at)
        ),
    })
}

/// What a node with the vote `better` holds that one with `ours` lacks, if both are known.
pub(super) fn lacks(ours: Option<&Vote>, better: Option<&Vote>) -> Option<String> {
    let (ours, better) = (ours?, better?);
    if ours.system.zip(better.system).is_some_and(|(ours, better)| ours != better) {
        return Some("another database".to_owned());
    }
    let Some(fork) = ours.history.fork(&better.history) else { return Some("another history".to_owned()) };
    let common = fork.at.map_or(ours.lsn(), |at: Lsn| at.min(ours.lsn()));
    Some(format!("{} bytes of WAL after {common}", better.lsn().bytes_after(common)))
}

impl fmt::Display for Refused {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Refused::NoQuorum => f.write_str("this partition of the cluster has no quorum: see `corosync-quorumtool`"),
            Refused::Offline(node) => write!(f, "{node} is offline: start it first"),
            Refused::Primary(node) => write!(f, "{node} is the primary: use `pcs resource move` to switch over"),
            Refused::Stopped(node) => write!(
                f,
                "PostgreSQL is stopped on {node}: start it first, with `pcs resource enable`, `pcs node unstandby {node}` or `pcs \
                 resource cleanup`"
            ),
            Refused::OtherDatabase(node) => {
                write!(
                    f,
                    "{node} has another database than the one on record; if that is intended, run {FORGET_COMMAND}"
                )
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rules::promotion::tests::recorded;
    use crate::rules::table;

    /// Votes as `srv1=2#300,history=1@0/100|2`, `-` for none, `srv1:1#9` for one that is stopped, `srv1` for one that nothing is
    /// known of; the record.
    fn facts(votes: &str, record: &str) -> Facts {
        let mut facts = recorded(record, "");
        for word in votes.split_whitespace() {
            if let Some((node, left)) = word.split_once(':') {
                facts.count_stopped(&NodeName::new(node), left.parse().unwrap());
            }
            let Some((node, vote)) = word.split_once('=') else { continue };
            match vote.replace(',', " ").replace('|', ",").parse() {
                Ok(vote) => facts.count_vote(&NodeName::new(node), vote),
                Err(_) => _ = facts.votes.insert(NodeName::new(node), None),
            }
        }
        facts
    }

    /// The account of srv1, without the first line.
    fn lines((votes, record): (&str, &str)) -> String {
        account(&facts(votes, record), &NodeName::new("srv1")).lines().skip(1).collect::<Vec<_>>().join(" | ")
    }

    const MISSED: &str = "3@0/200 srv2 0 kept history=1@0/100,2@0/200,3";

    table! { lines;
        the_best: ("srv1=3#900,history=1@0/100|2@0/200|3", MISSED) => "";
        another_holds_more: ("srv1=1#256 srv2=1#276", "") => "srv1 would be promoted by the operator's order; without it: \
            srv2 should be promoted, which holds 20 bytes of WAL after 0/100.";
        another_is_on_a_later_timeline: ("srv1=1#240 srv2=2#300,history=1@0/100|2", "2@0/100 srv2 0 kept")
            => "srv1 would be promoted by the operator's order; without it: srv2 should be promoted, which holds 60 bytes of \
                WAL after 0/F0. | srv2 was promoted to timeline 2 at 0/100: what was written on that timeline would be lost \
                (how much is not known), and 16 bytes of WAL before that.";
        // Its own bytes beyond the fork make up for nothing.
        another_has_gone_another_way: (
            "srv1=2#400,history=1@0/80|2 srv2=3#300,history=1@0/100|3", "3@0/100 srv2 0 kept history=1@0/100,3")
            => "srv1 would be promoted by the operator's order; without it: srv2 should be promoted, which holds 172 bytes of \
                WAL after 0/80. | srv1 left the history of srv2 on timeline 3 at 0/80: what follows there would be lost (at \
                least 128 bytes of WAL), and the 272 bytes of WAL that srv1 has of its own would count.";
        the_last_primary_is_away: ("srv1=1#240", MISSED) => "srv1 would be promoted by the operator's order; without it: start \
            srv2, or run pgsqlms promote-anyway: srv1 missed the promotion of srv2 to timeline 3. | srv2 was promoted to \
            timeline 3 at 0/200: what was written on that timeline would be lost (how much is not known), and 272 bytes of WAL \
            before that.";
        a_position_of_it_is_known: ("srv1=2#512,history=1@0/100|2", "3@0/200 srv2 0 kept known=0/280@5")
            => "srv1 would be promoted by the operator's order; without it: start srv2, or run pgsqlms promote-anyway: srv1 \
                missed the promotion of srv2 to timeline 3. | srv2 was promoted to timeline 3 at 0/200: what was written on \
                that timeline would be lost (at least 128 bytes of WAL), and 0 bytes of WAL before that.";
        the_end_of_it_is_known: ("srv1=2#500,history=1@0/100|2", "2@0/100 srv2 0 kept end=0/200") => "srv1 would be promoted by \
            the operator's order; without it: start srv2, or run pgsqlms promote-anyway: srv1 lacks the end of srv2's WAL, up to \
            0/200. | The WAL of srv2 ended at 0/200 when it was shut down: 12 bytes of it would be lost.";
        a_noted_position_is_beyond: ("srv1=2#500,history=1@0/100|2", "2@0/100 srv2 0 kept known=0/200@5") => "The WAL of srv2 \
            had reached 0/200: at least 12 bytes of WAL of it would be lost.";
        // Patroni #1309: restored to before the last failover, and promoted to a timeline of the same number.
        a_restore_of_the_whole_cluster: (
            "srv1=7#400,history=5@0/100|7 srv2=7#400,history=5@0/100|7 srv3=7#400,history=5@0/100|7",
            "7@0/180 srv2 0 kept history=5@0/100,6@0/180,7")
            => "srv1 would be promoted by the operator's order; without it: run pgsqlms forget-history if all data was \
                restored, else pgsqlms promote-anyway: srv1 diverged from timeline 7 (srv2) at 0/100, and 2 more like it. | \
                srv1 left the history of srv2 on timeline 7 at 0/100: what follows there would be lost (at least 128 bytes of \
                WAL), and the 144 bytes of WAL that srv1 has of its own would count.";
        it_has_not_voted: ("srv1=- srv2=1#9", "") => "srv1 would be promoted by the operator's order; without it: srv2 should be \
            promoted.";
        several_databases: ("srv1=1#9,system=7 srv2=1#9,system=8", "") => "srv1 would be promoted by the operator's order; \
            without it: run pgsqlms promote-anyway on the node with the right database: the nodes hold several, by system \
            identifier: srv1 7, srv2 8.";
    }

    fn head((votes, record): (&str, &str)) -> String {
        account(&facts(votes, record), &NodeName::new("srv1")).lines().next().unwrap().to_owned()
    }

    table! { head;
        its_reach: ("srv1=2#300,history=1@0/100|2", "") => "srv1: its WAL reaches 0/12C on timeline 2";
        so_far: ("srv1=2#300,history=1@0/100|2,extent=atleast", "") => "srv1: its WAL reaches at least 0/12C on timeline 2";
        none: ("srv1=-", "") => "srv1: it has not reported the end of its WAL";
        // Patroni #562: after pg_upgrade the record is about the database of before.
        of_another_database: ("srv1=1#900,system=8", "3@0/200 srv2 0 kept system=7") => "srv1: it has another database, with \
            system identifier 8. On record is that with 7, whose last primary was srv2 on timeline 3: all of that would be \
            gone, and no position in one compares with a position in the other.";
    }

    /// Votes, the primary by score, whether there is quorum → whether the promotion of srv1 is ordered.
    fn is_refused((votes, primary, is_quorate): (&str, Option<&str>, bool)) -> Option<Refused> {
        let online =
            ["srv1", "srv2"].into_iter().map(NodeName::new).filter(|node| votes.contains(node.as_str())).collect();
        let primary = primary.map(NodeName::new);
        refused(
            &facts(votes, "3@0/200 srv2 0 kept system=7"),
            &NodeName::new("srv1"),
            &online,
            primary.as_ref(),
            is_quorate,
        )
    }

    table! { is_refused;
        there_is_no_primary: ("srv1=1#9", None, true) => None;
        there_is_one: ("srv1=1#9 srv2=-", Some("srv2"), true) => Some(Refused::Primary(NodeName::new("srv2")));
        it_is_the_node: ("srv1=1#9 srv2=-", Some("srv1"), true) => None;
        there_is_no_quorum: ("srv1=1#9", None, false) => Some(Refused::NoQuorum);
        it_is_offline: ("srv2=1#9", None, true) => Some(Refused::Offline(NodeName::new("srv1")));
        another_database: ("srv1=1#9,system=8", None, true) => Some(Refused::OtherDatabase(NodeName::new("srv1")));
        it_has_no_vote: ("srv1=-", None, true) => None;
        it_was_stopped: ("srv1:1#9", None, true) => Some(Refused::Stopped(NodeName::new("srv1")));
        not_seen_running: ("srv1 srv2=1#9", None, true) => Some(Refused::Stopped(NodeName::new("srv1")));
    }
}
