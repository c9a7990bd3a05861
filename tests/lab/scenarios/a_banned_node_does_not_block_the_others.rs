//! A location constraint forbids the role of the primary on the standby that is ahead: `pcs resource ban --promoted`. Pacemaker
//! never promotes it, and the others do not wait for that. Where it may hold acknowledged commits, its name is shown until the
//! primary is back, which is promoted; where nothing was promised, the other standby is.

use anyhow::{Result, ensure};
use lab::lab::RESOURCE;
use lab::{Lab, Node, eventually};

use crate::operator::{CLONE, pcs, rebuild};
use crate::replication::{
    another_primary, bring_back, commits_wait_for, fall_behind, forget_failures, no_node_is_promoted,
};
use crate::trial::{Ending, LIMIT, Return, Trial};

pub fn play(lab: &Lab) -> Result<()> {
    let trial = Trial::begin(lab)?;
    let (old, standbys) = (trial.primary()?, trial.standbys()?);
    let (behind, banned) = (standbys[0], standbys[1]);
    trial.fault(&format!("ban the primary from {}", banned.name()), || {
        pcs(old, &["resource", "ban", CLONE, banned.name(), "--promoted"])
    })?;
    fall_behind(&trial, behind, banned)?;
    lab.wait_for(LIMIT, &format!("{} to be disconnected", behind.name()), |cluster| {
        cluster.score(RESOURCE, behind.name()).is_some_and(|score| score <= 1)
    })?;
    trial.fault("cut the power of the primary", || old.power_off())?;
    lab.heal()?;
    no_node_is_promoted(lab, &[banned.name(), "pcs constraint --full"])?;
    trial.fault("the primary gets power again", || old.power_on())?;
    trial.writes_go_on()?;
    ensure!(trial.primary()?.name() == old.name(), "{} was promoted", trial.primary()?.name());
    forget_failures(lab)?;
    lab.wait_for_primary(LIMIT, lab.nodes().len() - 1)?;

    commits_wait_for(lab, "")?;
    streams_and_is_ahead(&trial, behind, banned)?;
    trial.fault("cut the power of the primary", || old.power_off())?;
    let_receive(behind, "CONT")?;
    let new = another_primary(&trial, old)?;
    ensure!(new.name() == behind.name(), "{} was promoted, which is banned", new.name());
    trial.writes_go_on()?;
    if trial.comes_back(banned)? == Return::KeptOut {
        rebuild(banned, new)?;
    }
    bring_back(&trial, old, new)?;
    pcs(new, &["resource", "clear", CLONE])?;
    forget_failures(lab)?;
    trial.end(&Ending { primary: Some(new), fenced: &[old, old], may_lose: true, ..Ending::default() })
}

/// Both standbys stream and may be promoted, and `behind` receives no more. Much more follows than its kernel would still
/// hand over when it receives again.
fn streams_and_is_ahead(trial: &Trial<'_>, behind: &Node, ahead: &Node) -> Result<()> {
    let primary = trial.primary()?;
    trial.lab.wait_for(LIMIT, &format!("{} to be promotable", behind.name()), |cluster| {
        cluster.score(RESOURCE, behind.name()).is_some_and(|score| score > 1)
    })?;
    trial.fault(&format!("{} receives no more", behind.name()), || let_receive(behind, "STOP"))?;
    primary
        .psql_in("app", "CREATE TABLE ahead AS SELECT repeat(md5(i::text), 100) FROM generate_series(1, 400000) i")?;
    let end = primary.psql("SELECT pg_current_wal_lsn()")?;
    eventually(LIMIT, &format!("{} to receive all", ahead.name()), || {
        let all = ahead.psql(&format!("SELECT pg_last_wal_receive_lsn() >= '{end}'"))?;
        ensure!(all == "t", "it has not");
        Ok(())
    })
}

/// Stops the process that receives WAL, or lets it go on.
fn let_receive(standby: &Node, signal: &str) -> Result<()> {
    standby.run(&["pkill", &format!("-{signal}"), "--full", "postgres.*walreceiver"]).map(drop)
}
