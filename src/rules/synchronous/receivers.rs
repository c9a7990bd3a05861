//! The receivers that confirm commits, by the rows of `pg_stat_replication`.

use std::collections::{BTreeMap, BTreeSet};

use crate::location::Lsn;
use crate::node::NodeName;
use crate::rules::scores::{Replica, SenderState};

/// What each streaming name has flushed. PostgreSQL counts connections, not names: of two with one name the one that has
/// flushed less counts here, and nothing where that one does not say.
pub fn flushed(replicas: &[Replica]) -> BTreeMap<NodeName, Lsn> {
    let mut least: BTreeMap<NodeName, Option<Lsn>> = BTreeMap::new();
    for replica in replicas.iter().filter(|replica| replica.state == SenderState::Streaming) {
        let known = least.entry(NodeName::new(replica.name.as_str())).or_insert(replica.flushed);
        *known = (*known).min(replica.flushed);
    }
    least.into_iter().filter_map(|(node, flushed)| Some((node, flushed?))).collect()
}

/// The names that PostgreSQL may take for a synchronous standby under a wildcard: they stream, or are about to, and report
/// what they have flushed. A base backup does not, nor does `pg_receivewal` without a slot or `--synchronous`.
pub fn eligible(replicas: &[Replica]) -> BTreeSet<String> {
    let eligible = |replica: &&Replica| replica.reports && replica.state != SenderState::NotReplicating;
    replicas.iter().filter(eligible).map(|replica| replica.name.clone()).collect()
}

/// The names by which more than one receives WAL.
pub fn twice(replicas: &[Replica]) -> BTreeSet<&str> {
    let replicating = || replicas.iter().filter(|replica| replica.state != SenderState::NotReplicating);
    let mut seen = BTreeSet::new();
    replicating().map(|replica| replica.name.as_str()).filter(|name| !seen.insert(*name)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rules::table;

    /// `srv2@90` streams and has flushed up to 90, `~` is in catchup, `!` copies a base backup; `@?` does not report.
    fn rows(text: &str) -> Vec<Replica> {
        let row = |word: &str| {
            let (name, place) = word.split_once('@').unwrap();
            let state = match place.chars().last() {
                Some('!') => SenderState::NotReplicating,
                Some('~') => SenderState::Catchup,
                _ => SenderState::Streaming,
            };
            let flushed = place.trim_end_matches(['!', '~']).parse().ok().map(Lsn);
            Replica { name: name.to_owned(), state, flushed, reports: flushed.is_some(), synchronous: false }
        };
        text.split_whitespace().map(row).collect()
    }

    fn confirmed(text: &str) -> String {
        let flushed = flushed(&rows(text));
        flushed.iter().map(|(node, at)| format!("{node}@{}", at.0)).collect::<Vec<_>>().join(" ")
    }

    table! { confirmed;
        each_once: "srv2@90 srv3@95" => "srv2@90 srv3@95";
        who_catches_up_does_not_count: "srv2@90~ srv3@95" => "srv3@95";
        of_two_the_lesser: "srv2@90 srv2@95" => "srv2@90";
        in_any_order: "srv2@95 srv2@90" => "srv2@90";
        one_of_two_does_not_say: "srv2@95 srv2@?" => "";
        nor_does_the_first: "srv2@? srv2@95" => "";
        its_base_backup_is_another_matter: "srv2@95 srv2@?!" => "srv2@95";
    }

    fn may_confirm(text: &str) -> String {
        eligible(&rows(text)).into_iter().collect::<Vec<_>>().join(" ")
    }

    table! { may_confirm;
        standbys: "srv2@90 srv3@95~" => "srv2 srv3";
        // A base backup under `*` ended failover for good.
        a_base_backup: "srv2@90 pg_basebackup@?!" => "srv2";
        a_base_backup_with_its_wal: "srv2@90 pg_basebackup@?! pg_basebackup@?" => "srv2";
        pg_receivewal_as_it_is: "srv2@90 pg_receivewal@?" => "srv2";
        pg_receivewal_with_a_slot: "srv2@90 pg_receivewal@80" => "pg_receivewal srv2";
        who_ends: "srv2@90!" => "";
    }

    fn names_of_two(text: &str) -> String {
        twice(&rows(text)).into_iter().collect::<Vec<_>>().join(" ")
    }

    table! { names_of_two;
        all_different: "srv2@90 srv3@90" => "";
        one_is_there_twice: "srv2@90 srv3@90 srv2@80~" => "srv2";
        three_times: "srv2@90 srv2@90 srv2@90" => "srv2";
        a_base_backup_of_its_own: "srv2@90 srv2@?!" => "";
    }
}
