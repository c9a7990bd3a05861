//! A node that cannot be rewound gets a copy of the primary, made by real pg_basebackup.

mod copying;
mod lacking;
mod refused;
mod unattended;

use std::path::{Path, PathBuf};
use std::process::{Child, Output, Stdio};

use pgsqlms::exit::OcfExitCode::{self, *};

use crate::rejoin::pair::{Ended, Pair};
use crate::run::Test;
use crate::throwaway::{Instance, Succeeds, eventually};

/// The old primary has diverged, and cannot be rewound.
fn pair() -> Option<Pair> {
    Pair::new(|old| old.configure("wal_log_hints = off\n"))
}

fn command(more: &[&str]) -> Test {
    let test = Test::new(["rebuild", "--resource", "pgsql-test"]);
    more.iter().fold(test, |test, argument| test.argument(argument))
}

/// The command, begun.
fn begin(pair: &Pair, more: &[&str]) -> Child {
    pair.inside(command(more)).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap()
}

fn text_of(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr)
}

/// The command, to its end, which must come by itself.
#[track_caller]
fn run(pair: &Pair, more: &[&str]) -> (bool, String) {
    let mut child = begin(pair, more);
    let began = std::time::Instant::now();
    while child.try_wait().unwrap().is_none() && began.elapsed() < std::time::Duration::from_secs(60) {
        std::thread::sleep(std::time::Duration::from_millis(20));
    }
    let ended = child.try_wait().unwrap().is_some();
    let _ = child.kill();
    let output = child.wait_with_output().unwrap();
    assert!(ended, "it goes on: {}", text_of(&output));
    (output.status.success(), text_of(&output))
}

/// The command must succeed in the end.
#[track_caller]
fn succeeds(child: Child) -> String {
    let output = child.wait_with_output().unwrap();
    assert!(output.status.success(), "{}", text_of(&output));
    text_of(&output)
}

#[track_caller]
fn expect(ended: &Ended, code: OcfExitCode) {
    assert_eq!(ended.code, code as i32, "{ended:#?}");
}

fn beside(pair: &Pair) -> PathBuf {
    pair.old.directory.path().join("data.pgsqlms-new")
}

fn old(pair: &Pair) -> PathBuf {
    pair.old.directory.path().join("data.pgsqlms-old")
}

fn order(pair: &Pair) -> String {
    std::fs::read_to_string(pair.evidence().join("pgsql-test/rebuild")).unwrap_or_default()
}

/// The command is begun and has copied.
#[track_caller]
fn copied(pair: &Pair, more: &[&str]) -> Child {
    let mut child = begin(pair, more);
    eventually("the copy", || {
        let ended = child.try_wait().unwrap();
        assert!(ended.is_none(), "{}", std::io::read_to_string(child.stderr.take().unwrap()).unwrap());
        order(pair).contains("stage=copied")
    });
    child
}

/// Start, which is to put the copy in its place.
#[track_caller]
fn start(pair: &Pair) {
    let started = pair.run(pair.action("start"));
    expect(&started, Success);
}

fn monitor(pair: &Pair) -> Ended {
    pair.run(pair.action("monitor").meta("interval", "3000"))
}

#[test]
fn a_diverged_node_is_rebuilt() {
    let Some(pair) = pair() else { return };
    pair.old.configure("# ours\n");
    std::fs::write(pair.new.data().join("pgsqlms.conf"), "# theirs\n").unwrap();
    let config = || std::fs::read_to_string(pair.old.data().join("postgresql.conf")).unwrap();
    let before = config();
    expect(&pair.run(pair.action("start")), Success);
    let reason = monitor(&pair).reason;
    assert!(reason.starts_with("run `pgsqlms rebuild --resource pgsql-test` here, it has neither"), "{reason}");
    let (done, text) = run(&pair, &[]);
    assert!(done && text.contains("Nothing has been done."), "{text}");
    assert!(
        text.contains("The primary is srv2.") && text.contains(pair.new.directory.path().to_str().unwrap()),
        "{text}"
    );
    assert!(text.contains("MB are free") && text.contains("diverged from timeline 2 (srv2) at 0/"), "{text}");
    assert!(!beside(&pair).exists() && order(&pair).is_empty());
    let child = copied(&pair, &["--yes"]);
    assert_eq!(pair.old.sql("SELECT count(*) FROM stray"), "40000");
    let restarts = monitor(&pair);
    expect(&restarts, GenericError);
    assert!(restarts.reason.starts_with("restarts to be rebuilt"), "{restarts:?}");
    expect(&pair.run(pair.action("stop")), Success);
    start(&pair);
    let text = succeeds(child);
    assert!(text.contains("tablespace") && text.contains("srv1 follows the primary."), "{text}");
    pair.is_whole();
    assert_eq!(config(), before);
    let managed = std::fs::read_to_string(pair.old.data().join("pgsqlms.conf")).unwrap_or_default();
    assert!(!managed.contains("theirs"), "{managed}");
    assert!(!beside(&pair).exists() && !old(&pair).exists());
    expect(&pair.run(pair.action("stop")), Success);
    start(&pair);
    pair.is_whole();
    let (done, text) = run(&pair, &["--yes"]);
    assert!(!done && text.contains("not rebuilt: it follows the primary"), "{text}");
}

/// A package has made a fresh database, which has written more than the primary.
#[test]
fn a_node_with_another_database_is_rebuilt() {
    let Some(pair) = pair() else { return };
    let config = pair.old.data().join("postgresql.conf");
    let before = std::fs::read_to_string(&config).unwrap();
    pair.old.fill_anew();
    std::fs::write(&config, before).unwrap();
    expect(&pair.run(pair.action("start")), Success);
    let ended = monitor(&pair);
    expect(&ended, Degraded);
    let wanted =
        "another database than the cluster's: run `pgsqlms rebuild --resource pgsql-test` here (system identifier ";
    assert!(ended.reason.starts_with(wanted), "{ended:?}");
    assert!(pair.calls().contains("--name=master-pgsql-test --node=srv1 --update=-1000000"), "{}", pair.calls());
    let rejoin = pair.run(Test::new(["rejoin", "--resource", "pgsql-test"]));
    assert!(rejoin.code != 0 && rejoin.log.contains(wanted), "{rejoin:?}");
    for more in [&[][..], &["--yes"]] {
        let (done, text) = run(&pair, more);
        assert!(!done && text.contains("All of it would be dropped; --keep-old keeps it."), "{text}");
        assert!(text.contains("add --keep-old or --without-evidence: it has another database"), "{text}");
    }
    let child = copied(&pair, &["--yes", "--without-evidence"]);
    expect(&monitor(&pair), GenericError);
    expect(&pair.run(pair.action("stop")), Success);
    start(&pair);
    assert!(succeeds(child).contains("srv1 follows the primary."));
    pair.is_whole();
}

#[test]
fn the_old_data_is_kept_on_request() {
    let Some(pair) = pair() else { return };
    let child = copied(&pair, &["--yes", "--keep-old"]);
    start(&pair);
    let text = succeeds(child);
    assert!(text.contains("data.pgsqlms-old."), "{text}");
    pair.is_whole();
    // Later runs refuse, too.
    let (done, text) = run(&pair, &["--yes"]);
    assert!(!done && text.contains("it follows the primary"), "{text}");
    expect(&pair.run(pair.action("stop")), Success);
    let (done, text) = run(&pair, &["--yes"]);
    assert!(!done && text.contains("data.pgsqlms-old is in the way"), "{text}");
    assert!(old(&pair).join("PG_VERSION").exists());
}

#[test]
fn a_copy_that_was_killed_is_made_anew() {
    let Some(pair) = pair() else { return };
    let stuck = pair.programs_with("pg_basebackup", "exec sleep 600");
    pair.set_cluster("srv2", &[("pgdata", &pair.old.data()), ("bindir", &stuck)]);
    let mut child = begin(&pair, &["--yes"]);
    let sleeps = || commands(&beside(&pair)).iter().any(|command| command == "sleep");
    eventually("one that says nothing", sleeps);
    child.kill().unwrap();
    child.wait().unwrap();
    eventually("its end", || commands(&beside(&pair)).is_empty());
    let slow = pair.programs_with("pg_basebackup", "exec $real --max-rate=200k \"$@\"");
    pair.set_cluster("srv2", &[("pgdata", &pair.old.data()), ("bindir", &slow)]);
    let mut child = begin(&pair, &["--yes"]);
    eventually("a part of the copy", || beside(&pair).join("data/base").exists());
    let (done, text) = run(&pair, &["--yes"]);
    assert!(!done && text.contains("still copies the primary"), "{text}");
    child.kill().unwrap();
    child.wait().unwrap();
    eventually("the end of pg_basebackup", || commands(&beside(&pair)).is_empty());
    assert!(pair.old.data().join("PG_VERSION").exists() && !order(&pair).contains("copied"));
    pair.set_cluster("srv2", &[("pgdata", &pair.old.data())]);
    let child = copied(&pair, &["--yes"]);
    start(&pair);
    succeeds(child);
    pair.is_whole();
}

/// The commands that work in a directory.
fn commands(directory: &Path) -> Vec<String> {
    let works = |entry: &std::fs::DirEntry| entry.path().join("cwd").read_link().is_ok_and(|cwd| cwd == directory);
    let name = |entry: std::fs::DirEntry| std::fs::read_to_string(entry.path().join("comm")).unwrap_or_default();
    let found = std::fs::read_dir("/proc").unwrap().flatten().filter(works);
    found.map(|entry| name(entry).trim().to_owned()).collect()
}

#[test]
fn a_start_that_was_killed_between_the_renames_is_finished() {
    let Some(pair) = pair() else { return };
    let mut child = copied(&pair, &["--yes"]);
    child.kill().unwrap();
    child.wait().unwrap();
    let half = || std::fs::rename(pair.old.data(), old(&pair)).unwrap();
    half();
    expect(&pair.run(pair.action("monitor")), NotRunning);
    expect(&pair.run(pair.action("stop")), Success);
    // Without a primary the old data comes back, and the copy waits.
    expect(&pair.run(pair.action("start").meta("notify_promoted_uname", "")), Success);
    assert_eq!(pair.old.sql("SELECT count(*) FROM stray"), "40000");
    assert!(order(&pair).contains("stage=copied") && !old(&pair).exists());
    expect(&pair.run(pair.action("stop")), Success);
    half();
    start(&pair);
    pair.is_whole();
    // Killed before it has noted that.
    expect(&pair.run(pair.action("stop")), Success);
    std::fs::write(pair.evidence().join("pgsql-test/rebuild"), order(&pair).replace("rebuilt", "copied")).unwrap();
    start(&pair);
    pair.is_whole();
    assert!(order(&pair).contains("stage=rebuilt") && old(&pair).exists());
    succeeds(begin(&pair, &["--yes"]));
    assert!(!old(&pair).exists());
}

#[test]
fn a_copy_from_before_another_promotion_is_not_used() {
    let Some(pair) = pair() else { return };
    let mut child = copied(&pair, &["--yes"]);
    let text = order(&pair).replace("about=2@", "about=1@");
    std::fs::write(pair.evidence().join("pgsql-test/rebuild"), text).unwrap();
    let started = pair.run(pair.action("start"));
    expect(&started, Success);
    assert!(started.log.contains("another node was promoted since"), "{}", started.log);
    assert_eq!(pair.old.sql("SELECT count(*) FROM stray"), "40000");
    assert!(!child.wait().unwrap().success());
}

#[test]
fn a_copy_of_another_cluster_is_not_used() {
    let (Some(pair), Some(other)) = (pair(), Instance::new()) else { return };
    other.run_by_hand();
    let socket = other.directory.path().display();
    pair.old.configure(&format!("primary_conninfo = 'host={socket} user=postgres'\n"));
    let (done, text) = run(&pair, &["--yes"]);
    assert!(!done && text.contains("what was copied is not the present primary"), "{text}");
    assert!(!beside(&pair).exists() && !order(&pair).contains("copied"));
    other.as_user("pg_ctl").args(["stop", "--silent", "--pgdata"]).arg(other.data()).success();
    other.fill_anew();
    other.run_by_hand();
    let (done, text) = run(&pair, &["--yes"]);
    assert!(!done && text.contains("primary_conninfo leads to another database"), "{text}");
    assert!(!beside(&pair).exists() && !order(&pair).contains("copied"));
}

#[test]
fn a_primary_is_not_rebuilt() {
    let Some(pair) = pair() else { return };
    pair.set_cluster("srv2", &[("pgdata", &pair.new.data())]);
    for node in ["srv2", "srv1"] {
        let output = pair.inside(command(&["--yes"]).meta("on_node", node)).output().unwrap();
        assert!(text_of(&output).contains("not rebuilt: this node runs the primary"), "{}", text_of(&output));
    }
    assert_eq!(pair.new.sql("SELECT count(*) > 0 FROM kept"), "t");
    assert!(!pair.new.directory.path().join("data.pgsqlms-new").exists());
}

/// The two names of the WAL's directory take turns, and none is left over.
#[test]
fn a_pg_wal_elsewhere_stays_elsewhere() {
    let prepare = |old: &Instance| {
        old.configure("wal_log_hints = off\n");
        let (wal, elsewhere) = (old.data().join("pg_wal"), old.directory.path().join("wal"));
        std::fs::rename(&wal, &elsewhere).unwrap();
        std::os::unix::fs::symlink(&elsewhere, &wal).unwrap();
    };
    let Some(pair) = Pair::new(prepare) else { return };
    let wal = |name: &str| pair.old.directory.path().join(name);
    let leads_to = || std::fs::read_link(pair.old.data().join("pg_wal")).unwrap();
    let slow = pair.programs_with("pg_basebackup", "exec $real --max-rate=200k \"$@\"");
    pair.set_cluster("srv2", &[("pgdata", &pair.old.data()), ("bindir", &slow)]);
    let mut child = begin(&pair, &["--yes"]);
    eventually("a part of the copy", || beside(&pair).join("data/base").exists() && wal("wal.pgsqlms").exists());
    child.kill().unwrap();
    child.wait().unwrap();
    eventually("the end of pg_basebackup", || commands(&beside(&pair)).is_empty());
    pair.set_cluster("srv2", &[("pgdata", &pair.old.data())]);
    let child = copied(&pair, &["--yes"]);
    assert_eq!(leads_to(), wal("wal"));
    start(&pair);
    succeeds(child);
    pair.is_whole();
    assert_eq!(leads_to(), wal("wal.pgsqlms"));
    assert!(!wal("wal").exists() && !old(&pair).exists() && !beside(&pair).exists());
    expect(&pair.run(pair.action("stop")), Success);
    pair.loses_wal();
    let child = copied(&pair, &["--yes"]);
    start(&pair);
    succeeds(child);
    pair.is_whole();
    assert_eq!(leads_to(), wal("wal"));
    assert!(!wal("wal.pgsqlms").exists() && !old(&pair).exists() && !beside(&pair).exists());
}
