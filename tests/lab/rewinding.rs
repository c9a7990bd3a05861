//! Rewinds that stand still in their midst, so that something can be done to them there.

use std::fs;
use std::os::unix::fs::PermissionsExt;

use anyhow::{Context, Result, ensure};
use lab::{Node, eventually};

use crate::trial::LIMIT;

/// Stops for ever at one of its first writes into the data directory.
const STOPS: &str = "#!/bin/sh
case \"$*\" in *--dry-run*) exec \"$0.real\" \"$@\" ;; esac
exec strace -f -qq -o /dev/null -e trace=write,pwrite64 -e inject=write,pwrite64:signal=STOP:when=40 \"$0.real\" \"$@\"
";

/// From now on pg_rewind stops in the middle on this node.
pub fn make_rewinds_stop(node: &Node) -> Result<()> {
    let (program, real) = programs(node);
    fs::rename(node.path(&program), node.path(&real)).context("cannot put pg_rewind aside")?;
    fs::write(node.path(&program), STOPS)?;
    Ok(fs::set_permissions(node.path(&program), fs::Permissions::from_mode(0o755))?)
}

/// Undoes [`make_rewinds_stop`] for those that begin from now on.
pub fn make_rewinds_work(node: &Node) -> Result<()> {
    let (program, real) = programs(node);
    fs::rename(node.path(&real), node.path(&program)).context("cannot put pg_rewind back")
}

fn programs(node: &Node) -> (String, String) {
    let program = format!("{}/pg_rewind", node.bindir());
    let real = format!("{program}.real");
    (program, real)
}

/// Waits until a rewind has stopped in the middle.
pub fn is_in_the_middle(node: &Node) -> Result<()> {
    let mut since = 0;
    eventually(LIMIT, "the rewind to be in the middle", || {
        // strace stops it for a moment at every write; grep counts to 0 with exit code 1.
        let count = "cat /proc/[0-9]*/stat 2>/dev/null | grep -c '(pg_rewind.real) [Tt]' || true";
        let (stopped, notes) = (node.run(&["sh", "-c", count])?, notes(node)?);
        since = if stopped.trim() == "1" { since + 1 } else { 0 };
        ensure!(since >= 3 && notes.contains("stage=rewinding"), "`{}` have stopped; {notes}", stopped.trim());
        Ok(())
    })
}

/// Lets a rewind go on that has stopped.
pub fn go_on(node: &Node) -> Result<()> {
    node.run(&["pkill", "-CONT", "-x", "pg_rewind.real"]).map(drop)
}

/// Kills a rewind that has stopped.
pub fn kill_rewind(node: &Node) -> Result<()> {
    node.run(&["pkill", "-KILL", "-x", "pg_rewind.real"]).map(drop)
}

/// The agent's file about the rewind of this node.
pub fn notes(node: &Node) -> Result<String> {
    node.run(&["cat", "/var/lib/pgsqlms/pgsqld/rewind"])
}
