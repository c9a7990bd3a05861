//! Replication slots that nodes keep for each other, on real instances.

use pgsqlms::action::Action;
use pgsqlms::actions::primary;
use pgsqlms::exit::OcfExitCode;
use pgsqlms::node::NodeName;
use pgsqlms::notification::Transition;
use pgsqlms::parameters::Slots;

use crate::members::{Members, has_a_process_of_its_own, promotion_of};
use crate::throwaway::eventually;

/// Segments have 1 MB, and none is kept for its own sake.
const BOUNDED: &str = "primary_conninfo = 'host=/nowhere'\nwal_keep_size = 0\nmax_slot_wal_keep_size = 500MB\n";

/// All slots of the node of this number: name, whether it is active, whether it still has its WAL.
fn slots(members: &Members, number: usize) -> String {
    let slots = "SELECT string_agg(slot_name || CASE WHEN wal_status = 'lost' THEN '!' WHEN active THEN '+' ELSE '' END, ' ' \
         ORDER BY slot_name) FROM pg_replication_slots";
    members.instance(number).sql(slots).replace("pgsqlms_", "")
}

/// A primary's monitor.
fn publish(members: &Members, number: usize) {
    members.act(number, &Transition::default(), |agent| primary::publish(agent).unwrap());
}

/// A standby's monitor; how often it asked the cluster.
fn standby(members: &Members, number: usize) -> usize {
    let before = members.board.borrow().calls;
    let outcome = members.monitored(number);
    assert_eq!((outcome.code, &outcome.reason), (OcfExitCode::Success, &None));
    members.board.borrow().calls - before
}

/// Monitors everywhere until this node's slots are these.
#[track_caller]
fn monitor_until(members: &Members, running: (usize, &[usize]), number: usize, wanted: &str) {
    eventually(&format!("slots {wanted} on srv{number}"), || {
        publish(members, running.0);
        running.1.iter().for_each(|number| _ = standby(members, *number));
        slots(members, number) == wanted
    });
}

/// Writes so many MB of WAL, waits for the replay, and removes WAL that no slot holds.
fn write_wal(members: &Members, (primary, standbys): (usize, &[usize]), megabytes: usize) {
    let message = "SELECT count(pg_logical_emit_message(false, 'x', repeat('x', 1000000)))";
    // Slowly enough for those that replicate.
    for _ in 0..megabytes / 5 {
        members.instance(primary).sql(&format!("{message} FROM generate_series(1, 5)"));
        replay_all(members, primary, standbys);
    }
    members.instance(primary).sql("CHECKPOINT");
    replay_all(members, primary, standbys);
    standbys.iter().for_each(|standby| _ = members.instance(*standby).sql("CHECKPOINT"));
}

#[track_caller]
fn replay_all(members: &Members, primary: usize, standbys: &[usize]) {
    let end = members.instance(primary).sql("SELECT pg_current_wal_lsn()");
    for standby in standbys {
        let replayed = format!("SELECT pg_last_wal_replay_lsn() >= '{end}'");
        eventually("a standby to replay", || members.instance(*standby).sql(&replayed) == "t");
    }
}

#[test]
fn each_new_primary_has_the_wal_that_a_standby_lacks() {
    if !has_a_process_of_its_own("slots::each_new_primary_has_the_wal_that_a_standby_lacks") {
        return;
    }
    let Some(members) = Members::new(3, BOUNDED) else { return };
    members.instance(1).sql("SELECT pg_create_physical_replication_slot('mine', true)");
    let all: (usize, &[usize]) = (1, &[2, 3]);
    // One after the other: srv2 has its slots before srv3 has said that it wants one.
    monitor_until(&members, (1, &[2]), 2, "srv1");
    monitor_until(&members, all, 1, "mine srv2+ srv3+");
    monitor_until(&members, all, 2, "srv1 srv3");
    monitor_until(&members, all, 3, "srv1 srv2");
    eventually("monitors that open no session", || standby(&members, 2) + standby(&members, 3) == 0);

    // WAL that each standby has is not held back for long.
    let kept = |number: usize| {
        let oldest = "SELECT max(redo_lsn - restart_lsn)::bigint >> 20 FROM pg_replication_slots, pg_control_checkpoint() \
             WHERE slot_name <> 'mine'";
        members.instance(number).sql(oldest).parse::<i64>().unwrap()
    };
    write_wal(&members, all, 40);
    assert!(kept(2) > 16, "{}", kept(2));
    publish(&members, 1);
    assert_eq!([standby(&members, 2), standby(&members, 3)], [1, 1]);
    assert!(kept(2) <= 16 && kept(3) <= 16, "{} {}", kept(2), kept(3));
    assert_eq!([standby(&members, 2), standby(&members, 3)], [0, 0]);

    // srv3 is away while more WAL is written than a node keeps without slots. Then the primary fails.
    members.instance(3).agent("stop").expect(OcfExitCode::Success);
    for _ in 0..3 {
        write_wal(&members, (1, &[2]), 60);
        publish(&members, 1);
        standby(&members, 2);
    }
    assert!(kept(1) > 100 && kept(2) > 100, "{} {}", kept(1), kept(2));
    members.instance(1).crash();
    members.act(2, &promotion_of(2), |agent| Action::Promote.run(agent)).unwrap();
    publish(&members, 2);
    members.instance(3).start();
    standby(&members, 3);
    members.wait_until_streaming(3, 2);
    monitor_until(&members, (2, &[3]), 2, "srv1 srv3+");
    members.instance(1).start();
    standby(&members, 1);
    members.wait_until_streaming(1, 2);
    monitor_until(&members, (2, &[1, 3]), 2, "srv1+ srv3+");
    monitor_until(&members, (2, &[1, 3]), 1, "mine srv2 srv3");
    monitor_until(&members, (2, &[1, 3]), 3, "srv1 srv2");
}

#[test]
fn slots_go_with_their_nodes_and_come_back_when_they_are_lost() {
    if !has_a_process_of_its_own("slots::slots_go_with_their_nodes_and_come_back_when_they_are_lost") {
        return;
    }
    let settings = BOUNDED.replace("500MB", "10MB");
    let Some(mut members) = Members::new(3, &settings) else { return };
    let all: (usize, &[usize]) = (1, &[2, 3]);
    monitor_until(&members, all, 1, "srv2+ srv3+");
    monitor_until(&members, all, 2, "srv1 srv3");

    // A slot that is lost is made anew; the disk never fills up.
    members.instance(3).agent("stop").expect(OcfExitCode::Success);
    write_wal(&members, (1, &[2]), 100);
    assert_eq!(slots(&members, 1), "srv2+ srv3!");
    publish(&members, 1);
    assert_eq!(slots(&members, 1), "srv2+ srv3");
    monitor_until(&members, (1, &[2]), 2, "srv1 srv3");

    // The node leaves the cluster for good.
    let srv3 = NodeName::new("srv3");
    members.board.borrow_mut().cib.nodes.remove(&srv3);
    publish(&members, 1);
    assert_eq!(slots(&members, 1), "srv2+");
    write_wal(&members, (1, &[2]), 40);
    monitor_until(&members, (1, &[2]), 2, "srv1");

    assert_eq!(members.instance(2).sql("SHOW primary_slot_name"), "pgsqlms_srv2");

    members.config.slots = Slots::Off;
    monitor_until(&members, (1, &[2]), 2, "");
    monitor_until(&members, (1, &[2]), 1, "");
    assert_eq!(members.instance(2).sql("SHOW primary_slot_name"), "");
    eventually("monitors that open no session", || standby(&members, 2) == 0);
}

#[test]
fn without_a_bound_slots_are_kept_only_if_they_are_asked_for() {
    if !has_a_process_of_its_own("slots::without_a_bound_slots_are_kept_only_if_they_are_asked_for") {
        return;
    }
    let Some(mut members) = Members::new(2, "primary_conninfo = 'host=/nowhere'\n") else { return };
    eventually("a standby that streams", || {
        publish(&members, 1);
        standby(&members, 2) == 0
    });
    assert_eq!([slots(&members, 1), slots(&members, 2)], ["", ""]);
    members.config.slots = Slots::On;
    monitor_until(&members, (1, &[2]), 1, "srv2+");
    monitor_until(&members, (1, &[2]), 2, "srv1");
}
