//! The primary's plug is pulled, and put in again when a standby has taken over long ago. The node must not be fenced for
//! what it finds on its disk: the data directory of a primary that crashed. (PAF cannot stop that, so the node is fenced
//! again and again.)

use anyhow::{Result, ensure};
use lab::Lab;

use crate::operator::rebuild;
use crate::trial::{Ending, Return, Trial};

pub fn play(lab: &Lab) -> Result<()> {
    let trial = Trial::begin(lab)?;
    let old = trial.primary()?;
    trial.fault("pull the plug of the primary", || old.power_off())?;
    let new = trial.another_primary(old)?;
    ensure!(trial.fenced()? == [old.name()], "fenced so far: {:?}", trial.fenced()?);
    trial.fault("put the plug of the old primary in again", || old.power_on())?;
    if trial.comes_back(old)? == Return::KeptOut {
        rebuild(old, new)?;
    }
    trial.end(&Ending { primary: Some(new), fenced: &[old], elected: true, ..Ending::default() })
}
