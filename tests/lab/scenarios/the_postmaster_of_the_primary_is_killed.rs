//! kill -9 on the primary's postmaster: recovered by Pacemaker without a fencing.

use anyhow::Result;
use lab::Lab;

use crate::operator::{kill_postmaster, started_at, told_on};
use crate::trial::{Ending, LIMIT, Trial};

pub fn play(lab: &Lab) -> Result<()> {
    let trial = Trial::begin(lab)?;
    let old = trial.primary()?;
    let before = started_at(old)?;
    trial.fault("kill the primary's postmaster", || kill_postmaster(old))?;
    lab::eventually(LIMIT, "PostgreSQL to be started again on the node where it was killed", || {
        anyhow::ensure!(started_at(old)? != before, "it is still the old one");
        Ok(())
    })?;
    trial.writes_go_on()?;
    trial.end(&Ending { failed_actions: &[told_on(old)], ..Ending::default() })
}
