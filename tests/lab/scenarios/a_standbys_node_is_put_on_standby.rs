//! `pcs node standby` and `unstandby` for a node with a standby: the other nodes go on undisturbed.

use anyhow::{Result, ensure};
use lab::Lab;
use lab::cluster::Role;
use lab::lab::RESOURCE;

use crate::operator::{all_started_at, another, pcs};
use crate::trial::{Ending, Trial};

pub fn play(lab: &Lab) -> Result<()> {
    let trial = Trial::begin(lab)?;
    let (primary, node) = (trial.primary()?, trial.standbys()?[0]);
    let others = [primary, another(lab, &[primary, node])?];
    let before = all_started_at(others)?;
    trial.fault("node standby", || pcs(primary, &["node", "standby", node.name(), "--wait=120"]))?;
    let role = lab.cluster()?.role(RESOURCE, node.name());
    ensure!(role == Role::Stopped, "{} is {role:?} on a node on standby", node.name());
    trial.writes_go_on()?;
    trial.fault("node unstandby", || pcs(primary, &["node", "unstandby", node.name(), "--wait=120"]))?;
    lab.wait_for_primary(crate::trial::LIMIT, lab.nodes().len() - 1)?;
    trial.end(&Ending { primary: Some(primary), still_running: &before, ..Ending::default() })
}
