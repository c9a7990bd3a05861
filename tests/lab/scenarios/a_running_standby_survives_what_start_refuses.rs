//! Mistakes that would prevent a start appear on nodes where PostgreSQL runs: a wrong configuration, a recovery template,
//! missing programs. PostgreSQL goes on. A standby's stop works, its next start names the mistake, and no node is fenced.

use std::fs;

use anyhow::{Result, ensure};
use lab::cluster::Role;
use lab::lab::RESOURCE;
use lab::{Lab, Node};

use crate::by_hand;
use crate::faults::{bring_back_programs, hide_programs, mend_configuration, spoil_configuration};
use crate::operator::{all_started_at, another, no_failure, pcs, reason_shown};
use crate::replication::forget_failures;
use crate::trial::{Ending, LIMIT, Trial};

struct Obstacle {
    name: &'static str,
    appears: fn(&Node) -> Result<()>,
    disappears: fn(&Node) -> Result<()>,
    /// Words that the reason of a start must contain.
    named: &'static str,
}

const OBSTACLES: [Obstacle; 3] = [
    Obstacle {
        name: "a mistake in postgresql.conf",
        appears: spoil_configuration,
        disappears: mend_configuration,
        named: "syntax error",
    },
    Obstacle {
        name: "a recovery template",
        appears: make_template,
        disappears: remove_template,
        named: "recovery.conf.pcmk",
    },
    Obstacle { name: "no programs", appears: hide_programs, disappears: bring_back_programs, named: "bindir" },
];

pub fn play(lab: &Lab) -> Result<()> {
    let trial = Trial::begin(lab)?;
    let (primary, node) = (trial.primary()?, trial.standbys()?[0]);
    let others = [primary, another(lab, &[primary, node])?];
    let before = all_started_at(others)?;
    let both = [primary, node];
    for Obstacle { name, appears, disappears, named } in &OBSTACLES {
        trial.fault(&format!("{name} on the primary and a standby"), || {
            both.iter().try_for_each(|node| appears(node))
        })?;
        let codes = [by_hand::monitor(primary, 2000)?, by_hand::monitor(node, 3000)?];
        ensure!(codes == [8, 0], "{name}: the monitors end with {codes:?}");
        disappears(primary)?;
        trial.fault("node standby", || pcs(primary, &["node", "standby", node.name(), "--wait=120"]))?;
        let cluster = lab.cluster()?;
        ensure!(cluster.role(RESOURCE, node.name()) == Role::Stopped, "{name}: {cluster}");
        no_failure(lab).map_err(|error| error.context(*name))?;
        trial.fault("node unstandby", || pcs(primary, &["node", "unstandby", node.name()]))?;
        let reason = reason_shown(lab, "start_0", node)?;
        ensure!(reason.contains(named), "{name}: the reason is `{reason}`");
        disappears(node)?;
        forget_failures(lab)?;
        lab.wait_for_primary(LIMIT, lab.nodes().len() - 1)?;
    }
    trial.end(&Ending { primary: Some(primary), still_running: &before, ..Ending::default() })
}

fn template(node: &Node) -> std::path::PathBuf {
    node.path(&format!("{}/recovery.conf.pcmk", node.pgdata()))
}

fn make_template(node: &Node) -> Result<()> {
    Ok(fs::write(template(node), "")?)
}

fn remove_template(node: &Node) -> Result<()> {
    Ok(fs::remove_file(template(node))?)
}
