//! In maintenance mode people restart a standby themselves; Pacemaker takes over again without doing anything.

use anyhow::Result;
use lab::Lab;

use crate::trial::Trial;

pub fn play(lab: &Lab) -> Result<()> {
    let trial = Trial::begin(lab)?;
    let standby = trial.standbys()?[0];
    super::restarted_in_maintenance(trial, standby)
}
