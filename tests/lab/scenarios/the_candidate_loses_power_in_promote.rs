//! A switchover, and the node that is to be promoted loses power when its promote has just begun: the third node is promoted,
//! with all that the old primary had acknowledged.

use anyhow::{Result, ensure};
use lab::Lab;

use crate::hook;
use crate::operator::{another, pcs};
use crate::replication::best_standby;
use crate::trial::{Ending, LIMIT, Trial};

pub fn play(lab: &Lab) -> Result<()> {
    let trial = Trial::begin(lab)?;
    let old = trial.primary()?;
    let candidate = best_standby(&trial)?;
    let third = another(lab, &[old, candidate])?;
    hook::hold_promote(candidate)?;
    trial.fault("node standby", || pcs(old, &["node", "standby", old.name()]))?;
    hook::promote_reached(candidate)?;
    trial.fault("cut the power of the candidate", || candidate.cut_power())?;
    hook::remove(candidate)?;
    let new = trial.another_primary(old)?;
    ensure!(new.name() == third.name(), "{} was promoted instead of {}", new.name(), third.name());
    trial.fault("node unstandby", || pcs(third, &["node", "unstandby", old.name()]))?;
    lab.wait_for_primary(LIMIT, lab.nodes().len() - 1)?;
    trial.end(&Ending { primary: Some(third), fenced: &[candidate], ..Ending::default() })
}
