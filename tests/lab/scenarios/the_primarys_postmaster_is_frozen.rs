//! SIGSTOP for the primary's postmaster, without a SIGCONT: Pacemaker shows why it is recovered, and to end it takes no
//! fencing.

use anyhow::{Result, ensure};
use lab::{Lab, eventually};

use crate::faults::freeze_postmaster;
use crate::operator::{monitor_on, reason_shown};
use crate::trial::{Ending, LIMIT, Trial};

pub fn play(lab: &Lab) -> Result<()> {
    let trial = Trial::begin(lab)?;
    let old = trial.primary()?;
    let frozen = trial.fault("freeze the primary's postmaster", || freeze_postmaster(old))?;
    let reason = reason_shown(lab, "monitor_2000", old)?;
    ensure!(reason.contains("frozen") && reason.contains(&frozen), "the reason is `{reason}`");
    eventually(LIMIT, "the frozen postmaster to be gone", || {
        ensure!(!old.exec(&["kill", "-0", &frozen])?.success(), "it is still there");
        Ok(())
    })?;
    trial.writes_go_on()?;
    trial.end(&Ending { failed_actions: &[monitor_on(old, 2000)], elected: true, ..Ending::default() })
}
