//! Ctrl-C, or a plain kill: labs and other objects of this process are removed before it ends.

use std::path::PathBuf;
use std::sync::{Mutex, Once, OnceLock, PoisonError};
use std::thread::{self, ThreadId};
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use nix::errno::Errno;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use crate::cgroup::Cgroup;
use crate::eventually::eventually;
use crate::layout::Layout;
use crate::{clock, progress, teardown};

/// Objects to remove.
static MINE: Mutex<Vec<Mine>> = Mutex::new(Vec::new());
static HANDLER: Once = Once::new();

/// The thread that removes everything, once there is one.
static REMOVER: OnceLock<ThreadId> = OnceLock::new();

/// An object that another thread was just making when it was stopped appears within this time.
const LAST_GASP: Duration = Duration::from_millis(300);

/// Something that must not outlive this process.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Mine {
    /// A lab.
    Lab(Layout),
    /// A process that removes its objects when it gets SIGTERM.
    Process(Pid),
    /// A distribution tree that is not finished, and the processes that make it.
    Tree(PathBuf, Cgroup),
}

impl Mine {
    /// Removes it. Fine when there is none.
    pub fn remove(&self) -> Result<()> {
        match self {
            Self::Lab(layout) => {
                teardown::lab(layout)?;
                let _ = std::fs::remove_file(layout.lock());
                Ok(())
            }
            Self::Process(pid) => {
                // Its parent waits for it all the time.
                ensure!(kill(*pid, Signal::SIGTERM) == Err(Errno::ESRCH), "process {pid} has not ended");
                Ok(())
            }
            Self::Tree(dir, makers) => teardown::tree(dir, makers),
        }
    }

    fn name(&self) -> String {
        match self {
            Self::Lab(layout) => format!("the lab `{}`", layout.name()),
            Self::Process(pid) => format!("the objects of process {pid}"),
            Self::Tree(..) => "the unfinished tree".into(),
        }
    }
}

/// From now on this is removed when the process is interrupted.
pub fn register(mine: Mine) -> Result<()> {
    let mut result = Ok(());
    HANDLER.call_once(|| result = ctrlc::set_handler(remove_all_and_exit));
    result.context("cannot handle Ctrl-C")?;
    lock().push(mine);
    Ok(())
}

/// This belongs to another process now, or is gone.
pub fn unregister(mine: &Mine) {
    lock().retain(|other| other != mine);
}

/// Does not return once the process was interrupted: the calling thread would otherwise make an object again that is being
/// removed, or blame the cluster for its disappearance. Called wherever a program is started or something is waited for.
pub fn hold() {
    while REMOVER.get().is_some_and(|remover| *remover != thread::current().id()) {
        thread::park();
    }
}

fn remove_all_and_exit() {
    if REMOVER.set(thread::current().id()).is_err() {
        return;
    }
    let all = lock().clone();
    for mine in &all {
        progress::step(format!("interrupted: removing {}", mine.name()));
        remove(mine);
    }
    clock::sleep(LAST_GASP);
    all.iter().for_each(remove);
    #[expect(clippy::exit, reason = "the process was interrupted")]
    std::process::exit(130);
}

fn remove(mine: &Mine) {
    let what = format!("{} to be removed", mine.name());
    if let Err(error) = eventually(Duration::from_secs(10), &what, || mine.remove()) {
        progress::step(format!("{error:#}; the next `lab up` or `lab down` tries again"));
    }
}

fn lock() -> std::sync::MutexGuard<'static, Vec<Mine>> {
    MINE.lock().unwrap_or_else(PoisonError::into_inner)
}
