//! A standby replays with an hour's delay. It is restarted, so that it has neither replayed nor received the WAL on its
//! disk; then the primary dies. The WAL on the disk counts.

use anyhow::{Result, ensure};
use lab::{Lab, eventually};

use crate::operator::{kill_postmaster, started_at};
use crate::replication::{bring_back, cut_replication, fall_behind};
use crate::trial::{Ending, LIMIT, Trial};

pub fn play(lab: &Lab) -> Result<()> {
    let trial = Trial::begin(lab)?;
    let (old, standbys) = (trial.primary()?, trial.standbys()?);
    let (behind, delayed) = (standbys[0], standbys[1]);
    delayed.psql("ALTER SYSTEM SET recovery_min_apply_delay = '1h'")?;
    delayed.psql("SELECT pg_reload_conf()")?;
    fall_behind(&trial, behind, delayed)?;
    let before = started_at(delayed)?;
    trial.fault("cut replication to the delayed standby, and kill it", || {
        cut_replication(lab, delayed)?;
        kill_postmaster(delayed)
    })?;
    eventually(LIMIT, "the delayed standby to be started again", || {
        ensure!(started_at(delayed)? != before, "it is still the old one");
        Ok(())
    })?;
    let reached = delayed.psql("SELECT coalesce(pg_last_wal_receive_lsn(), '0/0'), pg_last_wal_replay_lsn()")?;
    lab::progress::step(format!("{} has received and replayed {reached}", delayed.name()));
    trial.fault("cut the power of the primary", || old.power_off())?;
    lab.heal()?;
    let new = trial.another_primary(old)?;
    ensure!(new.name() == delayed.name(), "{} was promoted, which lacks what {} holds", new.name(), delayed.name());
    new.psql("ALTER SYSTEM RESET recovery_min_apply_delay")?;
    new.psql("SELECT pg_reload_conf()")?;
    bring_back(&trial, old, new)?;
    trial.end(&Ending { primary: Some(new), fenced: &[old], ..Ending::default() })
}
