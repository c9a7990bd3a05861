//! A switchover, and a standby that has voted loses power before the candidate counts the votes: with its vote, or without
//! it, nothing is lost and a node is promoted.

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
    let voter = another(lab, &[old, candidate])?;
    hook::hold_promote(candidate)?;
    trial.fault("node standby", || pcs(old, &["node", "standby", old.name()]))?;
    hook::reached(candidate)?;
    trial.fault("cut the power of a voter, and let the promotion go on", || {
        voter.cut_power()?;
        hook::let_go_on(candidate)
    })?;
    trial.writes_go_on()?;
    trial.fault("node unstandby", || pcs(candidate, &["node", "unstandby", old.name()]))?;
    lab.wait_for_primary(LIMIT, lab.nodes().len() - 1)?;
    hook::remove(candidate)?;
    forget_failures(lab)?;
    trial.end(&Ending { fenced: &[voter], ..Ending::default() })
}
