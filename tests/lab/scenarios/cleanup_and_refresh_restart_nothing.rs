//! `pcs resource cleanup` and `refresh` make Pacemaker forget and ask again; healthy instances go on as they are.

use anyhow::Result;
use lab::Lab;

use crate::operator::{CLONE, all_started_at, pcs, wait_until_idle};
use crate::trial::{Ending, Trial};

pub fn play(lab: &Lab) -> Result<()> {
    let trial = Trial::begin(lab)?;
    let primary = trial.primary()?;
    let before = all_started_at(lab.nodes())?;
    for words in [&["resource", "cleanup", CLONE][..], &["resource", "refresh", CLONE], &["resource", "refresh"]] {
        trial.fault(&format!("pcs {}", words.join(" ")), || pcs(primary, words))?;
        wait_until_idle(primary)?;
        trial.writes_go_on()?;
    }
    trial.end(&Ending { primary: Some(primary), still_running: &before, ..Ending::default() })
}
