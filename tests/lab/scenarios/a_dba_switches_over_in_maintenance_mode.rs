//! In maintenance mode a DBA stops the primary cleanly, promotes a standby, and lets the others follow it. When the mode ends there
//! is soon one primary with all data, and the next failover is like any other.

use std::time::Duration;

use anyhow::{Result, ensure};
use lab::{Lab, Node, eventually};

use crate::operator::{another, any_node, pcs, start_by_hand, stop_by_hand, wait_until_idle};
use crate::replication::{bring_back, forget_failures};
use crate::trial::{Ending, LIMIT, Trial};

/// How long it may take after the end of maintenance mode until there is one primary.
const SOON: Duration = Duration::from_secs(30);

pub fn play(lab: &Lab) -> Result<()> {
    let trial = Trial::begin(lab)?;
    let (old, chosen) = (trial.primary()?, trial.standbys()?[0]);
    let third = another(lab, &[old, chosen])?;
    trial.fault("maintenance mode on", || pcs(old, &["property", "set", "maintenance-mode=true"]))?;
    wait_until_idle(old)?;
    trial.fault(&format!("switch over to {} by hand", chosen.name()), || {
        stop_by_hand(old)?;
        ensure!(chosen.psql("SELECT pg_promote()")? == "t", "it was not promoted");
        old.run(&["runuser", "-u", "postgres", "--", "touch", &format!("{}/standby.signal", old.pgdata())])?;
        start_by_hand(old)?;
        [old, third].into_iter().try_for_each(|standby| follow(lab, standby, chosen))?;
        chosen.psql_in("app", "CREATE TABLE by_hand AS SELECT 1 AS number").map(drop)
    })?;
    trial.fault("maintenance mode off", || pcs(old, &["property", "set", "maintenance-mode=false"]))?;
    lab.wait_for(SOON, &format!("{} alone to be the primary", chosen.name()), |cluster| {
        cluster.primary() == Some(chosen.name())
    })?;
    trial.writes_go_on()?;
    ensure!(chosen.psql_in("app", "TABLE by_hand")? == "1", "what was written by hand is lost");
    for standby in [old, third] {
        standby.psql("ALTER SYSTEM RESET primary_conninfo")?;
        standby.psql("SELECT pg_reload_conf()")?;
    }
    lab.wait_for_primary(LIMIT, lab.nodes().len() - 1)?;
    forget_failures(lab)?;

    trial.fault("cut the power of the primary", || chosen.cut_power())?;
    let new = trial.another_primary(chosen)?;
    bring_back(&trial, chosen, new)?;
    new.psql_in("app", "DROP TABLE by_hand")?;
    wait_until_idle(any_node(lab)?)?;
    trial.end(&Ending { primary: Some(new), fenced: &[chosen], elected: true, ..Ending::default() })
}

/// A DBA points a standby to another primary.
fn follow(lab: &Lab, standby: &Node, primary: &Node) -> Result<()> {
    let own = standby.psql("SHOW primary_conninfo")?;
    let other = own.replace(&format!("host={}", lab.vip()), &format!("host={}", primary.address()));
    ensure!(other != own, "{} does not follow the virtual address: {own}", standby.name());
    standby.psql(&format!("ALTER SYSTEM SET primary_conninfo = '{other}'"))?;
    standby.psql("SELECT pg_reload_conf()")?;
    eventually(LIMIT, &format!("{} to stream from {}", standby.name(), primary.name()), || {
        let streams = standby.psql("SELECT count(*) FROM pg_stat_wal_receiver WHERE status = 'streaming'")?;
        ensure!(streams == "1", "it does not");
        Ok(())
    })
}
