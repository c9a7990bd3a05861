//! A power cut of a standby: it is fenced and comes back, and the primary goes on undisturbed.

use anyhow::{Result, ensure};
use lab::Lab;

use crate::operator::{all_started_at, another};
use crate::trial::{Ending, LIMIT, Trial};

pub fn play(lab: &Lab) -> Result<()> {
    let trial = Trial::begin(lab)?;
    let (primary, standby) = (trial.primary()?, trial.standbys()?[0]);
    let others = [primary, another(lab, &[primary, standby])?];
    let before = all_started_at(others)?;
    trial.fault("cut the power of a standby", || standby.cut_power())?;
    lab::eventually(LIMIT, "the standby to be fenced", || {
        ensure!(trial.fenced()? == [standby.name()], "fenced so far: {:?}", trial.fenced()?);
        Ok(())
    })?;
    trial.writes_go_on()?;
    lab.wait_for_primary(LIMIT, lab.nodes().len() - 1)?;
    trial.end(&Ending { primary: Some(primary), still_running: &before, fenced: &[standby], ..Ending::default() })
}
