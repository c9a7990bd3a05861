//! The primary's data directory has a file system of its own, and that stands still (fsfreeze): reading goes on, and no commit goes
//! through. For some seconds that is nothing but slow. Over several monitors it is a failure: another node is promoted, and the old
//! primary, of which nothing can be ended, is fenced.

use std::time::Duration;

use anyhow::{Result, ensure};
use lab::clock::Deadline;
use lab::{Lab, Node, disk, eventually, progress};

use super::while_on_standby;
use crate::faults::Frozen;
use crate::operator::{
    all_started_at, failed_actions, pcs, reason_shown, rebuild, start_by_hand, stop_by_hand, wait_until_idle,
};
use crate::replication::{another_primary, forget_failures};
use crate::trial::{Ending, LIMIT, Return, Trial};

const A_MOMENT: Duration = Duration::from_secs(5);

/// Within this time there is another primary: monitors wait 20 s, and then a demote and a fencing are tried.
const A_MINUTE: Duration = Duration::from_secs(60);

/// A commit that was on the disk already is acknowledged in less.
const UNDER_WAY: Duration = Duration::from_secs(1);

pub fn for_a_moment(lab: &Lab) -> Result<()> {
    let trial = Trial::begin(lab)?;
    let primary = trial.primary()?;
    stopped_by_hand(&trial, primary, || disk::give_own(primary, &primary.pgdata()))?;
    let before = all_started_at(lab.nodes())?;
    let frozen = trial.fault("the primary's storage hangs", || Frozen::new(primary, &primary.pgdata()))?;
    stands_still(&trial)?;
    trial.fault("it answers again", || {
        drop(frozen);
        Ok(())
    })?;
    trial.writes_go_on()?;
    wait_until_idle(primary)?;
    let (now, failed, fenced) = (all_started_at(lab.nodes())?, failed_actions(lab)?, trial.fenced()?);
    ensure!(now == before, "PostgreSQL was restarted: {before:?}, now {now:?}");
    ensure!(trial.primary()?.name() == primary.name(), "the primary is another one");
    ensure!(failed.is_empty() && fenced.is_empty(), "failed actions: {failed:?}, fenced: {fenced:?}");
    stopped_by_hand(&trial, primary, || disk::take_own(primary, &primary.pgdata()))?;
    trial.end(&Ending { primary: Some(primary), ..Ending::default() })
}

pub fn for_a_minute(lab: &Lab) -> Result<()> {
    let trial = Trial::begin(lab)?;
    let old = trial.primary()?;
    stopped_by_hand(&trial, old, || disk::give_own(old, &old.pgdata()))?;
    let in_time = Deadline::after(A_MINUTE);
    let frozen = trial.fault("the primary's storage hangs", || Frozen::new(old, &old.pgdata()))?;
    let reason = reason_shown(lab, "monitor_2000", old)?;
    ensure!(reason.contains("storage has not answered for"), "the reason is `{reason}`");
    let new = another_primary(&trial, old)?;
    progress::step(format!("{} is promoted after {:.1} s", new.name(), (A_MINUTE - in_time.left()).as_secs_f64()));
    ensure!(!in_time.passed(), "{} was promoted too late: {}", new.name(), lab.cluster()?);
    trial.writes_go_on()?;
    let fenced = trial.fenced()?;
    ensure!(fenced == [old.name()], "fenced: {fenced:?}");
    drop(frozen);
    let back = trial.comes_back(old)?;
    while_on_standby(&trial, old, || disk::take_own(old, &old.pgdata()))?;
    if back == Return::KeptOut {
        rebuild(old, new)?;
    }
    forget_failures(lab)?;
    trial.end(&Ending { primary: Some(new), fenced: &[old], elected: true, ..Ending::default() })
}

/// Changes something on a node while its PostgreSQL was stopped by hand, and does not run.
fn stopped_by_hand(trial: &Trial<'_>, node: &Node, change: impl FnOnce() -> Result<()>) -> Result<()> {
    trial.fault("maintenance mode on", || pcs(node, &["property", "set", "maintenance-mode=true"]))?;
    wait_until_idle(node)?;
    trial.fault("stop PostgreSQL by hand, and start it", || {
        stop_by_hand(node)?;
        change()?;
        start_by_hand(node)
    })?;
    trial.fault("maintenance mode off", || pcs(node, &["property", "set", "maintenance-mode=false"]))?;
    wait_until_idle(node)?;
    trial.writes_go_on()
}

/// Waits while no commit is acknowledged.
fn stands_still(trial: &Trial<'_>) -> Result<()> {
    let (end, under_way) = (Deadline::after(A_MOMENT), Deadline::after(UNDER_WAY));
    let passes = |deadline: Deadline| {
        eventually(LIMIT, "some time to pass", || {
            ensure!(deadline.passed(), "it has not");
            Ok(())
        })
    };
    passes(under_way)?;
    let before = trial.acknowledged();
    passes(end)?;
    let since = trial.acknowledged() - before;
    ensure!(since == 0, "{since} commits were acknowledged meanwhile");
    Ok(())
}
