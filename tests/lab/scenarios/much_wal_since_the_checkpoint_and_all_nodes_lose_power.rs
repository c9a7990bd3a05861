//! The primary has more WAL since its last checkpoint than can be read before `start` has to answer. All nodes lose power, and
//! the only standby that holds the last commits stays off. The primary holds them, too, and cannot say so at once: the other
//! standby, whose WAL ends before them, must not be promoted meanwhile.

use std::time::Duration;

use anyhow::{Result, ensure};
use lab::cluster::Role;
use lab::disk::{self, Disks};
use lab::lab::RESOURCE;
use lab::provision::on_all;
use lab::{Lab, Node};

use crate::operator::{pcs, wait_until_idle};
use crate::replication::{fall_behind, forget_failures};
use crate::stage::Stage;
use crate::trial::{Ending, LIMIT, Trial};

/// How much WAL there is, how fast it is read, and how long a start may take.
struct Scale {
    megabytes: u64,
    rate: u64,
    start: &'static str,
}

impl Scale {
    /// How long a recovery may take.
    fn limit(&self) -> Duration {
        LIMIT + Duration::from_secs(3 * (self.megabytes << 20) / self.rate)
    }
}

pub fn play(stage: &mut Stage) -> Result<()> {
    on(stage, &Scale { megabytes: 320, rate: 8 << 20, start: "20s" })
}

/// The same with as much WAL, and as slow a disk, as a small cloud machine has.
pub fn play_at_scale(stage: &mut Stage) -> Result<()> {
    on(stage, &Scale { megabytes: 4096, rate: 40 << 20, start: "60s" })
}

fn on(stage: &mut Stage, scale: &Scale) -> Result<()> {
    let builder = stage.builder().disks(Disks::Disk);
    let lab = stage.bring_up(builder)?;
    let trial = Trial::begin(lab)?;
    let (holder, standbys) = (trial.primary()?, trial.standbys()?);
    let (behind, ahead) = (standbys[0], standbys[1]);
    pcs(holder, &["resource", "update", RESOURCE, "op", "start", &format!("timeout={}", scale.start)])?;
    wait_until_idle(holder)?;
    write(lab, holder, scale)?;
    fall_behind(&trial, behind, ahead)?;
    trial.fault("cut the power of all nodes", || on_all(lab.nodes(), Node::power_off))?;
    lab.heal()?;
    disk::drop_page_cache()?;
    let returning = [holder.clone(), behind.clone()];
    trial.fault("give power to the primary and the standby that is behind", || {
        on_all(&returning, |node| {
            node.power_on()?;
            node.read_slowly(Some(scale.rate))
        })
    })?;
    // Any promoted node ends the wait: it must be the holder.
    let what = format!("{} to be the primary again, or {} instead", holder.name(), behind.name());
    let cluster =
        lab.wait_for(scale.limit(), &what, |cluster| !cluster.nodes_with(RESOURCE, Role::Promoted).is_empty())?;
    let promoted = cluster.nodes_with(RESOURCE, Role::Promoted);
    ensure!(promoted == [holder.name()], "{promoted:?} was promoted, which lacks what {} holds", holder.name());
    let votes = holder.run(&["journalctl", "--identifier=pgsqlms", "--grep=votes with", "--output=cat"])?;
    ensure!(votes.contains("extent=atleast"), "{} was never in want of time: {votes}", holder.name());
    on_all(&returning, |node| node.read_slowly(None))?;
    trial.writes_go_on()?;
    trial.fault("the third node gets power again", || ahead.power_on())?;
    lab.wait_for_primary(LIMIT, 2)?;
    forget_failures(lab)?;
    trial.end(&Ending { primary: Some(holder), fenced: &[ahead], elected: true, ..Ending::default() })
}

/// No node makes a checkpoint any more, and the primary writes.
fn write(lab: &Lab, primary: &Node, scale: &Scale) -> Result<()> {
    for node in lab.nodes() {
        for setting in ["checkpoint_timeout = '1d'", "max_wal_size = '64GB'"] {
            node.psql(&format!("ALTER SYSTEM SET {setting}"))?;
        }
        node.psql("SELECT pg_reload_conf()")?;
        node.psql("CHECKPOINT")?;
    }
    lab::progress::step(format!("{} writes {} MB of WAL", primary.name(), scale.megabytes));
    // Logical messages of a megabyte: no tables that would have to be read and written, too.
    let message = "pg_logical_emit_message(false, 'lab', repeat('x', 1048400))";
    for _ in 0..scale.megabytes.div_ceil(64) {
        primary.psql(&format!("SELECT count({message}) FROM generate_series(1, 64)"))?;
    }
    Ok(())
}
