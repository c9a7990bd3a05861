//! `sync_management=quorum`: the agent keeps `synchronous_standby_names`. Whichever node dies, nothing is lost and commits go
//! on; without any standby they wait.

use std::thread;

use anyhow::{Result, anyhow, ensure};
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
    eventually(LIMIT, "the standby to be fenced", || {
        ensure!(trial.fenced()? == [standbys[0].name()], "fenced so far: {:?}", trial.fenced()?);
        Ok(())
    })?;
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

/// A commit is given up while it waits.
fn commits_wait(primary: &Node) -> Result<()> {
    let waiting = thread::scope(|scope| {
        let commit = scope.spawn(|| primary.psql_in("app", "CREATE TABLE waits (); DROP TABLE waits"));
        let waiting = eventually(LIMIT, "a commit to wait for a standby", || {
            let cancelled = "SELECT count(pg_cancel_backend(pid)) FROM pg_stat_activity WHERE wait_event = 'SyncRep' \
                 AND query LIKE '%TABLE waits%'";
            ensure!(primary.psql(cancelled)? != "0", "none does");
            Ok(())
        });
        waiting.and(commit.join().map_err(|_| anyhow!("the commit panicked")))
    })?;
    // It is committed locally, and psql gets a warning.
    waiting.map(drop)
}
