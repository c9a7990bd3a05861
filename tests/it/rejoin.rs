//! A node that has left the cluster's history, and real pg_rewind.

mod by_hand;
mod hindered;
mod ordered;
pub(crate) mod own;
pub(crate) mod pair;

use std::process::{Command, Stdio};

use pgsqlms::exit::OcfExitCode::*;

use crate::throwaway::eventually;
use pair::{Ended, Pair};

fn pair() -> Option<Pair> {
    Pair::new(|_| {})
}

#[track_caller]
fn expect(ended: &Ended, code: pgsqlms::exit::OcfExitCode) {
    assert_eq!(ended.code, code as i32, "{ended:#?}");
}

/// The recurring monitor of a standby.
fn monitor(pair: &Pair, policy: &str) -> Ended {
    pair.run(pair.action("monitor").meta("interval", "3000").parameter("rejoin", policy))
}

#[test]
fn a_diverged_primary_is_rewound_when_it_starts() {
    let Some(pair) = pair() else { return };
    let own = ["postgresql.conf", "postgresql.auto.conf", "pg_hba.conf"];
    pair.old.configure("# ours\n");
    std::fs::create_dir(pair.old.data().join("conf.d")).unwrap();
    std::fs::write(pair.old.data().join("conf.d/own.conf"), "# ours\n").unwrap();
    pair.old.give(&pair.old.data().join("conf.d"));
    pair.old.give(&pair.old.data().join("conf.d/own.conf"));
    std::fs::write(pair.new.data().join("pgsqlms.conf"), "# theirs\n").unwrap();
    let read = || own.map(|name| std::fs::read_to_string(pair.old.data().join(name)).unwrap());
    let before = read();
    let started = pair.run(pair.action("start").parameter("rejoin", "rewind"));
    expect(&started, Success);
    pair.is_whole();
    assert_eq!(read(), before);
    assert!(pair.old.data().join("conf.d/own.conf").exists());
    let managed = std::fs::read_to_string(pair.old.data().join("pgsqlms.conf")).unwrap_or_default();
    assert!(!managed.contains("theirs"), "{managed}");
    let summary = std::fs::read_to_string(pair.dropped().join("summary.txt")).unwrap();
    assert!(summary.contains("srv2 was promoted there, to timeline 2"), "{summary}");
    assert!(summary.lines().filter(|line| line.contains(": COMMIT 20")).count() >= 3, "{summary}");
    assert!(pair.dropped().join("pg_wal").read_dir().unwrap().count() > 2);
    assert!(pair.notes().contains("stage=rewound"), "{}", pair.notes());
    // It starts again without being rewound again.
    expect(&pair.run(pair.action("stop")), Success);
    let started = pair.run(pair.action("start").parameter("rejoin", "rewind"));
    expect(&started, Success);
    assert!(!started.log.contains("rewinding"), "{}", started.log);
    expect(&monitor(&pair, "rewind"), Success);
}

#[test]
fn a_diverged_primary_is_reported_with_the_command_and_left_alone() {
    let Some(pair) = pair() else { return };
    expect(&pair.run(pair.action("start").parameter("rejoin", "report")), Success);
    assert_eq!(pair.old.sql("SELECT count(*) FROM stray"), "40000");
    for policy in ["report", "none"] {
        if policy == "none" {
            // Pacemaker shows another kind of reason only after another code.
            let held_back = monitor(&pair, policy);
            expect(&held_back, Success);
            assert!(held_back.log.contains("bytes of WAL"), "{held_back:?}");
        }
        let ended = monitor(&pair, policy);
        expect(&ended, Degraded);
        let words = match policy {
            "report" => "run `pgsqlms rejoin --resource pgsql-test` here: it diverged from timeline 2 (srv2) at 0/",
            _ => "stop the resource here, then rebuild this node by pg_rewind or pg_basebackup: it diverged",
        };
        // A divergence that was logged a moment ago is not logged again.
        assert!(ended.reason.starts_with(words), "{ended:?}");
        assert_eq!(ended.log.contains("bytes of WAL"), policy == "report", "{ended:?}");
    }
    assert!(pair.notes().is_empty(), "{}", pair.notes());
    assert!(pair.calls().contains("--name=master-pgsql-test --node=srv1 --update=-1000000"), "{}", pair.calls());
    // The policy is changed: the monitor sees to it that start is called.
    let ended = monitor(&pair, "rewind");
    expect(&ended, GenericError);
    assert!(ended.reason.starts_with("restarts to be rewound"), "{ended:?}");
    expect(&pair.run(pair.action("stop")), Success);
    // By itself PostgreSQL would not start once it has met the other history.
    expect(&pair.run(pair.action("start").parameter("rejoin", "report")), Success);
    expect(&pair.run(pair.action("stop")), Success);
    expect(&pair.run(pair.action("start").parameter("rejoin", "rewind")), Success);
    pair.is_whole();
}

/// An obstacle for sessions may last until the node follows again, such as a lock that it replays.
#[test]
fn a_diverged_primary_that_refuses_connections_is_rewound() {
    let Some(pair) = pair() else { return };
    let hba = pair.old.data().join("pg_hba.conf");
    let well = std::fs::read_to_string(&hba).unwrap();
    std::fs::write(&hba, "local all all reject\n").unwrap();
    expect(&pair.run(pair.action("start").parameter("rejoin", "report")), Success);
    let ended = monitor(&pair, "report");
    expect(&ended, Degraded);
    assert!(ended.reason.starts_with("run `pgsqlms rejoin --resource pgsql-test` here: it diverged"), "{ended:?}");
    let ended = monitor(&pair, "rewind");
    expect(&ended, GenericError);
    assert!(ended.reason.starts_with("restarts to be rewound"), "{ended:?}");
    expect(&pair.run(pair.action("stop")), Success);
    std::fs::write(&hba, well).unwrap();
    expect(&pair.run(pair.action("start").parameter("rejoin", "rewind")), Success);
    pair.is_whole();
}

/// It knows the new primary's history by then, and its last checkpoint was made before the ways parted.
#[test]
fn a_restarted_standby_still_knows_that_it_has_diverged() {
    let Some(pair) = Pair::parted(|_| {}, "SELECT 1") else { return };
    expect(&pair.run(pair.action("start")), Success);
    eventually("the new history", || pair.old.data().join("pg_wal/00000002.history").exists());
    expect(&pair.run(pair.action("stop")), Success);
    let started = pair.run(pair.action("start"));
    expect(&started, Success);
    assert!(started.log.contains("it recovers along timeline 1"), "{started:?}");
    let told = monitor(&pair, "report");
    expect(&told, Degraded);
    assert!(told.reason.starts_with("run `pgsqlms rejoin --resource pgsql-test` here: it diverged"), "{told:?}");
    expect(&pair.run(pair.action("stop")), Success);
    expect(&pair.run(pair.action("start").parameter("rejoin", "rewind")), Success);
    pair.is_whole();
}

#[test]
fn without_a_primary_nothing_is_rewound_and_restarts_are_bounded() {
    let Some(pair) = pair() else { return };
    let start = || pair.action("start").parameter("rejoin", "rewind").meta("notify_promoted_uname", "");
    expect(&pair.run(start()), Success);
    for attempt in 1..=4 {
        let ended = monitor(&pair, "rewind");
        expect(&ended, if attempt <= 3 { GenericError } else { Degraded });
    }
    assert_eq!(pair.old.sql("SELECT count(*) FROM stray"), "40000");
}

#[test]
fn a_node_that_cannot_be_rewound_is_reported_and_untouched() {
    let Some(pair) = Pair::new(|old| old.configure("wal_log_hints = off\n")) else { return };
    expect(&pair.run(pair.action("start").parameter("rejoin", "rewind")), Success);
    assert_eq!(pair.old.sql("SELECT count(*) FROM stray"), "40000");
    let ended = monitor(&pair, "rewind");
    expect(&ended, Degraded);
    assert!(ended.reason.starts_with("run `pgsqlms rebuild --resource pgsql-test` here, it has"), "{ended:?}");
    assert!(ended.reason.contains("neither data checksums nor wal_log_hints"), "{ended:?}");
}

/// pg_rewind would stop half-way at a file that it may not replace.
#[test]
fn a_file_of_roots_is_found_out_before_anything_is_changed() {
    let Some(pair) = pair() else { return };
    std::fs::create_dir(pair.old.data().join("roots")).unwrap();
    std::fs::write(pair.old.data().join("roots/file"), "").unwrap();
    expect(&pair.run(pair.action("start").parameter("rejoin", "rewind")), Success);
    let ended = monitor(&pair, "rewind");
    expect(&ended, Degraded);
    assert!(ended.log.contains("data/roots does not belong to postgres"), "{ended:?}");
    assert_eq!(pair.old.sql("SELECT count(*) FROM stray"), "40000");
}

#[test]
fn a_source_that_has_removed_the_wal_is_found_out_before_anything_is_changed() {
    let Some(pair) = pair() else { return };
    pair.new.sql("ALTER SYSTEM SET wal_keep_size = 0");
    pair.new.sql("SELECT pg_reload_conf()");
    let there = || std::fs::read_dir(pair.new.data().join("pg_wal")).unwrap().flatten().count();
    let before = there();
    for _ in 0..4 {
        pair.new.sql("SELECT pg_switch_wal()");
        pair.new.sql("CHECKPOINT");
    }
    assert!(there() > 0, "{before}");
    let started = pair.run(pair.action("start").parameter("rejoin", "rewind"));
    expect(&started, Success);
    assert!(started.log.contains("the primary has removed the WAL from 0/"), "{}", started.log);
    assert_eq!(pair.old.sql("SELECT count(*) FROM stray"), "40000");
    let ended = monitor(&pair, "rewind");
    expect(&ended, Degraded);
    let words = "run `pgsqlms rebuild --resource pgsql-test` here, the primary has removed the WAL from 0/";
    assert!(ended.reason.starts_with(words), "{ended:?}");
    assert!(!ended.reason.contains("pgsqlms rejoin"), "{ended:?}");
}

/// pg_rewind is killed at one of its writes after the other, until it comes through; then the data is what it should be.
#[test]
fn a_rewind_may_be_killed_at_any_moment() {
    for write in [1, 40, 300] {
        let Some(pair) = pair() else { return };
        let killing = format!(
            "case \"$*\" in *--dry-run*) exec $real \"$@\" ;; esac\n\
             exec strace -f -qq -o /dev/null -e trace=pwrite64,write,ftruncate,unlink,openat -e \
             inject=write,pwrite64:signal=KILL:when={write} $real \"$@\""
        );
        let bindir = pair.programs_with("pg_rewind", &killing);
        let start = || pair.action("start").parameter("rejoin", "rewind");
        let killed = pair.run(start().parameter("bindir", &bindir));
        if killed.code == Success as i32 {
            assert!(write > 10, "{killed:#?}");
        } else {
            expect(&killed, GenericError);
            assert!(killed.reason.starts_with("half rewound, `pcs resource cleanup` goes on with it: "), "{killed:?}");
            assert!(pair.notes().contains("stage=rewinding"), "{}", pair.notes());
            if write == 40 {
                // As pg_rewind of PostgreSQL 13 and older leaves it when it is killed just before its end.
                std::fs::write(pair.old.data().join("global/pg_control"), "").unwrap();
            }
            // With another policy the server is not started either.
            let refused = pair.run(pair.action("start").parameter("rejoin", "none").meta("notify_promoted_uname", ""));
            expect(&refused, GenericError);
            assert!(refused.reason.contains("it is half rewound and there is no primary"), "{refused:?}");
            assert_eq!(pair.old.processes(), 0);
            // A loss of power may take the last writes, and leave longer files.
            let started = pair.run(start());
            expect(&started, Success);
        }
        pair.is_whole();
    }
}

#[test]
fn a_rewind_that_fails_again_and_again_is_given_up() {
    let Some(pair) = pair() else { return };
    let fails = "case \"$*\" in *--dry-run*) exec $real \"$@\" ;; esac\necho 'pg_rewind: error: no luck' >&2; exit 1";
    let bindir = pair.programs_with("pg_rewind", fails);
    let start = || pair.action("start").parameter("rejoin", "rewind");
    let advice = "it is half rewound: run `pgsqlms rejoin --resource pgsql-test --yes`, or `rebuild`; ";
    for attempt in 1..=3 {
        let failed = pair.run(start().parameter("bindir", &bindir));
        expect(&failed, GenericError);
        assert!(failed.reason.contains("no luck"), "{failed:?}");
        assert_eq!(failed.reason.contains(advice), attempt == 3, "{failed:?}");
    }
    let refused = pair.run(start());
    expect(&refused, GenericError);
    assert!(refused.reason.contains(advice) && refused.reason.contains("no luck"), "{refused:?}");
}

/// An operator has made a base backup instead of resuming the rewind: files kept from the old data do not belong there.
#[test]
fn a_fresh_copy_is_not_taken_for_an_interrupted_rewind() {
    let Some(pair) = pair() else { return };
    let fails = "case \"$*\" in *--dry-run*) exec $real \"$@\" ;; esac\nexit 1";
    let bindir = pair.programs_with("pg_rewind", fails);
    let start = || pair.action("start").parameter("rejoin", "rewind");
    expect(&pair.run(start().parameter("bindir", &bindir)), GenericError);
    let config = std::fs::read_to_string(pair.old.data().join("postgresql.conf")).unwrap();
    std::fs::remove_dir_all(pair.old.data()).unwrap();
    let mut copy = pair.old.as_user("pg_basebackup");
    copy.arg("--host").arg(pair.new.directory.path()).args(["--checkpoint=fast", "--pgdata"]).arg(pair.old.data());
    assert!(copy.status().unwrap().success());
    std::fs::write(pair.old.data().join("postgresql.conf"), config).unwrap();
    let control = || std::fs::read(pair.old.data().join("global/pg_control")).unwrap();
    let before = control();
    let refused = pair.run(start());
    expect(&refused, GenericError);
    assert!(
        refused.log.contains("rewind if it is a fresh copy of the primary; it is another data directory"),
        "{refused:?}"
    );
    assert_eq!(control(), before);
    std::fs::remove_file(pair.evidence().join("pgsql-test/rewind")).unwrap();
    expect(&pair.run(start()), Success);
    pair.is_whole();
}

#[test]
fn no_password_is_on_a_command_line() {
    let Some(pair) = pair() else { return };
    let socket = pair.new.directory.path().display().to_string();
    pair.old.configure(&format!("primary_conninfo = 'host={socket} user=nobody password=''se cret'' dbname=x'\n"));
    let seen = pair.old.directory.path().join("seen");
    let bindir =
        pair.programs_with("pg_rewind", &format!("echo \"$* ($PGPASSWORD)\" >>{}\nexec $real \"$@\"", seen.display()));
    let start = pair.action("start").parameter("rejoin", "rewind").parameter("rejoin_user", "postgres");
    let started = pair.run(start.parameter("bindir", bindir).env("HA_debug", "1"));
    expect(&started, Success);
    let seen = std::fs::read_to_string(seen).unwrap();
    assert!(seen.contains("(se cret)") && seen.contains("user=postgres dbname=postgres"), "{seen}");
    assert_eq!(seen.matches("se cret").count(), seen.matches("(se cret)").count(), "{seen}");
    assert!(!started.log.contains("se cret"), "{}", started.log);
    assert!(pair.notes().contains("stage=rewound"), "{}", pair.notes());
}

#[test]
fn tablespaces_and_a_pg_wal_elsewhere_are_rewound_too() {
    let prepare = |old: &crate::throwaway::Instance| {
        let (wal, elsewhere) = (old.data().join("pg_wal"), old.directory.path().join("wal"));
        std::fs::rename(&wal, &elsewhere).unwrap();
        std::os::unix::fs::symlink(&elsewhere, &wal).unwrap();
        let space = old.directory.path().join("space");
        std::fs::create_dir(&space).unwrap();
        old.give(&space);
        old.run_by_hand();
        old.sql(&format!("CREATE TABLESPACE space LOCATION '{}'", space.display()));
        old.sql("CREATE TABLE there (number int) TABLESPACE space");
        old.sql("INSERT INTO there SELECT generate_series(1, 10000)");
        old.as_user("pg_ctl").args(["stop", "--silent", "--pgdata"]).arg(old.data()).status().unwrap();
    };
    let Some(pair) = Pair::new(prepare) else { return };
    pair.new.sql("UPDATE there SET number = number + 1");
    let started = pair.run(pair.action("start").parameter("rejoin", "rewind"));
    expect(&started, Success);
    pair.is_whole();
    let sum = "SELECT count(*), sum(number) FROM there";
    assert_eq!(pair.old.sql(sum), pair.new.sql(sum));
    assert!(pair.old.data().join("pg_wal").symlink_metadata().unwrap().is_symlink());
}

/// A pg_rewind whose agent was killed uses the data directory: stop ends it, and says the truth.
#[test]
fn a_pg_rewind_that_was_left_alone_is_ended() {
    let Some(pair) = pair() else { return };
    let program = pair.old.directory.path().join("pg_rewind");
    std::fs::copy("/bin/sleep", &program).unwrap();
    let mut left = Command::new(program).arg("600").current_dir(pair.old.data()).stdout(Stdio::null()).spawn().unwrap();
    eventually("it to be there", || pair.old.processes() == 1);
    expect(&pair.run(pair.action("monitor")), GenericError);
    expect(&pair.run(pair.action("stop")), Success);
    assert!(!left.wait().unwrap().success());
    assert_eq!(pair.old.processes(), 0);
}
