//! The primary writes WAL that no standby receives, and loses power. When it comes back, its history is not the cluster's: it
//! must not be fenced again, must not look healthy, and Pacemaker must show why.

use anyhow::{Result, ensure};
use lab::{Cut, Lab};

use crate::operator::rebuild;
use crate::trial::{Ending, Return, Trial};

/// Not acknowledged to a client that waits for a standby.
const WRITE_LOCALLY: &str = "SET synchronous_commit = local; CREATE TABLE stray AS SELECT generate_series(1, 10000)";

pub fn play(lab: &Lab) -> Result<()> {
    let trial = Trial::begin(lab)?;
    let (old, standbys) = (trial.primary()?, trial.standbys()?);
    trial.fault("cut replication, write on the primary, and cut its power", || {
        for standby in &standbys {
            lab.cut(&Cut::Postgres(old.name().into(), standby.name().into()))?;
        }
        old.psql_in("app", WRITE_LOCALLY)?;
        old.power_off()?;
        lab.heal()
    })?;
    let new = trial.another_primary(old)?;
    trial.fault("give the old primary power again", || old.power_on())?;
    let back = trial.comes_back(old)?;
    let stray = new.psql_in("app", "SELECT to_regclass('stray') IS NOT NULL")?;
    ensure!(stray == "f", "{} has what {} had written for itself", new.name(), old.name());
    ensure!(back == Return::KeptOut, "{} streams although it holds WAL that no other node has", old.name());
    rebuild(old, new)?;
    trial.end(&Ending { primary: Some(new), fenced: &[old], elected: true, ..Ending::default() })
}
