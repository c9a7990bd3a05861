//! Somebody takes every connection that the primary and a standby have: the monitors cannot connect any more, and nothing
//! happens to either.

use std::time::Duration;

use anyhow::{Result, ensure};
use lab::Lab;
use lab::provision::on_all;

use crate::faults::take_all_connections;
use crate::operator::{all_started_at, monitor_on, reason_shown};
use crate::trial::{Ending, Trial};

/// Thirty monitors of the primary.
const HOW_LONG: Duration = Duration::from_secs(60);

pub fn play(lab: &Lab) -> Result<()> {
    let trial = Trial::begin(lab)?;
    let (primary, standby) = (trial.primary()?, trial.standbys()?[0]);
    let before = all_started_at(lab.nodes())?;
    trial.fault("take all connections of the primary and of a standby", || {
        on_all(&[primary.clone(), standby.clone()], |node| take_all_connections(node, HOW_LONG))
    })?;
    // They are told, and Pacemaker does nothing about them: the agent calls it degraded.
    for (node, interval) in [(primary, 2000), (standby, 3000)] {
        let reason = reason_shown(lab, &format!("monitor_{interval}"), node)?;
        ensure!(reason.contains("too many clients"), "the reason is `{reason}`");
    }
    trial.end(&Ending {
        primary: Some(primary),
        still_running: &before,
        failed_actions: &[monitor_on(primary, 2000), monitor_on(standby, 3000)],
        ..Ending::default()
    })
}
