//! The primary is gone, and both standbys must not be promoted. A person promotes the one that holds the most, and says that it may
//! be the primary: it becomes the cluster's, because nothing can be lost by it.

use anyhow::{Result, ensure};
use lab::Lab;

use crate::operator::pcs;
use crate::replication::{bar, bring_back, no_node_is_promoted};
use crate::trial::{Ending, Trial};

pub fn play(lab: &Lab) -> Result<()> {
    let trial = Trial::begin(lab)?;
    let (old, standbys) = (trial.primary()?, trial.standbys()?);
    standbys.iter().try_for_each(|standby| bar(&trial, standby))?;
    trial.fault("cut the power of the primary", || old.power_off())?;
    no_node_is_promoted(lab, &["barred"])?;
    let first = standbys[0].psql("SELECT pg_last_wal_receive_lsn()")?;
    let more = standbys[1].psql(&format!("SELECT pg_last_wal_receive_lsn() > '{first}'"))? == "t";
    let (chosen, other) = if more { (standbys[1], standbys[0]) } else { (standbys[0], standbys[1]) };
    trial.fault(&format!("pg_promote() on {}", chosen.name()), || {
        ensure!(chosen.psql("SELECT pg_promote()")? == "t", "it was not promoted");
        pcs(chosen, &["node", "attribute", chosen.name(), "pgsqlms-nofailover="])
    })?;
    let new = trial.another_primary(old)?;
    ensure!(new.name() == chosen.name(), "{} is the primary, not {}", new.name(), chosen.name());
    pcs(new, &["node", "attribute", other.name(), "pgsqlms-nofailover="])?;
    bring_back(&trial, old, new)?;
    trial.end(&Ending { primary: Some(new), fenced: &[old], elected: true, ..Ending::default() })
}
