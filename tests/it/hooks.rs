//! Programs that are run after events, on real instances.

use std::os::unix::fs::{PermissionsExt, chown, symlink};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use crate::members::{Members, has_a_process_of_its_own};
use crate::run::{Ended, Test, is_root, skip};
use crate::throwaway::{Instance, eventually};

/// An instance with a place for programs, and where they may write.
struct Hooks {
    instance: Instance,
}

impl Hooks {
    fn new() -> Option<Self> {
        let instance = Instance::new()?;
        for event in ["promoted", "demoted", "started", "diverged"] {
            std::fs::create_dir_all(instance.directory.path().join("hooks").join(event)).unwrap();
        }
        instance.give(&instance.directory.path().join("hooks"));
        Some(Self { instance })
    }

    fn path(&self, name: &str) -> PathBuf {
        self.instance.directory.path().join("hooks").join(name)
    }

    fn add(&self, name: &str, script: &str) {
        add(&self.path(name), script);
    }

    fn agent(&self, action: &str) -> Test {
        self.instance.agent(action).parameter("hooks", self.path(""))
    }

    /// The notification that comes after an action on this node.
    fn after(&self, action: &str) -> Test {
        self.agent("notify")
            .meta("notify_type", "post")
            .meta("notify_operation", action)
            .meta(&format!("notify_{action}_uname"), "srv1")
            .meta("notify_unpromoted_uname", "srv1")
    }
}

fn add(path: &Path, script: &str) {
    std::fs::write(path, format!("#!/bin/sh\n{script}\n")).unwrap();
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o755)).unwrap();
}

/// The output of the hooks in the log, and the agent's lines about them.
fn said(ended: &Ended) -> Vec<&str> {
    let lines = ended.log.lines().filter(|line| line.contains("/hooks/"));
    lines.filter_map(|line| line.split_once("/hooks/")).map(|(_, rest)| rest).collect()
}

#[test]
fn the_new_primarys_hooks_run_in_order_with_the_event_in_their_environment() {
    let Some(hooks) = Hooks::new() else { return };
    hooks.instance.promote();
    hooks.add("promoted/20-second", "echo second; exit 3");
    hooks.add(
        "promoted/10-first.sh",
        "id -un; env | grep -v '^PGSQLMS_' | cut -d= -f1 | sort | xargs; env | grep '^PGSQLMS_' | sort",
    );
    hooks.add("promoted/30-third", "echo third");
    hooks.add("promoted/README", "echo notes are not run");
    std::fs::set_permissions(hooks.path("promoted/README"), std::fs::Permissions::from_mode(0o644)).unwrap();
    let without = hooks.instance.agent("notify").meta("notify_type", "post").meta("notify_operation", "promote");
    let without = without.meta("notify_promote_uname", "srv1").run();
    let ended = hooks.after("promote").run();
    assert_eq!((ended.code, ended.reasons()), (without.code, without.reasons()), "{ended:?}");
    assert_eq!(said(&without), Vec::<&str>::new());
    let position = hooks.instance.sql("SELECT pg_current_wal_lsn()");
    let first = |line: &str| format!("promoted/10-first.sh: {line}");
    let data = hooks.instance.data();
    let mut expected = vec![
        first(&hooks.instance.user.name),
        first("LC_ALL PATH PWD TZ"),
        first("PGSQLMS_EVENT=promoted"),
        first(&format!("PGSQLMS_LSN={position}")),
        first("PGSQLMS_NODE=srv1"),
        first(&format!("PGSQLMS_PGDATA={}", data.display())),
        first("PGSQLMS_PRIMARY=srv1"),
        first("PGSQLMS_RESOURCE=pgsql-test"),
        first("PGSQLMS_ROLE=primary"),
        first("PGSQLMS_TIMELINE=2"),
    ];
    let lines = said(&ended);
    let is_position = |line: &&str| line.contains("PGSQLMS_LSN=");
    assert_eq!(lines.iter().filter(|line| is_position(line)).count(), 1, "{lines:?}");
    expected.retain(|line| !is_position(&line.as_str()));
    let lines: Vec<&str> = lines.into_iter().filter(|line| !is_position(line)).collect();
    assert_eq!(lines[..expected.len()], expected, "{lines:?}");
    let rest: Vec<&str> = lines[expected.len()..].iter().map(|line| line.split(" after ").next().unwrap()).collect();
    let second = "promoted/20-second failed (exit status: 3)";
    assert_eq!(
        rest,
        [
            "promoted/10-first.sh: done",
            "promoted/20-second: second",
            second,
            "promoted/30-third: third",
            "promoted/30-third: done"
        ]
    );
}

#[test]
fn each_event_has_its_programs() {
    let Some(hooks) = Hooks::new() else { return };
    for event in ["promoted", "demoted", "started"] {
        hooks.add(&format!("{event}/it"), "echo $PGSQLMS_EVENT $PGSQLMS_ROLE \"$PGSQLMS_PRIMARY\"");
    }
    let first_line = |test: Test| said(&test.run()).first().map_or(String::new(), |line| (*line).to_owned());
    hooks.instance.start();
    assert_eq!(
        first_line(hooks.after("start").meta("notify_promoted_uname", "srv2")),
        "started/it: started standby srv2"
    );
    assert_eq!(first_line(hooks.after("demote")), "demoted/it: demoted standby");
    assert_eq!(first_line(hooks.after("demote").meta("notify_promote_uname", "srv2")), "");
    let both = hooks.after("promote").meta("notify_demote_uname", "srv1").meta("notify_promote_uname", "srv2");
    assert_eq!(first_line(both), "demoted/it: demoted standby srv2");
    assert_eq!(first_line(hooks.after("start").meta("notify_type", "pre")), "");
    assert_eq!(first_line(hooks.after("stop")), "");
    // It was to be promoted, and is not the primary.
    assert_eq!(first_line(hooks.after("promote")), "");
}

#[test]
fn programs_that_take_too_long_are_killed_and_hold_up_nothing() {
    let Some(hooks) = Hooks::new() else { return };
    hooks.instance.start();
    let there = |name: &str| hooks.instance.directory.path().join(name);
    let (pid, never) = (there("pid"), there("never"));
    hooks.add("started/10-slow", &format!("sleep 600 & echo $! >{}; wait", pid.display()));
    hooks.add("started/20-never", &format!("touch {}", never.display()));
    let log = tempfile::NamedTempFile::new().unwrap();
    let began = Instant::now();
    let ended = hooks.after("start").parameter("hook_timeout", "8").env("HA_LOGFILE", log.path()).run();
    let took = began.elapsed();
    assert!(took < Duration::from_secs(6), "{took:?}");
    let without = hooks.after("start").parameter("hooks", "").run();
    assert_eq!((ended.code, ended.reasons()), (without.code, without.reasons()), "{ended:?}");
    let logged = || std::fs::read_to_string(log.path()).unwrap();
    assert!(!logged().contains("did not end"), "{}", logged());
    eventually("the end of the hooks' time", || logged().contains("20-never is left out: the hooks' time is over"));
    assert!(logged().contains("started/10-slow did not end within "), "{}", logged());
    let child = std::fs::read_to_string(&pid).unwrap();
    let stat = format!("/proc/{}/stat", child.trim());
    eventually("its child to be killed", || !std::fs::read_to_string(&stat).is_ok_and(|stat| !stat.contains(") Z ")));
    assert!(!never.exists());
}

#[test]
fn programs_that_others_could_have_written_are_not_run() {
    if !is_root() {
        return skip("not run as root");
    }
    let Some(hooks) = Hooks::new() else { return };
    hooks.instance.start();
    let mode = |name: &str, mode: u32| {
        std::fs::set_permissions(hooks.path(name), std::fs::Permissions::from_mode(mode)).unwrap();
    };
    for name in ["10-good", "20-group", "30-foreign", "50-plain", "60-users"] {
        hooks.add(&format!("started/{name}"), "echo run by $(id -un)");
    }
    mode("started/20-group", 0o775);
    chown(hooks.path("started/30-foreign"), Some(65534), None).unwrap();
    symlink("/bin/true", hooks.path("started/40-link")).unwrap();
    mode("started/50-plain", 0o644);
    chown(hooks.path("started/60-users"), Some(hooks.instance.user.uid.as_raw()), None).unwrap();
    let run_by = |test: Test| {
        let ended = test.run();
        let lines: Vec<String> = said(&ended)
            .iter()
            .filter_map(|line| line.split_once(": run by "))
            .map(|(file, user)| format!("{file} {user}"))
            .collect();
        (lines, ended.log)
    };
    let user = &hooks.instance.user.name;
    let (lines, log) = run_by(hooks.after("start"));
    assert_eq!(lines, [format!("started/10-good {user}"), format!("started/60-users {user}")]);
    for (name, why) in [("20-group", "chmod go-w"), ("30-foreign", "belongs neither"), ("40-link", "it is a link")] {
        assert!(log.lines().any(|line| line.contains(name) && line.contains(why)), "{name}: {log}");
    }
    // Root trusts only root, and the directory above belongs to the PostgreSQL user.
    let (lines, log) = run_by(hooks.after("start").parameter("hook_user", "root"));
    assert!(lines.is_empty() && log.contains("belongs neither"), "{lines:?} {log}");
    for directory in [hooks.path(""), hooks.instance.directory.path().to_owned()] {
        chown(directory, Some(0), None).unwrap();
    }
    let (lines, _) = run_by(hooks.after("start").parameter("hook_user", "root"));
    assert_eq!(lines, ["started/10-good root"]);
    mode("started", 0o777);
    let (lines, log) = run_by(hooks.after("start"));
    assert!(lines.is_empty() && log.contains("no hooks are run"), "{lines:?} {log}");
    let (lines, log) = run_by(hooks.after("start").parameter("hook_user", "no-such-user"));
    assert!(lines.is_empty() && log.contains("no hooks for started"), "{lines:?} {log}");
}

#[test]
fn the_hook_for_a_divergence_runs_once() {
    if !has_a_process_of_its_own("hooks::the_hook_for_a_divergence_runs_once") {
        return;
    }
    let Some(mut members) = Members::new(2, "primary_conninfo = 'host=/nowhere'\n") else { return };
    let directory = members.instance(2).directory.path().join("hooks");
    let record = directory.join("record");
    std::fs::create_dir_all(directory.join("diverged")).unwrap();
    members.instance(2).give(&directory);
    add(
        &directory.join("diverged/it"),
        &format!("echo $PGSQLMS_EVENT $PGSQLMS_NODE $PGSQLMS_TIMELINE >>{}", record.display()),
    );
    members.config.hooks.directory = Some(directory);
    members.config.follow = pgsqlms::parameters::Follow::None;
    let runs = || {
        let outcome = members.monitored(2);
        let reason = outcome.reason.unwrap_or_default();
        assert!(reason.contains("run `pgsqlms rebuild --resource pgsqld`"), "{reason}");
        std::fs::read_to_string(&record).unwrap_or_default().lines().count()
    };
    let promotions = |text: &str| {
        let cib = &mut members.board.borrow_mut().cib;
        cib.properties.insert("pgsqlms-pgsqld-promotions".to_owned(), text.to_owned());
        let scores = cib.transient.entry(pgsqlms::node::NodeName::new("srv1")).or_default();
        scores.insert("master-pgsqld".to_owned(), "1001".to_owned());
    };
    promotions("3@0/100 srv1 0 kept");
    assert_eq!((runs(), runs(), runs()), (1, 1, 1));
    assert_eq!(std::fs::read_to_string(&record).unwrap(), "diverged srv2 2\n");
    // Another divergence runs the hook again.
    promotions("4@0/200 srv1 0 kept; 3@0/100 srv1 0 kept");
    assert_eq!((runs(), runs()), (2, 2));
}
