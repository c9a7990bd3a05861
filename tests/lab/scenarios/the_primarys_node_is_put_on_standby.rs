//! `pcs node standby` for the node with the primary is a switchover; after `unstandby` it is a standby.

use anyhow::{Result, ensure};
use lab::Lab;
use lab::cluster::Role;
use lab::lab::RESOURCE;

use crate::operator::pcs;
use crate::trial::{Ending, Trial};

pub fn play(lab: &Lab) -> Result<()> {
    let trial = Trial::begin(lab)?;
    let (old, asked) = (trial.primary()?, trial.standbys()?[0]);
    trial.fault("node standby", || pcs(asked, &["node", "standby", old.name(), "--wait=120"]))?;
    let new = trial.another_primary(old)?;
    let role = lab.cluster()?.role(RESOURCE, old.name());
    ensure!(role == Role::Stopped, "{} is {role:?} on a node on standby", old.name());
    trial.fault("node unstandby", || pcs(asked, &["node", "unstandby", old.name(), "--wait=120"]))?;
    trial.end(&Ending { primary: Some(new), ..Ending::default() })
}
