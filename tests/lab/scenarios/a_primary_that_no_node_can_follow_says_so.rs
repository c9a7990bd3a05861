//! The obstacle that keeps every standby from taking over is on `crm_mon` after a minute, before the primary dies: a
//! wrong `application_name`, which the standbys show themselves, and nodes on standby. The minute is not waited for.

use anyhow::{Context, Result, ensure};
use lab::{Lab, Node, eventually};

use crate::operator::{all_started_at, pcs, reason_shown};
use crate::replication::forget_failures;
use crate::trial::{Ending, LIMIT, Trial};

pub fn play(lab: &Lab) -> Result<()> {
    let trial = Trial::begin(lab)?;
    let (primary, standbys) = (trial.primary()?, trial.standbys()?);
    let primarys_postmaster = all_started_at([primary])?;
    without_names(&trial, primary, &standbys)?;

    trial.fault("put the nodes of both standbys on standby", || {
        let names = standbys.iter().map(|standby| standby.name());
        pcs(primary, &["node", "standby"].into_iter().chain(names).collect::<Vec<_>>())
    })?;
    shown(&trial, primary, "its node is on standby (pcs node unstandby ")?;
    pcs(primary, &["node", "unstandby", "--all"])?;
    mended(&trial)?;
    trial.end(&Ending { primary: Some(primary), still_running: &primarys_postmaster, ..Ending::default() })
}

fn without_names(trial: &Trial<'_>, primary: &Node, standbys: &[&Node]) -> Result<()> {
    trial.fault("take away both standbys' application names", || {
        standbys.iter().try_for_each(|standby| {
            let conninfo = standby.psql("SHOW primary_conninfo")?;
            let name = format!("application_name={}", standby.name());
            ensure!(conninfo.contains(&name), "{conninfo}");
            let conninfo = conninfo.replace(&name, "application_name=walreceiver");
            standby.psql(&format!("ALTER SYSTEM SET primary_conninfo = '{conninfo}'"))?;
            standby.psql("SELECT pg_reload_conf()").map(drop)
        })
    })?;
    for standby in standbys {
        let reason = reason_shown(trial.lab, "monitor_3000", standby)?;
        let words = format!("set application_name={} in primary_conninfo", standby.name());
        ensure!(reason.contains(&words), "{} says `{reason}`, not `{words}`", standby.name());
    }
    shown(trial, primary, "as far as seen from here: set application_name to its node's name")?;
    for standby in standbys {
        standby.psql("ALTER SYSTEM RESET primary_conninfo")?;
        standby.psql("SELECT pg_reload_conf()")?;
    }
    mended(trial)
}

/// The primary shows a reason with these words, once that has been so for a minute.
fn shown(trial: &Trial<'_>, primary: &Node, words: &str) -> Result<()> {
    a_minute_passes(primary)?;
    let reason = reason_shown(trial.lab, "monitor_2000", primary)?;
    ensure!(
        reason.contains(words) && reason.starts_with("no failover possible"),
        "the primary says `{reason}`, not `{words}`"
    );
    Ok(())
}

/// Moves the beginning that the primary's monitors have recorded a minute into the past.
fn a_minute_passes(primary: &Node) -> Result<()> {
    let note = format!("/run/pgsqlms/{}.successor", primary.pgdata().trim_matches('/').replace('/', "-"));
    let since = || -> Result<u64> {
        let noted = primary.run(&["cat", &note])?;
        Ok(noted.split(' ').next().context("nothing is noted")?.parse()?)
    };
    let first = eventually(LIMIT, "a note that no node could follow", since)?;
    // The moment before, nothing was wrong.
    let alarmed = primary.run(&["crm_mon", "--one-shot", "--output-as=text"])?;
    ensure!(!alarmed.contains("no failover possible"), "it was said before a minute had passed");
    let earlier = first.saturating_sub(60_000);
    eventually(LIMIT, "the note to be older", || {
        primary.run(&["sed", "--in-place", &format!("s/^[0-9]*/{earlier}/"), &note])?;
        ensure!(since()? == earlier, "a monitor has noted something else");
        Ok(())
    })
}

/// The obstacle is removed: clients write, and Pacemaker shows no reason any more.
fn mended(trial: &Trial<'_>) -> Result<()> {
    trial.lab.wait_for_primary(LIMIT, 2)?;
    trial.writes_go_on()?;
    forget_failures(trial.lab)
}
