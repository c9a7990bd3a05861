//! Where the time of an outage went, stage by stage, from the nodes' logs.

use std::collections::BTreeSet;
use std::fmt::{self, Write};
use std::time::Duration;

use crate::history::{Attempt, FaultOutage, History, Moment, Outage, Outcome};
use crate::journal::{AGENT, COROSYNC, Entry, POSTGRES};
use crate::lab::{RESOURCE, VIP_RESOURCE};

/// A shorter outage is not worth a table.
const WORTH_IT: Duration = Duration::from_millis(250);

/// Where nothing waits for them, standbys may connect this long after the first commit.
const STANDBYS_MAY_BE_LATER: u64 = 6_000_000;

/// A step on the way from one primary to the next.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Kind {
    TokenLost,
    RingFormed,
    NodeLost,
    CoordinatorElected,
    Planned,
    FenceAsked,
    Fenced,
    Demoted,
    Started,
    AddressGone,
    Voted,
    Won,
    Promoted,
    AddressUp,
    Streams,
}

/// The node that a stage is about, if it is about one.
type About<'a> = Option<&'a str>;

/// The stage that a line of a journal belongs to.
fn stage(entry: &Entry) -> Option<(Kind, About<'_>)> {
    let (text, here) = (entry.text(), Some(entry.node.as_str()));
    match entry.program.as_str() {
        COROSYNC if text.contains("A processor failed, forming new configuration") => Some((Kind::TokenLost, None)),
        COROSYNC if text.contains("A new membership (") && text.contains(" left: ") => Some((Kind::RingFormed, None)),
        "pacemaker-controld" => controller(text, here),
        "pacemaker-schedulerd" if text.starts_with("Calculated transition ") => Some((Kind::Planned, None)),
        "pacemaker-fenced" => fenced(text).map(|node| (Kind::Fenced, Some(node))),
        AGENT if text.starts_with("votes with ") => Some((Kind::Voted, here)),
        AGENT if text.starts_with("won the election: ") => Some((Kind::Won, here)),
        POSTGRES if text.starts_with("LOG:  started streaming WAL from primary") => Some((Kind::Streams, here)),
        _ => None,
    }
}

/// Pacemaker's controller on the node `here`.
fn controller<'a>(text: &'a str, here: About<'a>) -> Option<(Kind, About<'a>)> {
    if text == "State transition S_ELECTION -> S_INTEGRATION" {
        return Some((Kind::CoordinatorElected, here));
    }
    if let Some(node) = text.strip_prefix("Node ").and_then(|rest| rest.strip_suffix(" state is now lost")) {
        return Some((Kind::NodeLost, Some(node)));
    }
    if text.starts_with("Requesting fencing (") {
        // `targeting node srv1`, `of node srv1` before Pacemaker 2.1.
        let (_, node) = text.rsplit_once(' ')?;
        return Some((Kind::FenceAsked, Some(node)));
    }
    let (operation, rest) = text.strip_prefix("Result of ")?.split_once(" operation for ")?;
    let (resource, rest) = rest.split_once(" on ")?;
    let (node, result) = rest.split_once(": ")?;
    let result = result.to_lowercase();
    if !result.starts_with("ok") && !result.starts_with("0 (ok") {
        return None;
    }
    let kind = match (resource, operation) {
        (RESOURCE, "demote") => Kind::Demoted,
        (RESOURCE, "start") => Kind::Started,
        (RESOURCE, "promote") => Kind::Promoted,
        (VIP_RESOURCE, "stop") => Kind::AddressGone,
        (VIP_RESOURCE, "start") => Kind::AddressUp,
        _ => return None,
    };
    Some((kind, Some(node)))
}

/// The node that was fenced.
fn fenced(text: &str) -> About<'_> {
    let (action, rest) = text.split_once(" targeting ")?;
    let ok = action.starts_with("Operation '") && action.ends_with('\'') && rest.contains(": OK");
    rest.split_whitespace().next().filter(|_| ok)
}

/// Something that happened at this moment, in microseconds since 1970.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Stamp {
    at: u64,
    what: String,
}

/// An outage, stage by stage.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stages {
    title: String,
    /// When the fault was made.
    fault: u64,
    stamps: Vec<Stamp>,
}

/// Every outage of a history whose moments count from `began`, one table for each fault, from the nodes' logs.
pub fn of(history: &History, began: u64, entries: &[Entry]) -> Vec<Stages> {
    let acknowledged = history.attempts.iter().filter(|attempt| attempt.outcome == Outcome::Ok);
    let acknowledged: Vec<&Attempt> = acknowledged.collect();
    let acks: Vec<Moment> = acknowledged.iter().map(|attempt| attempt.ended).collect();
    let faults = crate::history::outages(&acks, false, &history.marks, history.end()).by_mark;
    let mut seen = BTreeSet::new();
    let worth_it = |fault: &FaultOutage| fault.outage.filter(|it| it.over && it.lasted() >= WORTH_IT);
    let outages = faults.iter().filter_map(|fault| Some((fault, worth_it(fault)?)));
    // An outage that goes on through the next fault is reported once.
    let outages = outages.filter(|(_, outage)| seen.insert(outage.from));
    outages.map(|(fault, outage)| split(fault, &outage, &acknowledged, began, entries)).collect()
}

fn split(fault: &FaultOutage, outage: &Outage, acks: &[&Attempt], began: u64, entries: &[Entry]) -> Stages {
    let unix = |moment: Moment| began + moment.0;
    let (from, until) = (unix(outage.from.min(fault.mark.at)), unix(outage.until));
    let mut seen = BTreeSet::new();
    let mut stamps = Vec::new();
    for entry in entries.iter().filter(|entry| entry.at >= from) {
        let Some((kind, node)) = stage(entry) else { continue };
        let latest = if kind == Kind::Streams { until + STANDBYS_MAY_BE_LATER } else { until };
        if entry.at <= latest && seen.insert((kind, node)) {
            stamps.push(Stamp { at: entry.at, what: description(kind, node) });
        }
    }
    for (at, which) in [(outage.from, "last"), (outage.until, "first")] {
        let by = acks.iter().find(|attempt| attempt.ended == at).and_then(|attempt| attempt.instance.as_ref());
        let by = by.map_or_else(String::new, |instance| format!(", by {}", instance.node));
        stamps.push(Stamp { at: unix(at), what: format!("{which} commit acknowledged{by}") });
    }
    stamps.sort_by_key(|stamp| stamp.at);
    Stages { title: format!("{}: {outage}", fault.mark.text), fault: unix(fault.mark.at), stamps }
}

fn description(kind: Kind, node: About<'_>) -> String {
    let what = match kind {
        Kind::TokenLost => "token lost",
        Kind::RingFormed => "ring formed without it",
        Kind::NodeLost => "seen as lost",
        Kind::CoordinatorElected => "elected coordinator",
        Kind::Planned => "actions computed",
        Kind::FenceAsked => "fencing asked for",
        Kind::Fenced => "fenced",
        Kind::Demoted => "demoted",
        Kind::Started => "PostgreSQL started",
        Kind::AddressGone => "address gone",
        Kind::Voted => "vote cast",
        Kind::Won => "won the election",
        Kind::Promoted => "promoted",
        Kind::AddressUp => "address up",
        Kind::Streams => "standby streams",
    };
    node.map_or_else(|| what.to_owned(), |node| format!("{node}: {what}"))
}

/// A line for each stage: its time, how long after the one before, its name.
impl fmt::Display for Stages {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.title)?;
        let mut before = None;
        for stamp in &self.stamps {
            let since = stamp.at as f64 / 1e6 - self.fault as f64 / 1e6;
            let mut took = String::new();
            if let Some(before) = before.replace(stamp.at) {
                write!(took, "{:.3} s", Duration::from_micros(stamp.at - before).as_secs_f64())?;
            }
            write!(f, "\n  {since:+9.3} s {took:>9}  {}", stamp.what)?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests;
