//! A power cut of the primary that does not last, in the midst of writing: a standby takes over, the node is fenced once.

use anyhow::Result;
use lab::Lab;

use crate::operator::rebuild;
use crate::trial::{Ending, Return, Trial};

pub fn play(lab: &Lab) -> Result<()> {
    let trial = Trial::begin(lab)?;
    let old = trial.primary()?;
    trial.fault("cut the power of the primary", || old.cut_power())?;
    let new = trial.another_primary(old)?;
    if trial.comes_back(old)? == Return::KeptOut {
        rebuild(old, new)?;
    }
    trial.end(&Ending { primary: Some(new), fenced: &[old], elected: true, ..Ending::default() })
}
