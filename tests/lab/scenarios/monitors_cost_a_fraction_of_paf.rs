//! The processor time of monitors, next to PAF's on the same instances.

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use lab::{Agent, Lab, Node};

use crate::by_hand::Monitor;
use crate::operator::{all_started_at, pcs, wait_until_idle};
use crate::trial::{Ending, Trial};

/// How many monitors each average is made of.
const TIMES: u32 = 30;

/// For all of them: PAF takes its time.
const LIMIT: Duration = Duration::from_secs(180);

/// A standby's monitor must be cheaper than PAF's by this factor.
const FACTOR: f64 = 10.0;

/// Runs monitors, wants the same exit code of all, prints the shell's and its children's time.
const LOOP: &str = r#"times=$1 wanted=$2 agent=$3
for ((i = 0; i < times; i++)); do
    "$agent" monitor >/tmp/said 2>&1
    code=$?
    [ $code = $wanted ] || { echo "exit code $code instead of $wanted: $(cat /tmp/said)" >&2; exit 1; }
done
times"#;

pub fn play(lab: &Lab) -> Result<()> {
    let trial = Trial::begin(lab)?;
    let (primary, standby) = (trial.primary()?, trial.standbys()?[0]);
    let before = all_started_at(lab.nodes())?;
    // PAF waits without a deadline until it reads the scores that it has set: Pacemaker's monitors must not set others.
    trial.fault("maintenance mode on", || pcs(primary, &["property", "set", "maintenance-mode=true"]))?;
    wait_until_idle(primary)?;
    let cost = |agent, (node, interval, code)| milliseconds(agent, node, interval, code);
    let ([ours, paf], [our_primary, paf_primary]) = {
        let of_both = |what| anyhow::Ok([cost(Agent::Pgsqlms, what)?, cost(Agent::Paf, what)?]);
        (of_both((standby, 3000, 0))?, of_both((primary, 2000, 8))?)
    };
    trial.fault("maintenance mode off", || pcs(primary, &["property", "set", "maintenance-mode=false"]))?;
    let (factor, primary_factor) = (paf / ours, paf_primary / our_primary);
    println!(
        "monitor cost: standby ours {ours:.2} ms, PAF {paf:.1} ms ({factor:.0} x); \
         primary ours {our_primary:.2} ms, PAF {paf_primary:.1} ms ({primary_factor:.0} x)"
    );
    ensure!(factor >= FACTOR, "a standby's monitor is {factor:.1} times cheaper than PAF's, not {FACTOR} times");
    trial.end(&Ending { primary: Some(primary), still_running: &before, ..Ending::default() })
}

/// Processor time of one monitor, user and system, with everything it starts.
fn milliseconds(agent: Agent, node: &Node, interval: u32, wanted: i32) -> Result<f64> {
    let monitor = Monitor::new(agent, node, interval)?;
    let (times, wanted) = (TIMES.to_string(), wanted.to_string());
    let argv = monitor.with(&["bash", "-c", LOOP, "loop", &times, &wanted, &monitor.program]);
    let said = node.exec_within(LIMIT, &argv)?.ok()?;
    let children = said.lines().nth(1).and_then(|line| line.split_whitespace().map(seconds).sum());
    let seconds: f64 = children.with_context(|| format!("`times` said: {said}"))?;
    Ok(seconds * 1000.0 / f64::from(TIMES))
}

/// `1m2.345s` in seconds.
fn seconds(text: &str) -> Option<f64> {
    let (minutes, seconds) = text.strip_suffix('s')?.split_once('m')?;
    Some(minutes.parse::<f64>().ok()? * 60.0 + seconds.parse::<f64>().ok()?)
}
