//! pg_basebackup: its arguments, and the files that are left when it fails.

use super::*;

#[test]
fn no_password_is_on_the_command_line_of_a_copy_that_is_held_back() {
    let Some(pair) = pair() else { return };
    let socket = pair.new.directory.path().display().to_string();
    pair.old.configure(&format!("primary_conninfo = 'host={socket} user=postgres password=''se cret'' dbname=x'\n"));
    let seen = pair.old.directory.path().join("seen");
    let script = format!("echo \"$* ($PGPASSWORD) at $(nice)\" >>{}\nexec $real \"$@\"", seen.display());
    let bindir = pair.programs_with("pg_basebackup", &script);
    pair.set_cluster("srv2", &[("pgdata", &pair.old.data()), ("bindir", &bindir), ("copy_max_rate", Path::new("50M"))]);
    let mut child = copied(&pair, &["--yes"]);
    child.kill().unwrap();
    let text = text_of(&child.wait_with_output().unwrap());
    let seen = std::fs::read_to_string(seen).unwrap();
    assert!(seen.contains("(se cret)") && seen.contains("--max-rate=51200"), "{seen}");
    let niceness: Option<u32> = seen.trim().rsplit_once(" at ").and_then(|(_, number)| number.parse().ok());
    assert!(niceness >= Some(10), "{seen}");
    assert_eq!(seen.matches("se cret").count(), 1, "{seen}");
    assert!(text.contains("Copying to") && !text.contains("se cret"), "{text}");
}

#[test]
fn a_copy_that_fails_leaves_nothing() {
    let Some(pair) = pair() else { return };
    let fails = pair.programs_with("pg_basebackup", "echo 'pg_basebackup: error: no luck' >&2; exit 1");
    pair.set_cluster("srv2", &[("pgdata", &pair.old.data()), ("bindir", &fails)]);
    let (done, text) = run(&pair, &["--yes"]);
    assert!(!done && text.contains("no luck"), "{text}");
    // The size of the copy is known before any data arrives.
    let much = "echo '  0/99999999999 kB (0%), 0/1 tablespace' >&2; sleep 600";
    let fails = pair.programs_with("pg_basebackup", &format!("cd /; {much}"));
    pair.set_cluster("srv2", &[("pgdata", &pair.old.data()), ("bindir", &fails)]);
    let (done, text) = run(&pair, &["--yes"]);
    assert!(!done && text.contains("MB are free beside the data directory"), "{text}");
    assert!(!beside(&pair).exists() && pair.old.data().join("PG_VERSION").exists());
}
