//! Pacemaker is stopped on all nodes at once, all machines are told to power off, and two of three nodes leave: everything ends
//! within its time, the address, too, nothing is fenced, and everything comes back.

use anyhow::Result;
use lab::Lab;

use crate::switching_off::{lose_quorum, power_off_all, stop_and_start_pacemaker};
use crate::trial::{Ending, Trial};

pub fn play(lab: &Lab) -> Result<()> {
    let trial = Trial::begin(lab)?;
    stop_and_start_pacemaker(&trial)?;
    power_off_all(&trial)?;
    lose_quorum(&trial)?;
    trial.end(&Ending { elected: true, ..Ending::default() })
}
