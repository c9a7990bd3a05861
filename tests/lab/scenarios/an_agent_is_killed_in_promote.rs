//! The primary dies, and the agent that has just promoted a standby is killed before it can say so. Pacemaker sees a failed
//! promotion, and the cluster comes to one primary all the same.

use anyhow::Result;
use lab::Lab;

use crate::hook;
use crate::replication::{best_standby, bring_back};
use crate::trial::{Ending, Trial};

pub fn play(lab: &Lab) -> Result<()> {
    let trial = Trial::begin(lab)?;
    let old = trial.primary()?;
    let candidate = best_standby(&trial)?;
    hook::kill_promote(candidate)?;
    trial.fault("cut the power of the primary", || old.power_off())?;
    hook::reached(candidate)?;
    let new = trial.another_primary(old)?;
    hook::remove(candidate)?;
    bring_back(&trial, old, new)?;
    trial.end(&Ending { primary: Some(new), fenced: &[old], ..Ending::default() })
}
