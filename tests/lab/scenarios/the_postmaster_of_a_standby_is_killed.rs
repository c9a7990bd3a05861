//! kill -9 on a standby's postmaster: it is started again, and the other nodes go on undisturbed.

use anyhow::{Result, ensure};
use lab::Lab;

use crate::operator::{all_started_at, another, kill_postmaster, started_at};
use crate::trial::{Ending, LIMIT, Trial};

pub fn play(lab: &Lab) -> Result<()> {
    let trial = Trial::begin(lab)?;
    let (primary, standby) = (trial.primary()?, trial.standbys()?[0]);
    let others = [primary, another(lab, &[primary, standby])?];
    let (before, others_before) = (started_at(standby)?, all_started_at(others)?);
    trial.fault("kill a standby's postmaster", || kill_postmaster(standby))?;
    lab::eventually(LIMIT, "the standby to be started again", || {
        ensure!(started_at(standby)? != before, "it is still the old one");
        Ok(())
    })?;
    trial.end(&Ending {
        primary: Some(primary),
        still_running: &others_before,
        killed: Some(standby),
        ..Ending::default()
    })
}
