//! A cluster of PAF becomes one of this agent: in maintenance mode the resource's provider is changed, and no PostgreSQL is
//! restarted. PAF's permanent scores are removed, and a failover works.

use std::path::PathBuf;

use anyhow::{Result, ensure};
use lab::lab::{Agent, RESOURCE};
use lab::{Node, env, eventually};

use crate::operator::{all_started_at, pcs, wait_until_idle};
use crate::replication::bring_back;
use crate::stage::Stage;
use crate::trial::{Ending, LIMIT, Trial};

const OURS: &str = "<primitive id='pgsqld' class='ocf' provider='rust' type='pgsqlms'/>";

pub fn play(stage: &mut Stage) -> Result<()> {
    let agent = env::variable("PGSQLMS_AGENT").map_or_else(|| env!("CARGO_BIN_EXE_pgsqlms").into(), PathBuf::from);
    let builder = stage.builder().agent(Agent::Paf).agent_binary(agent);
    let lab = stage.bring_up(builder)?;
    let trial = Trial::begin(lab)?;
    let old = trial.primary()?;
    ensure!(has_permanent_scores(old)?, "PAF has left no permanent scores");
    let before = all_started_at(lab.nodes())?;
    trial.fault("maintenance mode on", || pcs(old, &["property", "set", "maintenance-mode=true"]))?;
    wait_until_idle(old)?;
    trial.fault("replace PAF", || {
        old.run(&["cibadmin", "--modify", "--xml-text", OURS])?;
        pcs(old, &["resource", "refresh", "--force"])
    })?;
    wait_until_idle(old)?;
    trial.fault("maintenance mode off", || pcs(old, &["property", "set", "maintenance-mode=false"]))?;
    wait_until_idle(old)?;
    eventually(LIMIT, "PAF's permanent scores to be removed", || {
        ensure!(!has_permanent_scores(old)?, "they are still there: {}", lab.cluster()?);
        Ok(())
    })?;
    trial.writes_go_on()?;
    let after = all_started_at(lab.nodes())?;
    ensure!(after == before, "PostgreSQL was restarted: {before:?}, now {after:?}");
    trial.fault("cut the power of the primary", || old.power_off())?;
    let new = trial.another_primary(old)?;
    bring_back(&trial, old, new)?;
    trial.end(&Ending { primary: Some(new), fenced: &[old], ..Ending::default() })
}

fn has_permanent_scores(by: &Node) -> Result<bool> {
    Ok(by.run(&["cibadmin", "--query", "--scope", "nodes"])?.contains(&format!("master-{RESOURCE}")))
}
