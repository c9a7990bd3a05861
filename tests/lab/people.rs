//! Promotions by hand beside a primary, and their required results.

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use lab::cluster::{Failure, Role};
use lab::lab::{RESOURCE, VIP_RESOURCE};
use lab::{Lab, Node, eventually, progress};

use crate::operator::{AGENT, CLONE, all_started_at, any_node, pcs, rejoin, timeline, wait_until_idle};
use crate::replication::{another_primary, bring_back, commits_wait_for, cut_replication, property};
use crate::trial::{BRINGS_BACK, Ending, LIMIT, Trial};

/// How long it may take until a node is named that was promoted beside the primary, and is a standby again.
const SOON: Duration = Duration::from_secs(60);

/// Whether the standby that is promoted by hand receives WAL then.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stray {
    /// It does.
    Streams,
    /// It does not, and the primary has gone on without it.
    IsCutOff,
}

/// A standby is promoted by hand beside the primary, and clients go on. Then the primary loses its power: the other standby is
/// promoted and lacks nothing that it held, and the command that `crm_mon` shows brings back the one that was promoted by hand:
/// before the power cut where replication is synchronous.
pub fn promoted_beside_the_primary(lab: &Lab, synchronous: bool, how: Stray) -> Result<()> {
    let trial = Trial::begin(lab)?;
    let (old, standbys) = (trial.primary()?, trial.standbys()?);
    let (stray, heir) = (standbys[0], standbys[1]);
    if !synchronous {
        commits_wait_for(lab, "")?;
    }
    let before = all_started_at([old, heir])?;
    if how == Stray::IsCutOff {
        trial.fault(&format!("cut replication to {}", stray.name()), || cut_replication(lab, stray))?;
        trial.writes_go_on()?;
    }
    trial.promote_by_hand(stray)?;
    is_named(lab, stray)?;
    if how == Stray::IsCutOff {
        lab.heal()?;
    }
    trial.writes_go_on()?;
    is_named(lab, stray)?;
    ensure!(trial.primary()?.name() == old.name(), "{} is the primary now", trial.primary()?.name());
    let now = all_started_at([old, heir])?;
    ensure!(now == before, "PostgreSQL was restarted: {before:?}, now {now:?}");

    if synchronous {
        // The vote of a diverged node proves nothing, and that of one standby of two is not enough.
        rejoin(stray)?;
        trial.writes_go_on()?;
        trial.fault("cut the power of the primary", || old.power_off())?;
    } else {
        trial.cut_power_once_held(old, heir, || old.power_off())?;
    }
    // Synchronous commits wait until there is a standby again.
    let new = another_primary(&trial, old)?;
    if !synchronous {
        ensure!(new.name() == heir.name(), "{} was promoted, and {} held everything", new.name(), heir.name());
        is_named(lab, stray)?;
        rejoin(stray)?;
    }
    bring_back(&trial, old, new)?;
    trial.end(&Ending { primary: Some(new), fenced: &[old], elected: true, ..Ending::default() })
}

/// Waits until `crm_mon` shows why a node is kept out that was promoted beside the primary, with the command that brings it back,
/// and it is a standby that must not be promoted.
pub fn is_named(lab: &Lab, stray: &Node) -> Result<()> {
    let reason = eventually(SOON, &format!("{} to be a standby again, and to be named", stray.name()), || {
        let cluster = lab.cluster()?;
        let names = |failure: &&Failure| {
            let reason = &failure.reason;
            let why = reason.contains("promoted outside an election") || reason.contains("diverged");
            failure.node == stray.name() && why && reason.contains(BRINGS_BACK)
        };
        let reason = cluster.failures.iter().find(names).map(|failure| failure.reason.clone());
        let promotable = cluster.score(RESOURCE, stray.name()).is_some_and(|score| score >= 0);
        ensure!(cluster.role(RESOURCE, stray.name()) == Role::Unpromoted && !promotable, "{cluster}");
        ensure!(stray.psql("SELECT pg_is_in_recovery()")? == "t", "{} accepts writes", stray.name());
        reason.with_context(|| format!("{cluster}"))
    })?;
    progress::step(format!("{} is named: {reason}", stray.name()));
    Ok(())
}

/// The state that a refused promotion must not change: the servers, the timeline, and the promotions on record.
pub fn as_it_is(lab: &Lab) -> Result<(Vec<String>, u32, Vec<String>)> {
    let record = property(lab, "promotions")?;
    // The rest of an entry may change by itself: whether a standby has followed, for instance.
    let promotion = |entry: &str| entry.split_whitespace().take(2).collect::<Vec<_>>().join(" ");
    Ok((all_started_at(lab.nodes())?, timeline(lab.primary()?)?, record.split(';').map(promotion).collect()))
}

/// How people and their tools promote past Pacemaker.
pub const FORCED: [&[&str]; 2] = [
    &["crm_resource", "--resource", CLONE, "--force-promote", "--force"],
    &["pcs", "resource", "debug-promote", RESOURCE],
];

/// Fails unless this is refused on a standby, for the reason that there is this primary.
pub fn is_refused(standby: &Node, primary: &Node, argv: &[&str]) -> Result<()> {
    let (name, done) = (standby.name(), standby.exec_within(LIMIT, argv)?);
    let output = format!("{}{}", done.stdout, done.stderr);
    progress::step(format!("{name}: {}: {}", argv.join(" "), output.trim()));
    ensure!(standby.psql("SELECT pg_is_in_recovery()")? == "t", "{name} was promoted: {output}");
    ensure!(!done.success(), "it has succeeded on {name}: {output}");
    ensure!(output.contains(primary.name()), "{name} does not say that {} is the primary: {output}", primary.name());
    Ok(())
}

/// Standbys follow by the primary's name, and there is no virtual address; until [`with_a_virtual_address`].
pub fn without_a_virtual_address(lab: &Lab) -> Result<()> {
    let node = any_node(lab)?;
    pcs(node, &["resource", "update", RESOURCE, "follow=node"])?;
    wait_until_idle(node)?;
    // After a reload, Pacemaker may take the primary for a standby until it has promoted it, which changes nothing there.
    let primary = lab.wait_for_primary(LIMIT, lab.nodes().len() - 1)?;
    for standby in lab.nodes().iter().filter(|node| node.name() != primary.name()) {
        eventually(LIMIT, &format!("{} to follow {} by its name", standby.name(), primary.name()), || {
            let from = standby.psql("SELECT sender_host FROM pg_stat_wal_receiver WHERE status = 'streaming'")?;
            ensure!(from == primary.name(), "it streams from `{from}`");
            Ok(())
        })?;
    }
    pcs(node, &["resource", "disable", VIP_RESOURCE])?;
    wait_until_idle(node)
}

/// Undoes [`without_a_virtual_address`].
pub fn with_a_virtual_address(lab: &Lab) -> Result<()> {
    let node = any_node(lab)?;
    pcs(node, &["resource", "enable", VIP_RESOURCE])?;
    wait_until_idle(node)?;
    pcs(node, &["resource", "update", RESOURCE, "follow="])?;
    // A standby that is being brought back has no server for a moment.
    wait_until_idle(node)?;
    for node in lab.nodes() {
        node.run(&["sed", "-i", "/^primary_conninfo/d", &format!("{}/pgsqlms.conf", node.pgdata())])?;
        node.psql("SELECT pg_reload_conf()")?;
    }
    Ok(())
}

/// The agent as a person types it, without Pacemaker's environment.
pub fn typed_promote(node: &Node) -> Vec<String> {
    let pgdata = format!("OCF_RESKEY_pgdata={}", node.pgdata());
    ["env", "OCF_ROOT=/usr/lib/ocf", &pgdata, AGENT, "promote"].map(str::to_owned).to_vec()
}
