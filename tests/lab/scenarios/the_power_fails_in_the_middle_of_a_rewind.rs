//! A rewind has rewritten a part of the data directory when the node loses its power. It is never started like that, and the
//! next start goes on.

use anyhow::{Result, ensure};
use lab::Lab;

use super::{dropped, strays};
use crate::operator::{pcs, wait_until_idle};
use crate::rewinding::{is_in_the_middle, make_rewinds_stop, make_rewinds_work, notes};
use crate::trial::{Ending, Return, Trial};

pub fn play(lab: &Lab) -> Result<()> {
    let trial = Trial::begin(lab)?;
    let old = trial.primary()?;
    pcs(old, &["resource", "update", "pgsqld", "rejoin=rewind"])?;
    wait_until_idle(old)?;
    make_rewinds_stop(old)?;
    let new = strays(&trial, old)?;
    trial.fault("give the old primary power again", || old.power_on())?;
    is_in_the_middle(old)?;
    trial.fault("cut its power in the middle of the rewind", || old.power_off())?;
    make_rewinds_work(old)?;
    trial.fault("give it power once more", || old.power_on())?;
    ensure!(trial.comes_back(old)? == Return::Streaming, "{} was not rewound", old.name());
    ensure!(notes(old)?.contains("stage=rewound"), "{}", notes(old)?);
    ensure!(dropped(old)?.contains("COMMIT"), "no report of what {} dropped", old.name());
    pcs(new, &["resource", "update", "pgsqld", "rejoin="])?;
    wait_until_idle(new)?;
    trial.end(&Ending { primary: Some(new), fenced: &[old], elected: true, ..Ending::default() })
}
