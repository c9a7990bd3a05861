//! When the primary dies, the score of the standby that is ahead is missing, and that of the other is bad. PAF's permanent
//! scores lie about all of them. Still the right one is promoted, and the permanent scores are removed.

use anyhow::{Result, ensure};
use lab::lab::RESOURCE;
use lab::{Lab, Node, eventually};

use crate::replication::{bring_back, fall_behind};
use crate::trial::{Ending, LIMIT, Trial};

pub fn play(lab: &Lab) -> Result<()> {
    let trial = Trial::begin(lab)?;
    let (old, standbys) = (trial.primary()?, trial.standbys()?);
    let (behind, ahead) = (standbys[0], standbys[1]);
    trial.fault("set permanent scores", || {
        lab.nodes().iter().try_for_each(|node| set_permanent_score(old, node, "-1000"))
    })?;
    permanent_scores_are_removed(lab, ahead)?;
    fall_behind(&trial, behind, ahead)?;
    trial.fault("spoil the scores, and cut the power of the primary", || {
        stop_monitoring(old)?;
        let score = format!("master-{RESOURCE}");
        ahead.run(&["attrd_updater", "--name", &score, "--node", ahead.name(), "--delete"])?;
        ahead.run(&["attrd_updater", "--name", &score, "--node", behind.name(), "--update", "-1000"])?;
        old.power_off()?;
        set_permanent_score(ahead, behind, "-1000")?;
        set_permanent_score(ahead, old, "1001")?;
        lab.heal()
    })?;
    let new = trial.another_primary(old)?;
    ensure!(new.name() == ahead.name(), "{} was promoted, which lacks what {} holds", new.name(), ahead.name());
    permanent_scores_are_removed(lab, new)?;
    bring_back(&trial, old, new)?;
    trial.end(&Ending { primary: Some(new), fenced: &[old], ..Ending::default() })
}

fn set_permanent_score(by: &Node, node: &Node, score: &str) -> Result<()> {
    let name = format!("master-{RESOURCE}");
    let argv = ["crm_attribute", "--lifetime", "forever", "--node", node.name(), "--name", &name, "--update", score];
    by.run(&argv).map(drop)
}

fn permanent_scores_are_removed(lab: &Lab, by: &Node) -> Result<()> {
    eventually(LIMIT, "the permanent scores to be removed", || {
        let nodes = by.run(&["cibadmin", "--query", "--scope", "nodes"])?;
        ensure!(!nodes.contains(&format!("master-{RESOURCE}")), "{nodes}{}", lab.cluster()?);
        Ok(())
    })
}

/// The node's executor is stopped, and the last action has ended.
fn stop_monitoring(node: &Node) -> Result<()> {
    node.run(&["pkill", "-STOP", "pacemaker-execd"])?;
    eventually(LIMIT, "the last action to end", || {
        let running = node.exec(&["pgrep", "--full", "ocf/resource.d/rust/pgsqlms"])?;
        ensure!(!running.success(), "{}", running.stdout);
        Ok(())
    })
}
