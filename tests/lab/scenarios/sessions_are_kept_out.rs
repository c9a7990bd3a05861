//! Whatever keeps the agent's sessions out of PostgreSQL, or hangs around it, is no death: nothing is restarted, fenced or moved,
//! monitors say the cause if there is one to say, and a primary that loses its power meanwhile has a successor.

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use lab::clock::Deadline;
use lab::cluster::{Cluster, Failure, Role};
use lab::lab::RESOURCE;
use lab::{Lab, Node, eventually, progress};

use crate::lockouts::{self, Lockout};
use crate::operator::{another, pcs, postmaster, rebuild, wait_until_idle};
use crate::replication::{another_primary, bring_back, forget_failures};
use crate::trial::{Ending, LIMIT, Trial, is_kept_out};

/// How long each lasts in everyday tests, and in the campaign.
const A_WHILE: Duration = Duration::from_secs(15);
const A_MINUTE: Duration = Duration::from_secs(60);

/// How long after the primary's power was cut another node is promoted, on a busy machine: where sessions hang, each monitor,
/// notification and promote waits 3 s for one before it goes on without, and 6 s where the socket is slow, too. Pacemaker may notify
/// one node after the other, twice: 8 to 41 s were seen.
const USUAL: Duration = Duration::from_secs(60);

/// What is added where the coordinator is lost with the primary: Pacemaker 3.0.0 may wait so long for the end of a standby's monitor
/// that it has cancelled, if that had answered 190: the monitor's timeout of 10 s, and `cluster-delay`.
const LOST_CANCEL: Duration = Duration::from_secs(20);

/// Against that `docs/reference/limits.md` says 10 s. Less is enough for nodes of one machine.
const CLUSTER_DELAY: &str = "cluster-delay=2s";

/// How often it is looked at.
const LOOK: Duration = Duration::from_secs(1);

/// What keeps sessions out together: none hides another.
#[derive(Clone, Copy)]
struct Drill<'d> {
    lockouts: &'d [&'d Lockout],
    /// Whether a standby is stopped and started meanwhile.
    is_standby_stopped: bool,
}

impl<'d> Drill<'d> {
    fn of(lockouts: &'d [&'d Lockout]) -> Self {
        Self { lockouts, is_standby_stopped: false }
    }

    fn names(&self) -> String {
        self.lockouts.iter().map(|lockout| lockout.name).collect::<Vec<_>>().join(", ")
    }

    fn words(&self) -> Vec<&'static str> {
        self.lockouts.iter().flat_map(|lockout| lockout.words).copied().collect()
    }

    fn begin(&self, lab: &Lab) -> Result<()> {
        self.lockouts.iter().try_for_each(|lockout| lockout.begin(lab))
    }

    fn end(&self, lab: &Lab) -> Result<()> {
        self.lockouts.iter().rev().try_for_each(|lockout| lockout.end(lab))
    }
}

/// Those that monitors report.
pub fn for_a_while(lab: &Lab) -> Result<()> {
    let slow = [&lockouts::SLOW_FORKS, &lockouts::SLOW_LOGINS];
    let drills = [
        Drill::of(&[&lockouts::PG_CLASS]),
        Drill::of(&[&lockouts::PG_DATABASE]),
        Drill::of(&[&lockouts::PG_AUTHID]),
        Drill::of(&[&lockouts::FULL]),
        Drill::of(&slow),
        Drill::of(&[&lockouts::REJECTED]),
    ];
    play(lab, A_WHILE, &drills)
}

/// The others, with as few power cuts as they can do with.
pub fn for_a_while_unnoticed(lab: &Lab) -> Result<()> {
    let in_postgres = [&lockouts::SERIALIZABLE, &lockouts::TRIGGER_FAILS, &lockouts::DEAD_RESOLVER];
    let without_postgres = [&lockouts::TRIGGER_SLEEPS, &lockouts::MISLAID, &lockouts::HANGING_NAMES];
    let drills = [Drill::of(&in_postgres), Drill { lockouts: &without_postgres, is_standby_stopped: true }];
    play(lab, A_WHILE, &drills)
}

/// One by one: those that monitors tell.
pub fn for_a_minute(lab: &Lab) -> Result<()> {
    one_by_one(lab, &lockouts::TOLD)
}

/// One by one: those that monitors do not even notice.
pub fn for_a_minute_unnoticed(lab: &Lab) -> Result<()> {
    one_by_one(lab, &lockouts::UNNOTICED)
}

fn one_by_one(lab: &Lab, lockouts: &[&Lockout]) -> Result<()> {
    let drills: Vec<_> = lockouts.chunks(1).map(|lockouts| Drill { lockouts, is_standby_stopped: true }).collect();
    play(lab, A_MINUTE, &drills)
}

/// The primary's power is cut at the end of each. It gets it again when the next begins.
fn play(lab: &Lab, how_long: Duration, drills: &[Drill<'_>]) -> Result<()> {
    let trial = Trial::begin(lab)?;
    pcs(trial.primary()?, &["property", "set", CLUSTER_DELAY])?;
    let mut fenced: Vec<&Node> = Vec::new();
    let mut before = Vec::new();
    for drill in drills {
        let old = play_one(&trial, how_long, drill, &before, fenced.last().copied())?;
        before = drill.words();
        trial.fault(&format!("{} gets power again", old.name()), || old.power_on())?;
        fenced.push(old);
    }
    if let Some(old) = fenced.last() {
        bring_back(&trial, old, trial.primary()?)?;
    }
    pcs(trial.primary()?, &["property", "set", "cluster-delay="])?;
    trial.end(&Ending { fenced: &fenced, elected: true, ..Ending::default() })
}

/// Keeps sessions out, while a node may be on its way back; the primary that has lost its power then.
fn play_one<'a>(
    trial: &Trial<'a>,
    how_long: Duration,
    drill: &Drill<'_>,
    before: &[&'static str],
    mut returning: Option<&Node>,
) -> Result<&'a Node> {
    let (lab, old) = (trial.lab, trial.primary()?);
    let (steady, other) = loop {
        let known = lab.cluster()?.failures;
        let standbys = trial.standbys()?;
        let is_steady = |node: &&&Node| returning.is_none_or(|returning| returning.name() != node.name());
        let steady = *standbys.iter().find(is_steady).context("no standby was there before")?;
        let running = [postmaster(old)?, postmaster(steady)?];
        trial.fault(&drill.names(), || drill.begin(lab))?;
        let Some(kept_out) = lasts(trial, how_long, old, &Expected { words: drill.words(), before, known, returning })?
        else {
            let now = [postmaster(old)?, postmaster(steady)?];
            ensure!(now == running, "PostgreSQL was restarted: {running:?}, now {now:?}");
            break (steady, another(lab, &[old, steady])?);
        };
        // It has come back, and holds what the new primary never had.
        drill.end(lab)?;
        rebuild(kept_out, old)?;
        forget_failures(lab)?;
        returning = None;
    };
    let running = postmaster(steady)?;
    if drill.is_standby_stopped {
        trial.fault("stop and start a standby", || stop_and_start(old, other))?;
    }
    drill.lockouts.iter().try_for_each(|lockout| lockout.is_in_force(old))?;
    promoted_as_usual(trial, old)?;
    drill.end(lab)?;
    trial.writes_go_on()?;
    let now = postmaster(steady)?;
    ensure!(now == running, "{} was restarted", steady.name());
    Ok(old)
}

/// What may be seen while sessions are kept out.
struct Expected<'e> {
    /// What monitors say of it.
    words: Vec<&'static str>,
    /// Reasons of the drill before: a monitor that had begun by then shows them a little later.
    before: &'e [&'static str],
    /// What had failed before.
    known: Vec<Failure>,
    /// The node that comes back meanwhile.
    returning: Option<&'e Node>,
}

/// Waits until it has lasted that long, the primary's monitor has told the cause, and the node is back that has its power again, while
/// nothing else happens. Or until a node is kept out, because it has diverged: that one.
fn lasts<'a>(
    trial: &Trial<'a>,
    how_long: Duration,
    primary: &Node,
    expected: &Expected<'_>,
) -> Result<Option<&'a Node>> {
    let (end, fenced, mut next) = (Deadline::after(how_long), trial.fenced()?, Deadline::after(Duration::ZERO));
    let monitor = format!("{RESOURCE}_monitor_2000");
    let seen = eventually(how_long + LIMIT, "it to last, and to be told", || {
        ensure!(next.passed(), "too early to look again");
        next = Deadline::after(LOOK);
        let mut cluster = trial.lab.cluster()?;
        cluster.failures.retain(|failure| !expected.known.contains(failure));
        if let Some(node) = trial.lab.nodes().iter().find(|node| is_kept_out(&cluster, node)) {
            return Ok(Ok(Seen::KeptOut(node)));
        }
        let all: Vec<_> = expected.words.iter().chain(expected.before).copied().collect();
        if let Err(wrong) = as_it_was(&cluster, primary, &all).and_then(|()| {
            ensure!(trial.fenced()? == fenced, "a node was fenced: {cluster}");
            Ok(())
        }) {
            return Ok(Err(wrong));
        }
        let of_it = |failure: &&Failure| {
            let is_meant = expected.words.iter().any(|words| failure.reason.contains(words));
            failure.operation == monitor && failure.node == primary.name() && is_meant
        };
        let told = cluster.failures.iter().find(of_it).map(|failure| failure.reason.clone());
        let is_back = expected.returning.is_none_or(|node| cluster.role(RESOURCE, node.name()) == Role::Unpromoted);
        ensure!(end.passed() && is_back && (told.is_some() || expected.words.is_empty()), "{cluster}");
        Ok(Ok(Seen::Told(told)))
    })??;
    Ok(match seen {
        Seen::KeptOut(node) => Some(node),
        Seen::Told(told) => {
            progress::step(format!("the primary's monitor says: {}", told.as_deref().unwrap_or("nothing")));
            None
        }
    })
}

/// How it ended.
enum Seen<'a> {
    Told(Option<String>),
    KeptOut(&'a Node),
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
fn promoted_as_usual(trial: &Trial<'_>, old: &Node) -> Result<()> {
    let is_coordinator = trial.lab.cluster()?.dc() == Some(old.name());
    let limit = if is_coordinator { USUAL + LOST_CANCEL } else { USUAL };
    let usual = Deadline::after(limit);
    trial.fault("cut the power of the primary", || {
        // What it has sent arrives: as often as not it would have WAL of its own, and had to be rebuilt.
        old.freeze()?;
        old.power_off()
    })?;
    let new = another_primary(trial, old)?;
    let took = limit.saturating_sub(usual.left());
    progress::step(format!("{} is promoted after {:.1} s", new.name(), took.as_secs_f64()));
    ensure!(!usual.passed(), "{} was promoted too late: {}", new.name(), trial.lab.cluster()?);
    Ok(())
}
