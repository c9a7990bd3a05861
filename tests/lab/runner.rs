//! Runs scenarios one after the other. libtest cannot: it has no place to remove a shared cluster.

use std::panic::{self, AssertUnwindSafe};
use std::process::ExitCode;
use std::time::Instant;

use anyhow::{Result, anyhow};
use clap::Parser;

use crate::stage::{Place, Stage};

/// One fault, or one promise.
pub struct Scenario {
    /// A sentence.
    pub name: String,
    /// Where it is played, and what is done there.
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
    /// Prints the names and runs nothing.
    #[arg(long)]
    list: bool,
    /// For libtest's sake: scenarios always run one after the other.
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
    let scenarios = if arguments.campaign { campaign } else { everyday };
    let (chosen, left_out): (Vec<_>, Vec<_>) = scenarios.iter().partition(|scenario| arguments.chooses(&scenario.name));
    if arguments.list {
        chosen.iter().for_each(|scenario| println!("{}: test", scenario.name));
        return ExitCode::SUCCESS;
    }
    let mut stage = Stage::new();
    let started = Instant::now();
    println!("running {} scenarios", chosen.len());
    let failed: Vec<&str> =
        chosen.iter().filter(|scenario| !passes(&mut stage, scenario)).map(|scenario| scenario.name.as_str()).collect();
    stage.clear();
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

fn passes(stage: &mut Stage, scenario: &Scenario) -> bool {
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
