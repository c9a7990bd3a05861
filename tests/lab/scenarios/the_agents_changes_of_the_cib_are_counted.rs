//! Ten switchovers, ten failovers and ten stops of everything: what switches off changes nothing in the CIB; a promotion and a start stop
//! one transition at most, and so does a primary's first monitor. No other resource's action waits for longer than Pacemaker computes.

use std::collections::BTreeMap;
use std::time::Instant;

use anyhow::{Context, Result, ensure};
use lab::aborts::{Change, asked, changes, counted, waits};
use lab::{Lab, Node, eventually, progress};

use super::a_switchover_by_the_command::goes_on;
use crate::aborts::{Logs, PACEMAKER_LOG, loud};
use crate::operator::{AGENT, any_node, rebuild, wait_until_idle};
use crate::switching_off::disable_and_enable;
use crate::trial::{Ending, LIMIT, Return, Trial};

const TIMES: usize = 10;

/// How many seconds another resource takes to start.
const SLOW: u8 = 20;

/// Computing a transition takes some ten milliseconds; the machine may be busy.
const COMPUTED: u64 = 1000;

pub fn play(lab: &Lab) -> Result<()> {
    let trial = Trial::begin(lab)?;
    let mut fenced = Vec::new();
    counts(&trial, "switchover", |trial| {
        let to = trial.standbys()?[0];
        // On a machine that is too busy, the command gives up when a tool of Pacemaker is slow.
        let command = || to.exec_within(LIMIT, &[AGENT, "switchover", to.name(), "--yes"])?.ok();
        trial.fault(&format!("switch over to {}", to.name()), || eventually(LIMIT, "the switchover", command))?;
        goes_on(trial)
    })?;
    counts(&trial, "failover", |trial| {
        fenced.push(fail_over(trial)?);
        goes_on(trial)
    })?;
    counts(&trial, "stop of everything", disable_and_enable)?;
    trial.end(&Ending { fenced: &fenced, elected: true, ..Ending::default() })
}

/// A resource that takes long to start moves in the same transition as the primary: how long clients wait.
pub fn beside_a_slow_resource(lab: &Lab) -> Result<()> {
    let trial = Trial::begin(lab)?;
    let (old, any_node) = (trial.primary()?, trial.standbys()?[0]);
    let waited = |old: &Node| {
        let logs = Logs::of(lab, PACEMAKER_LOG);
        let began = Instant::now();
        trial.fault("cut the power of the primary", || old.power_off())?;
        trial.another_primary(old)?;
        let waited = began.elapsed().as_secs_f64();
        progress::step(format!("clients have waited for {waited:.1} s; {}", counted(&changes(&logs.news()?))));
        old.power_on()?;
        if trial.comes_back(old)? == Return::KeptOut {
            rebuild(old, trial.primary()?)?;
        }
        goes_on(&trial)
    };
    waited(old)?;
    let next = trial.primary()?;
    let start = format!("startdelay={SLOW}");
    let create = ["pcs", "resource", "create", "slow", "ocf:heartbeat:Delay", &start, "mondelay=0", "stopdelay=0"];
    any_node.run(&create)?;
    any_node.run(&["pcs", "constraint", "location", "slow", "prefers", next.name()])?;
    wait_until_idle(any_node)?;
    waited(next)?;
    any_node.exec_within(LIMIT, &["pcs", "resource", "delete", "slow", "--force"])?.ok()?;
    trial.end(&Ending { fenced: &[old, next], elected: true, ..Ending::default() })
}

/// The primary loses its power, and comes back.
fn fail_over<'a>(trial: &Trial<'a>) -> Result<&'a Node> {
    let old = trial.primary()?;
    trial.fault("cut the power of the primary", || old.cut_power())?;
    let new = trial.another_primary(old)?;
    if trial.comes_back(old)? == Return::KeptOut {
        rebuild(old, new)?;
    }
    Ok(old)
}

/// Does it ten times, counts what the agent changes in the CIB, and says so.
fn counts<'a>(trial: &Trial<'a>, what: &str, mut once: impl FnMut(&Trial<'a>) -> Result<()>) -> Result<()> {
    let (mut all, mut lines_of_all) = (Vec::new(), Vec::new());
    for time in 1..=TIMES {
        let logs = Logs::of(trial.lab, PACEMAKER_LOG);
        once(trial).with_context(|| format!("{what} {time} of {TIMES}"))?;
        wait_until_idle(any_node(trial.lab)?)?;
        let lines = logs.news()?;
        let changes = changes(&lines);
        changes.iter().filter(|change| change.has_stopped).for_each(|change| progress::step(format!("  {change}")));
        within_bounds(&lines, &changes).with_context(|| format!("{what} {time} of {TIMES}: {}", counted(&changes)))?;
        all.extend(changes);
        lines_of_all.extend(waits(&lines));
    }
    progress::step(format!("{TIMES} x {what}: {}", counted(&all)));
    let mut longest: BTreeMap<String, Vec<u64>> = BTreeMap::new();
    lines_of_all.into_iter().for_each(|(operation, wait)| longest.entry(operation).or_default().push(wait));
    for (operation, waits) in longest {
        progress::step(format!("{operation} has waited {} times for another transition, ms: {waits:?}", waits.len()));
    }
    Ok(())
}

fn within_bounds(lines: &[String], changes: &[Change]) -> Result<()> {
    ensure!(loud(changes).is_empty(), "what switches off has changed the CIB: {:?}", loud(changes));
    let by = |action: &str| {
        let is_by = |change: &&Change| change.writer.as_ref().is_some_and(|writer| writer.action == action);
        changes.iter().filter(|change| change.has_stopped).filter(is_by).count()
    };
    let (promotions, starts) = (asked(lines, "promote"), asked(lines, "start"));
    ensure!(by("promote") <= promotions, "{} stopped by {promotions} promotions", by("promote"));
    // The first score that makes a node promotable is set by the notification of the start.
    let by_starts = by("start") + by("post-notify start");
    ensure!(by_starts <= starts, "{by_starts} stopped by {starts} starts");
    ensure!(by("monitor") <= promotions + starts, "{} stopped by monitors", by("monitor"));
    let is_sure = |change: &&Change| change.writer.as_ref().is_some_and(|writer| !writer.action.contains(" or "));
    let unsure: Vec<_> = changes.iter().filter(|change| !is_sure(change)).map(ToString::to_string).collect();
    ensure!(unsure.is_empty(), "these have no certain writer: {unsure:?}");
    let slow: Vec<_> = waits(lines).into_iter().filter(|(_, wait)| *wait > COMPUTED).collect();
    ensure!(slow.is_empty(), "actions of other resources have waited: {slow:?}");
    Ok(())
}
