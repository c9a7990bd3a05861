//! Pacemaker's daemons are killed one after the other. The attribute daemon and the fencer are of no consequence to PostgreSQL on
//! a standby's node; the others take the controller with them, and its node is fenced if it is not back at once: that is
//! Pacemaker's own rule. Every node has a score again, which the CIB loses when its attribute daemon or its controller starts
//! anew, and with it the primary its role: a node is promoted without any loss.

use anyhow::{Result, ensure};
use lab::lab::RESOURCE;
use lab::{Cluster, Lab, Node, eventually};

use crate::faults::kill_daemon;
use crate::operator::{another, rejoin, started_at, wait_until_idle};
use crate::replication::forget_failures;
use crate::trial::{Ending, LIMIT, Trial, is_kept_out};

/// Without which the others go on.
const INDEPENDENT: [&str; 2] = ["fenced", "attrd"];

/// Daemons that take the controller with them; the scheduler does so only on the coordinator.
const VITAL: [&str; 2] = ["schedulerd", "based"];

pub fn play(lab: &Lab) -> Result<()> {
    let trial = Trial::begin(lab)?;
    let (primary, standby) = (trial.primary()?, trial.standbys()?[0]);
    let before = [started_at(primary)?, started_at(standby)?];
    for daemon in INDEPENDENT {
        kill(&trial, standby, daemon)?;
    }
    let after = [started_at(primary)?, started_at(standby)?];
    ensure!(after == before, "PostgreSQL was restarted: {before:?}, now {after:?}");

    for daemon in INDEPENDENT.into_iter().chain(VITAL) {
        let primary = trial.primary()?;
        kill(&trial, primary, daemon)?;
        let now = trial.primary()?;
        if now.name() != primary.name() {
            lab::progress::step(format!("the primary was {} and is {}", primary.name(), now.name()));
        }
    }
    forget_failures(lab)?;
    let fenced = trial.fenced()?;
    let fenced = fenced.iter().map(|node| lab.find_node(node)).collect::<Result<Vec<_>>>()?;
    trial.end(&Ending { fenced: &fenced, ..Ending::default() })
}

/// Kills a daemon, and waits until everything is well again. Only its own node may have been fenced, if at all.
fn kill(trial: &Trial<'_>, node: &Node, daemon: &str) -> Result<()> {
    let before = trial.fenced()?.len();
    trial.fault(&format!("kill pacemaker-{daemon} on {}", node.name()), || kill_daemon(node, daemon))?;
    all_is_well(trial.lab, node)?;
    trial.writes_go_on()?;
    let fenced = trial.fenced()?.split_off(before);
    let may_be = usize::from(VITAL.contains(&daemon));
    ensure!(fenced.len() <= may_be && fenced.iter().all(|fenced| fenced == node.name()), "{daemon}: fenced {fenced:?}");
    Ok(())
}

fn all_is_well(lab: &Lab, node: &Node) -> Result<()> {
    let score = |cluster: &Cluster, node: &Node| cluster.score(RESOURCE, node.name());
    let mut is_rejoined = false;
    eventually(LIMIT, "all nodes to be online and to have a score", || {
        // Pacemaker stays down where it learns, once it has started again, that its node was fenced.
        if !node.exec(&["systemctl", "is-active", "--quiet", "pacemaker"])?.success() {
            node.exec(&["systemctl", "start", "corosync", "pacemaker"])?;
        }
        let cluster = lab.cluster()?;
        // A primary that is fenced may hold WAL that no standby has received: of commits that were not acknowledged.
        if !is_rejoined && is_kept_out(&cluster, node) {
            rejoin(node)?;
            is_rejoined = true;
        }
        let promotable = lab.nodes().iter().all(|node| score(&cluster, node).is_some_and(|score| score > 0));
        ensure!(promotable && cluster.online().len() == lab.nodes().len(), "{cluster}");
        Ok(())
    })?;
    wait_until_idle(another(lab, &[node])?)?;
    lab.wait_for_primary(LIMIT, lab.nodes().len() - 1).map(drop)
}
