//! Forgetting the promotions on record: what a person reads first, and when it is refused.
//!
//! The record outlives every node and the resource itself. After pg_upgrade, initdb, or a restore of the whole cluster it is
//! about data that is gone: no node holds what it asks for, and none is promoted.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use crate::clock::utc;
use crate::location::SystemId;
use crate::node::NodeName;
use crate::record::{BadRecord, Promotion, Record, Stage};
use crate::rules::lineage::{self, Standing};
use crate::rules::office;
use crate::vote::Vote;

/// What is known of the record, and of what the nodes hold.
#[derive(Debug, Clone)]
pub struct Facts {
    /// This node.
    pub me: NodeName,
    /// The resource.
    pub resource: String,
    /// Whether the cluster has such a resource.
    pub is_configured: bool,
    /// Whether this partition has quorum.
    pub is_quorate: bool,
    /// The promotions that elections go by.
    pub record: Result<Record, BadRecord>,
    /// What was promised about synchronous replication, as it is published.
    pub promised: Option<String>,
    /// The node that an operator wants to be promoted.
    pub ordered: Option<NodeName>,
    /// How many attributes and further properties there are of a resource that is gone.
    pub left_over: usize,
    /// The node that is the primary by its score.
    pub primary: Option<NodeName>,
    /// What each node of the cluster holds.
    pub nodes: BTreeMap<NodeName, Holds>,
}

/// What is known of the data of one node.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Holds {
    /// Its vote.
    Vote(Vote),
    /// Its instance is stopped, and has left this as its vote if that was clean.
    Stopped(Option<Vote>),
    /// It has not voted.
    Silent,
    /// It is not in this partition of the cluster.
    Offline,
}

/// Why the promotions are not forgotten.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Refusal {
    /// There is no such resource, and nothing is left of one.
    NoSuchResource,
    /// This partition has no quorum.
    NoQuorum,
    /// This node was elected and is the primary.
    Elected(NodeName),
}

impl Facts {
    fn known(&self) -> Record {
        self.record.clone().unwrap_or_default()
    }

    fn is_recorded(&self) -> bool {
        self.record.as_ref().map_or(true, |record| !record.0.is_empty())
    }

    /// The vote of a node, if it is known.
    fn vote(&self, node: &NodeName) -> Option<&Vote> {
        match self.nodes.get(node) {
            Some(Holds::Vote(vote) | Holds::Stopped(Some(vote))) => Some(vote),
            Some(Holds::Stopped(None) | Holds::Silent | Holds::Offline) | None => None,
        }
    }
}

/// Why the promotions must not be forgotten; nothing if they may be.
pub fn refusal(facts: &Facts) -> Option<Refusal> {
    let is_left = facts.is_recorded() || facts.promised.is_some() || facts.ordered.is_some() || facts.left_over > 0;
    if !facts.is_configured && !is_left {
        return Some(Refusal::NoSuchResource);
    }
    if !facts.is_quorate {
        return Some(Refusal::NoQuorum);
    }
    // A resource that is gone has no primary, even if it has left scores behind.
    let primary = facts.primary.as_ref().filter(|_| facts.is_configured)?;
    let own = facts.vote(primary).filter(|_| *primary == facts.me);
    let was_elected = own.is_none_or(|own| office::is_elected(primary, own, &facts.known()));
    was_elected.then(|| Refusal::Elected(primary.clone()))
}

/// The time up to which what the nodes remember does not count: `now`, or later where a clock is ahead.
pub fn until(record: &Record, now: u64) -> u64 {
    record.0.iter().map(|promotion| promotion.time).fold(now, u64::max)
}

/// What a person reads before: what is on record, what the nodes hold, and what forgetting means.
pub fn account(facts: &Facts) -> String {
    let mut lines = recorded(facts);
    lines.push("What the nodes hold:".to_owned());
    lines.extend(facts.nodes.iter().map(|(node, holds)| format!("  {node}: {}", held(holds, &facts.known()))));
    lines.extend(meaning(facts));
    lines.join("\n")
}

fn recorded(facts: &Facts) -> Vec<String> {
    let resource = &facts.resource;
    let gone = (!facts.is_configured).then(|| format!("The cluster has no resource {resource} any more."));
    let mut lines = Vec::from_iter(gone);
    match &facts.record {
        Err(bad) => lines.push(format!("The record of {resource} cannot be read: {bad}")),
        Ok(record) if record.0.is_empty() => lines.push(format!("No promotion of {resource} is on record.")),
        Ok(record) => {
            let system = record.system().map_or("a database that it does not name".to_owned(), |system| {
                format!("the database with system identifier {system}")
            });
            lines.push(format!("The record of {resource} is about {system}:"));
            lines.extend(record.0.iter().map(|promotion| format!("  {}", entry(promotion))));
        }
    }
    lines.extend(facts.promised.as_ref().map(|promised| format!("What commits wait for, on record: {promised}")));
    lines.extend(facts.ordered.as_ref().map(|node| format!("An operator has ordered the promotion of {node}.")));
    lines
}

fn entry(promotion: &Promotion) -> String {
    let Promotion { timeline, switch, node, time, stage, .. } = promotion;
    let stage = match stage {
        Stage::Intended => ", announced",
        Stage::Done => ", not followed yet",
        Stage::Kept => "",
    };
    format!("timeline {timeline} from {switch} on, {node}, {}{stage}", utc(*time))
}

fn held(holds: &Holds, record: &Record) -> String {
    let (vote, stopped) = match holds {
        Holds::Vote(vote) => (vote, ""),
        Holds::Stopped(Some(vote)) => (vote, "stopped, "),
        Holds::Stopped(None) => return "its instance is stopped".to_owned(),
        Holds::Silent => return "it has not voted".to_owned(),
        Holds::Offline => return "it is offline".to_owned(),
    };
    let reach = format!("{stopped}WAL up to {} on timeline {}", vote.lsn(), vote.timeline());
    match lineage::foreign(vote, record) {
        Some(foreign) => format!("{reach} of another database, {}", foreign.own),
        None if record.last().is_none() => match vote.system {
            Some(system) => format!("{reach} of database {system}"),
            None => reach,
        },
        None => format!("{reach}; it {}", lineage::standing(vote, record)),
    }
}

fn meaning(facts: &Facts) -> Vec<String> {
    if !facts.is_configured {
        return vec!["Forgetting removes all that the cluster keeps of it.".to_owned()];
    }
    let record = facts.known();
    let votes = || facts.nodes.keys().filter_map(|node| Some((node, facts.vote(node)?)));
    let mut lines = vec![
        "Forgetting means: the next election goes by what the running nodes hold, the latest timeline first. No \
         acknowledged commit of before is guarded, and what only other nodes hold is lost. That is right after the data of \
         all nodes was replaced: by pg_upgrade, by initdb, or by a restore of the whole cluster."
            .to_owned(),
    ];
    let is_whole = |vote: &Vote| {
        lineage::foreign(vote, &record).is_none() && lineage::standing(vote, &record) == Standing::Current
    };
    if let Some((node, _)) = votes().find(|(_, vote)| record.last().is_some() && is_whole(vote)) {
        lines.push(format!("{node} is on the recorded history: nothing has to be forgotten for its promotion."));
    }
    let systems: BTreeSet<SystemId> = votes().filter_map(|(_, vote)| vote.system).collect();
    if systems.len() > 1 {
        lines.push(
            "The nodes hold several databases: then none is promoted before the wrong ones are stopped or rebuilt."
                .to_owned(),
        );
    }
    lines
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Refusal::NoSuchResource => f.write_str("the cluster has no such resource, and has kept nothing of one"),
            Refusal::NoQuorum => f.write_str("this partition of the cluster has no quorum: see `corosync-quorumtool`"),
            Refusal::Elected(node) => {
                write!(f, "{node} was elected and is the primary: what is on record is about its data")
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rules::table;

    const RECORD: &str =
        "3@0/200 srv2 1763850000 kept history=1@0/100,2@0/200,3 system=7; 2@0/100 srv1 1763840000 kept system=7";

    fn facts(record: &str, nodes: &[(&str, &str)]) -> Facts {
        let holds = |text: &str| match text {
            "stopped" => Holds::Stopped(None),
            "silent" => Holds::Silent,
            "offline" => Holds::Offline,
            text if text.starts_with("stopped ") => Holds::Stopped(text[8..].parse().ok()),
            vote => Holds::Vote(vote.parse().unwrap()),
        };
        Facts {
            me: NodeName::new("srv1"),
            resource: "pgsqld".to_owned(),
            is_configured: true,
            is_quorate: true,
            record: if record.is_empty() { Ok(Record::default()) } else { record.parse() },
            promised: None,
            ordered: None,
            left_over: 0,
            primary: None,
            nodes: nodes.iter().map(|(node, text)| (NodeName::new(*node), holds(text))).collect(),
        }
    }

    fn refused(change: impl FnOnce(&mut Facts)) -> Option<Refusal> {
        let mut facts = facts(RECORD, &[("srv1", "1#512 system=8"), ("srv2", "silent"), ("srv3", "stopped")]);
        change(&mut facts);
        refusal(&facts)
    }

    fn elected(node: &str) -> Option<Refusal> {
        Some(Refusal::Elected(NodeName::new(node)))
    }

    table! { refused;
        there_is_no_primary: |_: &mut Facts| {} => None;
        without_quorum: |facts: &mut Facts| facts.is_quorate = false => Some(Refusal::NoQuorum);
        the_primary_runs: |facts: &mut Facts| facts.primary = Some(NodeName::new("srv2")) => elected("srv2");
        this_node_is_an_elected_primary: |facts: &mut Facts| {
            let vote = "3#900 history=1@0/100,2@0/200,3 system=7".parse().unwrap();
            facts.record = "3@0/200 srv1 5 kept system=7".parse();
            (facts.primary, _) = (Some(facts.me.clone()), facts.nodes.insert(facts.me.clone(), Holds::Vote(vote)));
        } => elected("srv1");
        // Its score is that of its former life.
        this_node_was_the_primary_of_another_database: |facts: &mut Facts| facts.primary = Some(facts.me.clone()) => None;
        no_such_resource: |facts: &mut Facts| {
            (facts.is_configured, facts.record) = (false, Ok(Record::default()));
        } => Some(Refusal::NoSuchResource);
        the_resource_is_gone_and_its_record_is_not: |facts: &mut Facts| {
            (facts.is_configured, facts.primary) = (false, Some(NodeName::new("srv2")));
        } => None;
        the_resource_is_gone_and_only_scores_are_left: |facts: &mut Facts| {
            (facts.is_configured, facts.record, facts.left_over) = (false, Ok(Record::default()), 1);
        } => None;
        a_new_resource_has_nothing_on_record: |facts: &mut Facts| facts.record = Ok(Record::default()) => None;
        what_is_on_record_cannot_be_read: |facts: &mut Facts| facts.record = "x".parse() => None;
    }

    /// The account, one line each joined by a bar, without the lines that are always there.
    fn lines((record, nodes): (&str, &[(&str, &str)])) -> String {
        let text = account(&facts(record, nodes));
        let always = |line: &&str| line.starts_with("Forgetting means: ") || line.starts_with("What the nodes hold:");
        text.lines().filter(|line| !always(line)).map(str::trim).collect::<Vec<_>>().join(" | ")
    }

    const HEAD: &str = "The record of pgsqld is about the database with system identifier 7: | timeline 3 from 0/200 on, srv2, \
                        2025-11-22 22:20:00 UTC | timeline 2 from 0/100 on, srv1, 2025-11-22 19:33:20 UTC";

    table! { lines;
        pg_upgrade: (RECORD, &[("srv1", "1#512 system=8"), ("srv2", "stopped"), ("srv3", "offline")]) => format!(
            "{HEAD} | srv1: WAL up to 0/200 on timeline 1 of another database, 8 | srv2: its instance is stopped | \
             srv3: it is offline");
        a_restore_of_the_whole_cluster: (RECORD, &[("srv1", "2#384 history=1@0/100,2 system=7"), ("srv2", "silent")]) => format!(
            "{HEAD} | srv1: WAL up to 0/180 on timeline 2; it missed the promotion of srv2 to timeline 3 | \
             srv2: it has not voted");
        a_restore_that_was_promoted: (RECORD, &[("srv1", "3#900 history=1@0/100,2@0/180,3 system=7")]) => format!(
            "{HEAD} | srv1: WAL up to 0/384 on timeline 3; it diverged from timeline 3 (srv2) at 0/180");
        a_node_has_it_all: (RECORD, &[("srv1", "3#900 history=1@0/100,2@0/200,3 system=7")]) => format!(
            "{HEAD} | srv1: WAL up to 0/384 on timeline 3; it is on the cluster's history | \
             srv1 is on the recorded history: nothing has to be forgotten for its promotion.");
        several_databases: (RECORD, &[("srv1", "1#512 system=8"), ("srv2", "1#512 system=9")]) => format!(
            "{HEAD} | srv1: WAL up to 0/200 on timeline 1 of another database, 8 | \
             srv2: WAL up to 0/200 on timeline 1 of another database, 9 | \
             The nodes hold several databases: then none is promoted before the wrong ones are stopped or rebuilt.");
        it_was_stopped: (RECORD, &[("srv1", "stopped 2#512 history=1@0/100,2 system=7")]) => format!(
            "{HEAD} | srv1: stopped, WAL up to 0/200 on timeline 2; it missed the promotion of srv2 to timeline 3");
        no_record: ("", &[("srv1", "1#512 system=8")])
            => "No promotion of pgsqld is on record. | srv1: WAL up to 0/200 on timeline 1 of database 8";
        an_older_agent: ("2@0/100 srv1 1763840000", &[("srv1", "1#255")])
            => "The record of pgsqld is about a database that it does not name: | timeline 2 from 0/100 on, srv1, \
                2025-11-22 19:33:20 UTC, not followed yet | srv1: WAL up to 0/FF on timeline 1; it missed the promotion of \
                srv1 to timeline 2";
        nonsense: ("x y", &[("srv1", "stopped")])
            => "The record of pgsqld cannot be read: \"x y\" is not a record of promotions such as 2@0/3000060 srv1 \
                1763850000 | srv1: its instance is stopped";
    }

    #[test]
    fn the_properties_of_a_resource_that_is_gone_are_listed() {
        let facts = Facts {
            is_configured: false,
            promised: Some("srv1: ANY 1 (srv2, srv3)".to_owned()),
            ordered: Some(NodeName::new("srv3")),
            ..facts("", &[])
        };
        assert_eq!(
            account(&facts),
            "The cluster has no resource pgsqld any more.\n\
             No promotion of pgsqld is on record.\n\
             What commits wait for, on record: srv1: ANY 1 (srv2, srv3)\n\
             An operator has ordered the promotion of srv3.\n\
             What the nodes hold:\n\
             Forgetting removes all that the cluster keeps of it."
        );
    }

    #[test]
    fn it_is_forgotten_up_to_the_last_promotion_where_that_node_s_clock_is_ahead() {
        assert_eq!(until(&RECORD.parse().unwrap(), 1_763_860_000), 1_763_860_000);
        assert_eq!(until(&RECORD.parse().unwrap(), 1_763_845_000), 1_763_850_000);
    }
}
