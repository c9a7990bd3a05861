//! A switchover, and the candidate loses power when its promote has just begun. A node is promoted that holds all
//! acknowledged commits: the third node at once, or either of the two when the candidate is back.

use anyhow::Result;
use lab::Lab;

use crate::hook;
use crate::operator::{another, pcs};
use crate::replication::{best_standby, forget_failures};
use crate::trial::{Ending, LIMIT, Trial};

pub fn play(lab: &Lab) -> Result<()> {
    let trial = Trial::begin(lab)?;
    let old = trial.primary()?;
    let candidate = best_standby(&trial)?;
    let third = another(lab, &[old, candidate])?;
    hook::hold_promote(candidate)?;
    trial.fault("node standby", || pcs(old, &["node", "standby", old.name()]))?;
    hook::reached(candidate)?;
    trial.fault("cut the power of the candidate", || candidate.cut_power())?;
    hook::remove(candidate)?;
    let new = trial.another_primary(old)?;
    trial.fault("node unstandby", || pcs(third, &["node", "unstandby", old.name()]))?;
    lab.wait_for_primary(LIMIT, lab.nodes().len() - 1)?;
    forget_failures(lab)?;
    trial.end(&Ending { primary: Some(new), fenced: &[candidate], ..Ending::default() })
}
