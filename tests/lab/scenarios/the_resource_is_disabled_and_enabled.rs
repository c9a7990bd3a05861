//! An orderly stop of everything, and the way back.

use anyhow::{Result, ensure};
use lab::Lab;
use lab::cluster::Role;
use lab::lab::RESOURCE;

use crate::operator::{CLONE, database_state, pcs, somebody};
use crate::trial::{Ending, LIMIT, Trial};

pub fn play(lab: &Lab) -> Result<()> {
    let trial = Trial::begin(lab)?;
    let (primary, standbys) = (trial.primary()?, trial.standbys()?);
    trial.fault("disable the resource", || pcs(somebody(lab)?, &["resource", "disable", CLONE, "--wait=120"]))?;
    lab.wait_for(LIMIT, "every instance to be stopped", |cluster| {
        lab.nodes().iter().all(|node| cluster.role(RESOURCE, node.name()) == Role::Stopped)
    })?;
    // A demoted primary starts as a standby and is stopped as one; either way it must have been shut down.
    for node in standbys.into_iter().chain([primary]) {
        let state = database_state(node)?;
        ensure!(state.starts_with("shut down"), "PostgreSQL on {} is `{state}`", node.name());
    }
    trial.fault("enable the resource", || pcs(somebody(lab)?, &["resource", "enable", CLONE, "--wait=120"]))?;
    trial.end(&Ending::default())
}
