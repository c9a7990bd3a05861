//! ocf-tester with a throw-away instance beside the one that the cluster manages, on each role's node.

use std::fs;
use std::time::Duration;

use anyhow::{Result, ensure};
use lab::{Lab, Node};

use crate::operator::all_started_at;
use crate::trial::{Ending, Trial};

const LIMIT: Duration = Duration::from_secs(300);

const FILES: [(&str, &str); 2] = [
    ("run-ocf-tester.sh", include_str!("../../../ocf/run-ocf-tester.sh")),
    ("throwaway.sh", include_str!("../../../ocf/throwaway.sh")),
];

pub fn play(lab: &Lab) -> Result<()> {
    let trial = Trial::begin(lab)?;
    let primary = trial.primary()?;
    let before = all_started_at(lab.nodes())?;
    for node in [primary, trial.standbys()?[0]] {
        trial.fault(&format!("ocf-tester on {}", node.name()), || ocf_tester(node))?;
    }
    trial.end(&Ending { primary: Some(primary), still_running: &before, ..Ending::default() })
}

fn ocf_tester(node: &Node) -> Result<()> {
    for (name, text) in FILES {
        fs::write(node.path("/root").join(name), text)?;
    }
    let said = node.exec_within(LIMIT, &["sh", "/root/run-ocf-tester.sh"])?.ok()?;
    ensure!(said.contains("passed all tests"), "ocf-tester said: {said}");
    Ok(())
}
