//! Whatever keeps the agent's sessions out of PostgreSQL, or hangs around it, is no death: nothing is restarted, fenced or moved,
//! monitors say the cause if there is one to say, and a primary that loses its power meanwhile has a successor.

use std::time::Duration;

use anyhow::{Result, ensure};
use lab::clock::Deadline;
use lab::cluster::{Cluster, Failure};
use lab::lab::RESOURCE;
use lab::{Lab, Node, eventually, progress};

use crate::lockouts::{self, Lockout};
use crate::operator::{all_started_at, pcs, wait_until_idle};
use crate::replication::{another_primary, bring_back, forget_failures};
use crate::trial::{Ending, LIMIT, Trial};

/// How long each lasts in everyday tests, and in the campaign.
const A_WHILE: Duration = Duration::from_secs(15);
const A_MINUTE: Duration = Duration::from_secs(60);

/// How long after the primary's power was cut another node is promoted, on a busy machine: where sessions hang, notifications and
/// promote wait 3 s for one each before they go on without.
const USUAL: Duration = Duration::from_secs(30);

/// What is added where the coordinator is lost with the primary: Pacemaker 3.0.0 may wait so long for the end of a standby's monitor
/// that it has cancelled, if that had answered 190: the monitor's timeout of 10 s, and `cluster-delay`.
const LOST_CANCEL: Duration = Duration::from_secs(25);

/// What `docs/reference/limits.md` says against that.
const CLUSTER_DELAY: &str = "cluster-delay=10s";

/// How often it is looked at.
const LOOK: Duration = Duration::from_secs(1);

/// What may happen while sessions are kept out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Meanwhile {
    Nothing,
    /// A standby is stopped and started.
    AStop,
    /// The primary loses its power.
    APowerCut,
}
use Meanwhile::{APowerCut, AStop, Nothing};

pub fn by_locks(lab: &Lab) -> Result<()> {
    play(
        lab,
        A_WHILE,
        &[
            (&[&lockouts::PG_CLASS], &[APowerCut]),
            (&[&lockouts::PG_AUTHID], &[Nothing]),
            (&[&lockouts::PG_DATABASE], &[Nothing]),
            (&[&lockouts::FULL], &[Nothing]),
        ],
    )
}

pub fn by_settings_and_surroundings(lab: &Lab) -> Result<()> {
    play(
        lab,
        A_WHILE,
        &[
            (&[&lockouts::SLOW_FORKS, &lockouts::SLOW_LOGINS], &[Nothing]),
            (&[&lockouts::REJECTED], &[APowerCut]),
            (&[&lockouts::SERIALIZABLE, &lockouts::DEAD_RESOLVER, &lockouts::TRIGGER_FAILS], &[Nothing]),
            (&[&lockouts::TRIGGER_SLEEPS, &lockouts::MISLAID], &[Nothing]),
            (&[&lockouts::HANGING_NAMES], &[AStop, APowerCut]),
        ],
    )
}

/// One by one, and the primary's power is cut during each.
pub fn for_a_minute(lab: &Lab) -> Result<()> {
    let each = lockouts::ALL.map(|lockout| [lockout]);
    let drills: Vec<(&[&Lockout], &[Meanwhile])> =
        each.iter().map(|lockout| (&lockout[..], &[AStop, APowerCut][..])).collect();
    play(lab, A_MINUTE, &drills)
}

fn play(lab: &Lab, how_long: Duration, drills: &[(&[&Lockout], &[Meanwhile])]) -> Result<()> {
    let trial = Trial::begin(lab)?;
    pcs(trial.primary()?, &["property", "set", CLUSTER_DELAY])?;
    let mut fenced = Vec::new();
    for (lockouts, meanwhile) in drills {
        fenced.extend(drill(&trial, how_long, lockouts, meanwhile)?);
    }
    pcs(trial.primary()?, &["property", "set", "cluster-delay="])?;
    trial.end(&Ending { fenced: &fenced, elected: true, ..Ending::default() })
}

/// Who has lost its power, if anybody.
fn drill<'a>(
    trial: &Trial<'a>,
    how_long: Duration,
    lockouts: &[&Lockout],
    meanwhile: &[Meanwhile],
) -> Result<Option<&'a Node>> {
    let (lab, old, standbys) = (trial.lab, trial.primary()?, trial.standbys()?);
    let names: Vec<_> = lockouts.iter().map(|lockout| lockout.name).collect();
    let is_cut = meanwhile.contains(&APowerCut);
    // Whoever is neither stopped nor cut off from power goes on.
    let going_on: Vec<&Node> = match (is_cut, meanwhile.contains(&AStop)) {
        (false, _) => vec![old, standbys[1]],
        (true, false) => standbys.clone(),
        (true, true) => vec![standbys[1]],
    };
    let before = all_started_at(going_on.iter().copied())?;
    trial.fault(&names.join(", "), || lockouts.iter().try_for_each(|lockout| lockout.begin(lab)))?;
    let words: Vec<&str> = lockouts.iter().flat_map(|lockout| lockout.words).copied().collect();
    lasts(trial, how_long, old, &words)?;
    if meanwhile.contains(&AStop) {
        trial.fault("stop and start a standby", || stop_and_start(old, standbys[0]))?;
    }
    let new = if is_cut { Some(promoted_as_usual(trial, old)?) } else { None };
    lockouts.iter().rev().try_for_each(|lockout| lockout.end(lab))?;
    match new {
        Some(new) => {
            trial.writes_go_on()?;
            bring_back(trial, old, new)?;
        }
        None => eventually(LIMIT, "sessions to be let in", || old.psql("SELECT 1").map(drop))?,
    }
    forget_failures(lab)?;
    let now = all_started_at(going_on)?;
    ensure!(now == before, "PostgreSQL was restarted: {before:?}, now {now:?}");
    ensure!(new.is_some() || trial.primary()?.name() == old.name(), "the primary is another one");
    Ok(new.map(|_| old))
}

/// Waits until it has lasted that long and the primary's monitor has told the cause, while nothing happens.
fn lasts(trial: &Trial<'_>, how_long: Duration, primary: &Node, words: &[&str]) -> Result<()> {
    let (end, fenced, mut next) = (Deadline::after(how_long), trial.fenced()?, Deadline::after(Duration::ZERO));
    let monitor = format!("{RESOURCE}_monitor_2000");
    let told = eventually(how_long + LIMIT, "it to last, and to be told", || {
        ensure!(next.passed(), "too early to look again");
        next = Deadline::after(LOOK);
        let cluster = trial.lab.cluster()?;
        if let Err(wrong) = as_it_was(&cluster, primary, words).and_then(|()| {
            ensure!(trial.fenced()? == fenced, "a node was fenced: {cluster}");
            Ok(())
        }) {
            return Ok(Err(wrong));
        }
        let of_it = |failure: &&Failure| failure.operation == monitor && failure.node == primary.name();
        let told = cluster.failures.iter().find(of_it).map(|failure| failure.reason.clone());
        ensure!(end.passed() && (told.is_some() || words.is_empty()), "{cluster}");
        Ok(Ok(told))
    })??;
    progress::step(format!("the primary's monitor says: {}", told.as_deref().unwrap_or("nothing")));
    Ok(())
}

/// The primary is the same, and every failure that Pacemaker shows is told in these words. A monitor that Pacemaker has ended is
/// told in its own.
fn as_it_was(cluster: &Cluster, primary: &Node, words: &[&str]) -> Result<()> {
    ensure!(cluster.primary() == Some(primary.name()), "{} is not the primary: {cluster}", primary.name());
    let is_told = |failure: &Failure| words.iter().any(|words| failure.reason.contains(words));
    ensure!(cluster.failures.iter().all(is_told), "another failure than `{words:?}`: {cluster}");
    Ok(())
}

fn stop_and_start(primary: &Node, standby: &Node) -> Result<()> {
    pcs(primary, &["node", "standby", standby.name(), "--wait=60"])?;
    pcs(primary, &["node", "unstandby", standby.name(), "--wait=60"])?;
    wait_until_idle(primary)
}

/// The primary loses its power, and another node is promoted within the usual time.
fn promoted_as_usual<'a>(trial: &Trial<'a>, old: &Node) -> Result<&'a Node> {
    let is_coordinator = trial.lab.cluster()?.dc() == Some(old.name());
    let limit = if is_coordinator { USUAL + LOST_CANCEL } else { USUAL };
    let usual = Deadline::after(limit);
    trial.fault("cut the power of the primary", || old.power_off())?;
    let new = another_primary(trial, old)?;
    let took = limit.saturating_sub(usual.left());
    progress::step(format!("{} is promoted after {:.1} s", new.name(), took.as_secs_f64()));
    ensure!(!usual.passed(), "{} was promoted too late: {}", new.name(), trial.lab.cluster()?);
    Ok(new)
}
