//! `ANY 1`, `ANY 2`, `FIRST 1`: the primary dies in the midst of writing, and no acknowledged commit is lost. Where one
//! standby may be behind, it is, and its name comes first: the other one wins.

use anyhow::{Result, ensure};
use lab::Lab;

use crate::replication::{another_primary, bring_back, commits_wait_for, fall_behind};
use crate::trial::{Ending, Trial};

/// For how many standbys commits wait, and whether one of the two can do without being heard.
const QUORUMS: [(&str, bool); 3] = [("ANY 1", true), ("ANY 2", false), ("FIRST 1", true)];

pub fn play(lab: &Lab) -> Result<()> {
    let trial = Trial::begin(lab)?;
    let mut fenced = Vec::new();
    for (quorum, one_lags) in QUORUMS {
        let (old, standbys) = (trial.primary()?, trial.standbys()?);
        let (behind, ahead) = (standbys[0], standbys[1]);
        commits_wait_for(lab, &format!("{quorum} ({}, {}, {})", ahead.name(), behind.name(), old.name()))?;
        trial.writes_go_on()?;
        if one_lags {
            fall_behind(&trial, behind, ahead)?;
        }
        trial.fault(&format!("{quorum}: cut the power of the primary"), || old.cut_power())?;
        lab.heal()?;
        let new = another_primary(&trial, old)?;
        ensure!(!one_lags || new.name() == ahead.name(), "{quorum}: {} was promoted, which lags", new.name());
        bring_back(&trial, old, new)?;
        trial.writes_go_on()?;
        fenced.push(old);
    }
    trial.end(&Ending { fenced: &fenced, ..Ending::default() })
}
