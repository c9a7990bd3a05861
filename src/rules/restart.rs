//! Which instances are restarted, and in which order: the plan of `pgsqlms restart`.
//!
//! Standbys go first, one after the other; then another node is promoted, which restarts the old primary as a standby. So a setting
//! that a standby must not have below the primary's may be raised. One that is lowered must be lowered on the primary first, and a
//! primary that is demoted with it does not start as a standby: PostgreSQL remembers in pg_control what the primary had
//! (`CheckRequiredParameterValues`). That takes a restart in place, without Pacemaker.

#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::fmt;

use crate::location::Lsn;
use crate::node::NodeName;
use crate::rules::overview::Member;
use crate::rules::status::Role;
use crate::rules::switchover::watch::{Sight, by_pacemaker};
use crate::rules::switchover::{self, Line, Verdict as Switchover, Weight, hindrances, preflight};

/// The settings of a standby that must not be below its primary's.
pub const AT_LEAST: [&str; 5] = [
    "max_connections",
    "max_worker_processes",
    "max_wal_senders",
    "max_prepared_transactions",
    "max_locks_per_transaction",
];

/// A setting that waits for a restart.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Pending {
    /// Its name.
    pub name: String,
    /// Its value now, and the one that it will have, where the node could say.
    pub values: Option<(String, String)>,
}

/// What was seen before a restart.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Facts {
    /// What also decides about a switchover.
    pub switchover: switchover::Facts,
    /// What waits for a restart on each node that could be asked.
    pub pending: BTreeMap<NodeName, Vec<Pending>>,
    /// Only instances for which something waits are restarted.
    pub only_pending: bool,
    /// Only this node's instance is.
    pub only: Option<NodeName>,
}

/// What is to become of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict {
    /// Nothing waits for a restart.
    Nothing,
    /// Nothing is done, for these reasons.
    Refused(Vec<Line>),
    /// It may begin.
    Planned(Plan),
}

/// A restart that may begin.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Plan {
    /// These are restarted one after the other.
    pub standbys: Vec<NodeName>,
    /// Then another node is promoted in the place of this one.
    pub primary: Option<NodeName>,
    /// What was found.
    pub lines: Vec<Line>,
}

/// Which instances are restarted, and in which order.
pub fn plan(facts: &Facts) -> Verdict {
    let (due, mut refusals) = due(facts);
    let primaries = facts.switchover.with_role(Role::Primary);
    let primary = primaries.first().filter(|node| due.contains(*node)).map(|node| (*node).clone());
    if facts.only.is_some() && primary.is_some() {
        let name = primary.as_ref().map_or("", NodeName::as_str);
        let text = format!("{name} is the primary: pgsqlms switchover restarts it, as a standby");
        return Verdict::Refused(vec![refused(text)]);
    }
    if due.is_empty() && refusals.is_empty() {
        return Verdict::Nothing;
    }
    refusals.extend(lowered(facts));
    let mut lines = Vec::new();
    match preflight(&switchover::Facts { wanted: None, ..facts.switchover.clone() }) {
        // The restart of one standby is no switchover: it may be what makes one possible.
        Switchover::Refused(refused) if facts.only.is_some() => {
            refusals.extend(hindrances(&facts.switchover));
            let warning = |line: Line| Line { weight: Weight::Warning, ..line };
            lines.extend(refused.into_iter().map(warning));
        }
        Switchover::Refused(refused) => refusals.extend(refused),
        Switchover::Planned(plan) => lines.extend(plan.lines),
        Switchover::Already(_) => {}
    }
    if !refusals.is_empty() {
        return Verdict::Refused(refusals);
    }
    for node in &due {
        if let Some(pending) = facts.pending.get(node).filter(|pending| !pending.is_empty()) {
            let text = format!("{node}: {}", pending.iter().map(described).collect::<Vec<_>>().join(", "));
            lines.insert(0, Line { weight: Weight::Ok, text });
        }
    }
    let standbys = due.into_iter().filter(|node| Some(node) != primary.as_ref()).collect();
    Verdict::Planned(Plan { standbys, primary, lines })
}

fn refused(text: String) -> Line {
    Line { weight: Weight::Refusal, text }
}

fn described(pending: &Pending) -> String {
    match &pending.values {
        Some((now, then)) => format!("{} {now} -> {then}", pending.name),
        None => pending.name.clone(),
    }
}

/// The nodes whose instances are to be restarted, and what hinders that.
fn due(facts: &Facts) -> (Vec<NodeName>, Vec<Line>) {
    let running = facts.switchover.cluster.nodes.iter().filter(|(_, member)| member.role.is_some());
    let running: Vec<NodeName> = running.map(|(node, _)| node.clone()).collect();
    if let Some(only) = facts.only.as_ref().filter(|only| !running.contains(only)) {
        return (Vec::new(), vec![refused(format!("PostgreSQL does not run on {only}: see pgsqlms status"))]);
    }
    let wanted = running.into_iter().filter(|node| facts.only.as_ref().is_none_or(|only| only == node));
    if !facts.only_pending {
        return (wanted.collect(), Vec::new());
    }
    let (seen, unseen): (Vec<NodeName>, Vec<NodeName>) = wanted.partition(|node| facts.pending.contains_key(node));
    let due = seen.into_iter().filter(|node| !facts.pending[node].is_empty()).collect();
    let unseen = unseen.iter().map(|node| {
        let hba = "pg_hba.conf there must let this node's replication role in, to the database postgres";
        refused(format!("whether {node} waits for a restart was not seen: {hba}; or leave out --pending"))
    });
    (due, unseen.collect())
}

/// A setting that no order of this kind can lower, unless the primary is seen to have the lower value already.
fn lowered(facts: &Facts) -> Vec<Line> {
    let primaries = facts.switchover.with_role(Role::Primary);
    let primary = primaries.first().and_then(|node| facts.pending.get(*node));
    let is_done = |name: &str| primary.is_some_and(|waiting| waiting.iter().all(|pending| pending.name != name));
    let number = |text: &str| text.parse::<i64>().ok();
    let is_lowered = |pending: &&Pending| {
        let values = pending.values.as_ref().and_then(|(now, then)| Some((number(now)?, number(then)?)));
        let counts = AT_LEAST.contains(&pending.name.as_str()) && !is_done(&pending.name);
        counts && values.is_some_and(|(now, then)| then < now)
    };
    let found = facts.pending.iter().flat_map(|(node, pending)| {
        pending.iter().filter(is_lowered).map(move |pending| {
            refused(format!(
                "{node}: {} is lowered: restart the primary in place first, in maintenance mode; then the standbys",
                described(pending)
            ))
        })
    });
    found.collect()
}

/// What is seen of a standby that is restarted, and how far the primary has come.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Seen {
    /// What Pacemaker knows of the standby.
    pub member: Member,
    /// Where the primary writes, if it was reached.
    pub primary: Option<Lsn>,
    /// How far the standby has received, if it was reached.
    pub standby: Option<Lsn>,
}

/// How far the restart of a standby is.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Course {
    is_down: bool,
    runs: bool,
    /// Where the primary was when the standby ran again.
    goal: Option<Lsn>,
    is_back: bool,
}

impl Course {
    /// Takes note of what is seen.
    pub fn see(&mut self, seen: &Seen) {
        match seen.member.role {
            None => (self.is_down, self.runs) = (true, false),
            Some(_) if self.is_down => {
                self.runs = true;
                self.goal = self.goal.or(seen.primary);
                let has_all = self.goal.is_none_or(|goal| seen.standby.is_none_or(|standby| standby >= goal));
                self.is_back = has_all && by_pacemaker(Some(&seen.member)) == Sight::Ranked;
            }
            Some(_) => {}
        }
    }

    /// Whether it has been stopped.
    pub fn is_down(&self) -> bool {
        self.is_down
    }

    /// Whether it runs again, and the primary ranks it among those that stream.
    pub fn is_back(&self) -> bool {
        self.is_back
    }
}

/// What it is doing.
impl fmt::Display for Course {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match (self.is_back, self.runs, self.is_down) {
            (true, ..) => "runs again and follows the primary",
            (_, true, _) => "runs again and does not follow the primary yet",
            (_, _, true) => "is stopped",
            (_, _, false) => "has not been stopped yet",
        })
    }
}
