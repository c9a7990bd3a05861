//! A server whose recovery takes long.

use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use super::stage::Stage;
use crate::throwaway::{Succeeds, as_user};

/// A server forks its startup process as soon as it listens.
const STOPPED_WITHIN: Duration = Duration::from_secs(60);

/// As a standby whose startup process gets little time or none.
pub(super) fn launch(stage: &mut Stage, signal: &str) {
    as_user(Path::new("touch"), &stage.user).arg(stage.data().join("standby.signal")).success();
    // PostgreSQL takes a dead postmaster that was not reaped for a running one.
    stage.reap();
    stage.spawn();
    let pid = stop_at_once(stage.last_held(), "startup");
    let script = "while kill -\"$1\" \"$0\"; do sleep 0.005; kill -STOP \"$0\"; sleep 0.4; done";
    let mut brake = Command::new("/bin/sh");
    stage.hold(brake.args(["-c", script]).arg(pid.to_string()).arg(signal).stderr(Stdio::null()));
    let brake = stage.last_held();
    stage.undo.push(Box::new(move |_| {
        let _ = kill(brake, Signal::SIGKILL);
        let _ = kill(pid, Signal::SIGCONT);
    }));
}

/// Stops the child of `parent` with this title as soon as it has it: recovery may be over some ten milliseconds later.
fn stop_at_once(parent: Pid, title: &str) -> Pid {
    let children = format!("/proc/{parent}/task/{parent}/children");
    let has_title =
        |pid: &Pid| std::fs::read_to_string(format!("/proc/{pid}/cmdline")).is_ok_and(|it| it.contains(title));
    let found = || {
        let children = std::fs::read_to_string(&children).unwrap_or_default();
        let pids = children.split_whitespace().map(|pid| Pid::from_raw(pid.parse().unwrap()));
        pids.into_iter().find(has_title)
    };
    let began = Instant::now();
    loop {
        if let Some(pid) = found().filter(|pid| kill(*pid, Signal::SIGSTOP).is_ok()) {
            return pid;
        }
        assert!(began.elapsed() < STOPPED_WITHIN, "waited {STOPPED_WITHIN:?} for a process called {title}");
        std::thread::yield_now();
    }
}
