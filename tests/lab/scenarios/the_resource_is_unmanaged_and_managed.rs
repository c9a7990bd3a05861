//! Without management nothing is done about a stopped standby; with it again, it is started, and nothing else is touched.

use anyhow::{Result, ensure};
use lab::Lab;
use lab::cluster::Role;
use lab::lab::RESOURCE;

use crate::operator::{CLONE, all_started_at, another, monitor_on, pcs, stop_by_hand, wait_until_idle};
use crate::trial::{Ending, LIMIT, Trial};

pub fn play(lab: &Lab) -> Result<()> {
    let trial = Trial::begin(lab)?;
    let (primary, standby) = (trial.primary()?, trial.standbys()?[0]);
    let others = [primary, another(lab, &[primary, standby])?];
    let before = all_started_at(others)?;
    trial.fault("unmanage the resource", || pcs(primary, &["resource", "unmanage", CLONE]))?;
    lab.wait_for(LIMIT, "the resource to be unmanaged", |cluster| {
        cluster.instances.iter().all(|instance| instance.managed == (instance.resource != RESOURCE))
    })?;
    trial.fault("stop a standby by hand", || stop_by_hand(standby))?;
    lab.wait_for(LIMIT, "the stopped standby to be noticed", |cluster| {
        cluster.role(RESOURCE, standby.name()) == Role::Stopped
    })?;
    wait_until_idle(primary)?;
    ensure!(standby.psql("SELECT 1").is_err(), "it was started although it is not managed");
    trial.fault("manage the resource", || pcs(primary, &["resource", "manage", CLONE]))?;
    lab.wait_for_primary(LIMIT, lab.nodes().len() - 1)?;
    trial.end(&Ending {
        primary: Some(primary),
        still_running: &before,
        failed_actions: &[monitor_on(standby, 3000)],
        ..Ending::default()
    })
}
