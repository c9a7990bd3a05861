//! The old primary is back with a standby that lags, and the node that was promoted after it is gone: neither is promoted
//! over the newer history, and Pacemaker shows why, until that node returns. The command that overrides this prints the loss
//! and does nothing without --yes.

use anyhow::{Result, ensure};
use lab::{Cut, Lab, Node, eventually};

use crate::operator::{AGENT, pcs, reason_shown};
use crate::replication::{commits_wait_for, cut_replication, forget_failures, no_node_is_promoted, property};
use crate::trial::{Ending, LIMIT, Trial};

pub fn play(lab: &Lab) -> Result<()> {
    let trial = Trial::begin(lab)?;
    let (stale, standbys) = (trial.primary()?, trial.standbys()?);
    let (lagging, new) = (standbys[0], standbys[1]);
    // Otherwise that alone forbids a promotion.
    commits_wait_for(lab, "")?;
    trial.fault("cut replication to a standby", || cut_replication(lab, lagging))?;
    trial.fault("switch over to the other one", || {
        pcs(new, &["node", "standby", stale.name(), "--wait=120"])?;
        lab.cut(&Cut::Postgres(stale.name().into(), new.name().into()))?;
        pcs(new, &["node", "unstandby", stale.name(), "--wait=120"])
    })?;
    let promoted = trial.another_primary(stale)?;
    ensure!(promoted.name() == new.name(), "{} was promoted, which lags", promoted.name());
    eventually(LIMIT, "the promotion to count", || {
        let record = property(lab, "promotions")?;
        let last = record.split(';').next().unwrap_or_default();
        ensure!(last.contains(new.name()) && last.contains("kept"), "the record is `{record}`");
        Ok(())
    })?;
    // Where the coordinator dies after this, Pacemaker loses the cancelling of such a monitor and waits: with that, less than 70 s.
    pcs(new, &["property", "set", "cluster-delay=10s"])?;
    for node in [stale, lagging] {
        let reason = reason_shown(lab, "monitor_3000", node)?;
        ensure!(reason.contains("no WAL received"), "the reason is `{reason}`");
    }
    trial.fault("cut the power of the new primary", || new.power_off())?;
    lab.heal()?;
    no_node_is_promoted(lab, &["missed", new.name()])?;
    only_reports_the_loss(stale, new)?;
    trial.fault("the new primary gets power again", || new.power_on())?;
    trial.writes_go_on()?;
    lab.wait_for_primary(LIMIT, lab.nodes().len() - 1)?;
    pcs(new, &["property", "set", "cluster-delay="])?;
    forget_failures(lab)?;
    trial.end(&Ending { primary: Some(new), fenced: &[new], ..Ending::default() })
}

fn only_reports_the_loss(stale: &Node, new: &Node) -> Result<()> {
    let output = stale.run(&[AGENT, "promote-anyway", "--resource", "pgsqld"])?;
    lab::progress::step(output.trim());
    for words in [new.name(), "lost", "--yes"] {
        ensure!(output.contains(words), "`{words}` is not in the override's output: {output}");
    }
    Ok(())
}
