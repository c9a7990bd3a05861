//! All that voted lack the history that the cluster went on with: what helps.

use std::fmt;

use super::words::{FORGET_COMMAND, listed};
use super::{Bar, Facts};
use crate::node::NodeName;
use crate::rules::lineage::Standing;
use crate::rules::synchronous::OVERRIDE_COMMAND;

/// How those that voted stand to the cluster's history, and what helps.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Lacking {
    /// How each of them stands.
    pub standings: Vec<(NodeName, Standing)>,
    /// What helps besides to promote one of them anyway.
    pub helps: Helps,
}

/// What helps.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Helps {
    /// To start these, none of which runs an instance: first of all the one that was promoted last.
    Start(Vec<NodeName>),
    /// To wait for this one, which was promoted last: it runs an instance and has not voted.
    Wait(NodeName),
    /// To bring the data of this one back, which was promoted last: it runs an instance with another database.
    Restore(NodeName),
    /// Nothing: all nodes run an instance, and the one that was promoted last holds its own history no more. Its data was
    /// restored from a backup.
    Nothing,
}

impl Lacking {
    /// What helps where the voters stand so.
    pub(super) fn new(facts: &Facts, standings: Vec<(NodeName, Standing)>) -> Self {
        let is_stopped = |node: &NodeName| facts.barred.get(node) == Some(&Bar::Stopped);
        let voted = |node: &NodeName| facts.votes.contains_key(node) || facts.foreign.contains_key(node);
        let runs = |node: &NodeName| voted(node) && !is_stopped(node);
        // A node that was removed from the cluster cannot be started.
        let is_member = |node: &NodeName| facts.members.is_empty() || facts.members.contains(node);
        let holder = standings.iter().find_map(|(_, standing)| standing.holder());
        let away = || facts.members.iter().filter(|node| !runs(node)).cloned().collect::<Vec<_>>();
        let helps = match holder {
            Some(holder) if !runs(holder) && is_member(holder) => Helps::Start(vec![holder.clone()]),
            Some(holder) if facts.votes.get(holder).is_some_and(Option::is_none) => Helps::Wait(holder.clone()),
            holder => match (away(), holder) {
                (away, Some(holder)) if away.is_empty() && facts.foreign.contains_key(holder) => {
                    Helps::Restore(holder.clone())
                }
                (away, _) if away.is_empty() => Helps::Nothing,
                (away, _) => Helps::Start(away),
            },
        };
        Self { standings, helps }
    }
}

impl fmt::Display for Lacking {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.helps {
            Helps::Start(nodes) => write!(f, "start {}, or run {OVERRIDE_COMMAND}", listed(nodes)),
            Helps::Wait(node) => write!(f, "wait for {node} to say what it holds, or run {OVERRIDE_COMMAND}"),
            Helps::Restore(node) => write!(f, "restore {node}, it has another database, or run {OVERRIDE_COMMAND}"),
            Helps::Nothing => write!(f, "run {FORGET_COMMAND} if all data was restored, else {OVERRIDE_COMMAND}"),
        }?;
        let Some(((node, standing), others)) = self.standings.split_first() else { return Ok(()) };
        write!(f, ": {node} {standing}")?;
        if others.is_empty() { Ok(()) } else { write!(f, ", and {} more like it", others.len()) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::location::SystemId;
    use crate::rules::lineage;
    use crate::rules::table;

    /// The voters, all of which lack timeline 2 of srv2; the others that run an instance, `!srv3` with another database, `.srv2` is a
    /// voter that has been stopped → the reason.
    fn reason((voters, others): (&str, &str)) -> String {
        let record = "2@0/100 srv2 0 kept".parse().unwrap();
        let vote: crate::vote::Vote = "1#512".parse().unwrap();
        let mut facts =
            Facts { members: ["srv1", "srv2", "srv3"].map(NodeName::new).into(), record, ..Facts::default() };
        for node in voters.split(' ') {
            facts.votes.insert(NodeName::new(node), Some(vote.clone()));
        }
        for node in others.split_whitespace() {
            match node.split_at(1) {
                ("!", node) => _ = facts.foreign.insert(NodeName::new(node), SystemId(8)),
                (".", node) => _ = facts.barred.insert(NodeName::new(node), Bar::Stopped),
                _ => _ = facts.votes.insert(NodeName::new(node), None),
            }
        }
        let standing = |node: &str| (NodeName::new(node), lineage::standing(&vote, &facts.record));
        Lacking::new(&facts, voters.split(' ').map(standing).collect()).to_string()
    }

    table! { reason;
        it_is_away: ("srv1 srv3", "") => "start srv2, or run pgsqlms promote-anyway: srv1 diverged from timeline 2 (srv2) at \
            0/100, and 1 more like it";
        it_runs_and_has_not_voted: ("srv1", "srv2") => "wait for srv2 to say what it holds, or run pgsqlms promote-anyway: srv1 \
            diverged from timeline 2 (srv2) at 0/100";
        it_was_stopped: ("srv1 srv2", ".srv2") => "start srv2, or run pgsqlms promote-anyway: srv1 diverged from timeline 2 \
            (srv2) at 0/100, and 1 more like it";
        // Patroni #1309.
        all_were_restored: ("srv1 srv2 srv3", "") => "run pgsqlms forget-history if all data was restored, else pgsqlms \
            promote-anyway: srv1 diverged from timeline 2 (srv2) at 0/100, and 2 more like it";
        it_was_restored_and_another_may_hold_it: ("srv1 srv2", "") => "start srv3, or run pgsqlms promote-anyway: srv1 diverged \
            from timeline 2 (srv2) at 0/100, and 1 more like it";
        it_has_another_database_and_another_may_hold_it: ("srv1", "!srv2") => "start srv3, or run pgsqlms promote-anyway: srv1 \
            diverged from timeline 2 (srv2) at 0/100";
        it_has_another_database: ("srv1 srv3", "!srv2") => "restore srv2, it has another database, or run pgsqlms \
            promote-anyway: srv1 diverged from timeline 2 (srv2) at 0/100, and 1 more like it";
        another_node_has_another_database: ("srv1 srv2", "!srv3") => "run pgsqlms forget-history if all data was restored, else \
            pgsqlms promote-anyway: srv1 diverged from timeline 2 (srv2) at 0/100, and 1 more like it";
    }

    #[test]
    fn a_node_that_was_removed_is_not_to_be_started() {
        let vote: crate::vote::Vote = "1#512".parse().unwrap();
        let record = "2@0/100 srv9 0 kept".parse().unwrap();
        let srv1 = NodeName::new("srv1");
        let standings = vec![(srv1.clone(), lineage::standing(&vote, &record))];
        let facts = Facts { members: [srv1.clone()].into(), votes: [(srv1, Some(vote))].into(), ..Facts::default() };
        assert_eq!(Lacking::new(&facts, standings).helps, Helps::Nothing);
    }
}
