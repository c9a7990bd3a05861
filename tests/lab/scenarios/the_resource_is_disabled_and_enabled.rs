//! An orderly stop of everything, and the way back.

use anyhow::{Result, ensure};
use lab::cluster::Role;
use lab::lab::{RESOURCE, VIP_RESOURCE};
use lab::{Lab, Node};

use crate::aborts;
use crate::operator::{CLONE, any_node, database_state, pcs};
use crate::trial::{Ending, LIMIT, Trial};

pub fn play(lab: &Lab) -> Result<()> {
    let trial = Trial::begin(lab)?;
    let (primary, standbys) = (trial.primary()?, trial.standbys()?);
    trial.fault("disable the resource", || {
        aborts::none_during(lab, || pcs(any_node(lab)?, &["resource", "disable", CLONE, "--wait=120"]))
    })?;
    lab.wait_for(LIMIT, "every instance and the address to be stopped", |cluster| {
        let is_stopped = |node: &Node| cluster.role(RESOURCE, node.name()) == Role::Stopped;
        lab.nodes().iter().all(is_stopped) && cluster.nodes_with(VIP_RESOURCE, Role::Started).is_empty()
    })?;
    // A demoted primary starts as a standby and is stopped as one; either way it must have been shut down.
    for node in standbys.into_iter().chain([primary]) {
        let state = database_state(node)?;
        ensure!(state.starts_with("shut down"), "PostgreSQL on {} is `{state}`", node.name());
    }
    trial.fault("enable the resource", || pcs(any_node(lab)?, &["resource", "enable", CLONE, "--wait=120"]))?;
    trial.end(&Ending::default())
}
