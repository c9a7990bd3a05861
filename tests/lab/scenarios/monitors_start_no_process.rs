//! A standby's monitor starts no process at all, a primary's none but Pacemaker's own tools.

use std::collections::BTreeSet;

use anyhow::{Result, ensure};
use lab::{Agent, Lab, Node};

use crate::by_hand::Monitor;
use crate::operator::all_started_at;
use crate::trial::{Ending, Trial};

/// How often each monitor is run.
const TIMES: usize = 5;

/// Programs that a primary's monitor may start.
const TOOLS: [&str; 2] = ["/usr/sbin/cibadmin", "/usr/sbin/attrd_updater"];

pub fn play(lab: &Lab) -> Result<()> {
    let trial = Trial::begin(lab)?;
    let primary = trial.primary()?;
    let before = all_started_at(lab.nodes())?;
    for node in trial.standbys()? {
        let started = processes_of_monitors(node, 3000, 0)?;
        ensure!(started.is_empty(), "monitors of the standby on {} started {started:?}", node.name());
    }
    let started = processes_of_monitors(primary, 2000, 8)?;
    println!("monitors of the primary started {started:?}");
    let others: Vec<_> = started.iter().filter(|program| !TOOLS.contains(&program.as_str())).collect();
    ensure!(others.is_empty(), "monitors of the primary on {} started {others:?}", primary.name());
    trial.end(&Ending { primary: Some(primary), still_running: &before, ..Ending::default() })
}

/// Processes that monitors started: programs by name, and forks that remained the agent.
fn processes_of_monitors(node: &Node, interval: u32, wanted: i32) -> Result<BTreeSet<String>> {
    let monitor = Monitor::new(Agent::Pgsqlms, node, interval)?;
    let calls = ["strace", "-f", "-qq", "-etrace=execve,fork,vfork,clone,clone3", "-esignal=none", "-o/tmp/calls"];
    let argv = monitor.with(&[&calls[..], &[&monitor.program, "monitor"]].concat());
    let mut started = BTreeSet::new();
    for _ in 0..TIMES {
        let ended = node.exec(&argv)?;
        ensure!(ended.code == wanted, "monitor on {} ended with {}: {}", node.name(), ended.code, ended.stderr);
        started.extend(processes(&node.run(&["cat", "/tmp/calls"])?, &monitor.program)?);
    }
    Ok(started)
}

/// Reads the output of strace.
fn processes(trace: &str, agent: &str) -> Result<Vec<String>> {
    // A program that is looked for along PATH is not there at first.
    let calls = || trace.lines().filter(|line| !line.contains("resumed>") && !line.contains("ENOENT"));
    let programs = calls().filter_map(|line| line.split_once("execve(\"")?.1.split('"').next());
    let mut programs: Vec<String> = programs.map(str::to_owned).collect();
    ensure!(programs.first().is_some_and(|first| first == agent), "strace did not see {agent} begin, but: {trace}");
    programs.remove(0);
    let forks = calls().filter(|line| !line.contains("execve(") && !line.contains("CLONE_THREAD")).count();
    if forks != programs.len() {
        programs.push(format!("{forks} processes"));
    }
    Ok(programs)
}
