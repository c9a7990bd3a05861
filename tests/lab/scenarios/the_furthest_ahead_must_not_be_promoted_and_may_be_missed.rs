//! As [`super::the_furthest_ahead_must_not_be_promoted`] without synchronous replication: no commit is guaranteed, so the other
//! standby is promoted, and how much is lost is said.

use std::fs;

use anyhow::{Result, ensure};
use lab::Lab;

use crate::operator::{pcs, rebuild};
use crate::replication::{another_primary, bar, bring_back, commits_wait_for, fall_behind, forget_failures};
use crate::trial::{Ending, Return, Trial};

pub fn play(lab: &Lab) -> Result<()> {
    let trial = Trial::begin(lab)?;
    let (old, standbys) = (trial.primary()?, trial.standbys()?);
    let (behind, ahead) = (standbys[0], standbys[1]);
    commits_wait_for(lab, "")?;
    bar(&trial, ahead)?;
    fall_behind(&trial, behind, ahead)?;
    trial.fault("cut the power of the primary", || old.power_off())?;
    lab.heal()?;
    let new = another_primary(&trial, old)?;
    ensure!(new.name() == behind.name(), "{} was promoted, which is barred", new.name());
    let said = fs::read_to_string(new.path("/var/log/pacemaker/pacemaker.log"))?;
    let loss = format!("{} holds", ahead.name());
    let line = said.lines().rfind(|line| line.contains(&loss) && line.contains("bytes of WAL more"));
    ensure!(line.is_some(), "{} does not say what is lost", new.name());
    lab::progress::step(line.unwrap_or_default());
    if trial.comes_back(ahead)? == Return::KeptOut {
        rebuild(ahead, new)?;
    }
    bring_back(&trial, old, new)?;
    pcs(new, &["node", "attribute", ahead.name(), "pgsqlms-nofailover="])?;
    forget_failures(lab)?;
    trial.end(&Ending { primary: Some(new), fenced: &[old], may_lose: true, ..Ending::default() })
}
