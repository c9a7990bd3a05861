//! `systemctl restart pacemaker` on the primary's node. In maintenance mode no PostgreSQL notices it. Otherwise it is a switchover,
//! as for every service that is shut down, and the node comes back as a standby.

use std::time::Duration;

use anyhow::{Result, ensure};
use lab::{Lab, Node};

use crate::operator::{all_started_at, another, pcs, wait_until_idle};
use crate::trial::{Ending, LIMIT, Trial};

/// A shutdown stops everything first.
const RESTART_LIMIT: Duration = Duration::from_secs(120);

pub fn play(lab: &Lab) -> Result<()> {
    let trial = Trial::begin(lab)?;
    let primary = trial.primary()?;
    let before = all_started_at(lab.nodes())?;
    trial.fault("maintenance mode on", || pcs(primary, &["property", "set", "maintenance-mode=true"]))?;
    wait_until_idle(primary)?;
    trial.fault("restart Pacemaker in maintenance mode", || restart(lab, primary))?;
    trial.fault("maintenance mode off", || pcs(primary, &["property", "set", "maintenance-mode=false"]))?;
    wait_until_idle(primary)?;
    trial.writes_go_on()?;
    let after = all_started_at(lab.nodes())?;
    ensure!(after == before, "PostgreSQL was restarted: {before:?}, now {after:?}");
    ensure!(trial.primary()?.name() == primary.name(), "{} is the primary now", trial.primary()?.name());

    let others = lab.nodes().iter().filter(|node| node.name() != primary.name());
    let before = all_started_at(others)?;
    trial.fault("restart Pacemaker", || restart(lab, primary))?;
    let new = trial.another_primary(primary)?;
    lab.wait_for_primary(LIMIT, lab.nodes().len() - 1)?;
    trial.end(&Ending { primary: Some(new), still_running: &before, ..Ending::default() })
}

fn restart(lab: &Lab, node: &Node) -> Result<()> {
    node.exec_within(RESTART_LIMIT, &["systemctl", "restart", "pacemaker"])?.ok()?;
    lab.wait_for(LIMIT, "all nodes to be online", |cluster| cluster.online().len() == lab.nodes().len())?;
    wait_until_idle(another(lab, &[node])?)
}
