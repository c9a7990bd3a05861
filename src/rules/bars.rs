//! Which nodes must not be promoted, independently of their WAL.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use crate::boolean::{is_no, is_yes};
use crate::node::NodeName;
use crate::rules::synchronous::{self, OVERRIDE_COMMAND};
use crate::score::Score;

/// Why a node must not be promoted. Of several reasons the last in this list is given.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Bar {
    /// It was further behind the last primary than `maxlag` allows.
    TooFarBehind,
    /// Its disk has no room for the WAL file that a promotion begins.
    NoRoom,
    /// Its replay is paused for settings that are below the primary's: a promotion would end its server.
    SettingsTooLow,
    /// Its instance was stopped.
    Stopped,
    /// Pacemaker does not promote it, for a reason that is not known here.
    NotPromoted,
    /// Its node is on standby: Pacemaker runs nothing there.
    Standby,
    /// Its node is in maintenance: Pacemaker starts, stops and promotes nothing there.
    Maintenance,
    /// A location constraint forbids it.
    Banned,
    /// An operator said so by a node attribute.
    NoFailover,
}

/// What the cluster's configuration and status say about nodes.
#[derive(Debug, Clone, Default)]
pub struct Said<'a> {
    /// The values of the node attribute `pgsqlms-nofailover`.
    pub no_failover: BTreeMap<NodeName, &'a str>,
    /// The values of Pacemaker's node attribute `maintenance`.
    pub maintenance: BTreeMap<NodeName, &'a str>,
    /// The values of Pacemaker's node attribute `standby`.
    pub standby: BTreeMap<NodeName, &'a str>,
    /// The nodes that a plain location constraint excludes.
    pub banned: BTreeSet<NodeName>,
    /// The promotion scores.
    pub scores: BTreeMap<NodeName, Score>,
}

/// The nodes that must not be promoted, by what the cluster says. Whether there is room, only the node itself knows.
pub fn bars(said: &Said) -> BTreeMap<NodeName, Bar> {
    let says_yes = |values: &BTreeMap<NodeName, &str>| -> Vec<NodeName> {
        values.iter().filter(|(_, value)| is_yes(value)).map(|(node, _)| node.clone()).collect()
    };
    let too_far = said.scores.iter().filter(|(_, score)| score.is_too_far_behind()).map(|(node, _)| node.clone());
    // An unknown word in this attribute still means that the node is not to be promoted.
    let no_failover = said.no_failover.iter().filter(|(_, value)| !value.is_empty() && !is_no(value));
    let no_failover = no_failover.map(|(node, _)| node.clone()).collect();
    let all: [(Bar, Vec<NodeName>); 5] = [
        (Bar::TooFarBehind, too_far.collect()),
        (Bar::Standby, says_yes(&said.standby)),
        (Bar::Maintenance, says_yes(&said.maintenance)),
        (Bar::Banned, said.banned.iter().cloned().collect()),
        (Bar::NoFailover, no_failover),
    ];
    let mut bars = BTreeMap::new();
    for (bar, nodes) in all {
        bars.extend(nodes.into_iter().map(|node| (node, bar)));
    }
    bars
}

/// The node of which one more vote would prove that no acknowledged commit is lost, and which does not vote because an
/// operator keeps Pacemaker away from it.
pub fn kept_away(refusal: &synchronous::Refusal, barred: &BTreeMap<NodeName, Bar>) -> Option<(NodeName, Bar)> {
    let synchronous::Refusal::Shortfalls(shortfalls) = refusal else { return None };
    let [shortfall] = shortfalls.as_slice() else { return None };
    let bar = |node: &NodeName| barred.get(node).filter(|bar| matches!(bar, Bar::Standby | Bar::Maintenance));
    let mut helps = shortfall.holders.iter().chain(shortfall.missing.iter().filter(|_| shortfall.more == 1));
    helps.find_map(|node| Some((node.clone(), *bar(node)?)))
}

impl Bar {
    /// Whether it is an operator who keeps the node from being promoted.
    pub fn is_by_operator(self) -> bool {
        match self {
            Bar::TooFarBehind | Bar::NoRoom | Bar::SettingsTooLow | Bar::Stopped | Bar::NotPromoted => false,
            Bar::Standby | Bar::Maintenance | Bar::Banned | Bar::NoFailover => true,
        }
    }

    /// Whether the promotion would fail, or Pacemaker would not even try it: no order of an operator helps.
    pub fn is_final(self) -> bool {
        match self {
            Bar::TooFarBehind | Bar::Stopped | Bar::NotPromoted | Bar::NoFailover => false,
            Bar::NoRoom | Bar::SettingsTooLow | Bar::Standby | Bar::Maintenance | Bar::Banned => true,
        }
    }

    /// What lets `node` be promoted again; nothing where that is not one step.
    pub fn way_out(self, node: &NodeName) -> Option<String> {
        match self {
            Bar::TooFarBehind | Bar::NoFailover => None,
            Bar::NoRoom => Some(format!("free space on {node}")),
            Bar::SettingsTooLow => {
                Some(format!("raise the settings of PostgreSQL on {node} that its monitor names, and restart it"))
            }
            Bar::Stopped => Some(format!("start {node}, or run {OVERRIDE_COMMAND}")),
            Bar::NotPromoted => Some(format!("see why Pacemaker does not promote {node} (crm_simulate -sL)")),
            Bar::Standby => Some(format!("pcs node unstandby {node}")),
            Bar::Maintenance => Some(format!("pcs node unmaintenance {node}")),
            Bar::Banned => Some(format!("clear the ban of {node} (pcs constraint --full)")),
        }
    }
}

impl fmt::Display for Bar {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Bar::TooFarBehind => "it was further behind than maxlag allows",
            Bar::NoRoom => "No space left on device for pg_wal",
            Bar::SettingsTooLow => "its replay is paused, because its settings are below the primary's",
            Bar::Stopped => "its instance is stopped",
            Bar::NotPromoted => "Pacemaker does not promote it",
            Bar::Standby => "its node is on standby",
            Bar::Maintenance => "its node is in maintenance",
            Bar::Banned => "a location constraint forbids it",
            Bar::NoFailover => "its node attribute says nofailover",
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rules::table;

    /// `nofailover=true`, `maintenance=on`, `standby=1`, `score=-991`: what is said of srv1; `ban` for a constraint.
    fn barred(said: &str) -> Option<Bar> {
        let srv1 = NodeName::new("srv1");
        let value = |name: &str| -> BTreeMap<NodeName, &str> {
            let values = said.split_whitespace().filter_map(|word| word.split_once('='));
            values.filter(|(word, _)| *word == name).map(|(_, value)| (srv1.clone(), value)).collect()
        };
        let scores = value("score").into_iter().map(|(node, score)| (node, score.parse().unwrap())).collect();
        let said = Said {
            no_failover: value("nofailover"),
            maintenance: value("maintenance"),
            standby: value("standby"),
            banned: said.split_whitespace().filter(|word| *word == "ban").map(|_| srv1.clone()).collect(),
            scores,
        };
        bars(&said).remove(&srv1)
    }

    table! { barred;
        nothing_said: "" => None;
        nofailover: "nofailover=true" => Some(Bar::NoFailover);
        nofailover_in_any_word: "nofailover=disaster-site" => Some(Bar::NoFailover);
        not_nofailover: "nofailover=false" => None;
        not_nofailover_in_capitals: "nofailover=False" => None;
        not_nofailover_as_no: "nofailover=NO" => None;
        not_nofailover_as_n: "nofailover=n" => None;
        nofailover_without_a_value: "nofailover=" => None;
        in_maintenance_by_pcs: "maintenance=on" => Some(Bar::Maintenance);
        in_maintenance_by_crmsh: "maintenance=true" => Some(Bar::Maintenance);
        no_longer_in_maintenance: "maintenance=off" => None;
        maintenance_makes_no_sense: "maintenance=perhaps" => None;
        on_standby: "standby=on" => Some(Bar::Standby);
        not_on_standby: "standby=Off" => None;
        banned: "ban" => Some(Bar::Banned);
        too_far_behind: "score=-991" => Some(Bar::TooFarBehind);
        only_disconnected: "score=-1000" => None;
        promotable: "score=1000" => None;
        the_strongest_reason_is_given: "score=-991 standby=on maintenance=on ban" => Some(Bar::Banned);
        other_bars_change_nothing: "nofailover=1 ban" => Some(Bar::NoFailover);
        too_far_behind_and_on_standby: "score=-991 standby=on" => Some(Bar::Standby);
    }

    /// The nodes that may hold a commit, the number of missing votes, the barred node → the nodes that would help with their vote.
    fn away((missing, more, barred): (&str, usize, &str)) -> Option<String> {
        let nodes = |names: &str| -> BTreeSet<NodeName> { names.split_whitespace().map(NodeName::new).collect() };
        let shortfall = synchronous::Shortfall {
            primary: NodeName::new("srv1"),
            setting: "ANY 1 (*)".parse().unwrap(),
            more,
            missing: nodes(missing),
            strangers: BTreeSet::new(),
            holders: vec![NodeName::new("srv1")],
        };
        let barred = barred.split_whitespace().map(|word| word.split_once('=').unwrap());
        let bar = |word| if word == "ban" { Bar::Banned } else { Bar::Maintenance };
        let barred = barred.map(|(node, word)| (NodeName::new(node), bar(word))).collect();
        kept_away(&synchronous::Refusal::Shortfalls(vec![shortfall]), &barred).map(|(node, _)| node.to_string())
    }

    table! { away;
        a_voter_in_maintenance: ("srv3", 1, "srv3=maintenance") => Some("srv3".to_owned());
        the_primary_in_maintenance: ("srv2 srv3", 2, "srv1=maintenance") => Some("srv1".to_owned());
        one_voter_of_two: ("srv2 srv3", 1, "srv3=maintenance") => Some("srv3".to_owned());
        one_vote_does_not_do: ("srv2 srv3", 2, "srv3=maintenance") => None;
        // It votes.
        a_banned_voter: ("srv3", 1, "srv3=ban") => None;
        no_node_is_kept_away: ("srv3", 1, "") => None;
        another_one_is: ("srv3", 1, "srv4=maintenance") => None;
    }

    #[test]
    fn who_bars_a_node_and_what_helps() {
        let described = |bar: Bar| {
            let way_out = bar.way_out(&NodeName::new("srv1")).unwrap_or_default();
            format!("{bar}; operator {}, final {}; {way_out}", bar.is_by_operator(), bar.is_final())
        };
        assert_eq!(
            described(Bar::TooFarBehind),
            "it was further behind than maxlag allows; operator false, final false; "
        );
        assert_eq!(described(Bar::NoFailover), "its node attribute says nofailover; operator true, final false; ");
        assert_eq!(
            described(Bar::NoRoom),
            "No space left on device for pg_wal; operator false, final true; free space on srv1"
        );
        assert_eq!(
            described(Bar::SettingsTooLow),
            "its replay is paused, because its settings are below the primary's; operator false, final true; raise the settings \
             of PostgreSQL on srv1 that its monitor names, and restart it"
        );
        assert_eq!(
            described(Bar::Stopped),
            "its instance is stopped; operator false, final false; start srv1, or run pgsqlms promote-anyway"
        );
        assert_eq!(
            described(Bar::NotPromoted),
            "Pacemaker does not promote it; operator false, final false; \
             see why Pacemaker does not promote srv1 (crm_simulate -sL)"
        );
        assert_eq!(
            described(Bar::Standby),
            "its node is on standby; operator true, final true; pcs node unstandby srv1"
        );
        assert_eq!(
            described(Bar::Maintenance),
            "its node is in maintenance; operator true, final true; pcs node unmaintenance srv1"
        );
        assert_eq!(
            described(Bar::Banned),
            "a location constraint forbids it; operator true, final true; clear the ban of srv1 (pcs constraint --full)"
        );
    }
}
