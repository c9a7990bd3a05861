//! A demonstration for people: three nodes, a switchover as ordered, a power cut of the primary, its return; each step
//! with its time, and in the end the findings from the client's record.

mod comeback;
mod proof;
mod show;
mod steps;
mod story;

use anyhow::{Context, Result};

use crate::builder::Builder;
use crate::lab::Lab;
use crate::progress;
use show::Show;
use story::{Finding, Story};

/// Whether commits wait for a standby.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Replication {
    /// For any one: acknowledged commits outlive the primary.
    Synchronous,
    /// They do not: the last ones before a power cut may be lost.
    Asynchronous,
}

/// The cluster after the demonstration.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Afterwards {
    /// It disappears.
    Remove,
    /// It stays, also after a failure.
    Keep,
}

/// Plays it on the lab of this name. An error names the mistake.
pub fn run(name: &str, builder: Builder, replication: Replication, afterwards: Afterwards) -> Result<()> {
    progress::elapsed();
    let story = Story::begin();
    story.chapter("Three machines with PostgreSQL, Pacemaker and fencing");
    match afterwards {
        Afterwards::Remove => {
            let mut lab = builder.up()?;
            let played = play(&lab, &story, replication);
            if played.is_err() {
                lab.keep_logs();
            }
            drop(lab);
            story.say(format!("the cluster `{name}` is removed, nothing of it is left running"));
            played
        }
        Afterwards::Keep => {
            let program = std::env::current_exe().context("cannot find this program")?;
            builder.up_and_leave(&program)?;
            let played = play(&Lab::open(name)?, &story, replication);
            let command = |words: &str| format!("{} --name {name} {words}", program.display());
            story.chapter("The cluster is still up");
            story.findings(&[
                Finding::plain("enter a node", command("shell srv1")),
                Finding::plain("look at it", command("status")),
                Finding::plain("remove it", command("down")),
            ]);
            played
        }
    }
}

fn play(lab: &Lab, story: &Story, replication: Replication) -> Result<()> {
    let mut show = Show::begin(lab, story, replication).context("the demonstration could not begin")?;
    let switchover = show.switchover().context("the switchover failed")?;
    let failover = show.power_cut().context("the failover failed")?;
    show.comeback().context("the old primary has not come back as it should")?;
    show.prove()?;
    let (switchover, failover) = (story::seconds(switchover), story::seconds(failover));
    story.sum(&format!("all is well: the outages lasted {switchover} and {failover}, and nothing was lost"));
    Ok(())
}
