//! Chooses scenarios and runs them. libtest cannot: it has no place to remove a shared cluster.

use std::panic::{self, AssertUnwindSafe};
use std::process::ExitCode;
use std::time::Instant;

use anyhow::{Result, anyhow};
use clap::Parser;

use crate::lanes;
use crate::stage::{Place, Stage};

/// One fault, or one promise.
pub struct Scenario {
    /// A sentence.
    pub name: String,
    /// Where it is played, and its function.
    pub place: Place,
}

/// Understands as much of libtest's command line as people use with it.
#[derive(Debug, Parser)]
#[command(name = "lab", about = "Runs the scenarios whose names contain one of the words given; all without any.")]
struct Arguments {
    /// Parts of names.
    words: Vec<String>,
    /// Runs the campaign instead: the scenarios that take long, which `make test` leaves out.
    #[arg(long)]
    campaign: bool,
    /// Words are whole names.
    #[arg(long)]
    exact: bool,
    /// Leaves out scenarios whose names contain this.
    #[arg(long)]
    skip: Vec<String>,
    /// On how many labs scenarios are played at once: three keep two processors busy. On one, the course of a scenario is
    /// shown as it happens.
    #[arg(long, default_value_t = 3)]
    lanes: usize,
    /// Plays the scenarios named on its input. Other processes of this program start it.
    #[arg(long, hide = true)]
    lane: bool,
    /// Prints the names and runs nothing.
    #[arg(long)]
    list: bool,
    /// For libtest's sake: a lab plays one scenario after the other.
    #[arg(long, hide = true)]
    test_threads: Option<usize>,
    /// For libtest's sake: everything is always shown.
    #[arg(long, hide = true)]
    nocapture: bool,
}

impl Arguments {
    fn chooses(&self, name: &str) -> bool {
        let fits = |word: &String| if self.exact { name == word } else { name.contains(word.as_str()) };
        (self.words.is_empty() || self.words.iter().any(fits)) && !self.skip.iter().any(|word| name.contains(word))
    }
}

/// From the command line to an exit code.
pub fn main(everyday: &[Scenario], campaign: &[Scenario]) -> ExitCode {
    let arguments = Arguments::parse();
    if arguments.lane {
        let all: Vec<_> = everyday.iter().chain(campaign).collect();
        return lanes::serve(&all).map_or_else(
            |error| {
                println!("{error:#}");
                ExitCode::FAILURE
            },
            |()| ExitCode::SUCCESS,
        );
    }
    let scenarios = if arguments.campaign { campaign } else { everyday };
    let (chosen, left_out): (Vec<_>, Vec<_>) = scenarios.iter().partition(|scenario| arguments.chooses(&scenario.name));
    if arguments.list {
        chosen.iter().for_each(|scenario| println!("{}: test", scenario.name));
        return ExitCode::SUCCESS;
    }
    let started = Instant::now();
    println!("running {} scenarios", chosen.len());
    let lanes = arguments.lanes.min(chosen.len());
    let failed = if lanes > 1 { lanes::play(&chosen, lanes) } else { Ok(play(&chosen)) };
    let failed = match failed {
        Ok(failed) => failed,
        Err(error) => {
            println!("{error:#}");
            return ExitCode::FAILURE;
        }
    };
    failed.iter().for_each(|name| println!("failed: {name}"));
    let passed = chosen.len() - failed.len();
    let (left_out, seconds) = (left_out.len(), started.elapsed().as_secs());
    println!(
        "{passed} passed, {} failed, {left_out} left out; {} min {:02} s",
        failed.len(),
        seconds / 60,
        seconds % 60
    );
    if failed.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

/// Plays them one after the other. The names of those that failed.
fn play<'a>(chosen: &[&'a Scenario]) -> Vec<&'a str> {
    let mut stage = Stage::new();
    let failed = chosen.iter().filter(|scenario| !passes(&mut stage, scenario)).map(|scenario| scenario.name.as_str());
    let failed = failed.collect();
    stage.clear();
    failed
}

/// Plays one, and says how it ended.
pub fn passes(stage: &mut Stage, scenario: &Scenario) -> bool {
    println!("\n--- {}", scenario.name);
    let started = Instant::now();
    let played = panic::catch_unwind(AssertUnwindSafe(|| stage.play(&scenario.place)));
    let result: Result<()> = played.unwrap_or_else(|panic| Err(anyhow!("panicked: {}", message(panic.as_ref()))));
    let seconds = started.elapsed().as_secs_f64();
    match &result {
        Ok(()) => println!("ok      {} ({seconds:.1} s)", scenario.name),
        Err(error) => {
            println!("FAILED  {} ({seconds:.1} s): {error:#}", scenario.name);
            stage.keep_logs();
        }
    }
    result.is_ok()
}

fn message(panic: &(dyn std::any::Any + Send)) -> String {
    let text = panic.downcast_ref::<String>().map(String::as_str).or(panic.downcast_ref::<&str>().copied());
    text.unwrap_or("without a message").to_owned()
}
