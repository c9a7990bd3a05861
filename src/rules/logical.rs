//! Logical replication slots that are to outlive the primary: those made with `failover`, from PostgreSQL 17 on. The server
//! copies them to standbys that have `sync_replication_slots`; here is which standby would lose which.
//!
//! Each node says in an attribute what it has: `keeps a b; lost with srv3: b` is a primary's, `has a; lacks b` a standby's.

use std::collections::{BTreeMap, BTreeSet};

use crate::node::NodeName;

/// A logical slot that is to outlive the primary.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Slot {
    /// Its name.
    pub name: String,
    /// It was copied from a primary. On a primary this means nothing.
    pub synced: bool,
    /// A subscriber could go on with it: it has all its WAL, and would not vanish in a promotion.
    pub usable: bool,
    /// A subscriber reads from it now.
    pub active: bool,
}

/// What a server does about them.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Logical {
    /// As a standby it copies them: `sync_replication_slots`.
    pub syncs: bool,
    /// The physical slots that subscribers wait for: `synchronized_standby_slots`.
    pub waits_for: BTreeSet<String>,
    /// All it has.
    pub slots: Vec<Slot>,
}

/// The attributes of the nodes.
pub type Published<'a> = BTreeMap<NodeName, &'a str>;

/// What stands in a text after the word that a clause of it begins with.
fn clause(text: &str, word: &str) -> Option<BTreeSet<String>> {
    let mut clauses = text.split(';').map(str::split_whitespace);
    let found = clauses.find_map(|mut words| (words.next() == Some(word)).then_some(words));
    found.map(|words| words.map(str::to_owned).collect())
}

/// The slots that a primary keeps. Those of a subscription's first copy come and go by the dozen and are left out.
fn kept(logical: &Logical) -> BTreeSet<String> {
    let of_a_copy = |name: &str| name.starts_with("pg_") && name.contains("_sync_");
    let kept = logical.slots.iter().filter(|slot| slot.usable && !of_a_copy(&slot.name));
    kept.map(|slot| slot.name.clone()).collect()
}

/// What each of `nodes` would lose of the slots that the primary `me` keeps; a node that would lose nothing is left out.
pub fn losses(
    me: &NodeName,
    logical: &Logical,
    nodes: &BTreeSet<NodeName>,
    published: &Published,
) -> BTreeMap<NodeName, BTreeSet<String>> {
    let kept = kept(logical);
    let lost = |node: &NodeName| {
        let has = published.get(node).and_then(|text| clause(text, "has")).unwrap_or_default();
        kept.difference(&has).cloned().collect::<BTreeSet<_>>()
    };
    let others = nodes.iter().filter(|node| *node != me).map(|node| (node.clone(), lost(node)));
    others.filter(|(_, lost)| !lost.is_empty()).collect()
}

/// What a primary says, whose own physical slots are `physical`; nothing if it keeps no such slots.
pub fn on_primary<'a>(
    logical: &Logical,
    losses: &BTreeMap<NodeName, BTreeSet<String>>,
    physical: impl Iterator<Item = &'a str>,
) -> Option<String> {
    let kept = kept(logical);
    if kept.is_empty() {
        return None;
    }
    let mut text = format!("keeps {}", listed(&kept));
    for (node, lost) in losses {
        text += &format!("; lost with {node}: {}", listed(lost));
    }
    let unnamed: BTreeSet<String> =
        physical.filter(|name| !logical.waits_for.contains(*name)).map(str::to_owned).collect();
    if !unnamed.is_empty() {
        text += &format!("; synchronized_standby_slots lacks {}", listed(&unnamed));
    }
    Some(text)
}

/// Whether a standby has anything to say.
pub fn is_due(logical: &Logical) -> bool {
    logical.syncs || !logical.slots.is_empty()
}

/// What a standby says.
pub fn on_standby(me: &NodeName, logical: &Logical, published: &Published) -> String {
    let has = logical.slots.iter().filter(|slot| slot.synced && slot.usable).map(|slot| slot.name.clone()).collect();
    let kept = published.iter().filter(|(node, _)| *node != me).filter_map(|(_, text)| clause(text, "keeps"));
    let lacks: BTreeSet<String> = kept.flatten().filter(|name| !BTreeSet::contains(&has, name)).collect();
    let has = if has.is_empty() { "has".to_owned() } else { format!("has {}", listed(&has)) };
    if lacks.is_empty() { has } else { format!("{has}; lacks {}", listed(&lacks)) }
}

/// The slots that this standby has made itself when it was the primary. As long as they are there, the server
/// refuses to copy those of the same name, and they hold back WAL for no subscriber.
pub fn of_its_own(logical: &Logical) -> Vec<&str> {
    let own = logical.slots.iter().filter(|slot| logical.syncs && !slot.synced && !slot.active);
    own.map(|slot| slot.name.as_str()).collect()
}

/// Of its own slots, those that have the primary's in their place: `primary` is the primary's attribute.
pub fn replaced(logical: &Logical, primary: &str) -> Vec<String> {
    let kept = clause(primary, "keeps").unwrap_or_default();
    of_its_own(logical).into_iter().filter(|name| kept.contains(*name)).map(str::to_owned).collect()
}

/// The slots that would be lost on the node with this attribute; nothing if it lacks nothing.
pub fn lost(text: &str) -> Option<String> {
    clause(text, "lacks").filter(|lacks| !lacks.is_empty()).map(|lacks| listed(&lacks))
}

fn listed(names: &BTreeSet<String>) -> String {
    names.iter().map(String::as_str).collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rules::table;

    /// `a` was made here, `a+` was copied, `a~` was copied and is not ready, `a*` is in use, `a!` has lost its WAL.
    fn logical(slots: &str) -> Logical {
        let slot = |text: &str| Slot {
            name: text.trim_end_matches(['+', '~', '*', '!']).to_owned(),
            synced: text.ends_with(['+', '~']),
            usable: !text.ends_with(['~', '!']),
            active: text.ends_with('*'),
        };
        let waits_for = BTreeSet::from(["pgsqlms_srv2".to_owned()]);
        Logical { syncs: true, waits_for, slots: slots.split_whitespace().map(slot).collect() }
    }

    fn attributes<'a>(texts: &[(&str, &'a str)]) -> Published<'a> {
        texts.iter().map(|(node, text)| (NodeName::new(*node), *text)).collect()
    }

    /// The slots of srv1, what srv2 and srv3 say, and our physical slots.
    fn primary((slots, srv2, srv3, physical): (&str, &str, &str, &str)) -> String {
        let (me, logical) = (NodeName::new("srv1"), logical(slots));
        let nodes = ["srv1", "srv2", "srv3"].map(NodeName::new).into_iter().collect();
        let losses = losses(&me, &logical, &nodes, &attributes(&[("srv2", srv2), ("srv3", srv3)]));
        on_primary(&logical, &losses, physical.split_whitespace()).unwrap_or_default()
    }

    table! { primary;
        none: ("", "has a", "", "pgsqlms_srv3") => "";
        everybody_has_it: ("a*", "has a", "has a b; lacks c", "") => "keeps a";
        one_lacks_it: ("a* b", "has a; lacks b", "has a b", "") => "keeps a b; lost with srv2: b";
        one_says_nothing: ("a* b", "", "has a b", "") => "keeps a b; lost with srv2: a b";
        the_old_primary_says_what_it_kept: ("a", "keeps a", "has a", "") => "keeps a; lost with srv2: a";
        once_copied_is_kept_as_well: ("a+", "has a", "has a", "") => "keeps a";
        what_is_lost_already_cannot_be_lost: ("a! b", "has b", "has b", "") => "keeps b";
        first_copies_come_and_go: ("pg_16394_sync_16385_7394666715149055164 a", "has a", "has a", "") => "keeps a";
        subscribers_may_be_ahead: ("a", "has a", "has a", "pgsqlms_srv2 pgsqlms_srv3")
            => "keeps a; synchronized_standby_slots lacks pgsqlms_srv3";
    }

    /// The slots of srv2, what srv1 and srv2 have said.
    fn standby((slots, srv1, srv2): (&str, &str, &str)) -> String {
        on_standby(&NodeName::new("srv2"), &logical(slots), &attributes(&[("srv1", srv1), ("srv2", srv2)]))
    }

    table! { standby;
        nothing_anywhere: ("", "", "") => "has";
        all_of_them: ("a+ b+", "keeps a b", "") => "has a b";
        one_is_not_ready: ("a+ b~", "keeps a b; lost with srv2: b", "") => "has a; lacks b";
        none_here: ("", "keeps a b", "has a") => "has; lacks a b";
        its_own_are_not_the_primarys: ("a", "keeps a", "keeps a c") => "has; lacks a";
        no_primary_keeps_any: ("a+", "", "has a; lacks b") => "has a";
    }

    /// The slots of a standby, what the primary says.
    fn gone((slots, primary): (&str, &str)) -> String {
        replaced(&logical(slots), primary).join(" ")
    }

    table! { gone;
        made_here_and_kept_there: ("a b+ c", "keeps a b; lost with srv2: a") => "a";
        in_use: ("a*", "keeps a") => "";
        not_published_yet: ("a", "") => "";
        that_was_a_standby: ("a", "has a") => "";
    }

    #[test]
    fn who_does_not_copy_keeps_its_own() {
        let logical = Logical { syncs: false, ..logical("a") };
        assert_eq!(replaced(&logical, "keeps a"), Vec::<String>::new());
        assert!(is_due(&logical) && !is_due(&Logical::default()));
    }

    #[test]
    fn what_is_lost_is_what_was_lacking() {
        assert_eq!(lost("has a; lacks b c").as_deref(), Some("b c"));
        assert_eq!(lost("has a").or(lost("keeps lacks")).or(lost("")), None);
    }
}
