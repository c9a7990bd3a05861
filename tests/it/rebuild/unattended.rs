//! `rejoin=rebuild`: the same without a hand.

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use super::*;

pub(super) fn monitors(pair: &Pair) -> Ended {
    pair.run(with_programs(pair, pair.action("monitor").meta("interval", "3000")).parameter("rejoin", "rebuild"))
}

/// With the programs of [`Pair::programs_with`], until they are removed: a process that outlives an action has its parameters.
fn with_programs(pair: &Pair, test: Test) -> Test {
    let bindir = pair.old.directory.path().join("bin");
    if bindir.exists() { test.parameter("bindir", bindir) } else { test }
}

/// From now on with PostgreSQL's own programs.
fn usual_programs(pair: &Pair) {
    std::fs::remove_dir_all(pair.old.directory.path().join("bin")).unwrap();
}

/// The monitor, whose reason must begin with this.
#[track_caller]
pub(super) fn expect_reason(pair: &Pair, words: &str) {
    // A new reason is held back for once.
    let first = monitors(pair);
    let ended = if first.code == Success as i32 { monitors(pair) } else { first };
    expect(&ended, Degraded);
    assert!(ended.reason.starts_with(words), "{ended:?}");
}

/// The processes of unattended rebuilds.
pub(super) fn jobs(pair: &Pair) -> Vec<Pid> {
    let read = |pid: &str, file: &str| std::fs::read(format!("/proc/{pid}/{file}")).unwrap_or_default();
    let is_one = |pid: &String| {
        let (command, environment) = (read(pid, "cmdline"), read(pid, "environ"));
        let has = |text: &[u8], word: &str| String::from_utf8_lossy(text).contains(word);
        has(&command, "--unattended") && has(&environment, &pair.log().display().to_string())
    };
    let pids = std::fs::read_dir("/proc").unwrap().flatten().map(|entry| entry.file_name().into_string().unwrap());
    pids.filter(is_one).filter_map(|pid| pid.parse().ok()).map(Pid::from_raw).collect()
}

/// The job has ended by itself.
#[track_caller]
pub(super) fn ends(pair: &Pair) {
    eventually("the end of the job", || jobs(pair).is_empty());
}

#[track_caller]
pub(super) fn has(pair: &Pair, words: &str) {
    eventually(words, || order(pair).contains(words));
}

/// A monitor begins this attempt.
#[track_caller]
pub(super) fn begins(pair: &Pair, attempt: u32) {
    let tries = format!("tries={attempt}\n");
    monitors(pair);
    eventually("it to be counted", || order(pair).contains(&tries) && !order(pair).contains("tried=7\n"));
}

/// The rebuild follows the copy, as Pacemaker carries it out.
#[track_caller]
pub(super) fn restarts(pair: &Pair) {
    has(pair, "stage=copied");
    let restarts = monitors(pair);
    expect(&restarts, GenericError);
    assert!(restarts.reason.starts_with("restarts to be rebuilt"), "{restarts:?}");
    expect(&pair.run(pair.action("stop")), Success);
    start(pair);
}

/// The dropped commits are logged, and kept, once for each attempt.
#[track_caller]
fn is_kept(pair: &Pair, attempts: usize) {
    let kept: Vec<PathBuf> =
        std::fs::read_dir(pair.evidence().join("pgsql-test")).unwrap().flatten().map(|e| e.path()).collect();
    let kept: Vec<&PathBuf> = kept.iter().filter(|path| path.join("summary.txt").exists()).collect();
    assert_eq!(kept.len(), attempts, "{kept:?}");
    let summary = std::fs::read_to_string(kept[0].join("summary.txt")).unwrap();
    assert!(summary.contains("srv2 was promoted there, to timeline 2"), "{summary}");
    assert!(summary.lines().filter(|line| line.contains(": COMMIT 20")).count() >= 3, "{summary}");
    assert!(kept[0].join("pg_wal").read_dir().unwrap().count() > 2);
}

#[test]
fn a_job_that_was_killed_is_begun_anew_by_the_next_monitor() {
    let Some(pair) = pair() else { return };
    expect(&pair.run(pair.action("start").parameter("rejoin", "rebuild")), Success);
    pair.programs_with("pg_basebackup", "exec $real --max-rate=500k \"$@\"");
    // Not the data directory of this node: a program that reads one parameter set and ignores rules would see this one.
    pair.set_cluster("srv2", &[("pgdata", Path::new("/nowhere"))]);
    expect_reason(
        &pair,
        "being rebuilt, `journalctl -t pgsqlms` here shows how far: it diverged from timeline 2 (srv2) at 0/",
    );
    eventually("a part of the copy", || beside(&pair).join("data/base").exists());
    let [job] = jobs(&pair)[..] else { panic!("{:?}", jobs(&pair)) };
    assert_eq!(nix::unistd::getsid(Some(job)), Ok(job));
    assert_eq!(std::fs::read_link(format!("/proc/{job}/fd/1")).unwrap(), Path::new("/dev/null"));
    eventually("some of it", || monitors(&pair).reason.contains(" % copied: it diverged"));
    expect_reason(&pair, "being rebuilt, ");
    assert_eq!(jobs(&pair), [job]);
    // Nor beside an operator's.
    pair.set_cluster("srv2", &[("pgdata", &pair.old.data())]);
    let (done, text) = run(&pair, &["--yes"]);
    assert!(!done && text.contains("still copies the primary"), "{text}");
    kill(job, Signal::SIGKILL).unwrap();
    eventually("its end", || jobs(&pair).is_empty() && commands(&beside(&pair)).is_empty());
    // A half-finished copy is never started.
    expect(&pair.run(pair.action("stop")), Success);
    usual_programs(&pair);
    // By now it does not start with its own data.
    let started = pair.run(pair.action("start").parameter("rejoin", "rebuild"));
    if started.code == Success as i32 {
        begins(&pair, 2);
        restarts(&pair);
    } else {
        assert!(started.reason.starts_with("being rebuilt, `journalctl"), "{started:?}");
        has(&pair, "stage=copied");
        start(&pair);
    }
    ends(&pair);
    pair.is_whole();
    is_kept(&pair, 2);
    assert!(!beside(&pair).exists() && !old(&pair).exists());
    assert!(order(&pair).contains("stage=nothing") && order(&pair).contains("tries=2"), "{}", order(&pair));
    expect(&monitors(&pair), Success);
    assert!(jobs(&pair).is_empty());
}

#[test]
fn a_failure_is_reported_and_retried_three_times() {
    let Some(pair) = pair() else { return };
    expect(&pair.run(pair.action("start").parameter("rejoin", "rebuild")), Success);
    pair.programs_with("pg_basebackup", "echo 'pg_basebackup: error: no luck' >&2; exit 1");
    for attempt in 1..=3 {
        begins(&pair, attempt);
        has(&pair, "no luck");
        ends(&pair);
        if attempt < 3 {
            expect_reason(&pair, "not rebuilt yet, the primary is not copied: ");
        }
        // Long ago.
        let text = order(&pair);
        let tried = text.lines().find(|line| line.starts_with("tried=")).unwrap();
        std::fs::write(pair.evidence().join("pgsql-test/rebuild"), text.replace(tried, "tried=7")).unwrap();
    }
    expect_reason(&pair, "run `pgsqlms rebuild --resource pgsql-test` here, the primary is not copied: ");
    assert!(jobs(&pair).is_empty() && !beside(&pair).exists());
    assert_eq!(pair.old.sql("SELECT count(*) FROM stray"), "40000");
    // The operator's command then.
    usual_programs(&pair);
    let child = copied(&pair, &["--yes"]);
    expect(&pair.run(pair.action("stop")), Success);
    start(&pair);
    let text = succeeds(child);
    assert!(text.contains("What is dropped is kept in "), "{text}");
    pair.is_whole();
}

#[test]
fn an_existing_directory_is_reported_and_left_alone() {
    let Some(pair) = pair() else { return };
    expect(&pair.run(pair.action("start").parameter("rejoin", "rebuild")), Success);
    std::fs::create_dir(old(&pair)).unwrap();
    expect_reason(&pair, "not rebuilt, ");
    assert!(jobs(&pair).is_empty() && order(&pair).is_empty());
    assert!(monitors(&pair).reason.contains("data.pgsqlms-old is in the way: move it elsewhere"));
}

/// "requested timeline 2 is not a child of this server's history".
#[test]
fn a_node_that_does_not_start_is_rebuilt() {
    let Some(pair) = Pair::parted(|_| {}, "SELECT 1") else { return };
    expect(&pair.run(pair.action("start")), Success);
    eventually("the new history", || pair.old.data().join("pg_wal/00000002.history").exists());
    expect(&pair.run(pair.action("stop")), Success);
    // The operator's own options count, also where they keep the server from starting.
    let latest = "-c recovery_target_timeline=latest";
    let refused = pair.run(pair.action("start").parameter("rejoin", "rebuild").parameter("start_opts", latest));
    expect(&refused, GenericError);
    assert!(refused.reason.starts_with("being rebuilt, `journalctl -t pgsqlms` here shows how far"), "{refused:?}");
    has(&pair, "stage=copied");
    eventually("another start to be asked for", || pair.calls().contains("crm_resource --cleanup"));
    start(&pair);
    ends(&pair);
    pair.is_whole();
    is_kept(&pair, 1);
    assert!(!old(&pair).exists());
}

#[test]
fn old_data_left_by_a_killed_job_is_removed_when_the_copy_follows() {
    let Some(pair) = pair() else { return };
    expect(&pair.run(pair.action("start").parameter("rejoin", "rebuild")), Success);
    begins(&pair, 1);
    has(&pair, "stage=copied");
    let [job] = jobs(&pair)[..] else { panic!("{:?}", jobs(&pair)) };
    kill(job, Signal::SIGKILL).unwrap();
    ends(&pair);
    restarts(&pair);
    eventually("the old primary to follow", || pair.old.sql("SELECT status FROM pg_stat_wal_receiver") == "streaming");
    assert!(old(&pair).exists() && jobs(&pair).is_empty());
    // With another policy the monitor leaves it alone.
    expect(&monitor(&pair), Success);
    assert!(jobs(&pair).is_empty());
    expect(&monitors(&pair), Success);
    eventually("the old data to go", || !old(&pair).exists());
    ends(&pair);
    pair.is_whole();
    is_kept(&pair, 1);
}
