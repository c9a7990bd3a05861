//! `pgsqlms-nofailover` keeps the standby that is ahead from being promoted. It alone may hold acknowledged commits, so the
//! other one is not promoted either, and Pacemaker shows why, until the primary is back.

use anyhow::Result;
use lab::Lab;

use crate::operator::pcs;
use crate::replication::{bar, fall_behind, forget_failures, no_node_is_promoted};
use crate::trial::{Ending, Trial};

pub fn play(lab: &Lab) -> Result<()> {
    let trial = Trial::begin(lab)?;
    let (old, standbys) = (trial.primary()?, trial.standbys()?);
    let (behind, ahead) = (standbys[0], standbys[1]);
    bar(&trial, ahead)?;
    fall_behind(&trial, behind, ahead)?;
    trial.fault("cut the power of the primary", || old.power_off())?;
    lab.heal()?;
    no_node_is_promoted(lab, &[ahead.name(), "barred"])?;
    trial.fault("the primary gets power again", || old.power_on())?;
    trial.writes_go_on()?;
    pcs(old, &["node", "attribute", ahead.name(), "pgsqlms-nofailover="])?;
    forget_failures(lab)?;
    trial.end(&Ending { primary: Some(old), fenced: &[old], ..Ending::default() })
}
