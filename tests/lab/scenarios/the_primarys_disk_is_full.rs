//! The file system with the primary's WAL is full. A standby is promoted, once; no node is fenced; and the node comes back as a
//! standby when there is space again.

use anyhow::{Result, ensure};
use lab::Lab;

use super::{becomes_primary, while_on_standby};
use crate::faults::Disk;
use crate::operator::{promotions, rebuild};
use crate::replication::forget_failures;
use crate::trial::{Ending, Return, Trial};

/// Free space on the small disk, in MB.
const ROOM: u64 = 128;

/// The most rounds of load, each of more than 200 MB of WAL: PostgreSQL writes into the segments that it has before it needs a new one.
const ROUNDS: usize = 8;

pub fn play(lab: &Lab) -> Result<()> {
    let trial = Trial::begin(lab)?;
    let full = becomes_primary(&trial, |node| Disk::Wal.make_small(node, ROOM))?;
    let before = promotions(full)?;
    trial.fault("fill the primary's disk", || {
        Disk::Wal.fill(full)?;
        let load =
            "SELECT count(pg_logical_emit_message(false, 'load', repeat('load', 250))) FROM generate_series(1, 200000)";
        let is_full = (0..ROUNDS).any(|_| full.psql_in("app", load).is_err());
        ensure!(is_full, "{} had room for {ROUNDS} rounds of load", full.name());
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
