//! The labs that scenarios are played on: one at a time, kept from scenario to scenario while it will do.

use std::fs;
use std::path::Path;

use anyhow::{Context, Result};
use lab::builder::Builder;
use lab::layout::Layout;
use lab::provision::Membership;
use lab::{Lab, progress};

use crate::operator::report_divergence;

/// Every lab's name begins like this; the process's number follows.
const PREFIX: &str = "test-";

/// Where a scenario is played, and its function.
pub enum Place {
    /// On the cluster that all scenarios of a Debian release share. Those about rewinding or rebuilding ask for it.
    Shared(&'static str, fn(&Lab) -> Result<()>),
    /// On a new cluster, which is then the shared one.
    New(&'static str, fn(&Lab) -> Result<()>),
    /// On labs that it makes itself.
    Own(fn(&mut Stage) -> Result<()>),
}

/// Has at most one lab up.
pub struct Stage {
    lab: Option<Lab>,
    made: u32,
}

impl Stage {
    /// An empty one. The remains of killed test runs are removed.
    pub fn new() -> Self {
        for name in left_behind() {
            // Refused, and rightly so, when it belongs to a test run that is still going on. An error in one that is
            // gone can still be read.
            let _ = lab::lab::down(&name, true);
        }
        Self { lab: None, made: 0 }
    }

    /// Plays a scenario.
    pub fn play(&mut self, place: &Place) -> Result<()> {
        match place {
            Place::Shared(suite, scenario) => scenario(self.shared(suite)?),
            Place::New(suite, scenario) => {
                self.clear();
                scenario(self.shared(suite)?)
            }
            Place::Own(scenario) => {
                self.clear();
                scenario(self)
            }
        }
    }

    /// The name of a lab that there has never been.
    pub fn name(&mut self) -> String {
        self.made += 1;
        format!("{PREFIX}{}-{}", std::process::id(), self.made)
    }

    /// How to make a lab of its own; its name is new. Two labs and more may be up, so its nodes are patient with each other.
    pub fn builder(&mut self) -> Builder {
        Lab::builder().name(self.name()).membership(Membership::PATIENT)
    }

    /// Brings up a lab, which is on the stage from now on.
    pub fn bring_up(&mut self, builder: Builder) -> Result<&Lab> {
        self.clear();
        let lab = builder.up()?;
        Ok(self.lab.insert(lab))
    }

    /// Removes the lab that is up, if any.
    pub fn clear(&mut self) {
        self.lab = None;
    }

    /// Removes the lab in which something went wrong, but not its logs.
    pub fn keep_logs(&mut self) {
        if let Some(mut lab) = self.lab.take() {
            lab.keep_logs();
        }
    }

    fn shared(&mut self, suite: &str) -> Result<&Lab> {
        if self.lab.as_ref().is_none_or(|lab| lab.state().suite != suite) {
            progress::step(format!("a new cluster of {suite}"));
            let builder = self.builder().suite(suite);
            report_divergence(self.bring_up(builder)?)?;
        }
        self.lab.as_ref().context("the lab is gone")
    }
}

/// The names of all labs that were made by processes which are gone: each has a lock, as long as it was not brought down. Those of
/// others are not even tried, because that would be in their way when they are about to make theirs.
fn left_behind() -> Vec<String> {
    let place = Layout::new(PREFIX).map(|layout| layout.lock().with_file_name("")).unwrap_or_default();
    let files =
        fs::read_dir(place).into_iter().flatten().flatten().filter_map(|file| file.file_name().into_string().ok());
    let names = files.filter_map(|file| file.strip_suffix(".lock").map(str::to_owned));
    names.filter(|name| is_left(name)).collect()
}

/// Whether it is the name of a lab whose process is gone.
fn is_left(name: &str) -> bool {
    let maker = name.strip_prefix(PREFIX).and_then(|rest| rest.split('-').next());
    maker.is_some_and(|process| !Path::new("/proc").join(process).exists())
}
