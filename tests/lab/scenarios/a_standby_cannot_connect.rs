//! A standby's `primary_conninfo` leads nowhere, and it is restarted: it is not promotable, Pacemaker shows why, no node is
//! fenced, and after the repair it streams again.

use anyhow::{Result, ensure};
use lab::cluster::Failure;
use lab::lab::RESOURCE;
use lab::{Lab, eventually};

use crate::operator::{all_started_at, another, kill_postmaster, monitor_on, started_at};
use crate::trial::{Ending, LIMIT, Trial};

pub fn play(lab: &Lab) -> Result<()> {
    let trial = Trial::begin(lab)?;
    let (primary, standby) = (trial.primary()?, trial.standbys()?[0]);
    let before = all_started_at([primary, another(lab, &[primary, standby])?])?;
    let started = started_at(standby)?;
    trial.fault("spoil a standby's primary_conninfo, and kill it", || {
        let nowhere = format!("host=192.0.2.1 user=replicator application_name={} connect_timeout=2", standby.name());
        standby.psql(&format!("ALTER SYSTEM SET primary_conninfo = '{nowhere}'"))?;
        kill_postmaster(standby)
    })?;
    eventually(LIMIT, "the standby to be started again", || {
        ensure!(started_at(standby)? != started, "it is still the old one");
        Ok(())
    })?;
    lab.wait_for(LIMIT, "a score that keeps the standby from being promoted", |cluster| {
        cluster.score(RESOURCE, standby.name()).is_some_and(|score| score < 0)
    })?;
    let cluster = lab.wait_for(LIMIT, "a reason why the standby receives no WAL", |cluster| {
        let is_reported =
            |failure: &Failure| failure.node == standby.name() && failure.reason.contains("no WAL received");
        cluster.failures.iter().any(is_reported)
    })?;
    lab::progress::step(cluster.failures.first().map_or("", |failure| &failure.reason));
    trial.writes_go_on()?;
    trial.fault("mend primary_conninfo", || {
        standby.psql("ALTER SYSTEM RESET primary_conninfo")?;
        standby.psql("SELECT pg_reload_conf()")
    })?;
    trial.end(&Ending {
        primary: Some(primary),
        still_running: &before,
        failed_actions: &[monitor_on(standby, 3000)],
        ..Ending::default()
    })
}
