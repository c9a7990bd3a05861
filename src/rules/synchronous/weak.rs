//! Where an acknowledged commit is not as safe as `synchronous_standby_names` says, and what one node's loss would stop.
//!
//! `synchronous_standby_names` says whom a commit waits for, `synchronous_commit` for what. The first belongs to the server, the
//! second to the committing session: configured for all, for a database, a role, or by the client itself, which only its session sees.

use std::collections::BTreeSet;
use std::fmt;

use super::published::{Electorate, Guard, Published};
use super::setting::{Member, SyncSetting};
use crate::node::NodeName;

/// What a commit waits for: `synchronous_commit`, as far as the loss of a node makes a difference.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Waits {
    /// For nothing, not even for the primary's own disk: `off`.
    ForNothing,
    /// For the primary's disk: `local`.
    ForOwnDisk,
    /// Until a standby has received it: `remote_write`.
    ForReceipt,
    /// Until a standby has it on its disk: `on`, `remote_apply`.
    ForDisk,
}

/// Where `synchronous_commit` has another value than the configuration's, for sessions.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Override {
    /// The role; all, if none.
    pub role: Option<String>,
    /// The database; all, if none.
    pub database: Option<String>,
    /// The value.
    pub value: String,
    /// Whether it is the agent's own session's, too. What the configuration says cannot be seen there.
    pub ours: bool,
}

/// A setting of `synchronous_commit` that is weaker than `on`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Weak {
    value: String,
    waits: Waits,
    whose: Option<Override>,
}

impl Waits {
    /// What a value of `synchronous_commit` means, in any of PostgreSQL's spellings (`synchronous_commit_options` in its guc).
    pub fn read(value: &str) -> Option<Self> {
        match value.to_ascii_lowercase().as_str() {
            "off" | "false" | "no" | "0" => Some(Self::ForNothing),
            "local" => Some(Self::ForOwnDisk),
            "remote_write" => Some(Self::ForReceipt),
            "on" | "true" | "yes" | "1" | "remote_apply" => Some(Self::ForDisk),
            _ => None,
        }
    }
}

/// Which commits are acknowledged before a standby has them on its disk, the least safe first. `ours` is the value of the agent's
/// own session.
pub fn weak(setting: &SyncSetting, ours: &str, overrides: &[Override]) -> Vec<Weak> {
    if *setting == SyncSetting::Off {
        // Nothing is promised.
        return Vec::new();
    }
    let for_all = (!overrides.iter().any(|known| known.ours)).then_some((ours, None));
    let overrides = overrides.iter().map(|known| (known.value.as_str(), Some(known.clone())));
    let mut weak: Vec<Weak> = for_all
        .into_iter()
        .chain(overrides)
        .filter_map(|(value, whose)| Some(Weak { value: value.to_owned(), waits: Waits::read(value)?, whose }))
        .filter(|weak| weak.waits < Waits::ForDisk)
        .collect();
    weak.sort_by(|a, b| (a.whose.is_some(), a.waits, &a.whose).cmp(&(b.whose.is_some(), b.waits, &b.whose)));
    weak
}

/// What a primary promises, compared with the one before it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Inherited {
    /// There was none before, or it was this node, and commits wait for no standby: nothing new.
    Nothing,
    /// Commits wait for a standby, or those of the primary before did not wait either.
    AsMuch,
    /// Commits wait for no standby, and those of the primary before did. This is what it promised.
    Less(Box<Guard>),
}

/// Compares what `me`, the primary or about to be, has in force with what is `published`, before it publishes anything itself.
pub fn inherited(me: &NodeName, effective: &SyncSetting, published: &Published) -> Inherited {
    let before = published.0.first().filter(|guard| guard.primary != *me);
    match (effective, before) {
        (SyncSetting::Off, None) => Inherited::Nothing,
        (SyncSetting::Off, Some(guard)) if guard.setting != SyncSetting::Off => {
            Inherited::Less(Box::new(guard.clone()))
        }
        (SyncSetting::Off | SyncSetting::Quorum { .. }, _) => Inherited::AsMuch,
    }
}

/// What the loss of one node would stop, although no promise is broken by it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Fragile {
    /// These are no nodes of the cluster: they may hold commits, and they never vote.
    Strangers(BTreeSet<String>),
    /// Without this node, no node could be promoted: not so many can vote.
    NoSuccessor {
        /// The votes that are needed.
        needed: usize,
        /// The nodes that have one.
        voters: BTreeSet<NodeName>,
    },
    /// Without any one of those that commits wait for, they wait for ever.
    Standstill {
        /// For how many they wait.
        required: usize,
        /// How many there are.
        eligible: usize,
    },
}

/// What is fragile about the setting of the primary `me`.
pub fn fragile(me: &NodeName, setting: &SyncSetting, members: &BTreeSet<NodeName>) -> Vec<Fragile> {
    let SyncSetting::Quorum { required, members: listed, .. } = setting else { return Vec::new() };
    let Electorate { voters, strangers, needed } = Guard::new(me.clone(), setting.clone()).electorate(members);
    let (required, eligible) = (required.get() as usize, voters.len() + strangers.len());
    let mut found = Vec::new();
    // Which other receivers connect under a wildcard is not known.
    if eligible <= required && !listed.contains(&Member::Wildcard) {
        found.push(Fragile::Standstill { required, eligible });
    }
    if !strangers.is_empty() {
        found.push(Fragile::Strangers(strangers));
    }
    if voters.len() < needed {
        found.push(Fragile::NoSuccessor { needed, voters });
    }
    found
}

/// `synchronous_commit=local for role app: …`.
impl fmt::Display for Weak {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "synchronous_commit={}", self.value)?;
        if let Some(Override { role, database, .. }) = &self.whose {
            match (role, database) {
                (Some(role), Some(database)) => write!(f, " for role {role} in database {database}")?,
                (Some(role), None) => write!(f, " for role {role}")?,
                (None, Some(database)) => write!(f, " for database {database}")?,
                (None, None) => f.write_str(" for all roles")?,
            }
        }
        f.write_str(match self.waits {
            Waits::ForNothing => ": a crash or a failover may lose acknowledged commits",
            Waits::ForOwnDisk => ": a failover may lose acknowledged commits",
            Waits::ForReceipt => ": a standby may lose acknowledged commits with its power",
            Waits::ForDisk => "",
        })
    }
}

impl fmt::Display for Fragile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let listed = |names: Vec<&str>| names.join(", ");
        match self {
            Self::Strangers(names) => {
                let names = listed(names.iter().map(String::as_str).collect());
                write!(
                    f,
                    "{names} in synchronous_standby_names: no node of this cluster, may hold commits and never votes"
                )
            }
            Self::NoSuccessor { needed, voters } => {
                let names = listed(voters.iter().map(NodeName::as_str).collect());
                let names = if names.is_empty() { "no node".to_owned() } else { format!("only {names}") };
                write!(f, "without this node no node can be promoted: of the {needed} votes needed, {names} can vote")
            }
            Self::Standstill { required, eligible } => {
                write!(f, "commits wait for {required} of {eligible} standbys: they stop when one of these is away")
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rules::table;

    fn names<const N: usize>(names: [&str; N]) -> BTreeSet<NodeName> {
        names.into_iter().map(NodeName::new).collect()
    }

    fn lines<T: fmt::Display>(found: &[T]) -> String {
        found.iter().map(ToString::to_string).collect::<Vec<_>>().join(" | ")
    }

    /// `role/database=value`, `-` for all, and `!` where it is the agent's, too.
    fn overrides(text: &str) -> Vec<Override> {
        let one = |word: &str| {
            let (whose, value) = word.split_once('=').unwrap();
            let (role, database) = whose.trim_start_matches('!').split_once('/').unwrap();
            let name = |name: &str| (name != "-").then(|| name.to_owned());
            Override {
                role: name(role),
                database: name(database),
                value: value.to_owned(),
                ours: whose.starts_with('!'),
            }
        };
        text.split_whitespace().map(one).collect()
    }

    fn weaknesses((setting, ours, known): (&str, &str, &str)) -> String {
        lines(&weak(&setting.parse().unwrap(), ours, &overrides(known)))
    }

    const ANY: &str = "ANY 1 (srv1, srv2, srv3)";

    table! { weaknesses;
        kept: (ANY, "on", "") => "";
        kept_and_applied: (ANY, "remote_apply", "app/-=remote_apply") => "";
        nothing_is_promised: ("", "off", "app/-=local") => "";
        remote_write: (ANY, "remote_write", "")
            => "synchronous_commit=remote_write: a standby may lose acknowledged commits with its power";
        local: (ANY, "local", "") => "synchronous_commit=local: a failover may lose acknowledged commits";
        off: (ANY, "off", "") => "synchronous_commit=off: a crash or a failover may lose acknowledged commits";
        a_role: (ANY, "on", "app/-=remote_write")
            => "synchronous_commit=remote_write for role app: a standby may lose acknowledged commits with its power";
        a_database: (ANY, "on", "-/queue=off")
            => "synchronous_commit=off for database queue: a crash or a failover may lose acknowledged commits";
        a_role_in_a_database: (ANY, "on", "app/queue=no")
            => "synchronous_commit=no for role app in database queue: a crash or a failover may lose acknowledged commits";
        all_roles: (ANY, "local", "!-/-=local")
            => "synchronous_commit=local for all roles: a failover may lose acknowledged commits";
        a_stronger_one_for_a_role: (ANY, "local", "app/-=on")
            => "synchronous_commit=local: a failover may lose acknowledged commits";
        ours_says_nothing_about_the_others: (ANY, "local", "!postgres/-=local")
            => "synchronous_commit=local for role postgres: a failover may lose acknowledged commits";
        ours_is_stronger: (ANY, "on", "!postgres/-=on") => "";
        several_the_least_safe_first: (ANY, "remote_write", "b/-=remote_write a/-=local c/-=on")
            => "synchronous_commit=remote_write: a standby may lose acknowledged commits with its power | \
                synchronous_commit=local for role a: a failover may lose acknowledged commits | \
                synchronous_commit=remote_write for role b: a standby may lose acknowledged commits with its power";
        any_spelling: (ANY, "on", "a/-=TRUE b/-=1 c/-=yes d/-=On") => "";
        nonsense: (ANY, "on", "a/-=perhaps") => "";
    }

    fn compared((effective, published): (&str, &str)) -> String {
        let published = if published.is_empty() { Published::default() } else { published.parse().unwrap() };
        match inherited(&NodeName::new("srv2"), &effective.parse().unwrap(), &published) {
            Inherited::Nothing => "nothing".to_owned(),
            Inherited::AsMuch => "as much".to_owned(),
            Inherited::Less(guard) => guard.to_string(),
        }
    }

    table! { compared;
        the_first_primary: ("", "") => "nothing";
        empty_after_a_quorum: ("", "srv1: ANY 1 (srv2, srv3)") => "srv1: ANY 1 (srv2, srv3)";
        the_same: ("ANY 1 (srv1, srv3)", "srv1: ANY 1 (srv2, srv3)") => "as much";
        empty_after_empty: ("", "srv1: -") => "as much";
        // An operator has emptied it on srv1 a moment ago: that was meant.
        emptied_before_the_failover: ("", "srv1: -; srv1: ANY 1 (srv2, srv3) @ \"0/3000060\"") => "as much";
        emptied_on_the_primary_itself: ("", "srv2: ANY 1 (srv1, srv3)") => "nothing";
        set_again: ("ANY 1 (srv1, srv3)", "srv2: -") => "as much";
        promoted_again: ("", "srv2: -; srv1 + srv2: ANY 1 (srv2, srv3) @ \"0/3000060\"") => "nothing";
    }

    fn fragilities(setting: &str) -> String {
        lines(&fragile(&NodeName::new("srv1"), &setting.parse().unwrap(), &names(["srv1", "srv2", "srv3"])))
    }

    table! { fragilities;
        asynchronous: "" => "";
        any_one_of_two: "ANY 1 (srv1, srv2, srv3)" => "";
        any_receiver: "*" => "";
        two_of_two: "ANY 2 (srv2, srv3)" => "commits wait for 2 of 2 standbys: they stop when one of these is away";
        one_of_one: "FIRST 1 (srv2)" => "commits wait for 1 of 1 standbys: they stop when one of these is away";
        only_itself: "ANY 1 (srv1)" => "commits wait for 1 of 0 standbys: they stop when one of these is away";
        a_stranger: "ANY 1 (srv2, srv3, barman)"
            => "barman in synchronous_standby_names: no node of this cluster, may hold commits and never votes | \
                without this node no node can be promoted: of the 3 votes needed, only srv2, srv3 can vote";
        a_stranger_that_does_not_matter: "ANY 2 (srv2, srv3, barman)"
            => "barman in synchronous_standby_names: no node of this cluster, may hold commits and never votes";
        strangers_only: "FIRST 1 (barman)"
            => "commits wait for 1 of 1 standbys: they stop when one of these is away | \
                barman in synchronous_standby_names: no node of this cluster, may hold commits and never votes | \
                without this node no node can be promoted: of the 1 votes needed, no node can vote";
    }
}
