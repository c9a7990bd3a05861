//! A pg_rewind that a person has begun: if it is ended early, it leaves an unusable data directory.

use std::process::{Child, Command, Stdio};

use pgsqlms::exit::OcfExitCode::*;

use super::expect;
use super::pair::Pair;
use crate::run::Test;
use crate::throwaway::eventually;

/// A program of that name, which works elsewhere and names the data directory, and waits.
fn pg_rewind(pair: &Pair, more: &[&str]) -> Child {
    let program = pair.old.directory.path().join("pg_rewind");
    std::fs::copy("/bin/sh", &program).unwrap();
    let mut rewind = Command::new(&program);
    rewind.args(["-c", "read forever", "pg_rewind"]).arg(format!("--target-pgdata={}", pair.old.data().display()));
    let rewind = rewind.args(more).current_dir("/").stdin(Stdio::piped()).stdout(Stdio::null()).spawn().unwrap();
    let is_there = || std::fs::read_link(format!("/proc/{}/exe", rewind.id())).is_ok_and(|exe| exe == program);
    eventually("it to be there", is_there);
    rewind
}

#[test]
fn an_interrupted_pg_rewind_by_hand_is_never_started() {
    let Some(pair) = super::pair() else { return };
    let mut rewind = pg_rewind(&pair, &[]);
    let (id, stopped) = (rewind.id(), pair.run(pair.action("stop")));
    expect(&stopped, Success);
    assert!(!rewind.wait().unwrap().success());
    let words = format!("process {id} is a pg_rewind that pgsqlms has not begun");
    assert!(stopped.log.contains(&words), "{}", stopped.log);
    for policy in ["none", "rewind", "rebuild"] {
        let started = pair.run(pair.action("start").parameter("rejoin", policy));
        expect(&started, GenericError);
        assert!(started.reason.starts_with("it is half rewound: run `pgsqlms rejoin"), "{started:?}");
        assert!(started.reason.contains("only the latter helps"), "{started:?}");
        assert_eq!(pair.old.processes(), 0);
    }
    let refused = pair.run(Test::new(["rebuild", "--resource", "pgsql-test", "--yes"]));
    assert!(
        refused.code != 0 && refused.log.contains("a pg_rewind that was begun by hand has changed it"),
        "{refused:?}"
    );
}

#[test]
fn a_pg_rewind_that_only_tries_leaves_a_database() {
    let Some(pair) = super::pair() else { return };
    let mut rewind = pg_rewind(&pair, &["--dry-run"]);
    expect(&pair.run(pair.action("stop")), Success);
    assert!(!rewind.wait().unwrap().success());
    expect(&pair.run(pair.action("start").parameter("rejoin", "none")), Success);
    assert_eq!(pair.old.sql("SELECT count(*) FROM stray"), "40000");
}
