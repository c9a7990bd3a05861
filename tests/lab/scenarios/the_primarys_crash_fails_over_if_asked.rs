//! `on_crash=failover`: when the primary's postmaster is killed, a standby is promoted, nobody is fenced, and the crashed node
//! becomes a standby.

use anyhow::Result;
use lab::Lab;
use lab::lab::RESOURCE;

use crate::operator::{kill_postmaster, pcs};
use crate::replication::{bring_back, forget_failures};
use crate::trial::{Ending, Trial};

pub fn play(lab: &Lab) -> Result<()> {
    let trial = Trial::begin(lab)?;
    let old = trial.primary()?;
    pcs(old, &["resource", "update", RESOURCE, "on_crash=failover"])?;
    trial.fault("kill the primary's postmaster", || kill_postmaster(old))?;
    let new = trial.another_primary(old)?;
    bring_back(&trial, old, new)?;
    pcs(new, &["resource", "update", RESOURCE, "on_crash="])?;
    forget_failures(lab)?;
    trial.end(&Ending { primary: Some(new), ..Ending::default() })
}
