//! The binary and a real, throw-away instance of PostgreSQL, on a machine without a cluster.

use std::process::Stdio;
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use pgsqlms::exit::OcfExitCode::{self, *};

use crate::throwaway::{Instance, eventually};

/// Killed agents, and many.
mod endurance;
/// Wrong configurations and hostile environments.
mod hostile;

#[test]
fn every_action_may_be_repeated() {
    let Some(instance) = Instance::new() else { return };
    let twice = |action: &str, then: OcfExitCode| {
        for _ in 0..2 {
            instance.agent(action).expect(Success);
            instance.probe(then);
        }
    };
    instance.probe(NotRunning);
    twice("start", Success);
    assert_eq!(instance.sql("SELECT pg_is_in_recovery()"), "t");
    twice("promote", RunningPromoted);
    assert_eq!(instance.sql("SELECT pg_is_in_recovery()"), "f");
    twice("demote", Success);
    assert_eq!(instance.sql("SELECT pg_is_in_recovery()"), "t");
    twice("stop", NotRunning);
    assert_eq!(instance.processes(), 0);
    instance.agent("monitor").meta("interval", "15000").expect(NotRunning);
}

#[test]
fn a_server_that_is_reached_by_a_slow_script_is_waited_for() {
    let Some(instance) = Instance::new() else { return };
    // For a second no process looks like PostgreSQL.
    let slow = r#"exec sh -c 'sleep 1; exec "$0" "$@"' "$real" "$@""#;
    let bindir = instance.programs_with("postgres", slow);
    instance.agent("start").parameter("bindir", &bindir).expect(Success);
    instance.probe(Success);
}

#[test]
fn a_server_that_a_signal_ends_before_it_logs_is_reported() {
    let Some(instance) = Instance::new() else { return };
    let bindir = instance.programs_with("postgres", "kill -KILL $$");
    let failed = instance.agent("start").parameter("bindir", &bindir).expect(GenericError);
    assert_eq!(failed.reason(), "PostgreSQL did not start: signal 9 has ended it");
}

#[test]
fn a_recurring_monitor_says_the_same_as_a_probe() {
    let Some(instance) = Instance::new() else { return };
    let monitor = || instance.agent("monitor").meta("interval", "15000").run().code;
    instance.start();
    assert_eq!(monitor(), Success as i32);
    instance.promote();
    assert_eq!(monitor(), RunningPromoted as i32);
    instance.agent("stop").expect(Success);
    assert_eq!(monitor(), NotRunning as i32);
}

#[test]
fn a_crashed_primary_is_stopped_and_comes_back_as_a_standby() {
    let Some(instance) = Instance::new() else { return };
    instance.promote();
    instance.sql("CREATE TABLE kept AS SELECT 1 AS one");
    instance.crash();
    // A probe expects nothing. Where Pacemaker does expect a primary, it must hear that it failed.
    instance.probe(NotRunning);
    let failed = instance.agent("monitor").meta("interval", "15000").expect(FailedPromoted);
    assert!(failed.reason().contains("it crashed"), "{failed:?}");
    for _ in 0..2 {
        let ended = instance.agent("stop").run();
        assert_eq!(ended.code, Success as i32, "{ended:?}");
    }
    instance.start();
    instance.probe(Success);
    assert_eq!(instance.sql("SELECT pg_is_in_recovery(), one FROM kept"), "t|1");
    instance.promote();
    assert_eq!(instance.sql("SELECT count(*) FROM kept"), "1");
}

/// After a power cut the new postmaster may well get the old one's number. The old one's note there that it is ready
/// would be taken for the new one's word.
#[test]
fn the_files_of_a_dead_postmaster_are_gone_before_the_next_one_starts() {
    let Some(instance) = Instance::new() else { return };
    instance.start();
    let pid = instance.pid_file(1).unwrap();
    instance.crash();
    // As if it had been reaped.
    for file in ["data/postmaster.pid", ".s.PGSQL.5432.lock"] {
        let file = instance.directory.path().join(file);
        let left = std::fs::read_to_string(&file).unwrap();
        std::fs::write(&file, left.replacen(&pid, "4194303", 1)).unwrap();
    }
    let started = instance.agent("start").expect(Success);
    assert!(started.log.contains("removing postmaster.pid: process 4194303"), "{started:?}");
}

#[test]
fn a_crashed_standby_is_not_a_failed_primary() {
    let Some(instance) = Instance::new() else { return };
    instance.start();
    instance.crash();
    instance.agent("monitor").meta("interval", "16000").expect(NotRunning);
    assert_eq!(instance.agent("stop").run().code, Success as i32);
    instance.start();
    instance.probe(Success);
}

#[test]
fn a_frozen_postmaster_is_stopped_in_time() {
    let Some(instance) = Instance::new() else { return };
    instance.promote();
    let postmaster = instance.postmaster().unwrap();
    kill(postmaster, Signal::SIGSTOP).unwrap();
    let stat = format!("/proc/{postmaster}/stat");
    eventually("it to freeze", || std::fs::read_to_string(&stat).unwrap().contains(") T "));
    let ended = instance.agent("monitor").expect(GenericError);
    assert!(ended.reason().contains("kill -CONT"), "{ended:?}");
    let began = Instant::now();
    let ended = instance.agent("stop").meta("timeout", "20000").run();
    assert_eq!(ended.code, Success as i32, "{ended:?}");
    assert!(began.elapsed() < Duration::from_secs(17), "{:?}", began.elapsed());
    assert_eq!(instance.processes(), 0);
}

/// A client that holds a lock, and a shutdown that must not wait for it.
#[test]
fn stop_does_not_wait_for_clients() {
    let Some(instance) = Instance::new() else { return };
    instance.promote();
    let mut client = instance.as_user("psql");
    client.args(["--no-psqlrc", "--dbname=postgres", "--command", "SELECT pg_sleep(600)", "--host"]);
    let mut client = client.arg(instance.directory.path()).stderr(Stdio::null()).spawn().unwrap();
    let asleep = "SELECT count(*) FROM pg_stat_activity WHERE wait_event = 'PgSleep'";
    eventually("the client", || instance.sql(asleep) == "1");
    let began = Instant::now();
    instance.agent("stop").expect(Success);
    assert!(began.elapsed() < Duration::from_secs(10), "{:?}", began.elapsed());
    client.wait().unwrap();
}

#[test]
fn validation_looks_at_the_node_on_request() {
    let Some(instance) = Instance::new() else { return };
    let validate = || instance.agent("validate-all").env("OCF_CHECK_LEVEL", "10");
    validate().expect(Success);
    let missing = validate().parameter("bindir", "/nonexistent").expect(NotInstalled);
    assert!(missing.reason().contains("looked in /nonexistent"), "{missing:?}");
    let template = instance.data().join("recovery.conf.pcmk");
    std::fs::write(&template, "").unwrap();
    let obsolete = validate().expect(BadArguments);
    assert!(obsolete.reason().contains("recovery.conf.pcmk must not exist"), "{obsolete:?}");
    assert_eq!(instance.agent("start").run().code, BadArguments as i32);
    std::fs::remove_file(template).unwrap();
    std::fs::write(instance.data().join("PG_VERSION"), "11\n").unwrap();
    validate().parameter("bindir", &instance.bindir).expect(NotInstalled);
}

/// Another node has begun timeline 3, before this one was promoted by hand: along that one there is no WAL of the last checkpoint.
#[test]
fn a_diverged_standby_starts_although_a_newer_timeline_is_known() {
    let Some(instance) = Instance::new() else { return };
    instance.promote();
    instance.agent("demote").expect(Success);
    instance.agent("stop").expect(Success);
    let history = instance.data().join("pg_wal/00000003.history");
    std::fs::write(history, "1\t0/1000060\tno recovery target specified\n").unwrap();
    let began = std::time::Instant::now();
    let started = instance.agent("start").expect(Success);
    assert!(began.elapsed().as_secs() < 10, "{:?}", began.elapsed());
    assert!(started.log.contains("it recovers along timeline 2"), "{started:?}");
    assert_eq!(instance.sql("SELECT pg_is_in_recovery()"), "t");
}
