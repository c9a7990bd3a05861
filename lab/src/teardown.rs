//! Removes everything a lab has on the machine, by its name alone: after a success, a failure, Ctrl-C or a crash.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, Once, PoisonError};
use std::time::Duration;

use anyhow::{Context, Result};
use nix::mount::{MntFlags, umount2};

use crate::cgroup::Cgroup;
use crate::eventually::eventually;
use crate::layout::Layout;
use crate::{network, progress};

/// Labs to remove when this process is told to end.
static MINE: Mutex<Vec<Layout>> = Mutex::new(Vec::new());
static HANDLER: Once = Once::new();

/// Removes a lab: processes, mounts, namespaces, control groups, files. Fine when there is none. Logs stay.
pub fn teardown(layout: &Layout) -> Result<()> {
    Cgroup::new(layout.cgroup()).destroy()?;
    unmount_below(&layout.run_dir())?;
    network::destroy(layout)?;
    remove_dir(&layout.run_dir())?;
    remove_nspawn_leftovers(layout)
}

/// Removes the logs of a lab.
pub fn remove_logs(layout: &Layout) -> Result<()> {
    remove_dir(&layout.log_dir())
}

/// From now on Ctrl-C, or a plain kill, removes this lab before the process ends.
pub fn register(layout: &Layout) -> Result<()> {
    let mut result = Ok(());
    HANDLER.call_once(|| result = ctrlc::set_handler(remove_mine_and_exit));
    result.context("cannot handle Ctrl-C")?;
    MINE.lock().unwrap_or_else(PoisonError::into_inner).push(layout.clone());
    Ok(())
}

/// The lab is somebody else's now, or gone.
pub fn unregister(layout: &Layout) {
    MINE.lock().unwrap_or_else(PoisonError::into_inner).retain(|mine| mine != layout);
}

fn remove_mine_and_exit() {
    let mine = MINE.lock().unwrap_or_else(PoisonError::into_inner).clone();
    for layout in mine {
        progress::step(format!("interrupted: removing the lab `{}`", layout.name()));
        // Whatever was just being made may be in the way of a first try.
        let what = format!("the lab `{}` to be removed", layout.name());
        if let Err(error) = eventually(Duration::from_secs(10), &what, || teardown(&layout)) {
            progress::step(format!("{error:#}; try `lab down --name {}`", layout.name()));
        }
    }
    #[expect(clippy::exit, reason = "the process was told to end")]
    std::process::exit(130);
}

fn unmount_below(dir: &Path) -> Result<()> {
    let mounts = fs::read_to_string("/proc/self/mounts").context("cannot read the mounts")?;
    let mut points: Vec<PathBuf> = mounts
        .lines()
        .filter_map(|line| line.split(' ').nth(1))
        .map(PathBuf::from)
        .filter(|p| p.starts_with(dir))
        .collect();
    // What was mounted last is on top.
    points.reverse();
    for point in points {
        umount2(&point, MntFlags::MNT_DETACH).with_context(|| format!("cannot unmount {}", point.display()))?;
    }
    Ok(())
}

fn remove_nspawn_leftovers(layout: &Layout) -> Result<()> {
    let prefix = format!("{}-srv", layout.name());
    for place in ["/run/systemd/nspawn/propagate", "/run/systemd/nspawn/unix-export"] {
        for entry in fs::read_dir(place).into_iter().flatten().flatten() {
            if entry.file_name().to_string_lossy().starts_with(&prefix) {
                unmount_below(&entry.path())?;
                remove_dir(&entry.path())?;
            }
        }
    }
    Ok(())
}

fn remove_dir(dir: &Path) -> Result<()> {
    match fs::remove_dir_all(dir) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
            Err(error).with_context(|| format!("cannot remove {}", dir.display()))
        }
        _ => Ok(()),
    }
}
