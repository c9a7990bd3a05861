//! Three instances that have just been copied, and resources that have just been defined.

use anyhow::{Result, ensure};
use lab::Lab;
use lab::lab::RESOURCE;

use crate::trial::{Ending, LIMIT, Trial};

pub fn play(lab: &Lab) -> Result<()> {
    ensure!(lab.fencings()?.is_empty(), "fenced while starting: {:?}", lab.fencings()?);
    let failures = lab.cluster()?.failures;
    ensure!(failures.is_empty(), "failed while starting: {failures:?}");

    let trial = Trial::begin(lab)?;
    let primary = trial.primary()?;
    let standbys = trial.standbys()?;
    lab.wait_for(LIMIT, "PAF's promotion scores: 1001 for the primary, 1000 and 990 for the standbys", |cluster| {
        let mut scores: Vec<_> = standbys.iter().map(|node| cluster.score(RESOURCE, node.name())).collect();
        scores.sort_unstable();
        cluster.score(RESOURCE, primary.name()) == Some(1001) && scores == [Some(990), Some(1000)]
    })?;
    trial.end(&Ending { primary: Some(primary), ..Ending::default() })
}
