//! The network between the PostgreSQLs is cut, and the cluster's own is not: commits wait, there is no failover, and one standby
//! remains a candidate. Then the primary dies, and a standby is promoted.

use anyhow::{Result, ensure};
use lab::Lab;
use lab::lab::RESOURCE;

use crate::operator::{all_started_at, wait_until_idle};
use crate::replication::{bring_back, cut_replication};
use crate::trial::{Ending, LIMIT, Trial};

pub fn play(lab: &Lab) -> Result<()> {
    let trial = Trial::begin(lab)?;
    let (old, standbys) = (trial.primary()?, trial.standbys()?);
    let before = all_started_at(lab.nodes())?;
    trial.fault("cut replication", || cut_replication(lab, old))?;
    lab.wait_for(LIMIT, "one standby to be a candidate still, and the other not", |cluster| {
        let scores = standbys.iter().filter_map(|node| cluster.score(RESOURCE, node.name()));
        scores.filter(|score| *score > 0).count() == 1
    })?;
    wait_until_idle(old)?;
    ensure!(all_started_at(lab.nodes())? == before, "a PostgreSQL was restarted");
    ensure!(trial.primary()?.name() == old.name(), "{} is the primary now", trial.primary()?.name());
    trial.fault("cut the power of the primary", || old.power_off())?;
    lab.heal()?;
    let new = trial.another_primary(old)?;
    bring_back(&trial, old, new)?;
    trial.end(&Ending { primary: Some(new), fenced: &[old], ..Ending::default() })
}
