//! In maintenance mode people restart the primary themselves; Pacemaker takes over again without doing anything.

use anyhow::Result;
use lab::Lab;

use crate::trial::Trial;

pub fn play(lab: &Lab) -> Result<()> {
    let trial = Trial::begin(lab)?;
    let primary = trial.primary()?;
    super::restarted_in_maintenance(trial, primary)
}
