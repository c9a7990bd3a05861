//! Scenarios on several labs at once, because a lab mostly waits. A lane is a process of this program with a lab of its own
//! that plays one scenario after the other, so that the output of a scenario stays together.

use std::io::{BufRead, BufReader, Write};
use std::process::{Child, ChildStdout, Command, Stdio};
use std::sync::{Mutex, PoisonError};
use std::thread;

use anyhow::{Context, Result};
use lab::interrupt::{self, Mine};
use nix::sys::prctl::set_pdeathsig;
use nix::sys::signal::Signal;
use nix::unistd::{Pid, dup2_stderr};

use crate::runner::{Scenario, passes};
use crate::stage::{Place, Stage};

/// The argument that makes a process a lane.
pub const LANE: &str = "--lane";

/// Ends a lane's output of a scenario.
const PASSED: &str = "=== passed";
const FAILED: &str = "=== failed";

/// With fewer scenarios left, they are left to the lane that has the cluster for them.
const WORTH_A_CLUSTER: usize = 3;

/// The scenarios left to play, and the release of the shared cluster that each lane has up.
struct Queue<'a> {
    left: Vec<&'a Scenario>,
    up: Vec<Option<&'static str>>,
}

impl<'a> Queue<'a> {
    /// The scenario that a lane plays next: on the cluster that it has; else one that needs a new cluster; else on a cluster
    /// of a release that another lane has, too.
    fn next(&mut self, lane: usize) -> Option<&'a Scenario> {
        let shared = |scenario: &&Scenario| match scenario.place {
            Place::Shared(suite, _) => Some(suite),
            Place::New(..) | Place::Own(_) => None,
        };
        let mine = |scenario: &&Scenario| shared(scenario).is_some_and(|suite| self.up[lane] == Some(suite));
        let free = |scenario: &&Scenario| shared(scenario).is_none_or(|suite| !self.up.contains(&Some(suite)));
        let many = |scenario: &&Scenario| {
            self.left.iter().filter(|other| shared(other) == shared(scenario)).count() >= WORTH_A_CLUSTER
        };
        let position = |fits: &dyn Fn(&&Scenario) -> bool| self.left.iter().position(fits);
        let index = position(&mine).or_else(|| position(&free)).or_else(|| position(&many))?;
        let scenario = self.left.remove(index);
        self.up[lane] = match scenario.place {
            Place::Shared(suite, _) | Place::New(suite, _) => Some(suite),
            Place::Own(_) => None,
        };
        Some(scenario)
    }
}

/// Plays the scenarios in so many lanes. The names of those that failed.
///
/// # Errors
///
/// When a lane could not be started.
pub fn play<'a>(chosen: &[&'a Scenario], lanes: usize) -> Result<Vec<&'a str>> {
    let queue = Mutex::new(Queue { left: chosen.to_vec(), up: vec![None; lanes] });
    let next = |lane| queue.lock().unwrap_or_else(PoisonError::into_inner).next(lane);
    let play_all = |number| -> Result<Vec<&'a str>> {
        let (mut failed, mut lane) = (Vec::new(), Lane::start()?);
        while let Some(scenario) = next(number) {
            println!("... lane {} plays {}", number + 1, scenario.name);
            let passed = lane.passes(scenario);
            if passed != Some(true) {
                failed.push(scenario.name.as_str());
            }
            if passed.is_none() {
                lane.end()?;
                lane = Lane::start()?;
            }
        }
        lane.end().map(|()| failed)
    };
    let play_all = &play_all;
    let ended: Vec<_> = thread::scope(|scope| {
        let running: Vec<_> = (0..lanes).map(|number| scope.spawn(move || play_all(number))).collect();
        running.into_iter().map(|lane| lane.join().unwrap_or_else(|_| Err(anyhow::anyhow!("it panicked")))).collect()
    });
    let failed = ended.into_iter().collect::<Result<Vec<_>>>().context("a lane")?;
    Ok(failed.concat())
}

/// A process that plays scenarios, seen from outside.
struct Lane {
    process: Child,
    says: BufReader<ChildStdout>,
    mine: Mine,
}

impl Lane {
    fn start() -> Result<Self> {
        interrupt::hold();
        let mut command = Command::new(std::env::current_exe()?);
        let mut process = command.arg(LANE).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn()?;
        let says = BufReader::new(process.stdout.take().context("no output")?);
        let mine = Mine::Process(Pid::from_raw(i32::try_from(process.id())?));
        interrupt::register(mine.clone())?;
        Ok(Self { process, says, mine })
    }

    /// Has it play a scenario, and shows its output once it has ended; nothing when it is the process that has ended.
    fn passes(&mut self, scenario: &Scenario) -> Option<bool> {
        let asked = self.process.stdin.as_mut().map(|stdin| writeln!(stdin, "{}", scenario.name));
        let (mut shown, mut passed) = (String::new(), None);
        while passed.is_none() && matches!(asked, Some(Ok(()))) {
            let mut line = String::new();
            match (self.says.read_line(&mut line), line.trim_end()) {
                (Ok(0) | Err(_), _) => break,
                (_, PASSED) => passed = Some(true),
                (_, FAILED) => passed = Some(false),
                _ => shown += &line,
            }
        }
        print!("{shown}");
        if passed.is_none() {
            println!("FAILED  {}: the process that played it has ended", scenario.name);
        }
        passed
    }

    /// Lets it remove its lab and end.
    fn end(mut self) -> Result<()> {
        drop(self.process.stdin.take());
        self.process.wait()?;
        interrupt::unregister(&self.mine);
        Ok(())
    }
}

/// Is a lane: plays the scenarios that are named line by line, as long as its parent lives.
///
/// # Errors
///
/// When its surroundings are not those of a lane.
pub fn serve(scenarios: &[&Scenario]) -> Result<()> {
    set_pdeathsig(Signal::SIGTERM)?;
    dup2_stderr(std::io::stdout())?;
    let mut stage = Stage::new();
    for name in std::io::stdin().lines() {
        let name = name?;
        let scenario = scenarios.iter().find(|scenario| scenario.name == name);
        let passed = passes(&mut stage, scenario.with_context(|| format!("there is no scenario {name}"))?);
        println!("{}", if passed { PASSED } else { FAILED });
    }
    stage.clear();
    Ok(())
}
