//! The cost of a membership that notices a lost node soon. For each pair of token and consensus a standby's node stands still
//! for 100 to 900 ms, as a virtual machine does that is moved or snapshotted, and then the primary loses power. A table says
//! which pause was tolerated.

use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
use lab::journal::{self, COROSYNC};
use lab::provision::{Membership, on_all};
use lab::{Lab, Node, eventually, progress};

use crate::operator::wait_until_idle;
use crate::trial::{Ending, LIMIT, Trial};

/// From slow to fast; and a short token with a long consensus.
const MEMBERSHIPS: [(u32, u32); 7] =
    [(1000, 1200), (700, 840), (500, 600), (400, 480), (300, 360), (200, 500), (200, 300)];

const PAUSES: [u64; 9] = [100, 200, 300, 400, 500, 600, 700, 800, 900];

/// The results of one pair of token and consensus.
struct Row {
    membership: Membership,
    /// The longest pause, in milliseconds, without a new ring.
    unnoticed: u64,
    /// The longest one without a fencing.
    tolerated: u64,
    /// From the power cut of the primary to its first acknowledged commit elsewhere, about.
    outage: Duration,
}

pub fn play(lab: &Lab) -> Result<()> {
    let trial = Trial::begin(lab)?;
    let mut rows = Vec::new();
    for (token, consensus) in MEMBERSHIPS {
        let membership = Membership { token, consensus };
        set(lab, membership)?;
        let (unnoticed, tolerated) = pauses(&trial)?;
        let outage = power_cut(&trial, membership)?;
        rows.push(Row { membership, unnoticed, tolerated, outage });
    }
    set(lab, Membership::PATIENT)?;
    print_table(&rows);
    // As specified: a node that answers within token and consensus stays.
    for Row { membership: Membership { token, consensus }, tolerated, .. } in &rows {
        let promised = u64::from(token + consensus) * 2 / 3 / 100 * 100;
        ensure!(
            *tolerated >= promised.min(900),
            "{token} + {consensus} ms: a pause of {tolerated} ms at most was tolerated"
        );
    }
    let fenced = trial.fenced()?;
    let fenced: Vec<&Node> = fenced.iter().map(|name| lab.node(name)).collect();
    trial.end(&Ending { fenced: &fenced, elected: true, ..Ending::default() })
}

/// Changes the running cluster.
fn set(lab: &Lab, Membership { token, consensus }: Membership) -> Result<()> {
    let change = format!("s/^    token: .*/    token: {token}/; s/^    consensus: .*/    consensus: {consensus}/");
    on_all(lab.nodes(), |node| node.run(&["sed", "-i", &change, "/etc/corosync/corosync.conf"]).map(drop))?;
    lab.nodes()[0].run(&["corosync-cfgtool", "-R"])?;
    let wanted = [("token", token), ("consensus", consensus)];
    eventually(LIMIT, "Corosync to use it everywhere", || {
        for (node, (key, value)) in lab.nodes().iter().flat_map(|node| wanted.map(|wanted| (node, wanted))) {
            let said = node.run(&["corosync-cmapctl", "-g", &format!("runtime.config.totem.{key}")])?;
            ensure!(said.trim_end().ends_with(&format!("= {value}")), "{}: {said}", node.name());
        }
        Ok(())
    })
}

/// The longest pause of a standby's node without a new ring, and without a fencing.
fn pauses(trial: &Trial<'_>) -> Result<(u64, u64)> {
    let node = trial.standbys()?[0];
    let (mut unnoticed, mut tolerated) = (0, 0);
    for pause in PAUSES {
        let (before, began) = (trial.fenced()?.len(), lab::clock::unix_micros());
        trial.fault(&format!("{} stands still for {pause} ms", node.name()), || {
            node.freeze()?;
            thread::sleep(Duration::from_millis(pause));
            // It may have been fenced meanwhile.
            node.thaw().or_else(|error| if trial.fenced()?.len() > before { Ok(()) } else { Err(error) })
        })?;
        // A fencing because of the pause is over once the cluster is whole and quiet again.
        wait_until_idle(trial.primary()?)?;
        trial
            .lab
            .wait_for(LIMIT, "all nodes to be online", |cluster| cluster.online().len() == trial.lab.nodes().len())?;
        trial.lab.wait_for_primary(LIMIT, trial.lab.nodes().len() - 1)?;
        if trial.fenced()?.len() > before {
            break;
        }
        tolerated = pause;
        let said = journal::everything_since(trial.lab, began)?;
        let rings =
            said.iter().filter(|entry| entry.program == COROSYNC && entry.text().contains("A processor failed"));
        if rings.count() == 0 {
            unnoticed = pause;
        }
    }
    Ok((unnoticed, tolerated))
}

fn power_cut(trial: &Trial<'_>, Membership { token, consensus }: Membership) -> Result<Duration> {
    let old = trial.primary()?;
    let began = Instant::now();
    trial.fault(&format!("cut the power of the primary: token {token} ms, consensus {consensus} ms"), || {
        old.power_off()
    })?;
    trial.another_primary(old)?;
    let outage = began.elapsed();
    trial.fault("give it power again", || old.power_on())?;
    trial.comes_back(old)?;
    wait_until_idle(trial.primary()?)?;
    Ok(outage)
}

fn print_table(rows: &[Row]) {
    progress::step("token + consensus: pause without a new ring, without a fencing; outage after a power cut, about");
    for Row { membership: Membership { token, consensus }, unnoticed, tolerated, outage } in rows {
        let (budget, outage) = (token + consensus, outage.as_secs_f64());
        println!("{token:>6} + {consensus:<5} = {budget:>4} ms: {unnoticed:>4} ms, {tolerated:>4} ms; {outage:.1} s");
    }
}
