//! `rejoin=rewind`: one primary after the other writes WAL that no standby receives, loses power and gets it again. Each comes
//! back by itself, without the WAL that it alone had, which is kept as evidence.

use std::time::Instant;

use anyhow::{Result, ensure};
use lab::{Lab, progress};

use super::{dropped, strays};
use crate::operator::{pcs, wait_until_idle};
use crate::trial::{Ending, Return, Trial};

pub fn play(lab: &Lab) -> Result<()> {
    let trial = Trial::begin(lab)?;
    let first = trial.primary()?;
    // For a moment Pacemaker calls a primary that reloads its parameters unpromoted.
    pcs(first, &["resource", "update", "pgsqld", "rejoin=rewind"])?;
    wait_until_idle(first)?;
    let mut fenced = Vec::new();
    for round in 1..=3 {
        let old = trial.primary()?;
        let new = strays(&trial, old)?;
        fenced.push(old);
        let began = Instant::now();
        trial.fault("give the old primary power again", || old.power_on())?;
        ensure!(trial.comes_back(old)? == Return::Streaming, "{} was not rewound", old.name());
        progress::step(format!("round {round}: {} streams {:.1} s later", old.name(), began.elapsed().as_secs_f64()));
        ensure!(dropped(old)?.contains("COMMIT"), "no report of what {} dropped", old.name());
        let stray = new.psql_in("app", "SELECT to_regclass('stray') IS NOT NULL")?;
        ensure!(stray == "f", "{} has what {} had written for itself", new.name(), old.name());
    }
    let last = trial.primary()?;
    pcs(last, &["resource", "update", "pgsqld", "rejoin="])?;
    wait_until_idle(last)?;
    trial.end(&Ending { fenced: &fenced, elected: true, ..Ending::default() })
}
