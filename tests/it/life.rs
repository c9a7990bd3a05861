//! Life is not a login: an instance that the agent cannot log in to is neither dead nor unfit to be promoted.

/// Storage that stands still.
mod storage;

use std::io::Write;
use std::process::{Child, Stdio};
use std::time::{Duration, Instant};

use pgsqlms::actions::{follow, promote};
use pgsqlms::exit::OcfExitCode::{self, *};

use crate::members::{Members, has_a_process_of_its_own, promotion_of};
use crate::run::{is_root, skip};
use crate::throwaway::{Instance, eventually};

/// A client that holds something until it is dropped.
struct Holder(Child);

impl Holder {
    /// Locks a catalog of the database `postgres` against all other sessions.
    fn locking(instance: &Instance, catalog: &str) -> Self {
        let held = || titles(instance).iter().any(|title| title.ends_with("idle in transaction"));
        // The server notices a little later that an earlier client is gone.
        eventually("an end of the earlier lock", || !held());
        let mut psql = instance.psql();
        psql.stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::null());
        let mut holder = Self(psql.spawn().unwrap());
        let lock = format!("BEGIN; LOCK TABLE pg_catalog.{catalog} IN ACCESS EXCLUSIVE MODE;\n");
        holder.0.stdin.as_mut().unwrap().write_all(lock.as_bytes()).unwrap();
        // No other session gets in then.
        eventually("the lock", held);
        holder
    }
}

impl Drop for Holder {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// The process titles of the instance.
fn titles(instance: &Instance) -> Vec<String> {
    let title = |pid| std::fs::read_to_string(format!("/proc/{pid}/cmdline")).unwrap_or_default();
    instance.pids().into_iter().map(|pid| title(pid).trim_end_matches(['\0', ' ']).to_owned()).collect()
}

/// Whether it accepts writes, as its control file says.
fn is_primary(instance: &Instance) -> bool {
    let output = instance.as_user("pg_controldata").arg("-D").arg(instance.data()).output().unwrap();
    String::from_utf8(output.stdout).unwrap().contains("in production")
}

/// Monitors as Pacemaker does by default. Returns the reason.
#[track_caller]
fn monitor(instance: &Instance, code: OcfExitCode) -> String {
    let began = Instant::now();
    let ended = instance.agent("monitor").meta("timeout", "10000").expect(code);
    assert!(began.elapsed() < Duration::from_secs(9), "{:?}: {ended:?}", began.elapsed());
    ended.log
}

/// Starts, promotes and demotes it as often as it takes, with this configuration.
#[track_caller]
fn works_with(settings: &str) -> Option<Instance> {
    let instance = Instance::new()?;
    instance.configure(settings);
    instance.start();
    instance.agent("promote").expect(Success);
    assert!(is_primary(&instance));
    Some(instance)
}

#[test]
fn slow_logins_are_not_a_failure() {
    let Some(instance) = works_with("post_auth_delay = 4\n") else { return };
    let reason = monitor(&instance, DegradedPromoted);
    assert!(reason.contains("did not let the agent in within"), "{reason}");
    instance.agent("demote").expect(Success);
    let reason = monitor(&instance, Degraded);
    assert!(reason.contains("did not let the agent in within"), "{reason}");
}

#[test]
fn a_lock_on_a_catalog_is_not_a_failure() {
    let Some(instance) = Instance::new() else { return };
    instance.promote();
    let started = instance.postmaster();
    for catalog in ["pg_class", "pg_authid", "pg_database"] {
        let _holder = Holder::locking(&instance, catalog);
        let reason = monitor(&instance, DegradedPromoted);
        assert!(reason.contains("waits for a lock on a system catalog"), "{catalog}: {reason}");
    }
    eventually("an end of the lock", || instance.sql("SELECT 1") == "1");
    monitor(&instance, RunningPromoted);
    assert_eq!(instance.postmaster(), started);
}

/// Each session that hangs stays in the server until the lock is gone.
#[test]
fn sessions_that_hang_do_not_fill_the_server() {
    if !is_root() {
        return skip("not run as root");
    }
    let Some(instance) = Instance::new() else { return };
    instance.promote();
    let _holder = Holder::locking(&instance, "pg_class");
    let crowded = "admits no session: sessions wait for a lock on a system catalog";
    // On a busy machine one that is given up before it has begun to wait is none.
    eventually("enough sessions that wait", || monitor(&instance, DegradedPromoted).contains(crowded));
    let reason = monitor(&instance, DegradedPromoted);
    assert!(reason.contains(crowded), "{reason}");
    let waits = |title: &String| title.ends_with("startup waiting") || title.ends_with("authentication waiting");
    let titles = titles(&instance);
    assert!(titles.iter().filter(|title| waits(title)).count() <= 3, "{titles:?}");
}

#[test]
fn transactions_that_are_serializable_by_default_are_none_of_the_agents() {
    let settings = "default_transaction_isolation = serializable\ndefault_transaction_read_only = on\n\
         statement_timeout = 1\nsearch_path = 'nowhere'\n";
    let Some(instance) = works_with(settings) else { return };
    monitor(&instance, RunningPromoted);
    instance.agent("demote").expect(Success);
    monitor(&instance, Success);
}

#[test]
fn a_database_that_is_not_called_postgres_is_monitored() {
    let Some(instance) = Instance::new() else { return };
    instance.promote();
    let mut rename = instance.as_user("psql");
    rename.args([
        "--no-psqlrc",
        "--dbname=template1",
        "--command",
        "ALTER DATABASE postgres RENAME TO other",
        "--host",
    ]);
    assert!(rename.arg(instance.directory.path()).output().unwrap().status.success());
    monitor(&instance, RunningPromoted);
    instance.agent("demote").expect(Success);
    monitor(&instance, Success);
    instance.agent("promote").expect(Success);
}

#[test]
fn a_server_that_refuses_connections_is_promoted() {
    let Some(instance) = Instance::new() else { return };
    std::fs::write(instance.data().join("pg_hba.conf"), "local all all reject\n").unwrap();
    instance.start();
    let reason = monitor(&instance, Degraded);
    assert!(reason.contains("refuses the agent's connection"), "{reason}");
    instance.agent("promote").expect(Success);
    monitor(&instance, DegradedPromoted);
    assert!(is_primary(&instance));
}

#[test]
fn a_full_server_is_promoted() {
    let settings = "max_connections = 4\nsuperuser_reserved_connections = 0\nmax_wal_senders = 0\n";
    let Some(instance) = Instance::new() else { return };
    instance.configure(settings);
    // A standby may not have fewer connections than its primary had.
    instance.run_by_hand();
    instance.agent("stop").expect(Success);
    instance.start();
    let client = || {
        let mut psql = instance.psql();
        psql.args(["--command", "SELECT pg_sleep(600)"]).stdin(Stdio::null()).stdout(Stdio::null());
        Holder(psql.stderr(Stdio::null()).spawn().unwrap())
    };
    // One may be late for a slot that the question takes.
    let _clients: Vec<Holder> = (0..8).map(|_| client()).collect();
    eventually("it to be full", || instance.sql("SELECT 1") != "1");
    instance.start();
    monitor(&instance, Degraded);
    instance.agent("promote").expect(Success);
    let reason = monitor(&instance, DegradedPromoted);
    assert!(reason.contains("53300"), "{reason}");
}

/// Promotes the second of two members after the first was lost. Returns the published synchronous guarantee.
fn promote_survivor(members: &Members) -> Option<String> {
    let outcome = members.act(2, &promotion_of(2), promote::run);
    assert!(outcome.is_ok(), "{outcome:?}");
    assert!(is_primary(members.instance(2)));
    members.board.borrow().cib.properties.get("pgsqlms-pgsqld-synchronous").cloned()
}

/// `VACUUM FULL` of a catalog ran when the primary lost its power. Its lock is in the WAL, and lasts on a standby until recovery
/// ends.
#[test]
fn a_primary_that_dies_with_a_lock_on_a_catalog_has_a_successor() {
    if !has_a_process_of_its_own("life::a_primary_that_dies_with_a_lock_on_a_catalog_has_a_successor") {
        return;
    }
    let settings = "primary_conninfo = 'host=/nowhere'\nwal_retrieve_retry_interval = 500ms\n";
    let Some(members) = Members::new(2, settings) else { return };
    members.act(2, &promotion_of(1), |agent| follow::primary_of(agent, &agent.request.transition)).unwrap();
    members.wait_until_streaming(2, 1);
    members.monitored(1);
    let (primary, standby) = (members.instance(1), members.instance(2));
    let holder = Holder::locking(primary, "pg_class");
    let is_locked = || {
        let mut psql = standby.psql();
        let mut client = Holder(psql.args(["--command", "SELECT 1"]).stdout(Stdio::null()).spawn().unwrap());
        let waits = || titles(standby).iter().any(|title| title.ends_with("startup waiting"));
        let mut ended = false;
        eventually("an answer or none", || {
            ended = client.0.try_wait().unwrap().is_some();
            ended || waits()
        });
        !ended
    };
    eventually("the lock on the standby", is_locked);
    primary.crash();
    drop(holder);

    let outcome = members.monitored(2);
    assert_eq!(outcome.code, Degraded, "{outcome:?}");
    // A restart replays the lock.
    standby.agent("stop").expect(Success);
    standby.start();
    assert_eq!(members.monitored(2).code, Degraded);
    promote_survivor(&members);
    eventually("an end of the lock", || standby.sql("SELECT 1") == "1");
    assert_eq!(members.monitored(2).code, RunningPromoted);
}

/// The winner publishes the guarantee from its configuration files.
#[test]
fn the_synchronous_guarantee_is_published_without_a_session() {
    if !has_a_process_of_its_own("life::the_synchronous_guarantee_is_published_without_a_session") {
        return;
    }
    let Some(members) = Members::new(2, "primary_conninfo = 'host=/nowhere'\n") else { return };
    let standby = members.instance(2);
    std::fs::write(standby.data().join("pg_hba.conf"), "local all all reject\n").unwrap();
    standby.configure("synchronous_standby_names = 'ANY 1 (srv1, srv2)'\n");
    standby.agent("stop").expect(Success);
    standby.start();
    members.instance(1).crash();
    let promised = promote_survivor(&members);
    assert!(promised.as_deref().is_some_and(|it| it.contains("srv2: ANY 1 (srv1, srv2)")), "{promised:?}");
}
