//! `crm_resource --force-promote`, `pcs resource debug-promote`, and the agent typed by root: on each standby beside the primary it
//! is refused with a reason, on the primary nothing happens. The failover that follows loses nothing.

use anyhow::{Result, ensure};
use lab::Lab;

use crate::people::{FORCED, as_it_is, is_refused, typed_promote};
use crate::replication::bring_back;
use crate::trial::{Ending, Trial};

pub fn play(lab: &Lab) -> Result<()> {
    let trial = Trial::begin(lab)?;
    let (old, standbys) = (trial.primary()?, trial.standbys()?);
    let before = as_it_is(lab)?;
    for argv in FORCED {
        trial.fault(&format!("{} on the primary", argv.join(" ")), || old.run(argv))?;
        for standby in &standbys {
            trial.fault(&format!("{} on {}", argv.join(" "), standby.name()), || is_refused(standby, old, argv))?;
        }
    }
    for standby in &standbys {
        trial.fault(&format!("the agent is typed on {}", standby.name()), || {
            let argv = typed_promote(standby);
            let done = standby.exec(&argv.iter().map(String::as_str).collect::<Vec<_>>())?;
            ensure!(standby.psql("SELECT pg_is_in_recovery()")? == "t", "it was promoted: {}", done.stderr);
            ensure!(!done.success() && done.stderr.contains("OCF_RESOURCE_INSTANCE"), "{}{}", done.stdout, done.stderr);
            Ok(())
        })?;
    }
    trial.writes_go_on()?;
    let now = as_it_is(lab)?;
    ensure!(now == before, "it was {before:?} and is {now:?}");
    ensure!(trial.primary()?.name() == old.name(), "{} is the primary now", trial.primary()?.name());

    trial.fault("cut the power of the primary", || old.cut_power())?;
    let new = trial.another_primary(old)?;
    bring_back(&trial, old, new)?;
    trial.end(&Ending { primary: Some(new), fenced: &[old], elected: true, ..Ending::default() })
}
