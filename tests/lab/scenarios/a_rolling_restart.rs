//! A setting that a standby must not have below the primary's is raised, and `pgsqlms restart` brings it into force on all nodes,
//! with clients that write all the time. It refuses to lower it again. Killed in the midst, it leaves a ban that ends by itself.

use anyhow::{Result, ensure};
use lab::{Lab, Node};

use super::a_switchover_by_the_command::{constraint, ends_by_itself, goes_on};
use crate::operator::{AGENT, all_started_at, another, wait_until_idle};
use crate::trial::{Ending, LIMIT, Trial};

/// A setting that needs a restart: 64 by default, raised by the scenario.
const SETTING: &str = "max_locks_per_transaction";
const RAISED: &str = "72";

pub fn play(lab: &Lab) -> Result<()> {
    let trial = Trial::begin(lab)?;
    let (old, standby) = (trial.primary()?, trial.standbys()?[0]);
    let third = another(lab, &[old, standby])?;
    let before = all_started_at(lab.nodes())?;
    set(lab, RAISED)?;
    let planned = restart(third, &["--pending"], None)?.1;
    ensure!(planned.contains(&format!("{SETTING} 64 -> {RAISED}")), "{planned}");
    ensure!(planned.contains("To do it: pgsqlms restart --pending --yes"), "{planned}");
    ensure!(all_started_at(lab.nodes())? == before, "without --yes it has done something");

    let (code, output) =
        trial.fault("restart all, one after the other", || restart(third, &["--pending", "--yes"], None))?;
    ensure!(code == 0, "{output}");
    for node in lab.nodes() {
        let value = node.psql(&format!("SHOW {SETTING}"))?;
        ensure!(value == RAISED, "{} has {value}", node.name());
    }
    let new = trial.primary()?;
    ensure!(new.name() != old.name(), "{} is the primary still", old.name());
    ensure!(constraint(lab, "cli-")?.is_none(), "a constraint is left");
    let nothing = restart(third, &["--pending", "--yes"], None)?;
    ensure!(nothing.1.contains("Nothing waits for a restart."), "{nothing:?}");

    set(lab, "64")?;
    let (code, refused) = restart(new, &["--yes"], None)?;
    ensure!(code == 1 && refused.contains("is lowered"), "{refused}");
    set(lab, RAISED)?;
    trial.end(&Ending { primary: Some(new), elected: true, ..Ending::default() })
}

/// Ten moments, each time until the ban has ended by itself.
pub fn killed_at_ten_moments(lab: &Lab) -> Result<()> {
    let trial = Trial::begin(lab)?;
    for moment in 1..=10 {
        let on = trial.primary()?;
        let standby = trial.standbys()?[usize::from(moment % 2 == 0)];
        wait_until_idle(on)?;
        let words = [standby.name(), "--yes", "--wait=5"];
        let seconds = format!("{:.2}", f64::from(moment) * 0.3);
        trial.fault(&format!("kill a restart after {seconds} s"), || restart(on, &words, Some(&seconds)))?;
        if let Some(left) = constraint(lab, "cli-ban-")? {
            ends_by_itself(lab, &left)?;
        }
        // The ban is over by then, and Pacemaker has started it again by itself.
        goes_on(&trial)?;
        ensure!(trial.primary()?.name() == on.name(), "{} is the primary", trial.primary()?.name());
    }
    trial.end(&Ending { elected: true, ..Ending::default() })
}

/// Runs the command, and kills it after a while if `killed_after` is given. Returns its exit code and output.
fn restart(on: &Node, words: &[&str], killed_after: Option<&str>) -> Result<(i32, String)> {
    let kill = killed_after.map(|seconds| ["timeout", "--preserve-status", "--signal", "KILL", seconds]);
    let argv = [kill.iter().flatten().copied().collect(), vec![AGENT, "restart"], words.to_vec()].concat();
    let done = on.exec_within(LIMIT, &argv)?;
    let output = format!("{}{}", done.stdout, done.stderr);
    lab::progress::step(output.trim());
    Ok((done.code, output))
}

fn set(lab: &Lab, value: &str) -> Result<()> {
    for node in lab.nodes() {
        node.psql(&format!("ALTER SYSTEM SET {SETTING} = '{value}'"))?;
        node.psql("SELECT pg_reload_conf()")?;
    }
    Ok(())
}
