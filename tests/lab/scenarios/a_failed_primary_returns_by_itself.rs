//! The cluster as the example configures it, with `rejoin=rewind`: the primary writes WAL that no standby receives, loses its power
//! and gets it again. No operator does anything else: it follows the new primary, and the WAL that it alone held is kept.

use anyhow::{Result, ensure};

use super::{dropped, strays};
use crate::stage::Stage;
use crate::trial::{Ending, Return, Trial};

pub fn play(stage: &mut Stage) -> Result<()> {
    let builder = stage.builder();
    let lab = stage.bring_up(builder)?;
    let trial = Trial::begin(lab)?;
    let old = trial.primary()?;
    let new = strays(&trial, old)?;
    trial.fault("give the old primary power again", || old.power_on())?;
    ensure!(trial.comes_back(old)? == Return::Streaming, "{} does not come back by itself", old.name());
    ensure!(dropped(old)?.contains("COMMIT"), "no report of what {} dropped", old.name());
    let stray = old.psql_in("app", "SELECT to_regclass('stray') IS NOT NULL")?;
    ensure!(stray == "f", "{} still has what it had written for itself", old.name());
    trial.end(&Ending { primary: Some(new), fenced: &[old], elected: true, ..Ending::default() })
}
