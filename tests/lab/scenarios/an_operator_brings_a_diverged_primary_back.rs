//! Without `rejoin=rewind` a node that has diverged shows the command that brings it back; that command does it.

use anyhow::{Result, ensure};
use lab::{Lab, eventually};

use super::{dropped, strays};
use crate::operator::{AGENT, rejoin};
use crate::replication::forget_failures;
use crate::trial::{Ending, LIMIT, Return, Trial};

pub fn play(lab: &Lab) -> Result<()> {
    let trial = Trial::begin(lab)?;
    let old = trial.primary()?;
    let new = strays(&trial, old)?;
    trial.fault("give the old primary power again", || old.power_on())?;
    ensure!(trial.comes_back(old)? == Return::KeptOut, "{} streams although it has diverged", old.name());
    eventually(LIMIT, "the command to be shown", || {
        let cluster = lab.cluster()?;
        let shown = cluster
            .failures
            .iter()
            .any(|failure| failure.reason.contains("run `pgsqlms rejoin --resource pgsqld` here"));
        ensure!(shown, "{cluster}");
        Ok(())
    })?;
    let output = old.run(&[AGENT, "rejoin", "--resource", "pgsqld"])?;
    for words in ["COMMIT", "bytes of WAL", "Nothing has been done", "--yes"] {
        ensure!(output.contains(words), "`{words}` is not in the command's output: {output}");
    }
    rejoin(old)?;
    ensure!(dropped(old)?.contains("COMMIT"), "no report of what {} dropped", old.name());
    forget_failures(lab)?;
    trial.end(&Ending { primary: Some(new), fenced: &[old], elected: true, ..Ending::default() })
}
