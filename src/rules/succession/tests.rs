//! Primaries that a node could follow, and such that none could.

use std::collections::BTreeSet;

use super::*;
use crate::rules::promotion::tests::recorded;
use crate::rules::table;

/// On record, srv1 was promoted to timeline 2 at 0/100; it writes at 0/500 (#1280).
const RECORD: &str = "2@0/100 srv1 0 kept history=1@0/100,2";

/// The standbys that stream from srv1, in words: `srv2@1280` has flushed so much, `srv2@?` has not said, `srv2!` is a copy.
/// Besides, `/srv2` is barred, `-srv2` on standby, `~srv2` in maintenance, `=srv2` banned, `srv2:room=none` says that of itself, and
/// `#srv2#1280` was stopped there, `>srv2` on a timeline of its own. The others: the record, the promises, `?` for unreadable ones, maxlag.
fn hindered((words, record, published, max_lag): (&str, &str, &str, Option<u64>)) -> String {
    let mut facts = Facts { ordered: Some(NodeName::new("srv1")), ..recorded(record, published) };
    let (mut replicas, mut left, mut fitness) = (Vec::new(), BTreeMap::new(), BTreeMap::new());
    for word in words.split_whitespace() {
        if let Some((name, flushed)) = word.split_once('@') {
            let flushed = flushed.parse().ok().map(Lsn);
            replicas.push(Replica {
                name: name.to_owned(),
                state: SenderState::Streaming,
                flushed,
                reports: true,
                synchronous: false,
            });
        } else if let Some((node, said)) = word.split_once(':') {
            fitness.insert(NodeName::new(node), said.replace(',', " ").parse().unwrap());
        } else if let Some(name) = word.strip_suffix('!') {
            let state = SenderState::NotReplicating;
            replicas.push(Replica {
                name: name.to_owned(),
                state,
                flushed: Some(Lsn(1280)),
                reports: true,
                synchronous: false,
            });
        } else if let Some(node) = word.strip_prefix('=') {
            facts.barred.insert(NodeName::new(node), Bar::Banned);
        } else if let Some(node) = word.strip_prefix('/') {
            facts.barred.insert(NodeName::new(node), Bar::NoFailover);
        } else if let Some(node) = word.strip_prefix('%') {
            facts.barred.insert(NodeName::new(node), Bar::TooFarBehind);
        } else if let Some(node) = word.strip_prefix('-') {
            facts.barred.insert(NodeName::new(node), Bar::Standby);
        } else if let Some(node) = word.strip_prefix('~') {
            facts.barred.insert(NodeName::new(node), Bar::Maintenance);
        } else if let Some(node) = word.strip_prefix('#') {
            let (node, at) = node.split_once('#').unwrap();
            let ballot = format!("2#{at} history=1@0/100,2 system=7").parse().unwrap();
            left.insert(NodeName::new(node), ballot);
        } else if let Some(node) = word.strip_prefix('>') {
            let ballot = "3#1300 history=1@0/100,2@0/400,3 system=7".parse().unwrap();
            left.insert(NodeName::new(node), ballot);
        } else {
            facts.members = word.split(',').map(NodeName::new).collect::<BTreeSet<_>>();
        }
    }
    let own: Vote = "2#1280 disk=0/500 history=1@0/100,2 system=7".parse().unwrap();
    let said = hindrance(&Situation {
        me: &NodeName::new("srv1"),
        own: &own,
        facts: &facts,
        replicas: &replicas,
        current: Lsn(1280),
        max_lag,
        left: &left,
        fitness: &fitness,
    });
    assert!(said.as_ref().is_none_or(|said| said.starts_with("no failover possible")), "{said:?}");
    said.unwrap_or_default()
}

const ANY: &str = "srv1: ANY 1 (srv1, srv2, srv3)";

// One could.
table! { hindered;
    both_follow: ("srv2@1280 srv3@1280", RECORD, "", None) => "";
    one_follows: ("srv2@1280", RECORD, "", None) => "";
    one_that_lags: ("srv2@300", RECORD, "", None) => "";
    nothing_is_on_record_yet: ("srv2@1280", "", "", None) => "";
    commits_wait_for_one_of_two: ("srv2@1280 srv3@1280", RECORD, ANY, None) => "";
    commits_wait_for_the_one_that_follows: ("srv2@1280", RECORD, "srv1: ANY 1 (srv2)", None) => "";
    one_of_them_is_on_standby: ("srv2@1280 -srv3", RECORD, "srv1: ANY 1 (srv2)", None) => "";
    the_other_one_would_fail: ("srv2@1280 srv3@1280 srv2:max_connections=100/200", RECORD, "", None) => "";
    there_is_no_other_node: ("srv1", RECORD, "", None) => "";
    it_was_too_far_behind_a_moment_ago: ("srv2@1280 %srv2", RECORD, "", Some(100)) => "";
    it_cannot_be_asked_and_follows: ("srv2@1280 srv2:session=none", RECORD, "", None) => "";
    twice_connected: ("srv2@300 srv2@1280 srv2!", RECORD, "", Some(100)) => "";
}

// No standby streams, or the primary does not know which one.
table! { hindered;
    no_standby_streams: ("", RECORD, "", None)
        => "no failover possible as far as seen from here: no standby streams; see srv2, srv3";
    a_copy_is_no_standby: ("srv2!", RECORD, "", None)
        => "no failover possible as far as seen from here: no standby streams; see srv2, srv3";
    nothing_reported: ("srv2@?", RECORD, "", None)
        => "no failover possible as far as seen from here: no standby streams; see srv2, srv3";
    no_application_name: ("walreceiver@1280 walreceiver@1280", RECORD, "", None)
        => "no failover possible as far as seen from here: set application_name to its node's name on srv2, srv3, or start it there: only walreceiver streams";
    both_called_like_the_primary: ("srv1@1280 srv1@1280", RECORD, "", None)
        => "no failover possible as far as seen from here: set application_name to its node's name on srv2, srv3, or start it there: only srv1 streams";
    a_planned_absence: ("-srv2 =srv3", RECORD, "", None)
        => "no failover possible: srv2: its node is on standby (pcs node unstandby srv2); srv3: a location constraint forbids it \
            (clear the ban of srv3 (pcs constraint --full))";
    in_maintenance_it_does_not_vote: ("srv2@1280 ~srv2", RECORD, "", None)
        => "no failover possible as far as seen from here: no standby streams; see srv3; srv2: its node is in maintenance (pcs \
            node unmaintenance srv2)";
    a_stranger_beside_a_planned_absence: ("barman@1280 -srv2 -srv3", RECORD, "", None)
        => "no failover possible: srv2: its node is on standby (pcs node unstandby srv2); srv3: its node is on standby (pcs \
            node unstandby srv3)";
}

// The streaming standbys must not be promoted, or would fail.
table! { hindered;
    all_too_far_behind: ("srv2@300 srv3@400", RECORD, "", Some(100))
        => "no failover possible: srv2, srv3 further behind than maxlag (100 bytes): raise it, or see pg_stat_replication";
    all_barred: ("srv2@1280 /srv2", RECORD, "", None)
        => "no failover possible: srv2: its node attribute says nofailover";
    each_for_another_reason: ("srv2@1280 srv3@300 /srv2", RECORD, "", Some(100))
        => "no failover possible: srv2: its node attribute says nofailover; srv3: it was further behind than maxlag allows";
    a_barred_node_that_does_not_stream_is_not_named: ("srv2@300 /srv3", RECORD, "", Some(100))
        => "no failover possible: srv2 further behind than maxlag (100 bytes): raise it, or see pg_stat_replication";
    all_paused: ("srv2@1280 srv3@1280 srv2:max_connections=100/200,max_wal_senders=5/10 srv3:max_connections=100/200", RECORD, "", None)
        => "no failover possible: raise max_connections from 100 to 200, max_wal_senders from 5 to 10 on srv2, srv3 and restart PostgreSQL there: \
            replay is paused";
    no_room: ("srv2@1280 srv2:room=none", RECORD, "", None)
        => "no failover possible: free space on srv2: No space left on device for pg_wal";
    the_barred_one_may_hold_more: ("srv2@1280 srv3@300 /srv2", RECORD, "srv1: ANY 1 (srv2, srv3)", None)
        => "no failover possible: srv2 may hold acknowledged commits that the others lack, and is barred from promotion";
}

// The streaming standby cannot prove that it has every acknowledged commit.
table! { hindered;
    // Two of two would have to vote.
    one_of_two_is_away: ("srv2@1280", RECORD, ANY, None)
        => "no failover possible: under ANY 1 (srv1, srv2, srv3) a failover needs srv3, which does not stream from here";
    one_of_two_was_stopped_and_has_diverged: ("srv2@1280 >srv3", RECORD, ANY, None)
        => "no failover possible: under ANY 1 (srv1, srv2, srv3) a failover needs srv3, which does not stream from here";
    one_of_two_is_away_as_planned: ("srv2@1280 -srv3", RECORD, ANY, None)
        => "no failover possible: pcs node unstandby srv3: it may hold acknowledged commits that the others lack; its node is on standby";
    // It has left its last position, as one does that is stopped for work.
    one_of_two_was_stopped: ("srv2@1280 #srv3#1200", RECORD, ANY, None) => "";
    one_of_two_was_stopped_on_standby: ("srv2@1280 #srv3#1200 -srv3", RECORD, ANY, None) => "";
    it_was_stopped_and_streams_again: ("srv2@1280 srv3@1280 #srv3#1200", RECORD, ANY, None) => "";
    all_were_stopped: ("#srv2#1280 #srv3#1280 -srv3", RECORD, ANY, None)
        => "no failover possible: srv2: its instance is stopped (start srv2); srv3: its node is on \
            standby (pcs node unstandby srv3)";
    one_of_several_would_do: ("srv2@1280 srv1,srv2,srv3,srv4,srv5", RECORD, "srv1: ANY 2 (srv2, srv3, srv4, srv5)", None)
        => "no failover possible: under ANY 2 (srv2, srv3, srv4, srv5) a failover needs 2 of srv3, srv4, srv5, which does not \
            stream from here";
    a_removed_node_is_still_named: ("srv2@1280 srv1,srv2", RECORD, "srv1: ANY 1 (srv2, srv3)", None)
        => "no failover possible: set synchronous_standby_names = 'ANY 1 (srv1, srv2)': srv3 may confirm commits alone and cannot vote";
    of_two_nodes_none_confirms_twice: ("srv2@1280 srv1,srv2", RECORD, "srv1: ANY 2 (srv2, srv3, srv4)", None)
        => "no failover possible: set synchronous_standby_names = 'ANY 1 (srv1, srv2)': srv3, srv4 may confirm commits alone and cannot vote";
    a_stranger_under_a_wildcard: ("srv2@1280 srv3@1280", RECORD, "srv1: * ~ barman, srv2, srv3", None)
        => "no failover possible: set synchronous_standby_names = 'ANY 1 (srv1, srv2, srv3)': barman may confirm commits alone and cannot vote";
    two_confirm_and_a_stranger_may: ("srv2@1280 srv3@1280", RECORD, "srv1: ANY 2 (*) ~ barman, srv2, srv3", None) => "";
    it_is_the_node_that_lacks_not_the_stranger: ("srv2@1280", RECORD, "srv1: ANY 2 (*) ~ barman, srv2, srv3", None)
        => "no failover possible: under ANY 2 (*) a failover needs srv3, which does not stream from here";
    a_stranger_was_there_once: ("srv2@1280 srv3@1280", RECORD, "srv1: ANY 1 (srv2, srv3); srv1 + srv2: * @ \"0/100\" ~ barman", None) => "";
    its_promises_cannot_be_read: ("srv2@1280", RECORD, "?", None)
        => "no failover possible: what this primary has promised cannot be read";
}

// The record is about something else.
table! { hindered;
    another_database: ("srv2@1280", "5@0/400 srv2 0 kept history=4@0/400,5 system=8", "", None)
        => "no failover possible: another database than on record; if that is intended, run pgsqlms forget-history: system \
            identifier 8 is on record, srv2 7";
    a_new_cluster_and_an_old_record: ("srv2@1280", "5@0/900 srv3 0 kept history=4@0/900,5", "", None)
        => "no failover possible: start srv3, or run pgsqlms promote-anyway: srv2 diverged from timeline 5 (srv3)";
}
