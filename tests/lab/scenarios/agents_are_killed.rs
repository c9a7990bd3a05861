//! kill -9 for the agent in the midst of monitor, notify, start, demote and stop: the cluster comes to one primary and two
//! standbys every time. Only a stop that did not answer costs a fencing: that is Pacemaker's own rule.

use anyhow::{Result, ensure};
use lab::{Lab, Node, eventually};

use crate::hook;
use crate::operator::{another, pcs, started_at};
use crate::replication::forget_failures;
use crate::trial::{Ending, LIMIT, Trial};

pub fn play(lab: &Lab) -> Result<()> {
    let trial = Trial::begin(lab)?;
    let (old, standby) = (trial.primary()?, trial.standbys()?[0]);
    let third = another(lab, &[old, standby])?;
    let before = [started_at(old)?, started_at(third)?];

    hook::kill_midway(third, "notify")?;
    trial.fault("kill a standby's monitor, and what another node is notified of", || killed(standby, "monitor"))?;
    hook::reached(third)?;
    hook::remove(third)?;
    recovered(lab)?;

    trial.fault("kill a standby's start", || {
        pcs(old, &["node", "standby", standby.name(), "--wait=120"])?;
        hook::kill_midway(standby, "start")?;
        pcs(old, &["node", "unstandby", standby.name()])?;
        caught(standby)
    })?;
    recovered(lab)?;
    ensure!(before == [started_at(old)?, started_at(third)?], "a PostgreSQL was restarted whose agent was not killed");

    trial.fault("kill the primary's demote", || {
        hook::kill_midway(old, "demote")?;
        pcs(third, &["node", "standby", old.name()])?;
        caught(old)
    })?;
    let new = trial.another_primary(old)?;
    pcs(third, &["node", "unstandby", old.name()])?;
    recovered(lab)?;

    trial.fault("kill the stop of the former primary", || {
        hook::kill_midway(old, "stop")?;
        pcs(new, &["node", "standby", old.name()])?;
        eventually(LIMIT, "the node to be fenced", || {
            ensure!(trial.fenced()? == [old.name()], "fenced so far: {:?}", trial.fenced()?);
            Ok(())
        })?;
        hook::remove(old)?;
        pcs(new, &["node", "unstandby", old.name()])
    })?;
    recovered(lab)?;
    trial.end(&Ending { primary: Some(new), fenced: &[old], ..Ending::default() })
}

/// The next agent of this action is killed.
fn killed(node: &Node, action: &str) -> Result<()> {
    hook::kill_midway(node, action)?;
    caught(node)
}

fn caught(node: &Node) -> Result<()> {
    hook::reached(node)?;
    hook::remove(node)
}

/// Checks the failures and cleans them up. Then the cluster must be healthy.
fn recovered(lab: &Lab) -> Result<()> {
    forget_failures(lab)?;
    lab.wait_for_primary(LIMIT, lab.nodes().len() - 1).map(drop)
}
