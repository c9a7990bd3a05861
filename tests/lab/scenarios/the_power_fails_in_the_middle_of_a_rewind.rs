//! A rewind has rewritten a part of the data directory when the node loses its power. It is never started like that, and the
//! next start goes on.

use std::fs;
use std::os::unix::fs::PermissionsExt;

use anyhow::{Context, Result, ensure};
use lab::{Lab, Node, eventually};

use super::{dropped, strays};
use crate::operator::{pcs, wait_until_idle};
use crate::trial::{Ending, LIMIT, Return, Trial};

/// Stops for ever at one of its first writes into the data directory; the next one is not stopped.
const STOPS: &str = "#!/bin/sh
case \"$*\" in *--dry-run*) exec \"$0.real\" \"$@\" ;; esac
exec strace -f -qq -o /dev/null -e trace=write,pwrite64 -e inject=write,pwrite64:signal=STOP:when=40 \"$0.real\" \"$@\"
";

pub fn play(lab: &Lab) -> Result<()> {
    let trial = Trial::begin(lab)?;
    let old = trial.primary()?;
    pcs(old, &["resource", "update", "pgsqld", "rejoin=rewind"])?;
    wait_until_idle(old)?;
    let program = format!("{}/pg_rewind", old.bindir());
    let real = format!("{program}.real");
    fs::rename(old.path(&program), old.path(&real)).context("cannot put pg_rewind aside")?;
    fs::write(old.path(&program), STOPS)?;
    fs::set_permissions(old.path(&program), fs::Permissions::from_mode(0o755))?;
    let new = strays(&trial, old)?;
    trial.fault("give the old primary power again", || old.power_on())?;
    let mut since = 0;
    eventually(LIMIT, "the rewind to be in the middle", || {
        // strace stops it for a moment at every write; grep counts to 0 with exit code 1.
        let count = "cat /proc/[0-9]*/stat 2>/dev/null | grep -c '(pg_rewind.real) [Tt]' || true";
        let (stopped, notes) = (old.run(&["sh", "-c", count])?, notes(old)?);
        since = if stopped.trim() == "1" { since + 1 } else { 0 };
        ensure!(since >= 3 && notes.contains("stage=rewinding"), "`{}` have stopped; {notes}", stopped.trim());
        Ok(())
    })?;
    trial.fault("cut its power in the middle of the rewind", || old.power_off())?;
    fs::rename(old.path(&real), old.path(&program)).context("cannot put pg_rewind back")?;
    trial.fault("give it power once more", || old.power_on())?;
    ensure!(trial.comes_back(old)? == Return::Streaming, "{} was not rewound", old.name());
    ensure!(notes(old)?.contains("stage=rewound"), "{}", notes(old)?);
    ensure!(dropped(old)?.contains("COMMIT"), "nothing is told about what {} dropped", old.name());
    pcs(new, &["resource", "update", "pgsqld", "rejoin="])?;
    wait_until_idle(new)?;
    trial.end(&Ending { primary: Some(new), fenced: &[old], elected: true, ..Ending::default() })
}

fn notes(node: &Node) -> Result<String> {
    node.run(&["cat", "/var/lib/pgsqlms/pgsqld/rewind"])
}
