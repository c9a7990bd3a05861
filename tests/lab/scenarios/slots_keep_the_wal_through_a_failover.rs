//! A standby is down while more WAL is written than anybody keeps for its own sake, and meanwhile another node becomes the
//! primary. It comes back and streams from the new primary, which has kept a slot for it; and so on after a failover.

use anyhow::{Result, ensure};
use lab::{Lab, Node, eventually};

use crate::operator::{CLONE, pcs, somebody};
use crate::replication::{bring_back, forget_failures};
use crate::trial::{Ending, LIMIT, Trial};

/// What every node is set up with.
const SETTINGS: [(&str, &str); 3] =
    [("max_slot_wal_keep_size", "1GB"), ("wal_keep_size", "0"), ("max_wal_size", "64MB")];

/// 150 MB of WAL: four times as much is less than a slot may hold back.
const MUCH: &str =
    "SELECT count(pg_logical_emit_message(false, 'x', repeat('x', 1000000))) FROM generate_series(1, 150)";

pub fn play(lab: &Lab) -> Result<()> {
    let trial = Trial::begin(lab)?;
    let (old, standbys) = (trial.primary()?, trial.standbys()?);
    let (away, other) = (standbys[0], standbys[1]);
    for node in lab.nodes() {
        SETTINGS
            .iter()
            .try_for_each(|(name, value)| node.psql(&format!("ALTER SYSTEM SET {name} = '{value}'")).map(drop))?;
        node.psql("SELECT pg_reload_conf()")?;
    }
    old.psql(
        "SELECT pg_create_physical_replication_slot('mine', true), pg_create_physical_replication_slot('pgsqlms_srv9', true)",
    )?;
    everybody_has_slots(lab, old, "mine")?;

    trial.fault("put a standby's node on standby", || pcs(old, &["node", "standby", away.name(), "--wait=120"]))?;
    write_much(old, other)?;
    move_to(&trial, old, other)?;
    write_much(other, old)?;
    trial.fault("the standby's node is back", || {
        pcs(other, &["node", "unstandby", away.name(), "--wait=120"]).map(drop)
    })?;
    streams_by_slot(away, other)?;
    streams_by_slot(old, other)?;
    everybody_has_slots(lab, other, "")?;

    trial.fault("cut the power of the primary", || other.cut_power())?;
    let last = trial.another_primary(other)?;
    let survivor = if last.name() == old.name() { away } else { old };
    streams_by_slot(survivor, last)?;
    bring_back(&trial, other, last)?;
    streams_by_slot(other, last)?;
    everybody_has_slots(lab, last, "")?;

    for node in lab.nodes() {
        SETTINGS.iter().try_for_each(|(name, _)| node.psql(&format!("ALTER SYSTEM RESET {name}")).map(drop))?;
        node.psql("SELECT pg_drop_replication_slot(slot_name) FROM pg_replication_slots WHERE slot_name = 'mine'")?;
        node.psql("SELECT pg_reload_conf()")?;
    }
    forget_failures(lab)?;
    trial.end(&Ending { primary: Some(last), fenced: &[other], elected: true, ..Ending::default() })
}

fn move_to(trial: &Trial<'_>, from: &Node, to: &Node) -> Result<()> {
    let what = format!("move the primary to {}", to.name());
    trial.fault(&what, || pcs(somebody(trial.lab)?, &["resource", "move", CLONE, to.name(), "--promoted"]))?;
    let primary = trial.another_primary(from)?;
    ensure!(primary.name() == to.name(), "{} was promoted instead of {}", primary.name(), to.name());
    Ok(())
}

/// Waits until every node has a slot for each other one, and no more of the agent's; `more` is on the primary beside them.
fn everybody_has_slots(lab: &Lab, primary: &Node, more: &str) -> Result<()> {
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
                 WHERE wal_status <> 'lost'";
            let slots = node.psql(slots)?;
            ensure!(slots == wanted || (more.is_empty() && slots == format!("mine {wanted}")), "it has `{slots}`");
            Ok(())
        })?;
    }
    Ok(())
}

/// Writes WAL on the primary, has it replayed, and has both remove what nobody needs.
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
