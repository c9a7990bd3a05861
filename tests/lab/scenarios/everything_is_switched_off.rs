//! Pacemaker is stopped on all nodes at once, all machines are told to power off, and two of three nodes leave: everything ends
//! within its time, the address, too, nothing is fenced, and everything comes back.

use std::time::Duration;

use anyhow::{Result, ensure};
use lab::provision::on_all;
use lab::{Lab, Node, eventually};

use crate::switching_off;
use crate::trial::{Ending, LIMIT, Trial};

/// Nothing of it takes longer. The unit of Pacemaker would wait for 30 minutes.
const SOON: Duration = Duration::from_secs(60);

const ALL: [&str; 2] = ["pacemaker", "corosync"];

pub fn play(lab: &Lab) -> Result<()> {
    let trial = Trial::begin(lab)?;
    trial.fault("stop Pacemaker on all nodes", || on_all(lab.nodes(), |node| control(node, "stop", &ALL)))?;
    is_shut_down(lab)?;
    on_all(lab.nodes(), |node| control(node, "start", &["corosync", "pacemaker"]))?;
    back(&trial)?;

    trial.fault("power off all machines", || on_all(lab.nodes(), switch_off))?;
    on_all(lab.nodes(), Node::power_on)?;
    back(&trial)?;

    let (primary, standbys) = (trial.primary()?, trial.standbys()?);
    trial.fault("two of three leave", || standbys.iter().try_for_each(|node| control(node, "stop", &ALL)))?;
    eventually(SOON, "the address to leave", || {
        let addresses = primary.run(&["ip", "-oneline", "address"])?;
        ensure!(!addresses.contains(&lab.vip().to_string()), "{addresses}");
        Ok(())
    })?;
    standbys.iter().try_for_each(|node| control(node, "start", &["corosync", "pacemaker"]))?;
    back(&trial)?;
    trial.end(&Ending { elected: true, ..Ending::default() })
}

/// Waits for a primary that clients can write to.
fn back(trial: &Trial<'_>) -> Result<()> {
    trial.lab.wait_for_primary(LIMIT, trial.lab.nodes().len() - 1)?;
    trial.writes_go_on()
}

fn control(node: &Node, verb: &str, units: &[&str]) -> Result<()> {
    let argv: Vec<&str> = ["systemctl", verb].iter().chain(units).copied().collect();
    node.exec_within(SOON, &argv)?.ok().map(drop)
}

fn switch_off(node: &Node) -> Result<()> {
    // It may be gone before it has answered.
    let _ = node.exec(&["systemctl", "poweroff"]);
    eventually(SOON, &format!("{} to be off", node.name()), || {
        ensure!(!node.is_on(), "it is on");
        Ok(())
    })
}

/// PostgreSQL was stopped, not killed.
fn is_shut_down(lab: &Lab) -> Result<()> {
    lab.nodes().iter().try_for_each(switching_off::is_shut_down)
}
