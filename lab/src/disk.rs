//! The nodes' disks: in memory, or on the machine's own disk, where reading can be slowed down to that of a small machine.

use std::fs::{self, File};
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use anyhow::{Context, Result};
use nix::mount::{MsFlags, mount};
use nix::sys::stat::{major, minor};
use serde::{Deserialize, Serialize};

use crate::command::Command;
use crate::env;
use crate::layout::Layout;

/// Takes memory only for its files.
const IN_MEMORY: &str = "size=4G,mode=755";

/// Takes room only for its files.
const ON_DISK: u64 = 12 << 30;

/// Where the nodes' disks are.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Disks {
    /// In memory.
    #[default]
    Memory,
    /// On the machine's own disk.
    Disk,
}

impl Disks {
    /// Mounts a new one for this node.
    pub fn mount_new(self, layout: &Layout, node: &str) -> Result<()> {
        let at = layout.disk(node);
        fs::create_dir_all(&at)?;
        match self {
            Disks::Memory => mount(Some("tmpfs"), &at, Some("tmpfs"), MsFlags::empty(), Some(IN_MEMORY))?,
            Disks::Disk => {
                let device = new_device(&env::cache_dir().join(format!("{}{node}.img", layout.prefix())))?;
                let mounted = make_and_mount(&device, &at);
                // Takes effect at the last unmount, also if the lab has crashed.
                Command::new(["losetup", "--detach", &device]).run()?;
                mounted?;
            }
        }
        Ok(())
    }
}

/// A block device that is a new file; its name is gone already, and its room with the last mount.
fn new_device(image: &Path) -> Result<String> {
    let file = File::create(image).with_context(|| format!("cannot create {}", image.display()))?;
    let device = file
        .set_len(ON_DISK)
        .map_err(anyhow::Error::from)
        .and_then(|()| Command::new([Path::new("losetup"), Path::new("--find"), Path::new("--show"), image]).run());
    fs::remove_file(image)?;
    Ok(device?.trim().to_owned())
}

fn make_and_mount(device: &str, at: &Path) -> Result<()> {
    Command::new(["mkfs.ext4", "-q", "-E", "lazy_itable_init=1,lazy_journal_init=1,nodiscard", device]).run()?;
    Ok(mount(Some(device), at, Some("ext4"), MsFlags::MS_NOATIME, None::<&str>)?)
}

/// The device that `path` is on, as control groups want it called: `7:0`.
pub fn device_of(path: &Path) -> Result<String> {
    let device = fs::metadata(path).with_context(|| format!("there is no {}", path.display()))?.dev();
    Ok(format!("{}:{}", major(device), minor(device)))
}

/// Empties the machine's page cache, so that nodes read their files from disk again, as after a power cut.
pub fn drop_page_cache() -> Result<()> {
    nix::unistd::sync();
    fs::write("/proc/sys/vm/drop_caches", "1").context("cannot drop what was read from disks")
}
