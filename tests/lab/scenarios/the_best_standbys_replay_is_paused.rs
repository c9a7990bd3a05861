//! A DBA has paused the replay on the standby that is ahead, and the primary dies: it wins all the same, and replays.

use anyhow::{Result, ensure};
use lab::Lab;

use crate::replication::{bring_back, fall_behind};
use crate::trial::{Ending, Trial};

pub fn play(lab: &Lab) -> Result<()> {
    let trial = Trial::begin(lab)?;
    let (old, standbys) = (trial.primary()?, trial.standbys()?);
    let (behind, ahead) = (standbys[0], standbys[1]);
    trial.fault("pause the replay of a standby", || ahead.psql("SELECT pg_wal_replay_pause()"))?;
    fall_behind(&trial, behind, ahead)?;
    trial.fault("cut the power of the primary", || old.power_off())?;
    lab.heal()?;
    let new = trial.another_primary(old)?;
    ensure!(new.name() == ahead.name(), "{} was promoted, which lacks what {} holds", new.name(), ahead.name());
    bring_back(&trial, old, new)?;
    trial.end(&Ending { primary: Some(new), fenced: &[old], ..Ending::default() })
}
