//! kill -9 on the primary's postmaster: recovered by Pacemaker without a fencing, and long before the next monitor, because
//! PostgreSQL's unit reports the end.

use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
use lab::Lab;
use lab::lab::RESOURCE;

use crate::operator::{any_node, failed_actions, kill_postmaster, pcs, reported_on, started_at, wait_until_idle};
use crate::trial::{Ending, LIMIT, Trial};

/// The monitor's intervals, usual and for this scenario.
const USUAL: &str = "interval=2s";
const LONG: &str = "interval=300s";

/// Far less than that interval, and much more than it takes.
const SOON: Duration = Duration::from_secs(30);

pub fn play(lab: &Lab) -> Result<()> {
    let trial = Trial::begin(lab)?;
    let old = trial.primary()?;
    let before = started_at(old)?;
    replace_monitor(lab, USUAL, LONG)?;
    let killed = Instant::now();
    trial.fault("kill the primary's postmaster", || kill_postmaster(old))?;
    lab::eventually(LIMIT, "PostgreSQL to be started again on the node where it was killed", || {
        ensure!(started_at(old)? != before, "it is still the old one");
        Ok(())
    })?;
    trial.writes_go_on()?;
    ensure!(killed.elapsed() < SOON, "it took {} s", killed.elapsed().as_secs());
    let failed = failed_actions(lab)?;
    ensure!(failed == [reported_on(old)], "failed actions: {failed:?}");
    // Pacemaker forgets the failure by this.
    replace_monitor(lab, LONG, USUAL)?;
    trial.end(&Ending::default())
}

/// The primary's monitor gets another interval.
fn replace_monitor(lab: &Lab, old: &str, new: &str) -> Result<()> {
    let (node, role) = (any_node(lab)?, "role=Promoted");
    pcs(node, &["resource", "op", "remove", RESOURCE, "monitor", old, "timeout=10s", role])?;
    pcs(node, &["resource", "op", "add", RESOURCE, "monitor", new, "timeout=10s", role])?;
    wait_until_idle(node)
}
