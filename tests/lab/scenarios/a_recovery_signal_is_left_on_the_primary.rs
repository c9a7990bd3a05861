//! A restore has left `recovery.signal` and a `restore_command` that fails. When a process of the primary crashes, PostgreSQL reads them
//! and makes itself a new timeline: it remains the primary, nothing is lost, and the next failover is like any other.

use anyhow::{Result, ensure};
use lab::{Lab, eventually};

use crate::operator::timeline;
use crate::replication::{bring_back, property};
use crate::trial::{Ending, LIMIT, Trial};

pub fn play(lab: &Lab) -> Result<()> {
    let trial = Trial::begin(lab)?;
    let old = trial.primary()?;
    let before = timeline(old)?;
    let signal = format!("{}/recovery.signal", old.pgdata());
    trial.fault("leave recovery.signal, and kill the checkpointer", || {
        old.run(&["runuser", "-u", "postgres", "--", "touch", &signal])?;
        old.psql("ALTER SYSTEM SET restore_command = '/bin/false'")?;
        old.psql("SELECT pg_reload_conf()")?;
        let pid = old.psql("SELECT pid FROM pg_stat_activity WHERE backend_type = 'checkpointer'")?;
        old.run(&["kill", "-9", &pid])
    })?;
    eventually(LIMIT, "the new timeline to be on record", || {
        let primary = lab.primary()?;
        let (now, record) = (timeline(primary)?, property(lab, "promotions")?);
        ensure!(now > before, "{} is still on timeline {now}", primary.name());
        ensure!(record.starts_with(&format!("{now}@")), "timeline {now} is not the last of `{record}`");
        Ok(())
    })?;
    let primary = lab.wait_for_primary(LIMIT, lab.nodes().len() - 1)?;
    trial.writes_go_on()?;
    old.psql("ALTER SYSTEM RESET restore_command")?;
    old.psql("SELECT pg_reload_conf()")?;
    old.run(&["rm", "-f", &signal])?;

    trial.fault("cut the power of the primary", || primary.cut_power())?;
    let new = trial.another_primary(primary)?;
    bring_back(&trial, primary, new)?;
    trial.end(&Ending { primary: Some(new), fenced: &[primary], elected: true, ..Ending::default() })
}
