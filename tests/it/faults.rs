//! Every fault of a single node: injected into a real instance as `faults/table` says, and answered as it says.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use nix::mount::{MsFlags, mount};
use nix::sched::{CloneFlags, unshare};
use nix::unistd::Pid;
use pgsqlms::logging::LONGEST_REASON;

use crate::run::{Ended, is_root, skip};
use stage::Stage;

/// A file system that hangs.
mod hanging;
/// Faults of an instance.
mod injection;
/// An instance, its faults and how they are undone.
mod stage;
/// Faults around an instance.
mod surroundings;
/// The table's text.
mod table;

use table::{After, Case, Step};

/// So long an action gets unless a row says otherwise, in milliseconds.
const TIMEOUT: u64 = 20_000;

/// The time that a busy machine may add to an action.
const SLACK: Duration = Duration::from_secs(2);

/// Cases at a time: most of a case is waiting.
const WORKERS: usize = 3;

#[test]
fn every_fault_is_answered_as_the_table_says() {
    if !is_root() {
        return skip("not run as root: file systems cannot be mounted");
    }
    let cases = table::cases();
    let wanted = std::env::var("FAULT").unwrap_or_default();
    let cases: Vec<Case> = cases.into_iter().filter(|case| case.title.contains(&wanted)).collect();
    if Stage::is_impossible() {
        return;
    }
    let next = AtomicUsize::new(0);
    let wrong: Vec<String> = std::thread::scope(|scope| {
        let worker = || {
            // Mounts of this namespace are invisible elsewhere and vanish with its last process.
            unshare(CloneFlags::CLONE_NEWNS).unwrap();
            mount(None::<&str>, "/", None::<&str>, MsFlags::MS_REC | MsFlags::MS_PRIVATE, None::<&str>).unwrap();
            let mut wrong = Vec::new();
            while let Some(case) = cases.get(next.fetch_add(1, Ordering::Relaxed)) {
                let began = Instant::now();
                if !wanted.is_empty() {
                    println!("{}", case.title);
                }
                let played = std::panic::catch_unwind(|| play(case));
                let complaints = played.unwrap_or_else(|_| vec!["the test itself failed, see above".to_owned()]);
                wrong.extend(complaints.into_iter().map(|complaint| format!("{}: {complaint}", case.title)));
                if !wanted.is_empty() {
                    println!("{} took {:.1} s", case.title, began.elapsed().as_secs_f64());
                }
            }
            wrong
        };
        let workers: Vec<_> = (0..WORKERS).map(|_| scope.spawn(worker)).collect();
        workers.into_iter().flat_map(|worker| worker.join().unwrap()).collect()
    });
    assert!(wrong.is_empty(), "{} of {} faults:\n{}", wrong.len(), cases.len(), wrong.join("\n"));
}

/// Plays a case to its end. Returns the mistakes.
fn play(case: &Case) -> Vec<String> {
    let mut stage = Stage::set(case);
    let mut wrong = Vec::new();
    for step in &case.steps {
        match step {
            Step::Inject(words) => injection::inject(&mut stage, words),
            Step::Act(act) => wrong.extend(acted(&mut stage, act)),
        }
    }
    // After each case a probe reports the truth, and the stop that Pacemaker would issue now succeeds.
    if !case.fenced {
        let probed = stage.agent("monitor", TIMEOUT).run();
        if (probed.code == 7) != (stage.processes() == 0) {
            wrong.push(format!("the probe at the end lies: {} processes, {probed:?}", stage.processes()));
        }
    }
    let began = Instant::now();
    let (stopped, again) = (stage.agent("stop", TIMEOUT).run(), stage.agent("stop", TIMEOUT).run());
    let succeeded = stopped.code == 0 && again.code == 0 && stage.processes() == 0;
    if succeeded == case.fenced || began.elapsed() > Duration::from_millis(TIMEOUT) {
        let took = began.elapsed().as_secs_f64();
        wrong.push(format!("the stop at the end, {} processes, {took:.1} s: {stopped:?}", stage.processes()));
    }
    wrong
}

/// Runs the agent as one step says.
fn acted(stage: &mut Stage, act: &table::Act) -> Vec<String> {
    let before = stage.postmaster();
    let began = Instant::now();
    let timeout = act.meta("timeout").and_then(|timeout| timeout.parse().ok()).filter(|timeout| *timeout > 0);
    let timeout = timeout.unwrap_or(TIMEOUT);
    let most = act.meta("atmost").and_then(|seconds| seconds.parse().ok()).map(Duration::from_secs);
    let most = most.unwrap_or(Duration::from_millis(timeout) + SLACK);
    let mut test = stage.agent(&act.action, timeout);
    for (name, value) in &act.parameters {
        test = test.parameter(name, stage.expanded(value));
    }
    for (name, value) in &act.meta {
        test = test.meta(name, value);
    }
    for (name, value) in &act.environment {
        test = test.env(name, stage.expanded(value));
    }
    let ended = test.redirected(&act.redirections).run();
    let mut wrong = answered(act, &ended);
    if began.elapsed() > most {
        wrong.push(format!("it took {:.1} s", began.elapsed().as_secs_f64()));
    }
    if !is_as_wanted(stage, act.after, before) {
        let now = stage.postmaster();
        wrong.push(format!("not {:?}: postmaster {before:?} is {now:?}, {} processes", act.after, stage.processes()));
    }
    wrong.into_iter().map(|complaint| format!("{}: {complaint}: {ended:?}", act.text)).collect()
}

/// The mistakes in an answer.
fn answered(act: &table::Act, ended: &Ended) -> Vec<String> {
    let mut wrong = Vec::new();
    let logs = act.meta("logs").unwrap_or_default();
    let (unwanted, words) = logs.strip_prefix('-').map_or((false, logs), |words| (true, words));
    if ended.log.contains(words) == unwanted {
        wrong.push(format!("it should log {logs}"));
    }
    if !act.codes.contains(&ended.code) {
        wrong.push(format!("{} instead of {:?}", ended.code, act.codes));
    }
    if !act.redirections.is_empty() {
        return wrong;
    }
    let reason = ended.reasons().first().copied().unwrap_or_default();
    if reason.is_empty() && ![0, 7, 8].contains(&ended.code) {
        wrong.push("no reason".to_owned());
    }
    if !reason.contains(&act.says) || reason.len() > LONGEST_REASON {
        wrong.push(format!("it does not say {:?}", act.says));
    }
    wrong
}

fn is_as_wanted(stage: &Stage, after: After, before: Option<Pid>) -> bool {
    let (now, processes) = (stage.postmaster(), stage.processes());
    match after {
        After::Anything => true,
        After::Gone => processes == 0,
        After::Runs => processes > 0,
        After::Same => processes > 0 && now == before,
        After::New => processes > 0 && now.is_some() && now != before,
    }
}
