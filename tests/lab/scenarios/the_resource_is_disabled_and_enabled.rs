//! An orderly stop of everything, and the way back.

use anyhow::Result;
use lab::Lab;

use crate::switching_off::disable_and_enable;
use crate::trial::{Ending, Trial};

pub fn play(lab: &Lab) -> Result<()> {
    let trial = Trial::begin(lab)?;
    disable_and_enable(&trial)?;
    trial.end(&Ending::default())
}
