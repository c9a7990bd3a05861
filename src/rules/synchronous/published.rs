//! The promises of the primary, as it publishes them: one line of text in a node attribute.
//!
//! There is one [`Guard`] for each setting under which a commit may have been acknowledged that not every possible winner
//! is known to hold. Usually that is one; during a change it is the new setting and the one before.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::str::FromStr;

use super::setting::{Member, Quoted, Reader, SyncSetting};
use crate::location::Lsn;
use crate::node::NodeName;

/// Everything that is promised: every guard must be satisfied before a node may be promoted.
///
/// ```
/// # use pgsqlms::rules::synchronous::Published;
/// let text = "srv1: ANY 1 (srv2, srv3); srv1 + srv2: ANY 2 (srv2, srv3) @ \"0/3000060\"";
/// assert_eq!(text.parse::<Published>()?.to_string(), text);
/// # Ok::<(), pgsqlms::rules::synchronous::BadSetting>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Default)]
pub struct Published(pub Vec<Guard>);

/// One primary's promise under one setting.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Guard {
    /// The primary that acknowledged commits. It holds all of them, and its own name in the setting counts for nothing.
    pub primary: NodeName,
    /// The setting that was, is or is about to be in effect.
    pub setting: SyncSetting,
    /// Under a wildcard, the `application_name`s that were seen to receive WAL.
    pub seen: BTreeSet<String>,
    /// Once the setting is no longer in effect: every commit acknowledged under it ends before this.
    pub until: Option<Lsn>,
    /// The other nodes known to hold everything that this guard protects.
    pub heirs: BTreeSet<NodeName>,
}

/// The nodes that may hold a commit that the primary acknowledged, and how many of them must vote.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Electorate {
    /// The nodes of the cluster among them.
    pub voters: BTreeSet<NodeName>,
    /// Names from outside the cluster: they may hold a commit and never vote.
    pub strangers: BTreeSet<String>,
    /// Votes of `voters` needed so that one of them holds any given commit. There may be fewer voters than that.
    pub needed: usize,
}

impl Guard {
    /// A promise that holds from now on.
    pub fn new(primary: NodeName, setting: SyncSetting) -> Self {
        Self { primary, setting, seen: BTreeSet::new(), until: None, heirs: BTreeSet::new() }
    }

    /// Whether `node` is known to hold everything this guard protects.
    pub fn is_held_by(&self, node: &NodeName) -> bool {
        *node == self.primary || self.heirs.contains(node)
    }

    /// The nodes that may hold the acknowledged commits, when the cluster consists of `members`.
    ///
    /// A wildcard makes everybody eligible: all members, and all strangers that were seen. What connected and left
    /// between two monitors of the primary is not seen; a list of names has no such hole.
    pub fn electorate(&self, members: &BTreeSet<NodeName>) -> Electorate {
        let SyncSetting::Quorum { required, members: listed, .. } = &self.setting else {
            return Electorate { voters: BTreeSet::new(), strangers: BTreeSet::new(), needed: 0 };
        };
        let mut voters = BTreeSet::new();
        let mut strangers = BTreeSet::new();
        let mut add = |name: &str| {
            let same = |node: &&NodeName| node.as_str().eq_ignore_ascii_case(name);
            let found: Vec<_> = members.iter().filter(|node| **node != self.primary).filter(same).cloned().collect();
            let was_asynchronous = found.is_empty() && !same(&&self.primary);
            voters.extend(found);
            if was_asynchronous {
                strangers.insert(name.to_ascii_lowercase());
            }
        };
        for member in listed {
            match member {
                Member::Named(name) => add(name),
                Member::Wildcard => {
                    self.seen.iter().for_each(|name| add(name));
                    members.iter().for_each(|node| add(node.as_str()));
                }
            }
        }
        let eligible = voters.len() + strangers.len();
        let required = required.get() as usize;
        // More required than eligible acknowledges nothing, unless a name connected twice: so ask for one vote at least.
        let needed = if eligible == 0 { 0 } else { (eligible + 1).saturating_sub(required).max(1) };
        Electorate { voters, strangers, needed }
    }
}

impl Published {
    /// What a node publishes before it is promoted, having won under everything published so far: its own setting
    /// besides. As the winner it holds what its predecessors acknowledged.
    #[must_use]
    pub fn succeeded_by(mut self, winner: &NodeName, setting: SyncSetting) -> Self {
        for guard in self.0.iter_mut().filter(|guard| guard.primary != *winner) {
            guard.heirs.insert(winner.clone());
        }
        self.open(winner, setting);
        self
    }

    /// What a node publishes before it is promoted by an operator who accepts the loss: nothing of the past counts.
    #[must_use]
    pub fn starting_over(winner: &NodeName, setting: SyncSetting) -> Self {
        Self(vec![Guard::new(winner.clone(), setting)])
    }

    /// Promises `setting` in the name of `primary`, first in the list and as if no other node held anything. It stands for
    /// every older promise of that setting, unless others were seen then.
    pub(super) fn open(&mut self, primary: &NodeName, setting: SyncSetting) {
        let same = |guard: &Guard| guard.primary == *primary && guard.setting == setting;
        let seen = self.0.iter().find(|guard| same(guard)).map(|guard| guard.seen.clone()).unwrap_or_default();
        self.0.retain(|guard| !same(guard) || !guard.seen.is_subset(&seen));
        self.0.insert(0, Guard { seen, ..Guard::new(primary.clone(), setting) });
    }

    /// Goes on with the first promise without the names `gone`, which receive WAL no more. What they may have confirmed is
    /// protected by a promise of its own until others hold it.
    pub(super) fn leave_out(&mut self, gone: &BTreeSet<String>) {
        let Some(first) = self.0.first_mut() else { return };
        let before = first.clone();
        first.seen.retain(|name| !gone.contains(name));
        self.0.insert(1, before);
    }

    /// Records that only the first guard is in effect, and that what the others protect ends before `now`.
    pub(super) fn close_others(&mut self, now: Lsn) {
        for guard in self.0.iter_mut().skip(1) {
            guard.until = guard.until.or(Some(now));
        }
    }

    /// Records which nodes have flushed what the closed guards protect, and drops the guards that this makes needless:
    /// any votes that satisfy the first guard then include a holder.
    pub(super) fn settle(&mut self, flushed: &BTreeMap<NodeName, Lsn>, members: &BTreeSet<NodeName>) {
        for guard in &mut self.0 {
            let Some(until) = guard.until else { continue };
            let caught_up = flushed.iter().filter(|(node, at)| **at >= until && **node != guard.primary);
            guard.heirs.extend(caught_up.map(|(node, _)| node.clone()));
        }
        let Some(first) = self.0.first().cloned() else { return };
        self.0.retain(|guard| guard.until.is_none() || adds_to(guard, &first, members));
    }
}

/// Whether votes could satisfy `first` and yet include no holder of what the closed `guard` protects.
fn adds_to(guard: &Guard, first: &Guard, members: &BTreeSet<NodeName>) -> bool {
    if guard.setting == SyncSetting::Off {
        return false;
    }
    let holds = |node: &&NodeName| guard.is_held_by(node);
    let electorate = first.electorate(members);
    let ignorant = electorate.voters.iter().filter(|node| !holds(node)).count();
    let first_holders = first.heirs.iter().chain([&first.primary]);
    let by_count = match electorate.needed {
        0 => members.iter().any(|node| !holds(&node)),
        needed => ignorant >= needed,
    };
    by_count || !first_holders.into_iter().all(|node| holds(&node))
}

/// Guards separated by `;`, each `primary + heirs: setting @ "until" ~ seen`, with `-` for the empty setting.
impl fmt::Display for Published {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, guard) in self.0.iter().enumerate() {
            write!(f, "{}{guard}", if index == 0 { "" } else { "; " })?;
        }
        Ok(())
    }
}

impl fmt::Display for Guard {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        Quoted(self.primary.as_str()).fmt(f)?;
        for heir in &self.heirs {
            write!(f, " + {}", Quoted(heir.as_str()))?;
        }
        match &self.setting {
            SyncSetting::Off => f.write_str(": -")?,
            setting @ SyncSetting::Quorum { .. } => write!(f, ": {setting}")?,
        }
        if let Some(until) = self.until {
            write!(f, " @ \"{until}\"")?;
        }
        for (index, name) in self.seen.iter().enumerate() {
            write!(f, "{}{}", if index == 0 { " ~ " } else { ", " }, Quoted(name))?;
        }
        Ok(())
    }
}

impl FromStr for Published {
    type Err = super::BadSetting;

    fn from_str(text: &str) -> Result<Self, super::BadSetting> {
        let mut reader = Reader::new(text)?;
        let mut guards = vec![guard(&mut reader)?];
        while reader.accepts(';') {
            guards.push(guard(&mut reader)?);
        }
        reader.end()?;
        Ok(Self(guards))
    }
}

fn guard(reader: &mut Reader) -> Result<Guard, super::BadSetting> {
    let primary = NodeName::new(reader.name()?);
    let mut heirs = BTreeSet::new();
    while reader.accepts('+') {
        heirs.insert(NodeName::new(reader.name()?));
    }
    reader.sign(':')?;
    let setting = if reader.accepts('-') { SyncSetting::Off } else { reader.quorum()? };
    let until = if reader.accepts('@') { Some(reader.lsn()?) } else { None };
    let mut seen = BTreeSet::new();
    if reader.accepts('~') {
        seen.insert(reader.name()?);
        while reader.accepts(',') {
            seen.insert(reader.name()?);
        }
    }
    Ok(Guard { primary, setting, seen, until, heirs })
}
