//! The file system with the primary's WAL is full. A standby is promoted, once; nobody is fenced; and the node comes back as a
//! standby when there is space again.

use anyhow::{Result, ensure};
use lab::Lab;

use super::{becomes_primary, while_on_standby};
use crate::faults::Disk;
use crate::operator::{promotions, rebuild};
use crate::replication::forget_failures;
use crate::trial::{Ending, Return, Trial};

/// More than the WAL that is kept.
const SIZE: &str = "600M";

pub fn play(lab: &Lab) -> Result<()> {
    let trial = Trial::begin(lab)?;
    let full = becomes_primary(&trial, |node| Disk::Wal.make_small(node, SIZE))?;
    let before = promotions(full)?;
    trial.fault("fill the primary's disk", || {
        Disk::Wal.fill(full)?;
        // Until the WAL that is there already is used up.
        let _ = full.psql_in("app", "CREATE TABLE load AS SELECT repeat('load', 100) FROM generate_series(1, 2000000)");
        Ok(())
    })?;
    let new = trial.another_primary(full)?;
    // A timeline that was taken for a promotion which failed is not in its history.
    let promotions = promotions(new)? - before;
    ensure!(promotions == 1, "there were {promotions} promotions instead of one");
    trial.fault("there is space again", || Disk::Wal.free(full))?;
    forget_failures(lab)?;
    let back = trial.comes_back(full)?;
    while_on_standby(&trial, full, || Disk::Wal.make_large(full))?;
    if back == Return::KeptOut {
        rebuild(full, new)?;
    }
    forget_failures(lab)?;
    trial.end(&Ending { primary: Some(new), ..Ending::default() })
}
