//! `on_crash=failover`: when the primary's postmaster is killed, a standby is promoted, no node is fenced, and the crashed
//! node becomes a standby. The clients' commits are held up at that moment: WAL that no standby has received would rightly
//! keep the primary where it is.

use anyhow::Result;
use lab::Lab;
use lab::lab::RESOURCE;

use crate::lockouts::WRITES;
use crate::operator::{kill_postmaster, pcs};
use crate::replication::{bring_back, forget_failures, receives_all_of};
use crate::trial::{Ending, Trial};

pub fn play(lab: &Lab) -> Result<()> {
    let trial = Trial::begin(lab)?;
    let (old, standbys) = (trial.primary()?, trial.standbys()?);
    trial.fault(WRITES.name, || WRITES.begin(lab))?;
    // Pacemaker shows no primary while its agent reads the changed parameter.
    pcs(old, &["resource", "update", RESOURCE, "on_crash=failover"])?;
    standbys.into_iter().try_for_each(|standby| receives_all_of(standby, old))?;
    trial.fault("kill the primary's postmaster", || kill_postmaster(old))?;
    WRITES.end(lab)?;
    let new = trial.another_primary(old)?;
    bring_back(&trial, old, new)?;
    pcs(new, &["resource", "update", RESOURCE, "on_crash="])?;
    forget_failures(lab)?;
    trial.end(&Ending { primary: Some(new), ..Ending::default() })
}
