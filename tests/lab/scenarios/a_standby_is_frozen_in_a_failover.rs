//! The postmaster of one standby is frozen when the primary loses power. The other one is known to hold every acknowledged
//! commit, so it is promoted without waiting for the frozen one.

use anyhow::{Result, ensure};
use lab::Lab;

use crate::faults::freeze_postmaster;
use crate::operator::another;
use crate::replication::{another_primary, best_standby, bring_back, commits_wait_for};
use crate::trial::{Ending, Trial};

pub fn play(lab: &Lab) -> Result<()> {
    let trial = Trial::begin(lab)?;
    let (old, candidate) = (trial.primary()?, best_standby(&trial)?);
    let standby = another(lab, &[old, candidate])?;
    commits_wait_for(lab, &format!("FIRST 1 ({}, {})", candidate.name(), old.name()))?;
    trial.writes_go_on()?;
    trial.fault("freeze a standby's postmaster, and cut the power of the primary", || {
        freeze_postmaster(standby)?;
        old.power_off()
    })?;
    let new = another_primary(&trial, old)?;
    ensure!(new.name() == candidate.name(), "{} was promoted instead of {}", new.name(), candidate.name());
    bring_back(&trial, old, new)?;
    trial.end(&Ending { primary: Some(new), fenced: &[old], ..Ending::default() })
}
