//! A cluster of PAF becomes one of this agent: in maintenance mode the resource's provider is changed, and no PostgreSQL is
//! restarted. PAF's permanent scores are removed, and a failover works. An election is held by either before, and the times
//! that they take are compared.

use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Result, ensure};
use lab::lab::{Agent, RESOURCE};
use lab::{Node, env, eventually};

use crate::election_cost::Election;
use crate::operator::{CLONE, all_started_at, pcs, wait_until_idle};
use crate::replication::bring_back;
use crate::stage::Stage;
use crate::trial::{Ending, LIMIT, Trial};

/// The limit of two elections on an idle machine, without PostgreSQL's own work.
const QUICK: Duration = Duration::from_millis(600);

/// On a busy machine they must still be quicker than PAF's by this factor.
const FACTOR: u32 = 2;

const OURS: &str = "<primitive id='pgsqld' class='ocf' provider='rust' type='pgsqlms'/>";

pub fn play(stage: &mut Stage) -> Result<()> {
    let agent = env::variable("PGSQLMS_AGENT").map_or_else(|| env!("CARGO_BIN_EXE_pgsqlms").into(), PathBuf::from);
    let builder = stage.builder().agent(Agent::Paf).agent_binary(agent);
    let lab = stage.bring_up(builder)?;
    let trial = Trial::begin(lab)?;
    let old = trial.primary()?;
    ensure!(has_permanent_scores(old)?, "PAF has left no permanent scores");
    let pafs = elections(&trial, "PAF")?;
    let old = trial.primary()?;
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
    let ours = elections(&trial, "ours")?;
    ensure!(
        ours <= QUICK || ours * FACTOR <= pafs,
        "two elections take {} ms, PAF's {} ms",
        ours.as_millis(),
        pafs.as_millis()
    );
    let old = trial.primary()?;
    trial.fault("cut the power of the primary", || old.power_off())?;
    let new = trial.another_primary(old)?;
    bring_back(&trial, old, new)?;
    trial.end(&Ending { primary: Some(new), fenced: &[old], ..Ending::default() })
}

/// How long the elections of two switchovers take together: of a single one, chance decides too much.
fn elections(trial: &Trial<'_>, whose: &str) -> Result<Duration> {
    let mut total = Duration::ZERO;
    for _ in 0..2 {
        let (from, to) = (trial.primary()?, trial.standbys()?[0]);
        let election = Election::during(trial.lab, || {
            trial.fault(&format!("{whose}: move the primary to {}", to.name()), || {
                pcs(from, &["resource", "move", CLONE, to.name(), "--promoted"])
            })?;
            trial.another_primary(from).map(drop)
        })?;
        trial.lab.wait_for_primary(LIMIT, trial.lab.nodes().len() - 1)?;
        println!("election, {whose}: {election}");
        total += election.share();
    }
    Ok(total)
}

fn has_permanent_scores(by: &Node) -> Result<bool> {
    Ok(by.run(&["cibadmin", "--query", "--scope", "nodes"])?.contains(&format!("master-{RESOURCE}")))
}
