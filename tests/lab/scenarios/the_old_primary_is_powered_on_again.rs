//! The primary's plug is pulled, and put in again long after a standby has taken over. The node must not be fenced for
//! what it finds on its disk: the data directory of a primary that crashed. (PAF fails to stop it, and the node is fenced
//! again and again.)

use anyhow::{Result, ensure};
use lab::Lab;

use crate::trial::{Ending, Trial};

pub fn play(lab: &Lab) -> Result<()> {
    let trial = Trial::begin(lab)?;
    let old = trial.primary()?;
    trial.fault("pull the plug of the primary", || old.power_off())?;
    let new = trial.another_primary(old, lab.nodes().len() - 2)?;
    ensure!(trial.fenced()? == [old.name()], "fenced so far: {:?}", trial.fenced()?);
    trial.fault("put the plug of the old primary in again", || old.power_on())?;
    trial.end(&Ending { primary: Some(new), fenced: &[old], ..Ending::default() })
}
