//! Standbys that follow the promoted node, on real instances.

use std::os::unix::fs::MetadataExt;
use std::time::{Duration, Instant};

use pgsqlms::actions::{follow, monitor, primary, start};
use pgsqlms::exit::OcfExitCode;
use pgsqlms::node::NodeName;
use pgsqlms::notification::{Around, Moment, Notification, Transition};
use pgsqlms::parameters::Follow;
use pgsqlms::postgres::About;

use crate::members::{Members, has_a_process_of_its_own, promotion_of};
use crate::throwaway::{Succeeds, eventually};

fn follow(members: &Members, standby: usize, primary: usize) -> Option<String> {
    members.act(standby, &promotion_of(primary), |agent| follow::primary_of(agent, &agent.request.transition)).unwrap()
}

#[test]
fn a_standby_is_reattached_within_a_second_of_the_promotion() {
    if !has_a_process_of_its_own("following::a_standby_is_reattached_within_a_second_of_the_promotion") {
        return;
    }
    // By default a standby without a primary tries again after 5 s. It must not be for that.
    let Some(members) = Members::new(3, "primary_conninfo = 'host=/nowhere connect_timeout=7'\n") else { return };
    for standby in [2, 3] {
        assert_eq!(follow(&members, standby, 1), None);
        members.wait_until_streaming(standby, 1);
    }
    let conninfo = members.instance(3).sql("SHOW primary_conninfo");
    let primary = members.instance(1).directory.path().display().to_string();
    assert_eq!(conninfo, format!("host={primary} connect_timeout=7 application_name=srv3"));

    members.instance(1).agent("stop").expect(OcfExitCode::Success);
    members.instance(2).as_user("pg_ctl").args(["promote", "-D"]).arg(members.instance(2).data()).success();
    let began = Instant::now();
    assert_eq!(follow(&members, 3, 2), None);
    members.wait_until_streaming(3, 2);
    let took = began.elapsed();
    assert!(took < Duration::from_secs(1), "{took:?}");

    let file = members.instance(3).data().join("pgsqlms.conf");
    let written = |()| std::fs::metadata(&file).unwrap().ino();
    let before = written(());
    assert_eq!(follow(&members, 3, 2), None);
    assert_eq!(written(()), before, "written again without a reason");

    // The old primary comes back: its file was never written.
    members.instance(1).start();
    assert_eq!(follow(&members, 1, 2), None);
    members.wait_until_streaming(1, 2);
}

/// An address that moves is the directory of another instance's socket, or none for a moment. The server retries only after ten
/// minutes: a standby that connects within this test was reconnected by the agent.
#[test]
fn a_standby_connects_at_once_through_an_address_that_has_moved() {
    let name = "following::a_standby_connects_at_once_through_an_address_that_has_moved";
    if !has_a_process_of_its_own(name) {
        return;
    }
    let address = tempfile::tempdir().unwrap().path().with_extension("address");
    let settings = format!("primary_conninfo = 'host={}'\nwal_retrieve_retry_interval = 10min\n", address.display());
    let Some(mut members) = Members::new(3, &settings) else { return };
    members.config.follow = Follow::None;
    let moves_to = |number: usize| {
        let _ = std::fs::remove_file(&address);
        std::os::unix::fs::symlink(members.instance(number).directory.path(), &address).unwrap();
    };
    let streams = "SELECT count(*) FROM pg_stat_wal_receiver WHERE status = 'streaming'";
    let connects = |number: usize| {
        eventually("a standby to stream", || members.instance(number).sql(streams) == "1");
    };
    let waits = |number: usize| {
        let event = "SELECT wait_event FROM pg_stat_activity WHERE backend_type = 'startup'";
        eventually("a standby to wait", || members.instance(number).sql(event) == "RecoveryRetrieveRetryInterval");
    };
    let promoted = |number: usize| {
        let instance = members.instance(number);
        instance.as_user("pg_ctl").args(["promote", "-D"]).arg(instance.data()).success();
        members.act(number, &Transition::default(), |agent| primary::publish(agent).unwrap());
    };
    let notified = |standby: usize, primary: usize| {
        let transition = promotion_of(primary);
        members.notified(standby, Notification { moment: Moment::After, around: Around::Promote, transition });
    };
    moves_to(1);
    for standby in [2, 3] {
        waits(standby);
        notified(standby, 1);
        connects(standby);
    }
    members.instance(1).agent("stop").expect(OcfExitCode::Success);
    promoted(2);
    waits(3);
    moves_to(2);
    notified(3, 2);
    connects(3);

    // The address comes after the notification: a monitor lets it try once more.
    members.monitored(3);
    members.instance(2).crash();
    waits(3);
    members.instance(2).start();
    promoted(2);
    members.act(3, &Transition::default(), |agent| agent.postgres.pass_on(About::Promotion, Some("")));
    members.monitored(3);
    connects(3);
    std::fs::remove_file(&address).unwrap();
}

#[test]
fn a_monitor_completes_the_switch_to_a_new_primary_and_names_obstacles() {
    let name = "following::a_monitor_completes_the_switch_to_a_new_primary_and_names_obstacles";
    if !has_a_process_of_its_own(name) {
        return;
    }
    let Some(members) = Members::new(2, "primary_conninfo = 'host=/nowhere'\n") else { return };
    let standby = members.instance(2);
    members.act(1, &Transition::default(), |agent| primary::publish(agent).unwrap());
    let monitor = || members.monitored(2);
    let reload = |sql: &str| {
        standby.sql(sql);
        standby.sql("SELECT pg_reload_conf()");
    };
    let expect = |words: &str| {
        eventually(words, || {
            let outcome = monitor();
            outcome.code == OcfExitCode::Degraded && outcome.reason.is_some_and(|reason| reason.contains(words))
        });
    };
    assert_eq!(monitor().reason, None);
    members.wait_until_streaming(2, 1);

    reload("ALTER SYSTEM SET primary_conninfo = 'host=/elsewhere'");
    expect("ALTER SYSTEM RESET primary_conninfo; SELECT pg_reload_conf()");
    reload("ALTER SYSTEM RESET primary_conninfo");
    assert_eq!(monitor().reason, None);

    let conf = standby.data().join("postgresql.conf");
    let before = std::fs::read_to_string(&conf).unwrap();
    let broken = |lines: &str, words: &str| {
        std::fs::write(&conf, lines).unwrap();
        reload("SELECT 1");
        // The promotion of srv1 is over: the monitor reports this file.
        expect(words);
        std::fs::write(&conf, &before).unwrap();
        reload("SELECT 1");
        eventually("an end of complaints", || monitor().reason.is_none());
        members.wait_until_streaming(2, 1);
    };
    broken(&before.replace("include_if_exists", "# include_if_exists"), "must be the last line of postgresql.conf");
    broken(&format!("{before}primary_conninfo = 'host=/later'\n"), "postgresql.conf, line ");
    // A server that uses none of its files goes on with its present settings.
    std::fs::remove_file(standby.data().join("pgsqlms.conf")).unwrap();
    reload("SELECT 1");
    // The postmaster reads the files some time after the reload.
    eventually("the server to use its files", || standby.sql("SHOW primary_conninfo") == "host=/nowhere");
    std::fs::write(&conf, format!("{before}nonsense\n")).unwrap();
    expect("correct postgresql.conf");
    std::fs::write(&conf, &before).unwrap();
    eventually("an end of complaints", || monitor().reason.is_none());
    members.wait_until_streaming(2, 1);
}

#[test]
fn the_monitor_of_a_standby_that_streams_asks_the_cluster_nothing() {
    if !has_a_process_of_its_own("following::the_monitor_of_a_standby_that_streams_asks_the_cluster_nothing") {
        return;
    }
    let Some(members) = Members::new(2, "primary_conninfo = 'host=/nowhere'\n") else { return };
    assert_eq!(follow(&members, 2, 1), None);
    members.wait_until_streaming(2, 1);
    let calls = || {
        let before = members.board.borrow().calls;
        let outcome = members.monitored(2);
        assert_eq!(outcome.reason, None);
        members.board.borrow().calls - before
    };
    // It has just connected, perhaps to the former primary.
    assert_eq!(calls(), 1);
    eventually("a connection that is not so young any more", || calls() == 0);

    // The notification of a promotion costs one look at the cluster, and the withdrawal of the vote.
    let before = members.board.borrow().calls;
    members.notified(2, Notification { moment: Moment::After, around: Around::Promote, transition: promotion_of(1) });
    assert_eq!(members.board.borrow().calls - before, 2);

    // A primary that is lost leaves a connection behind. The others note that it was stopped, and their monitors look.
    members.act(2, &Transition::default(), |agent| agent.postgres.pass_on(About::PrimaryLost, Some("")));
    assert!(calls() > 0, "it believes its connection");
    // The promotion of another one is the end of that.
    members.act(1, &Transition::default(), |agent| primary::publish(agent).unwrap());
    eventually("the primary to be found", || calls() == 0);
}

/// Two standbys that stream from each other would wait for a primary for ever.
#[test]
fn without_a_primary_a_standby_follows_no_node() {
    if !has_a_process_of_its_own("following::without_a_primary_a_standby_follows_no_node") {
        return;
    }
    let Some(members) = Members::new(3, "primary_conninfo = 'host=/nowhere connect_timeout=7'\n") else { return };
    for standby in [2, 3] {
        assert_eq!(follow(&members, standby, 1), None);
        members.wait_until_streaming(standby, 1);
    }
    members.act(1, &Transition::default(), |agent| primary::publish(agent).unwrap());
    // The primary goes cleanly, so that all hold the same.
    members.instance(1).agent("stop").expect(OcfExitCode::Success);
    for number in [2, 3] {
        members.instance(number).crash();
    }
    // After a power cut of all nodes no score is left. The record still names srv1.
    members.board.borrow_mut().cib.transient.clear();
    let conninfo = |number: usize| members.instance(number).sql("SHOW primary_conninfo");
    for number in [1, 2, 3] {
        members.act(number, &Transition::default(), |agent| start::run(agent).unwrap());
        assert_eq!(conninfo(number), "", "srv{number}");
    }
    // srv3 is promoted. srv1 follows it and keeps the DBA's other settings.
    members.instance(3).as_user("pg_ctl").args(["promote", "-D"]).arg(members.instance(3).data()).success();
    assert_eq!(follow(&members, 1, 3), None);
    members.wait_until_streaming(1, 3);
    let place = members.instance(3).directory.path().display();
    assert_eq!(conninfo(1), format!("host={place} connect_timeout=7 application_name=srv1"));
    // A node that is started beside a primary follows it at once.
    members.instance(2).agent("stop").expect(OcfExitCode::Success);
    let promoted = Transition { promoted: promotion_of(3).promote, ..Transition::default() };
    members.act(2, &promoted, |agent| start::run(agent).unwrap());
    members.wait_until_streaming(2, 3);
}

/// The agent ignores a cascading standby outside the cluster. Once its node is a member, it follows the primary.
#[test]
fn a_cascading_standby_is_left_alone_unless_it_is_a_member() {
    if !has_a_process_of_its_own("following::a_cascading_standby_is_left_alone_unless_it_is_a_member") {
        return;
    }
    let Some(members) = Members::new(3, "primary_conninfo = 'host=/nowhere'\nwal_retrieve_retry_interval = 200ms\n")
    else {
        return;
    };
    let srv3 = NodeName::new("srv3");
    members.board.borrow_mut().cib.nodes.remove(&srv3);
    assert_eq!(follow(&members, 2, 1), None);
    members.wait_until_streaming(2, 1);
    let theirs = format!("host={} application_name=site2", members.instance(2).directory.path().display());
    members.instance(2).sql("SELECT pg_create_physical_replication_slot('site2', true)");
    for setting in [format!("primary_conninfo = '{theirs}'"), "primary_slot_name = 'site2'".to_owned()] {
        members.instance(3).sql(&format!("ALTER SYSTEM SET {setting}"));
    }
    members.instance(3).sql("SELECT pg_reload_conf()");
    members.wait_until_streaming(3, 2);
    let monitors = |primary: usize, standbys: &[usize]| {
        members.act(primary, &Transition::default(), |agent| primary::publish(agent).unwrap());
        let monitor =
            |number: &usize| members.act(*number, &Transition::default(), |agent| monitor::run(agent).unwrap());
        standbys.iter().map(monitor).filter_map(|outcome| outcome.reason).collect::<Vec<_>>()
    };
    assert_eq!(monitors(1, &[2]), Vec::<String>::new());

    members.instance(1).agent("stop").expect(OcfExitCode::Success);
    members.instance(2).as_user("pg_ctl").args(["promote", "-D"]).arg(members.instance(2).data()).success();
    monitors(2, &[]);
    let timeline = "SELECT received_tli FROM pg_stat_wal_receiver WHERE status = 'streaming'";
    eventually("the standby elsewhere to follow the promotion", || members.instance(3).sql(timeline) == "3");
    assert_eq!(members.instance(3).sql("SHOW primary_conninfo"), theirs);
    assert_eq!(members.instance(2).sql("SELECT active FROM pg_replication_slots WHERE slot_name = 'site2'"), "t");
    let known = |node: &NodeName| members.board.borrow().cib.transient.contains_key(node);
    assert!(known(&NodeName::new("srv2")) && !known(&srv3) && !known(&NodeName::new("site2")));

    // As a member it would be missed if it followed another standby.
    for name in ["primary_conninfo", "primary_slot_name"] {
        members.instance(3).sql(&format!("ALTER SYSTEM RESET {name}"));
    }
    members.instance(1).start();
    assert_eq!(follow(&members, 1, 2), None);
    members.wait_until_streaming(1, 2);
    let cascading = format!("primary_conninfo = 'host={}'", members.instance(1).directory.path().display());
    let conf = members.instance(3).data().join("postgresql.conf");
    let text = std::fs::read_to_string(&conf).unwrap();
    std::fs::write(&conf, text.replace("primary_conninfo = 'host=/nowhere'", &cascading)).unwrap();
    members.instance(3).sql("SELECT pg_reload_conf()");
    members.wait_until_streaming(3, 1);
    members.board.borrow_mut().cib.nodes.insert(srv3.clone());
    eventually("the member to follow the primary", || {
        monitors(2, &[1, 3]);
        let to = "SELECT sender_host FROM pg_stat_wal_receiver WHERE status = 'streaming'";
        members.instance(3).sql(to) == members.instance(2).directory.path().display().to_string()
    });
    monitors(2, &[1, 3]);
    assert!(known(&srv3));
}

/// The standby has `recovery_min_apply_delay`: PostgreSQL starts no WAL receiver before all local WAL is replayed.
#[test]
fn a_standby_that_replays_late_is_not_without_wal() {
    if !has_a_process_of_its_own("following::a_standby_that_replays_late_is_not_without_wal") {
        return;
    }
    let Some(members) = Members::new(2, "primary_conninfo = 'host=/nowhere'\n") else { return };
    let (primary, standby) = (members.instance(1), members.instance(2));
    members.act(1, &Transition::default(), |agent| primary::publish(agent).unwrap());
    assert_eq!(follow(&members, 2, 1), None);
    members.wait_until_streaming(2, 1);
    standby.sql("ALTER SYSTEM SET recovery_min_apply_delay = '1h'");
    standby.sql("SELECT pg_reload_conf()");
    primary.sql("CREATE TABLE late AS SELECT 1 AS number");
    let at = primary.sql("SELECT pg_current_wal_flush_lsn()");
    let has_it = format!("SELECT pg_last_wal_receive_lsn() >= '{at}'");
    eventually("it to have the WAL", || standby.sql(&has_it) == "t");
    standby.agent("stop").expect(OcfExitCode::Success);
    standby.start();
    let waits = "SELECT wait_event FROM pg_stat_activity WHERE backend_type = 'startup'";
    eventually("it to wait", || standby.sql(waits) == "RecoveryApplyDelay");
    for _ in 0..2 {
        let reason = members.monitored(2).reason.unwrap_or_default();
        assert!(!reason.contains("no WAL received"), "{reason}");
        standby.a_minute_passes("break");
    }
    assert_eq!(standby.sql("SELECT count(*) FROM pg_stat_wal_receiver"), "0");
}
