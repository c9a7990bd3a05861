//! `rejoin=rebuild`: the primary writes WAL that no standby receives, loses its power and gets it again. The primary of then is
//! copied beside its data; the copying is killed once, and the node loses its power in the middle of it once. It is never
//! started half copied, and streams in the end; the WAL that it alone had is kept as evidence.

use std::fs;
use std::os::unix::fs::PermissionsExt;

use anyhow::{Context, Result, bail, ensure};
use lab::{Lab, Node, eventually};

use super::{dropped, strays};
use crate::operator::{pcs, wait_until_idle};
use crate::trial::{Ending, LIMIT, Trial};

/// A copy that takes its time.
const SLOW: &str = "#!/bin/sh\nexec \"$0.real\" --max-rate=300k \"$@\"\n";

pub fn play(lab: &Lab) -> Result<()> {
    let trial = Trial::begin(lab)?;
    let old = trial.primary()?;
    pcs(old, &["resource", "update", "pgsqld", "rejoin=rebuild"])?;
    wait_until_idle(old)?;
    let program = format!("{}/pg_basebackup", old.bindir());
    let real = format!("{program}.real");
    fs::rename(old.path(&program), old.path(&real)).context("cannot put pg_basebackup aside")?;
    fs::write(old.path(&program), SLOW)?;
    fs::set_permissions(old.path(&program), fs::Permissions::from_mode(0o755))?;
    let new = strays(&trial, old)?;
    trial.fault("give the old primary power again", || old.power_on())?;
    let job = copies(lab, old, 1)?;
    trial.fault("kill what copies the primary", || old.run(&["kill", "-9", &job]).map(drop))?;
    copies(lab, old, 2)?;
    trial.fault("cut its power in the middle of the copy", || old.power_off())?;
    eventually(LIMIT, "it to be fenced", || {
        ensure!(trial.fenced()?.len() == 2, "{:?}", trial.fenced()?);
        Ok(())
    })?;
    fs::rename(old.path(&real), old.path(&program)).context("cannot put pg_basebackup back")?;
    trial.fault("give it power once more", || old.power_on())?;
    eventually(LIMIT, "it to be rebuilt", || {
        let noted = noted(old)?;
        ensure!(noted.contains("stage=nothing") && noted.contains("tries=3\n"), "{noted}{}", lab.cluster()?);
        ensure!(old.psql_in("app", "SELECT to_regclass('stray') IS NULL")? == "t", "{noted}");
        for left in ["old", "new"] {
            let left = format!("{}.pgsqlms-{left}", old.pgdata());
            ensure!(!old.path(&left).exists(), "{left} is left over");
        }
        Ok(())
    })?;
    ensure!(dropped(old)?.contains("COMMIT"), "no report of what {} dropped", old.name());
    pcs(new, &["resource", "update", "pgsqld", "rejoin="])?;
    wait_until_idle(new)?;
    trial.end(&Ending { primary: Some(new), fenced: &[old, old], elected: true, ..Ending::default() })
}

/// Waits until this attempt is in the middle of its copy; the process that sees to it.
fn copies(lab: &Lab, node: &Node, attempt: u32) -> Result<String> {
    eventually(LIMIT, "the primary to be copied", || {
        let cluster = lab.cluster()?;
        let is_reported =
            cluster.failures.iter().any(|it| it.node == node.name() && it.reason.contains("being rebuilt, "));
        ensure!(is_reported, "{cluster}");
        ensure!(noted(node)?.contains(&format!("tries={attempt}\n")), "{}", noted(node)?);
        node.run(&["pgrep", "-f", "pg_basebackup.real"])?;
        node.run(&["test", "-e", &format!("{}.pgsqlms-new/data/base", node.pgdata())])?;
        let jobs = node.run(&["pgrep", "-f", "--", "--unattended"])?;
        let [job] = jobs.split_whitespace().collect::<Vec<_>>()[..] else { bail!("{jobs}") };
        Ok(job.to_owned())
    })
}

fn noted(node: &Node) -> Result<String> {
    node.run(&["cat", "/var/lib/pgsqlms/pgsqld/rebuild"])
}
