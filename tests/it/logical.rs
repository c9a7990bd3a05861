//! Logical replication slots that are to outlive the primary, on real instances.

use pgsqlms::action::Action;
use pgsqlms::actions::{monitor, primary};
use pgsqlms::exit::OcfExitCode;
use pgsqlms::node::NodeName;
use pgsqlms::notification::Transition;

use crate::members::{Members, has_a_process_of_its_own, promotion_of};
use crate::run::say_skipped;
use crate::throwaway::eventually;

/// Settings with which PostgreSQL copies logical slots to standbys.
const SYNCS: &str = "primary_conninfo = 'host=/nowhere dbname=postgres'\nwal_level = logical\nhot_standby_feedback = on\n\
     max_slot_wal_keep_size = 500MB\nwal_retrieve_retry_interval = 200ms\n";

/// A node's attribute about logical slots.
fn attribute(members: &Members, number: usize) -> String {
    let node = NodeName::new(format!("srv{number}"));
    let board = members.board.borrow();
    let attribute = board.cib.transient.get(&node).and_then(|values| values.get("pgsqlms-logical-pgsqld"));
    attribute.cloned().unwrap_or_default()
}

/// The monitors of a primary and its standbys, until the node of this number says this.
#[track_caller]
fn monitor_until(members: &Members, (primary, standbys): (usize, &[usize]), number: usize, wanted: &str) {
    eventually(&format!("srv{number} to say {wanted}"), || {
        // A busy primary writes this every few seconds, and a subscriber keeps up: without both no slot becomes usable
        // on a standby.
        members.instance(primary).sql("SELECT pg_log_standby_snapshot()");
        members.instance(primary).sql(
            "SELECT pg_replication_slot_advance(slot_name, pg_current_wal_lsn()) FROM pg_replication_slots WHERE failover",
        );
        members.act(primary, &Transition::default(), |agent| primary::publish(agent).unwrap());
        for standby in standbys {
            let outcome = members.act(*standby, &Transition::default(), |agent| monitor::run(agent).unwrap());
            assert_eq!((outcome.code, outcome.reason), (OcfExitCode::Success, None));
        }
        attribute(members, number) == wanted
    });
}

fn score(members: &Members, number: usize) -> i32 {
    let board = members.board.borrow();
    board.cib.transient[&NodeName::new(format!("srv{number}"))]["master-pgsqld"].parse().unwrap()
}

#[test]
fn a_logical_slot_outlives_each_primary_and_a_node_without_it_ranks_last() {
    if !has_a_process_of_its_own("logical::a_logical_slot_outlives_each_primary_and_a_node_without_it_ranks_last") {
        return;
    }
    let Some(members) = Members::new(3, SYNCS) else { return };
    let version: u32 = members.instance(1).sql("SHOW server_version_num").parse().unwrap();
    if version < 170_000 {
        return say_skipped("PostgreSQL 17 or later is not installed: logical slots that outlive the primary");
    }
    let set = |number: usize, sql: &str| {
        members.instance(number).sql(sql);
        members.instance(number).sql("SELECT pg_reload_conf()");
    };
    let all: (usize, &[usize]) = (1, &[2, 3]);
    set(3, "ALTER SYSTEM SET sync_replication_slots = on");
    monitor_until(&members, all, 2, "");
    members.instance(1).sql("SELECT pg_create_logical_replication_slot('sub', 'pgoutput', failover => true)");
    let unsynchronized = "synchronized_standby_slots lacks pgsqlms_srv2 pgsqlms_srv3";
    monitor_until(&members, all, 3, "has sub");
    monitor_until(&members, all, 1, &format!("keeps sub; lost with srv2: sub; {unsynchronized}"));
    assert_eq!((score(&members, 2), score(&members, 3)), (990, 1000));

    set(1, "ALTER SYSTEM SET synchronized_standby_slots = 'pgsqlms_srv2, \"pgsqlms_srv3\"'");
    set(2, "ALTER SYSTEM SET sync_replication_slots = on");
    monitor_until(&members, all, 2, "has sub");
    monitor_until(&members, all, 1, "keeps sub");

    // The primary goes, and comes back with the slot that it has made itself.
    members.instance(1).agent("stop").expect(OcfExitCode::Success);
    let slot = |number: usize| {
        let slot =
            "SELECT synced, temporary, invalidation_reason IS NULL FROM pg_replication_slots WHERE slot_name = 'sub'";
        members.instance(number).sql(slot)
    };
    members.act(3, &promotion_of(3), |agent| Action::Promote.run(agent)).unwrap();
    assert_eq!(slot(3), "t|f|t");
    members.instance(1).configure("sync_replication_slots = on\n");
    members.instance(1).start();
    assert_eq!(slot(1), "f|f|t");
    let all: (usize, &[usize]) = (3, &[1, 2]);
    monitor_until(&members, all, 1, "has sub");
    assert_eq!(slot(1), "t|f|t");
    monitor_until(&members, all, 2, "has sub");
    members.instance(3).sql("SELECT pg_drop_replication_slot('sub')");
    monitor_until(&members, all, 3, "");
    monitor_until(&members, all, 1, "has");
}
