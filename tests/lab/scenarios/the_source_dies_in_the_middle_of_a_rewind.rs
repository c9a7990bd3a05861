//! The primary that an old one is rewound from loses its power in the middle. The half rewound node is never started, the third
//! node is promoted, and after a cleanup the rewind goes on from there.

use anyhow::{Result, ensure};
use lab::Lab;

use super::{dropped, strays};
use crate::operator::{another, pcs, reason_shown, wait_until_idle};
use crate::replication::{commits_wait_for, forget_failures};
use crate::rewinding::{go_on, is_in_the_middle, make_rewinds_stop, make_rewinds_work, notes};
use crate::trial::{Ending, Return, Trial};

pub fn play(lab: &Lab) -> Result<()> {
    let trial = Trial::begin(lab)?;
    let old = trial.primary()?;
    pcs(old, &["resource", "update", "pgsqld", "rejoin=rewind"])?;
    wait_until_idle(old)?;
    // The old primary has no vote, and might hold commits that only it and the source have confirmed.
    commits_wait_for(lab, "")?;
    make_rewinds_stop(old)?;
    let source = strays(&trial, old)?;
    let third = another(lab, &[old, source])?;
    trial.fault("give the old primary power again", || old.power_on())?;
    is_in_the_middle(old)?;
    make_rewinds_work(old)?;
    trial.fault("cut the power of the source in the middle of the rewind", || {
        source.power_off()?;
        go_on(old)
    })?;
    let new = trial.another_primary(source)?;
    ensure!(new.name() == third.name(), "{} was promoted, half rewound", new.name());
    let reason = reason_shown(lab, "start_0", old)?;
    ensure!(reason.contains("half rewound"), "the reason is `{reason}`");
    ensure!(old.psql("SELECT 1").is_err(), "{} was started half rewound", old.name());
    trial.fault("clean up", || forget_failures(lab))?;
    ensure!(trial.comes_back(old)? == Return::Streaming, "{} was not rewound", old.name());
    ensure!(notes(old)?.contains("stage=rewound"), "{}", notes(old)?);
    ensure!(dropped(old)?.contains("COMMIT"), "no report of what {} dropped", old.name());
    trial.fault("give the source power again", || source.power_on())?;
    ensure!(trial.comes_back(source)? == Return::Streaming, "{} does not come back", source.name());
    pcs(new, &["resource", "update", "pgsqld", "rejoin="])?;
    forget_failures(lab)?;
    trial.end(&Ending {
        primary: Some(new),
        fenced: &[old, source],
        elected: true,
        may_lose: true,
        ..Ending::default()
    })
}
