//! While the primary dies, the daemon that carries scores and votes between the nodes stands still on both standbys for three
//! seconds: the failover takes that much longer, and is none the worse.

use anyhow::{Result, ensure};
use lab::Lab;
use lab::provision::on_all;

use crate::replication::{bring_back, fall_behind};
use crate::trial::{Ending, Trial};

const STAND_STILL: &str =
    "pkill -STOP pacemaker-attrd; (sleep 3; pkill -CONT pacemaker-attrd) >/dev/null 2>&1 </dev/null &";

pub fn play(lab: &Lab) -> Result<()> {
    let trial = Trial::begin(lab)?;
    let (old, standbys) = (trial.primary()?, trial.standbys()?);
    let (behind, ahead) = (standbys[0], standbys[1]);
    fall_behind(&trial, behind, ahead)?;
    trial.fault("stop the attribute daemons, and cut the power of the primary", || {
        let standbys = [behind.clone(), ahead.clone()];
        on_all(&standbys, |node| node.run(&["sh", "-c", STAND_STILL]).map(drop))?;
        old.power_off()?;
        lab.heal()
    })?;
    let new = trial.another_primary(old)?;
    ensure!(new.name() == ahead.name(), "{} was promoted, which lacks what {} holds", new.name(), ahead.name());
    bring_back(&trial, old, new)?;
    trial.end(&Ending { primary: Some(new), fenced: &[old], ..Ending::default() })
}
