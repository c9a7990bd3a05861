//! The lab itself: `lab down` removes all of it, and the remains of a killed owner are removed by the next
//! `lab down` or `lab up`.

use std::time::Duration;
use std::{fs, thread};

use anyhow::{Context, Result, anyhow, ensure};
use lab::Node;
use lab::command::{Command, Output};
use lab::layout::Layout;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use crate::stage::Stage;
use crate::trial::LIMIT;
use crate::{AS_LAB, traces};

/// Making a distribution tree is part of the first `lab up`.
const UP_LIMIT: Duration = Duration::from_secs(900);

pub fn play(stage: &mut Stage) -> Result<()> {
    let layout = Layout::new(&stage.name())?;
    lab::progress::step("lab up, lab down");
    up(&layout)?.ok()?;
    for kind in ["file", "network namespace", "mount", "control group", "process"] {
        let traces = traces::of(&layout)?;
        ensure!(traces.iter().any(|trace| trace.starts_with(kind)), "a running lab has no {kind}, but {traces:?}");
    }
    down(&layout)?;
    down(&layout).context("the second time")?;

    lab::progress::step("lab up, Ctrl-C, lab down");
    let ended = kill_owner(&layout, Signal::SIGINT)?;
    ensure!(ended.code == 130, "Ctrl-C ended `lab up` with {}: {}", ended.code, ended.stderr);
    // The logs stay until then, for people who look for the cause.
    traces::none_but(&layout, &[traces::logs(&layout), traces::lock(&layout)]).context("after Ctrl-C")?;
    down(&layout)?;

    lab::progress::step("lab up, kill -9, lab down");
    kill_owner(&layout, Signal::SIGKILL)?;
    down(&layout)?;

    lab::progress::step("lab up, kill -9, lab up, lab down");
    kill_owner(&layout, Signal::SIGKILL)?;
    up(&layout)?.ok().context("after a crash")?;
    down(&layout)
}

/// Kills a `lab up` while nodes are running in it.
fn kill_owner(layout: &Layout, signal: Signal) -> Result<Output> {
    thread::scope(|scope| {
        let owner = scope.spawn(|| up(layout));
        let killed = lab::eventually(UP_LIMIT, "the lab to have a running node", || {
            ensure!(Node::new(layout, 2, 0).is_on(), "there is {:?}", traces::of(layout)?);
            let pid = fs::read_to_string(layout.lock())?.trim().parse()?;
            kill(Pid::from_raw(pid), signal).with_context(|| format!("cannot kill process {pid}"))
        });
        let ended = owner.join().unwrap_or_else(|_| Err(anyhow!("it panicked")));
        killed.and(ended)
    })
}

/// An empty cluster of two nodes.
fn up(layout: &Layout) -> Result<Output> {
    lab_command(layout, &["up", "--nodes", "2", "--configured-by", "none"], UP_LIMIT)
}

fn down(layout: &Layout) -> Result<()> {
    lab_command(layout, &["down"], LIMIT)?.ok()?;
    traces::none_but(layout, &[]).context("after `lab down`")
}

/// This very program, which is the command `lab` if it is asked to be.
fn lab_command(layout: &Layout, words: &[&str], limit: Duration) -> Result<Output> {
    let me = std::env::current_exe()?;
    let me = me.to_string_lossy();
    let argv = [&*me, "--name", layout.name()].into_iter().chain(words.iter().copied());
    Command::new(argv).env(AS_LAB, "yes").title(format!("lab {}", words.join(" "))).limit(limit).output()
}
