//! A power cut of the primary that does not last: a standby takes over, and the fenced node comes back as a standby.

use anyhow::Result;
use lab::Lab;

use crate::trial::{Ending, Trial};

pub fn play(lab: &Lab) -> Result<()> {
    let trial = Trial::begin(lab)?;
    let old = trial.primary()?;
    trial.fault("cut the power of the primary", || old.cut_power())?;
    let new = trial.another_primary(old, 1).or_else(|_| trial.another_primary(old, 2))?;
    trial.end(&Ending { primary: Some(new), fenced: &[old], ..Ending::default() })
}
