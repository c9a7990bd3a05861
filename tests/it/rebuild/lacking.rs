//! The primary has removed the WAL that a node needs next, or only seems to have: the primary itself is asked.

use super::unattended::{begins, ends, jobs, monitors, restarts};
use super::*;

/// Makes it a copy of the primary, which then removes the WAL that it needs next.
fn lacks_wal(pair: &Pair) {
    let child = copied(pair, &["--yes"]);
    start(pair);
    succeeds(child);
    expect(&pair.run(pair.action("stop")), Success);
    pair.loses_wal();
}

/// The primary has removed the WAL that this node needs next; it has not diverged.
#[test]
fn a_node_that_lacks_wal_is_rebuilt() {
    let Some(pair) = pair() else { return };
    lacks_wal(&pair);
    expect(&pair.run(pair.action("start")), Success);
    let (done, text) = run(&pair, &[]);
    assert!(done && text.contains("srv1 is on the cluster's history"), "{text}");
    let child = copied(&pair, &["--yes"]);
    expect(&pair.run(pair.action("stop")), Success);
    start(&pair);
    succeeds(child);
    pair.is_whole();
}

/// The primary has removed the WAL that this node needs next; it has not diverged.
#[test]
fn a_node_that_lacks_wal_is_rebuilt_without_a_hand() {
    let Some(pair) = pair() else { return };
    lacks_wal(&pair);
    expect(&pair.run(pair.action("start").parameter("rejoin", "rebuild")), Success);
    is_cut_off(&pair);
    let archive = |command: &str| {
        pair.old.sql(&format!("ALTER SYSTEM SET restore_command = '{command}'"));
        pair.old.sql("SELECT pg_reload_conf()");
        eventually("the setting", || pair.old.sql("SHOW restore_command") == command);
    };
    archive("false");
    let command = "run `pgsqlms rebuild --resource pgsql-test` here; no WAL received for ";
    eventually("its primary to refuse", || monitors(&pair).reason.starts_with(command));
    assert!(monitors(&pair).reason.ends_with(": the primary has removed WAL that it needs"));
    assert!(jobs(&pair).is_empty());
    let output = pair.inside(Test::new(["rejoin", "--resource", "pgsql-test"])).output().unwrap();
    assert!(!output.status.success(), "{output:?}");
    assert!(
        String::from_utf8_lossy(&output.stderr).starts_with(&format!("pgsqlms: not brought back: {command}")),
        "{output:?}"
    );
    archive("");
    begins(&pair, 1);
    restarts(&pair);
    ends(&pair);
    pair.is_whole();
    assert!(!old(&pair).exists());
}

/// It has received nothing for a minute.
#[track_caller]
fn is_cut_off(pair: &Pair) {
    let note = pair.old.note("break");
    // Its receiver may stream for a moment, again and again.
    eventually("the break to be noted", || monitors(pair).code == 0 && note.exists());
    pair.old.a_minute_passes("break");
}

/// Makes it a copy of the primary that runs, and replays nothing and hence receives nothing for an hour.
fn is_delayed(pair: &Pair) {
    let child = copied(pair, &["--yes"]);
    start(pair);
    succeeds(child);
    expect(&pair.run(pair.action("stop")), Success);
    pair.old.configure("recovery_min_apply_delay = '1h'\n");
    pair.new.sql("INSERT INTO since SELECT generate_series(1, 10)");
    expect(&pair.run(pair.action("start").parameter("rejoin", "rebuild")), Success);
    pair.new.sql("INSERT INTO since SELECT generate_series(1, 10)");
    let waits = || pair.old.sql("SELECT count(*) FROM pg_stat_activity WHERE wait_event = 'RecoveryApplyDelay'") == "1";
    eventually("its replay to wait", waits);
    expect(&pair.run(pair.action("stop")), Success);
    // Received WAL is replayed before more is requested.
    expect(&pair.run(pair.action("start").parameter("rejoin", "rebuild")), Success);
    eventually("its replay to wait again", waits);
    assert_eq!(pair.old.sql("SELECT count(*) FROM pg_stat_wal_receiver"), "0");
}

/// `psql -U 'the primary has already been removed'` needs no password to have that written.
#[test]
fn a_line_that_a_client_has_had_logged_replaces_nothing() {
    let Some(pair) = pair() else { return };
    is_delayed(&pair);
    let mut stranger = pair.old.psql();
    stranger.args(["--username", "the primary has already been removed", "--command", "SELECT 1"]);
    assert!(!stranger.output().unwrap().status.success());
    for _ in 0..3 {
        let ended = monitors(&pair);
        assert!(!ended.reason.contains("pgsqlms rebuild") && !ended.reason.contains("being rebuilt"), "{ended:?}");
    }
    // It asks for no WAL before all of that is replayed: nothing is cut off.
    assert!(!pair.old.note("break").exists());
    assert!(jobs(&pair).is_empty() && !order(&pair).contains("tries=1"), "{}", order(&pair));
    assert!(!beside(&pair).exists());
    // Nor does the job itself, should it be begun for a reason that is over.
    let (done, text) = run(&pair, &["--yes", "--unattended"]);
    assert!(!done && text.contains("the primary has the WAL that it needs"), "{text}");
    // A person gets the same text, and decides.
    let (done, text) = run(&pair, &[]);
    assert!(done && text.contains("The primary still has the WAL that is needed next"), "{text}");
}

/// With SCRAM, over TCP, and with the password in a file, as in a real cluster. The server speaks another language, and to
/// another place than a file.
#[test]
fn the_primary_is_asked_as_the_wal_receiver_would_ask() {
    let Some(pair) = pair() else { return };
    lacks_wal(&pair);
    let port = 20_000 + std::process::id() % 20_000;
    pair.new.sql(
        "SET password_encryption = 'scram-sha-256'; CREATE ROLE rep REPLICATION LOGIN PASSWORD 'it''s: a\\secret'",
    );
    let hba = pair.new.data().join("pg_hba.conf");
    let before = std::fs::read_to_string(&hba).unwrap();
    std::fs::write(&hba, format!("host replication rep 127.0.0.1/32 scram-sha-256\n{before}")).unwrap();
    pair.new.configure(&format!("listen_addresses = '127.0.0.1'\nport = {port}\n"));
    pair.new
        .as_user("pg_ctl")
        .args(["restart", "--silent", "--mode=fast", "--log=/dev/null", "--pgdata"])
        .arg(pair.new.data())
        .success();
    let passfile = pair.old.directory.path().join("pgpass");
    std::fs::write(&passfile, "127.0.0.1:*:replication:rep:it's\\: a\\\\secret\n").unwrap();
    pair.old.give(&passfile);
    std::fs::set_permissions(&passfile, std::os::unix::fs::PermissionsExt::from_mode(0o600)).unwrap();
    let conninfo = format!("host=127.0.0.1 port={port} user=rep passfile={}", passfile.display());
    pair.old
        .configure(&format!("primary_conninfo = '{conninfo}'\nlog_destination = 'csvlog'\nlogging_collector = on\n"));
    expect(&pair.run(pair.action("start").parameter("rejoin", "none")), Success);
    is_cut_off(&pair);
    let reason = "run `pgsqlms rebuild --resource pgsql-test` here; no WAL received for ";
    eventually("the primary's answer", || monitor(&pair).reason.starts_with(reason));
    // Its answer to a wrong password means nothing.
    std::fs::write(&passfile, "*:*:*:*:wrong\n").unwrap();
    eventually("no answer", || monitor(&pair).reason.starts_with("no WAL received for "));
    let log = pair.run(pair.action("monitor").meta("interval", "3000")).log;
    assert!(log.contains("is not known: password authentication failed"), "{log}");
    assert!(!log.contains("secret"), "{log}");
}
