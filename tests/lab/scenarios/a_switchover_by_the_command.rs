//! `pgsqlms switchover` on a node that is neither the old primary nor the new one, with clients that write all the time: nothing is
//! lost, and no constraint stays. Interrupted, it removes its constraint; killed, it leaves one that ends by itself.

use std::ops::RangeInclusive;
use std::time::Duration;

use anyhow::{Result, ensure};
use lab::command::Output;
use lab::{Lab, Node, eventually};

use crate::operator::{AGENT, another, any_node, started_at, wait_until_idle};
use crate::trial::{Ending, LIMIT, Trial};

/// How long the command waits when it is going to be killed, and how much longer its constraint lasts.
const WAIT: u64 = 5;
const MARGIN: u64 = 15;

pub fn play(lab: &Lab) -> Result<()> {
    let trial = Trial::begin(lab)?;
    let (old, new) = (trial.primary()?, trial.standbys()?[0]);
    let third = another(lab, &[old, new])?;
    ensure!(constraint(lab, "cli-")?.is_none(), "there is a constraint before");
    let before = started_at(old)?;
    let planned = switchover(third, new, &[])?.ok()?;
    lab::progress::step(planned.trim());
    ensure!(planned.contains(&format!("To do it: pgsqlms switchover {} --yes", new.name())), "{planned}");
    ensure!(started_at(old)? == before, "without --yes it has done something");

    let done = trial.fault(&format!("switch over to {}", new.name()), || switchover(third, new, &["--yes"]))?;
    let output = format!("{}{}", done.stdout, done.stderr);
    lab::progress::step(output.trim());
    ensure!(done.success() && output.contains(&format!("done    {} is the primary.", new.name())), "{output}");
    ensure!(trial.primary()?.name() == new.name(), "{} is the primary", trial.primary()?.name());
    ensure!(constraint(lab, "cli-")?.is_none(), "the constraint is left");
    ensure!(switchover(new, new, &["--yes"])?.ok()?.contains("already"), "the primary does not know what it is");
    trial.writes_go_on()?;

    cleaned_up(&trial, third, "INT", "1.5")?;
    trial.end(&Ending { elected: true, ..Ending::default() })
}

/// A key pressed, another program, a terminal that is gone: as early as that can be, and in the midst of it.
pub fn interrupted_at_nine_moments(lab: &Lab) -> Result<()> {
    let trial = Trial::begin(lab)?;
    for moment in 1..=9_usize {
        let node = trial.standbys()?[usize::from(moment % 2 == 0)];
        let signal = ["INT", "TERM", "HUP"][moment % 3];
        cleaned_up(&trial, node, signal, &format!("{:.2}", f64::from(u8::try_from(moment)?) * 0.3))?;
    }
    trial.end(&Ending { elected: true, ..Ending::default() })
}

/// In the first second and a half, each time until the constraint has ended by itself.
pub fn killed_early(lab: &Lab) -> Result<()> {
    killed(lab, 1..=10)
}

/// In the next second and a half.
pub fn killed_later(lab: &Lab) -> Result<()> {
    killed(lab, 11..=20)
}

fn killed(lab: &Lab, moments: RangeInclusive<u8>) -> Result<()> {
    let trial = Trial::begin(lab)?;
    for moment in moments {
        let node = trial.standbys()?[usize::from(moment % 2 == 0)];
        interrupted(&trial, node, "KILL", &format!("{:.2}", f64::from(moment) * 0.15))?;
        let Some(left) = constraint(lab, "cli-")? else { continue };
        ends_by_itself(lab, &left)?;
        goes_on(&trial)?;
        // The next one removes it before it begins.
        eventually(Duration::from_secs(WAIT + MARGIN + 10), "the constraint to be over", || {
            let planned = switchover(node, node, &[])?;
            ensure!(!planned.stdout.contains("earlier command"), "{}", planned.stdout);
            Ok(())
        })?;
    }
    trial.end(&Ending { elected: true, ..Ending::default() })
}

fn switchover(on: &Node, to: &Node, words: &[&str]) -> Result<Output> {
    let argv = [&[AGENT, "switchover", to.name()], words].concat();
    on.exec_within(LIMIT, &argv)
}

/// The command says that it was interrupted, unless it was done before, and leaves nothing.
fn cleaned_up(trial: &Trial<'_>, on: &Node, signal: &str, moment: &str) -> Result<()> {
    let ended = interrupted(trial, on, signal, moment)?;
    ensure!(ended.code == 130 || ended.stdout.contains("done    "), "{} by {signal}: {}", ended.code, ended.stdout);
    ensure!(constraint(trial.lab, "cli-")?.is_none(), "the constraint is left");
    Ok(())
}

/// The command gets a signal so many seconds after it was started on a node, to promote a standby.
fn interrupted(trial: &Trial<'_>, on: &Node, signal: &str, moment: &str) -> Result<Output> {
    let to = trial.standbys()?.into_iter().find(|standby| standby.name() != on.name()).unwrap_or(on);
    wait_until_idle(on)?;
    let wait = format!("--wait={WAIT}");
    let command = [AGENT, "switchover", to.name(), "--yes", &wait];
    let argv = [&["timeout", "--preserve-status", "--signal", signal, moment][..], &command[..]].concat();
    let what = format!("switch over to {}, and send {signal} after {moment} s", to.name());
    let done = trial.fault(&what, || on.exec_within(LIMIT, &argv))?;
    lab::progress::step(format!("{}{}", done.stdout, done.stderr).trim());
    goes_on(trial)?;
    Ok(done)
}

/// There is one primary, all standbys follow it, and clients write.
pub fn goes_on(trial: &Trial<'_>) -> Result<()> {
    wait_until_idle(any_node(trial.lab)?)?;
    trial.lab.wait_for_primary(LIMIT, trial.lab.nodes().len() - 1)?;
    trial.writes_go_on()
}

/// The first constraint whose name begins like this, if there is one.
pub fn constraint(lab: &Lab, prefix: &str) -> Result<Option<String>> {
    let xml = any_node(lab)?.run(&["cibadmin", "--query", "--scope=constraints"])?;
    let begins = xml.find(&format!("<rsc_location id=\"{prefix}"));
    Ok(begins.map(|at| xml[at..].split("</rsc_location>").next().unwrap_or_default().to_owned()))
}

/// It does, and not later than promised.
pub fn ends_by_itself(lab: &Lab, constraint: &str) -> Result<()> {
    let end = constraint.split("operation=\"lt\" end=\"").nth(1).and_then(|rest| rest.split('"').next());
    let Some(end) = end else { anyhow::bail!("it has no end: {constraint}") };
    let end: u64 = any_node(lab)?.run(&["date", "--date", end, "+%s"])?.trim().parse()?;
    let now: u64 = any_node(lab)?.run(&["date", "+%s"])?.trim().parse()?;
    ensure!(end <= now + WAIT + MARGIN, "it ends in {} s: {constraint}", end.saturating_sub(now));
    Ok(())
}
