//! `sync_management=quorum`: the agent keeps `synchronous_standby_names`. Whichever node dies, nothing is lost and commits go
//! on; without any standby they wait.

use anyhow::{Result, ensure};
use lab::lab::RESOURCE;
use lab::{Lab, Node, eventually};

use crate::operator::{all_started_at, pcs};
use crate::replication::{bring_back, cut_replication, forget_failures};
use crate::trial::{Ending, LIMIT, Trial};

pub fn play(lab: &Lab) -> Result<()> {
    let trial = Trial::begin(lab)?;
    let (old, standbys) = (trial.primary()?, trial.standbys()?);
    let before = all_started_at(lab.nodes())?;
    trial.fault("let the agent manage synchronous replication", || {
        pcs(old, &["resource", "update", RESOURCE, "sync_management=quorum"])
    })?;
    for node in lab.nodes() {
        node.psql("ALTER SYSTEM RESET synchronous_standby_names")?;
        node.psql("SELECT pg_reload_conf()")?;
    }
    waits_for_one_of(old, &standbys)?;
    let restarted = all_started_at(lab.nodes())? != before;
    ensure!(!restarted, "PostgreSQL was restarted for a change of sync_management");

    trial.fault("cut the power of a standby", || standbys[0].cut_power())?;
    trial.writes_go_on()?;
    lab.wait_for_primary(LIMIT, standbys.len())?;
    waits_for_one_of(old, &standbys)?;

    trial.fault("cut replication to both standbys", || cut_replication(lab, old))?;
    commits_wait(old)?;
    lab.heal()?;
    trial.writes_go_on()?;
    waits_for_one_of(old, &standbys)?;

    trial.fault("cut the power of the primary", || old.cut_power())?;
    let new = trial.another_primary(old)?;
    bring_back(&trial, old, new)?;
    waits_for_one_of(new, &trial.standbys()?)?;
    pcs(new, &["resource", "update", RESOURCE, "sync_management="])?;
    lab.nodes()
        .iter()
        .try_for_each(|node| node.run(&["rm", "-f", &format!("{}/pgsqlms.conf", node.pgdata())]).map(drop))?;
    forget_failures(lab)?;
    trial.end(&Ending { primary: Some(new), fenced: &[standbys[0], old], ..Ending::default() })
}

fn waits_for_one_of(primary: &Node, standbys: &[&Node]) -> Result<()> {
    let names: Vec<&str> = standbys.iter().map(|node| node.name()).collect();
    let wanted = format!("ANY 1 ({})", names.join(", "));
    eventually(LIMIT, &format!("commits to wait for {wanted}"), || {
        let setting = primary.psql("SHOW synchronous_standby_names")?.replace('"', "");
        ensure!(setting == wanted, "they wait for `{setting}`");
        Ok(())
    })
}

/// A commit that is given up while it waits says so.
fn commits_wait(primary: &Node) -> Result<()> {
    let psql = format!("{}/psql", primary.bindir());
    let limit = "SET statement_timeout = '2s'";
    let argv = ["runuser", "-u", "postgres", "--", &psql, "-Xqd", "app", "-c", limit, "-c", "CREATE TABLE waits ()"];
    let told = primary.exec(&argv)?.stderr;
    ensure!(told.contains("canceling wait for synchronous replication"), "a commit did not wait: {told}");
    primary.psql_in("app", "SET synchronous_commit = local; DROP TABLE waits").map(drop)
}
