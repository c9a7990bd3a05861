//! A standby is down while more WAL is written than a node keeps without slots, and meanwhile another node becomes the
//! primary. It comes back and streams from the new primary, which has kept a slot for it; and so on after a failover. A logical
//! failover slot outlives the primary, with the changes that its subscriber has not read. A node that leaves the cluster loses
//! its slot.

use anyhow::{Result, ensure};
use lab::{Lab, Node, eventually};

use crate::operator::{CLONE, another, any_node, pcs, wait_until_idle};
use crate::replication::{bring_back, forget_failures};
use crate::trial::{Ending, LIMIT, Trial};

/// The settings of every node.
const SETTINGS: [(&str, &str); 6] = [
    ("max_slot_wal_keep_size", "1GB"),
    ("wal_keep_size", "0"),
    ("max_wal_size", "64MB"),
    ("wal_level", "logical"),
    ("hot_standby_feedback", "on"),
    ("sync_replication_slots", "on"),
];

/// A configuration file that belongs to a node and not to its data.
const NODE_CONF: &str = "/etc/postgresql/pgsqlms-node.conf";

/// 150 MB of WAL: four times as much is less than a slot may hold back.
const MUCH: &str =
    "SELECT count(pg_logical_emit_message(false, 'x', repeat('x', 1000000))) FROM generate_series(1, 150)";

pub fn play(lab: &Lab) -> Result<()> {
    let trial = Trial::begin(lab)?;
    set_up(&trial)?;
    let (old, standbys) = (trial.primary()?, trial.standbys()?);
    let (away, other) = (standbys[0], standbys[1]);
    old.psql(
        "SELECT pg_create_physical_replication_slot('mine', true), pg_create_physical_replication_slot('pgsqlms_srv9', true)",
    )?;
    all_nodes_have_slots(lab, old, "mine")?;
    old.psql("SELECT pg_create_logical_replication_slot('sub', 'test_decoding', failover => true)")?;
    all_nodes_have_the_logical_slot(lab, old)?;
    old.psql("SELECT pg_logical_emit_message(true, 'lab', 'before the switchover')")?;

    trial.fault("put a standby's node on standby", || pcs(old, &["node", "standby", away.name(), "--wait=120"]))?;
    write_much(old, other)?;
    move_to(&trial, old, other)?;
    is_read(other, "before the switchover")?;
    write_much(other, old)?;
    trial.fault("the standby's node is back", || {
        pcs(other, &["node", "unstandby", away.name(), "--wait=120"]).map(drop)
    })?;
    streams_by_slot(away, other)?;
    streams_by_slot(old, other)?;
    all_nodes_have_slots(lab, other, "")?;
    // The old primary's own slot has made room for the new one's.
    all_nodes_have_the_logical_slot(lab, other)?;
    other.psql("SELECT pg_logical_emit_message(true, 'lab', 'before the failover')")?;

    trial.fault("cut the power of the primary", || other.cut_power())?;
    let last = trial.another_primary(other)?;
    is_read(last, "before the failover")?;
    let survivor = if last.name() == old.name() { away } else { old };
    streams_by_slot(survivor, last)?;
    bring_back(&trial, other, last)?;
    streams_by_slot(other, last)?;
    all_nodes_have_slots(lab, last, "")?;
    // Its own is not there any more, either, which would keep it from starting without wal_level=logical.
    all_nodes_have_the_logical_slot(lab, last)?;
    last.psql("SELECT pg_drop_replication_slot('sub')")?;
    no_node_has_a_logical_slot(lab)?;
    leaves(&trial, other, last)?;

    for node in lab.nodes() {
        node.run(&["sed", "-i", "s/ dbname=postgres'/'/", NODE_CONF])?;
        SETTINGS.iter().try_for_each(|(name, _)| node.psql(&format!("ALTER SYSTEM RESET {name}")).map(drop))?;
        node.psql("SELECT pg_drop_replication_slot(slot_name) FROM pg_replication_slots WHERE slot_name = 'mine'")?;
        node.psql("SELECT pg_reload_conf()")?;
    }
    forget_failures(lab)?;
    trial.end(&Ending { primary: Some(last), fenced: &[other], elected: true, ..Ending::default() })
}

/// Slots are bounded, and standbys copy logical ones. One of the settings wants a restart.
fn set_up(trial: &Trial<'_>) -> Result<()> {
    let lab = trial.lab;
    for node in lab.nodes() {
        node.run(&["sed", "-i", "s/^\\(primary_conninfo = '.*\\)'$/\\1 dbname=postgres'/", NODE_CONF])?;
        SETTINGS
            .iter()
            .try_for_each(|(name, value)| node.psql(&format!("ALTER SYSTEM SET {name} = '{value}'")).map(drop))?;
    }
    trial.fault("restart all", || {
        pcs(any_node(lab)?, &["resource", "disable", CLONE, "--wait=120"])?;
        pcs(any_node(lab)?, &["resource", "enable", CLONE])
    })?;
    lab.wait_for_primary(LIMIT, lab.nodes().len() - 1)?;
    wait_until_idle(any_node(lab)?)
}

/// Waits until every standby has a copy of the logical slot that could be used, and says so. Its subscriber keeps up.
fn all_nodes_have_the_logical_slot(lab: &Lab, primary: &Node) -> Result<()> {
    for node in lab.nodes().iter().filter(|node| node.name() != primary.name()) {
        eventually(LIMIT, &format!("{} to have the logical slot", node.name()), || {
            primary.psql("SELECT pg_log_standby_snapshot()")?;
            primary.psql("SELECT count(*) FROM pg_logical_slot_get_changes('sub', NULL, NULL)")?;
            let query = ["attrd_updater", "--query", "--name=pgsqlms-logical-pgsqld", "--node", node.name()];
            let value = node.run(&query)?;
            ensure!(value.contains("\"has sub\""), "it has published {value}");
            Ok(())
        })?;
    }
    Ok(())
}

/// Waits until the copies are gone, too.
fn no_node_has_a_logical_slot(lab: &Lab) -> Result<()> {
    for node in lab.nodes() {
        eventually(LIMIT, &format!("{} to have no logical slot", node.name()), || {
            let slots = node.psql("SELECT count(*) FROM pg_replication_slots WHERE slot_type = 'logical'")?;
            ensure!(slots == "0", "it has {slots}");
            Ok(())
        })?;
    }
    Ok(())
}

/// The subscriber goes on with the new primary where it was with the old one.
fn is_read(primary: &Node, message: &str) -> Result<()> {
    let read = "SELECT data FROM pg_logical_slot_get_changes('sub', NULL, NULL) WHERE data LIKE '%prefix: lab%'";
    let read = primary.psql(read)?;
    ensure!(read.contains(message), "{} has no `{message}` for the subscriber: {read}", primary.name());
    Ok(())
}

/// A node is removed from the cluster, loses its slot on all others, and comes back.
fn leaves(trial: &Trial<'_>, leaving: &Node, primary: &Node) -> Result<()> {
    let other = another(trial.lab, &[leaving, primary])?;
    trial.fault(&format!("remove {} from the cluster", leaving.name()), || {
        leaving.run(&["systemctl", "stop", "pacemaker", "corosync"])?;
        primary.run(&["crm_node", "--force", "--remove", leaving.name()])
    })?;
    // It has no slot, and is to come back.
    primary.psql("ALTER SYSTEM SET wal_keep_size = '1GB'")?;
    primary.psql("SELECT pg_reload_conf()")?;
    write_much(primary, other)?;
    for (node, kept) in [(primary, other), (other, primary)] {
        eventually(LIMIT, &format!("{} to keep a slot for {} alone", node.name(), kept.name()), || {
            let slots = "SELECT string_agg(slot_name, ' ') FROM pg_replication_slots WHERE slot_name <> 'mine'";
            let slots = node.psql(slots)?;
            ensure!(slots == format!("pgsqlms_{}", kept.name()), "it has `{slots}`");
            Ok(())
        })?;
    }
    trial.fault("it is a member again", || leaving.run(&["systemctl", "start", "corosync", "pacemaker"]))?;
    streams_by_slot(leaving, primary)?;
    // A standby makes room for it with the next WAL that it could remove.
    write_much(primary, other)?;
    all_nodes_have_slots(trial.lab, primary, "")
}

fn move_to(trial: &Trial<'_>, from: &Node, to: &Node) -> Result<()> {
    let what = format!("move the primary to {}", to.name());
    trial.fault(&what, || pcs(any_node(trial.lab)?, &["resource", "move", CLONE, to.name(), "--promoted"]))?;
    let primary = trial.another_primary(from)?;
    ensure!(primary.name() == to.name(), "{} was promoted instead of {}", primary.name(), to.name());
    Ok(())
}

/// Waits until every node has a slot for each other one, and no more of the agent's; `more` is on the primary beside them.
fn all_nodes_have_slots(lab: &Lab, primary: &Node, more: &str) -> Result<()> {
    for node in lab.nodes() {
        let others = lab.nodes().iter().filter(|other| other.name() != node.name());
        let names = others.map(|other| format!("pgsqlms_{}", other.name()));
        let mut wanted: Vec<String> = names.collect();
        if node.name() == primary.name() && !more.is_empty() {
            wanted.insert(0, more.to_owned());
        }
        let wanted = wanted.join(" ");
        eventually(LIMIT, &format!("{} to have the slots {wanted}", node.name()), || {
            let slots = "SELECT string_agg(slot_name, ' ' ORDER BY slot_name) FROM pg_replication_slots \
                 WHERE wal_status <> 'lost' AND slot_type = 'physical'";
            let slots = node.psql(slots)?;
            ensure!(slots == wanted || (more.is_empty() && slots == format!("mine {wanted}")), "it has `{slots}`");
            Ok(())
        })?;
    }
    Ok(())
}

/// Writes WAL on the primary, waits for the replay, and lets both remove WAL that no slot holds.
fn write_much(primary: &Node, standby: &Node) -> Result<()> {
    for _ in 0..2 {
        primary.psql(MUCH)?;
        primary.psql("CHECKPOINT")?;
        let end = primary.psql("SELECT pg_current_wal_lsn()")?;
        eventually(LIMIT, "the other standby to replay", || {
            let replayed = standby.psql(&format!("SELECT pg_last_wal_replay_lsn() >= '{end}'"))?;
            ensure!(replayed == "t", "it has not");
            Ok(())
        })?;
        standby.psql("CHECKPOINT")?;
    }
    Ok(())
}

fn streams_by_slot(standby: &Node, primary: &Node) -> Result<()> {
    let slot = format!("pgsqlms_{}", standby.name());
    eventually(LIMIT, &format!("{} to stream from its slot on {}", standby.name(), primary.name()), || {
        let used = standby.psql("SELECT slot_name FROM pg_stat_wal_receiver WHERE status = 'streaming'")?;
        ensure!(used == slot, "it uses `{used}`");
        let active = primary.psql(&format!("SELECT active FROM pg_replication_slots WHERE slot_name = '{slot}'"))?;
        ensure!(active == "t", "its slot is not active");
        Ok(())
    })
}
