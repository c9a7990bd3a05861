//! Removes everything a lab has on the machine, by its name alone: after a success, a failure, Ctrl-C or a crash.

use std::fs;
use std::path::Path;

use anyhow::{Context, Result};
use nix::mount::{MntFlags, umount2};

use crate::cgroup::Cgroup;
use crate::disk;
use crate::layout::Layout;
use crate::network;

/// Removes a lab: processes, mounts, namespaces, control groups, files. Fine when there is none. Logs stay.
pub fn lab(layout: &Layout) -> Result<()> {
    disk::thaw_below(&layout.run_dir())?;
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

/// Removes an unfinished tree and the processes that make it. Fine when there is none.
pub fn tree(dir: &Path, makers: &Cgroup) -> Result<()> {
    makers.destroy()?;
    unmount_below(dir)?;
    remove_dir(dir)
}

fn unmount_below(dir: &Path) -> Result<()> {
    let mut points = disk::mounts_below(dir)?;
    // The last mount is on top.
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
