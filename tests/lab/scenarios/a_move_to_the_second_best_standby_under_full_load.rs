//! A switchover, while the primary writes as much as it can, to the standby that Pacemaker would not have chosen.

use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

use anyhow::{Context, Result, ensure};
use lab::lab::RESOURCE;
use lab::{Lab, Node};

use crate::operator::{CLONE, pcs};
use crate::trial::{Ending, Trial};

const LOAD: &str = "CREATE TABLE IF NOT EXISTS load (line text);
    INSERT INTO load SELECT repeat('load', 100) FROM generate_series(1, 2000); TRUNCATE load";

pub fn play(lab: &Lab) -> Result<()> {
    let trial = Trial::begin(lab)?;
    let old = trial.primary()?;
    let cluster = lab.cluster()?;
    let standbys = trial.standbys()?.into_iter();
    let target = standbys.min_by_key(|node| cluster.score(RESOURCE, node.name())).context("there is no standby")?;
    let done = AtomicBool::new(false);
    let loads = thread::scope(|scope| {
        let load = scope.spawn(|| write_until(old, &done));
        let moved = trial.fault(&format!("move the primary to {}", target.name()), || {
            pcs(target, &["resource", "move", CLONE, target.name(), "--promoted"])
        });
        done.store(true, Ordering::Release);
        let loads = load.join().ok().context("the load panicked")?;
        moved.map(|_| loads)
    })?;
    ensure!(loads > 0, "there was no load");
    let new = trial.another_primary(old)?;
    ensure!(new.name() == target.name(), "{} was promoted instead of {}", new.name(), target.name());
    new.psql_in("app", "DROP TABLE IF EXISTS load")?;
    trial.end(&Ending { primary: Some(target), ..Ending::default() })
}

/// Writes until there is no primary here any more; how often.
fn write_until(primary: &Node, done: &AtomicBool) -> u32 {
    let mut times = 0;
    while !done.load(Ordering::Acquire) && primary.psql_in("app", LOAD).is_ok() {
        times += 1;
    }
    times
}
