//! The cluster is stopped on all nodes at once, all machines are told to power off, one is, that of the primary is, and two of three
//! nodes leave: everything ends within its time, the address, too, nothing is fenced, and everything comes back.

use std::time::Instant;

use anyhow::{Context, Result};
use lab::{Lab, progress};

use crate::switching_off::{self, WAYS};
use crate::trial::{Ending, Trial};

/// How often the campaign does all of it.
const ROUNDS: usize = 20;

/// The resource is disabled and enabled in a scenario of its own.
pub fn play(lab: &Lab) -> Result<()> {
    let trial = Trial::begin(lab)?;
    switching_off::stop_and_start_by_pcs(&trial)?;
    switching_off::power_off_all(&trial)?;
    switching_off::power_off_a_standby(&trial)?;
    switching_off::power_off_the_primary(&trial)?;
    switching_off::lose_quorum(&trial)?;
    trial.end(&Ending { elected: true, ..Ending::default() })
}

/// All of it, again and again, on one cluster.
pub fn twenty_times(lab: &Lab) -> Result<()> {
    for round in 1..=ROUNDS {
        let began = Instant::now();
        let trial = Trial::begin(lab)?;
        for (name, way) in WAYS {
            let began = Instant::now();
            way(&trial).with_context(|| format!("round {round}, {name}"))?;
            progress::step(format!("round {round}: {name}: {:.1} s", began.elapsed().as_secs_f64()));
        }
        trial.end(&Ending { elected: true, ..Ending::default() }).with_context(|| format!("round {round}"))?;
        progress::step(format!("round {round} of {ROUNDS}: {:.1} s", began.elapsed().as_secs_f64()));
    }
    Ok(())
}
