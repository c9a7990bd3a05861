//! Synchronous commits, and which of them are promises of the cluster.
//!
//! A commit is a promise once the primary of the cluster's line has acknowledged it. Such a primary was elected, was adopted
//! by the agent, or was ordered by an operator. Commits of other primaries promise nothing: a person has made them beside the
//! primary, or they give way before they are adopted. Their clients have written into a split brain.

use pgsqlms::location::Lsn;
use pgsqlms::pacemaker::Property;
use pgsqlms::rules::synchronous::{Published, SyncSetting};

use super::instance::Process;
use super::wal::Position;
use super::{RESOURCE, State};

/// `synchronous_standby_names`; no names stand for `*`.
#[derive(Debug, Clone, Default)]
pub struct Synchronous {
    /// 0 for asynchronous replication.
    pub required: usize,
    pub first: bool,
    pub names: Vec<String>,
}

impl Synchronous {
    /// Parses such a setting: a list of names, bare or in double quotes.
    pub fn read(text: &str) -> Self {
        let Some((words, names)) = text.split_once('(') else { return Self::default() };
        let names = names.trim_end_matches(')').split(',').map(|name| name.trim().trim_matches('"').to_owned());
        Self {
            required: words.split_whitespace().nth(1).and_then(|number| number.parse().ok()).unwrap_or(0),
            first: words.starts_with("FIRST"),
            names: names.filter(|name| name != "*").collect(),
        }
    }

    pub fn text(&self) -> String {
        let names = if self.names.is_empty() { "*".to_owned() } else { self.names.join(", ") };
        match (self.required, self.first) {
            (0, _) => String::new(),
            (required, true) => format!("FIRST {required} ({names})"),
            (required, false) => format!("ANY {required} ({names})"),
        }
    }

    /// Up to where commits are acknowledged, given how far each streaming standby is, in the order of the list.
    fn acknowledged(&self, mut flushed: Vec<Lsn>) -> Option<Lsn> {
        if self.first {
            return flushed.get(..self.required)?.iter().min().copied();
        }
        flushed.sort();
        flushed.iter().rev().nth(self.required - 1).copied()
    }
}

/// Whether a primary has published its present synchronous setting.
fn is_published(state: &State, node: usize) -> bool {
    let published = state.information.properties.get(&Property::Synchronous.of(RESOURCE));
    let published = published.and_then(|text| text.parse::<Published>().ok()).unwrap_or_default();
    let setting: SyncSetting = state.nodes[node].postgres.synchronous.text().parse().unwrap();
    let name = &state.nodes[node].name;
    published.0.iter().any(|guard| guard.primary == *name && guard.setting == setting && guard.until.is_none())
}

/// Commits are acknowledged once those that they wait for have them. Only these are promises.
pub fn acknowledge(state: &mut State, node: usize) {
    if state.nodes[node].postgres.unpublished && !is_published(state, node) {
        return;
    }
    state.nodes[node].postgres.unpublished = false;
    let primary = &state.nodes[node].postgres;
    if primary.synchronous.required == 0 || !state.nodes[node].on || primary.process != Process::Primary {
        return;
    }
    let listed: Vec<usize> = match primary.synchronous.names.is_empty() {
        true => (0..state.nodes.len()).collect(),
        false => {
            let number = |name: &String| state.nodes.iter().position(|node| node.name.as_str() == name);
            primary.synchronous.names.iter().filter_map(number).collect()
        }
    };
    let follower = |other: &&usize| {
        let other = &state.nodes[**other].postgres;
        other.upstream == Some(node) && other.streaming
    };
    let flushed = listed.iter().filter(follower).map(|other| state.nodes[*other].postgres.end.lsn).collect();
    let Some(lsn) = primary.synchronous.acknowledged(flushed) else { return };
    let Position { branch, .. } = primary.end;
    if branch != state.line || state.wal.branch(branch).parent.is_some_and(|parent| lsn <= parent.lsn) {
        return;
    }
    let known = state.acknowledged.entry(branch).or_insert(Position { branch, lsn });
    known.lsn = known.lsn.max(lsn);
}
