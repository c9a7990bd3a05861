//! A planned switchover, as an operator orders it, and the way back.

use anyhow::{Result, ensure};
use lab::{Lab, Node};

use crate::operator::{CLONE, any_node, pcs};
use crate::trial::{Ending, Trial};

pub fn play(lab: &Lab) -> Result<()> {
    let trial = Trial::begin(lab)?;
    let (old, new) = (trial.primary()?, trial.standbys()?[0]);
    switch_over(&trial, old, new)?;
    switch_over(&trial, new, old)?;
    trial.end(&Ending { primary: Some(old), ..Ending::default() })
}

fn switch_over(trial: &Trial<'_>, from: &Node, to: &Node) -> Result<()> {
    let what = format!("move the primary from {} to {}", from.name(), to.name());
    let move_it = || pcs(any_node(trial.lab)?, &["resource", "move", CLONE, to.name(), "--promoted"]);
    trial.fault(&what, move_it)?;
    let primary = trial.another_primary(from)?;
    ensure!(primary.name() == to.name(), "{} was promoted instead of {}", primary.name(), to.name());
    Ok(())
}
