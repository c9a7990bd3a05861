//! The ways in which people switch a cluster off: all of it, one machine, or so many that no quorum is left. Each ends within its time,
//! PostgreSQL is shut down and not killed, and everything comes back.

use std::fs;
use std::thread;
use std::time::Duration;

use anyhow::{Context, Result, anyhow, ensure};
use lab::cluster::Role;
use lab::lab::{RESOURCE, VIP_RESOURCE};
use lab::provision::on_all;
use lab::{Node, eventually, pcsd};

use crate::aborts;
use crate::operator::{CLONE, any_node, pcs};
use crate::trial::{LIMIT, Trial};

/// Nothing of it takes longer. The unit of Pacemaker would wait for 30 minutes.
const SOON: Duration = Duration::from_secs(60);

/// `DB_SHUTDOWNED` and `DB_SHUTDOWNED_IN_RECOVERY` of PostgreSQL's `pg_control.h`, and where the state is in the file.
const SHUT_DOWN: [u8; 2] = [1, 2];
const STATE: usize = 16;

/// `pcs resource disable`, and `enable`.
pub fn disable_and_enable(trial: &Trial<'_>) -> Result<()> {
    let lab = trial.lab;
    trial.fault("disable the resource", || {
        aborts::none_during(lab, || pcs(any_node(lab)?, &["resource", "disable", CLONE, "--wait=120"]))
    })?;
    lab.wait_for(LIMIT, "every instance and the address to be stopped", |cluster| {
        let is_stopped = |node: &Node| cluster.role(RESOURCE, node.name()) == Role::Stopped;
        lab.nodes().iter().all(is_stopped) && cluster.nodes_with(VIP_RESOURCE, Role::Started).is_empty()
    })?;
    lab.nodes().iter().try_for_each(is_shut_down)?;
    trial.fault("enable the resource", || pcs(any_node(lab)?, &["resource", "enable", CLONE, "--wait=120"]))?;
    back(trial)
}

/// `pcs cluster stop --all`, and `start --all`.
pub fn stop_and_start_by_pcs(trial: &Trial<'_>) -> Result<()> {
    let nodes = trial.lab.nodes();
    pcsd::start(nodes)?;
    trial.fault("pcs cluster stop --all", || {
        let node = any_node(trial.lab)?;
        node.exec_within(SOON, &["pcs", "cluster", "stop", "--all"])?.ok()
    })?;
    for node in nodes {
        let units = node.exec(&["systemctl", "is-active", "pacemaker", "corosync"])?.stdout;
        ensure!(!units.lines().any(|state| state == "active"), "on {}: {units}", node.name());
        is_shut_down(node)?;
    }
    trial
        .fault("pcs cluster start --all", || nodes[0].exec_within(SOON, &["pcs", "cluster", "start", "--all"])?.ok())?;
    // A machine that is switched off would wait for it.
    pcsd::end(nodes)?;
    back(trial)
}

/// `systemctl stop` of Pacemaker and Corosync on all nodes at once, and `start`.
pub fn stop_and_start_pacemaker(trial: &Trial<'_>) -> Result<()> {
    let nodes = trial.lab.nodes();
    trial.fault("stop Pacemaker on all nodes", || on_all(nodes, |node| control(node, "stop")))?;
    nodes.iter().try_for_each(is_shut_down)?;
    on_all(nodes, |node| control(node, "start"))?;
    back(trial)
}

/// `systemctl poweroff` of all machines at once.
pub fn power_off_all(trial: &Trial<'_>) -> Result<()> {
    let nodes = trial.lab.nodes();
    trial.fault("power off all machines", || on_all(nodes, switch_off))?;
    on_all(nodes, Node::power_on)?;
    back(trial)
}

/// `systemctl poweroff` of a standby's machine: the primary remains, and is not restarted.
pub fn power_off_a_standby(trial: &Trial<'_>) -> Result<()> {
    let (primary, standby) = (trial.primary()?, trial.standbys()?[0]);
    trial.fault("power off a standby's machine", || switch_off(standby))?;
    trial.writes_go_on()?;
    ensure!(trial.primary()?.name() == primary.name(), "{} is the primary", trial.primary()?.name());
    standby.power_on()?;
    back(trial)
}

/// `systemctl poweroff` of the primary's machine: a standby is promoted.
pub fn power_off_the_primary(trial: &Trial<'_>) -> Result<()> {
    let primary = trial.primary()?;
    trial.fault("power off the primary's machine", || switch_off(primary))?;
    trial.another_primary(primary)?;
    primary.power_on()?;
    back(trial)
}

/// Pacemaker and Corosync are stopped on all standbys: PostgreSQL is stopped on the last node, and the address leaves.
pub fn lose_quorum(trial: &Trial<'_>) -> Result<()> {
    let (primary, standbys) = (trial.primary()?, trial.standbys()?);
    trial.fault("two of three leave", || at_once(&standbys, |node| control(node, "stop")))?;
    eventually(SOON, "the address to leave, and the primary to be shut down", || {
        let addresses = primary.run(&["ip", "-oneline", "address"])?;
        ensure!(!addresses.contains(&trial.lab.vip().to_string()), "{addresses}");
        is_shut_down(primary)
    })?;
    at_once(&standbys, |node| control(node, "start"))?;
    back(trial)
}

/// Waits for a primary that clients can write to.
fn back(trial: &Trial<'_>) -> Result<()> {
    trial.lab.wait_for_primary(LIMIT, trial.lab.nodes().len() - 1)?;
    trial.writes_go_on()
}

fn control(node: &Node, verb: &str) -> Result<()> {
    node.exec_within(SOON, &["systemctl", verb, "pacemaker", "corosync"])?.ok().map(drop)
}

/// The machine is off soon, and its PostgreSQL is shut down.
fn switch_off(node: &Node) -> Result<()> {
    // It may be gone before it has answered.
    let _ = node.exec(&["systemctl", "poweroff"]);
    eventually(SOON, &format!("{} to be off", node.name()), || {
        ensure!(!node.is_on(), "it is on");
        Ok(())
    })?;
    is_shut_down(node)
}

/// PostgreSQL was stopped, not killed. The machine may be off.
fn is_shut_down(node: &Node) -> Result<()> {
    let path = node.path(&format!("{}/global/pg_control", node.pgdata()));
    let control = fs::read(&path).with_context(|| format!("cannot read {}", path.display()))?;
    let state = control.get(STATE).context("pg_control is too short")?;
    ensure!(SHUT_DOWN.contains(state), "PostgreSQL on {} was not shut down: {state}", node.name());
    Ok(())
}

/// Does the same on these nodes at the same time; the first error counts.
fn at_once(nodes: &[&Node], what: impl Fn(&Node) -> Result<()> + Sync) -> Result<()> {
    thread::scope(|scope| {
        let what = &what;
        let threads: Vec<_> = nodes.iter().map(|node| scope.spawn(move || what(node))).collect();
        let results = threads.into_iter().map(|thread| thread.join().unwrap_or_else(|_| Err(anyhow!("it panicked"))));
        results.collect::<Vec<_>>().into_iter().collect()
    })
}

/// One way, and its name.
type Way = (&'static str, fn(&Trial<'_>) -> Result<()>);

/// What a campaign repeats, in an order in which each begins with another's end.
pub const WAYS: [Way; 6] = [
    ("disable and enable the resource", disable_and_enable),
    ("stop and start the cluster by pcs", stop_and_start_by_pcs),
    ("power off all machines", power_off_all),
    ("power off a standby's machine", power_off_a_standby),
    ("power off the primary's machine", power_off_the_primary),
    ("lose the quorum", lose_quorum),
];
