//! A switchover to a standby whose replication is cut: it lacks the WAL that the old primary wrote before it was shut down, so the
//! old primary is promoted again, once, and the reason names both positions.

use anyhow::{Context, Result, ensure};
use lab::Lab;
use lab::cluster::Role;
use lab::lab::RESOURCE;

use crate::operator::{CLONE, timeline, wait_until_idle};
use crate::replication::{fall_behind, forget_failures};
use crate::trial::{Ending, LIMIT, Trial};

pub fn play(lab: &Lab) -> Result<()> {
    let trial = Trial::begin(lab)?;
    let (old, standbys) = (trial.primary()?, trial.standbys()?);
    let (target, other) = (standbys[0], standbys[1]);
    let before = timeline(old)?;
    fall_behind(&trial, target, other)?;
    trial.fault(&format!("move the primary to {}", target.name()), || {
        // pcs complains, in one way or another, that the move did not have the effect it should.
        let argv = ["pcs", "resource", "move", CLONE, target.name(), "--promoted", "--wait=120"];
        old.exec_within(LIMIT, &argv).map(drop)
    })?;
    let cluster = lab.wait_for(LIMIT, "the old primary to be promoted again", |cluster| {
        cluster.nodes_with(RESOURCE, Role::Promoted) == [old.name()]
    })?;
    let failed = cluster.failures.iter().find(|failure| failure.node == target.name()).map(|failure| &failure.reason);
    let reason = failed.with_context(|| format!("no reason is shown: {cluster}"))?;
    lab::progress::step(reason);
    let positions = reason.matches("0/").count();
    ensure!(reason.contains(old.name()) && positions == 2, "the reason does not name both positions: {reason}");
    // The operator's wish still stands, and would be granted once the target has caught up.
    old.exec(&["pcs", "resource", "clear", CLONE])?;
    lab.heal()?;
    trial.writes_go_on()?;
    wait_until_idle(old)?;
    let promotions = timeline(old)? - before;
    ensure!(promotions == 1, "there were {promotions} promotions instead of one");
    forget_failures(lab)?;
    trial.end(&Ending { primary: Some(old), ..Ending::default() })
}
