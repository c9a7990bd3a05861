//! The nodes' disks: in memory, or on the machine's own disk, where reading can be slowed down to that of a small machine. And one
//! of its own for a directory, which can stand still.

use std::fs::{self, File};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use nix::mount::{MsFlags, mount, umount};
use nix::sys::stat::{major, minor};
use serde::{Deserialize, Serialize};

use crate::command::Command;
use crate::env;
use crate::layout::Layout;
use crate::node::Node;

/// Takes memory only for its files.
const IN_MEMORY: &str = "size=4G,mode=755";

/// Takes room only for its files.
const ON_DISK: u64 = 12 << 30;

/// A node's own disk, as it is called there.
const OWN: &str = "/dev/own";

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
                mount_new_device(&env::cache_dir().join(format!("{}{node}.img", layout.prefix())), &at)?;
            }
        }
        Ok(())
    }
}

/// Gives a directory of a running node a disk of its own, with all that is in it. Nothing may use the directory. The disk stays when
/// the node loses its power: the machine has mounted it, too.
pub fn give_own(node: &Node, path: &str) -> Result<()> {
    let (at, kept) = (node.path(path), kept(node, path));
    fs::rename(&at, &kept).with_context(|| format!("cannot move {}", at.display()))?;
    fs::create_dir(&at)?;
    mount_new_device(&env::cache_dir().join(format!("own-{}-{}.img", std::process::id(), node.name())), &at)?;
    fs::remove_dir(at.join("lost+found"))?;
    Command::new([Path::new("cp"), Path::new("-a"), &kept.join("."), &at]).run()?;
    fs::remove_dir_all(kept)?;
    let device = device_of(&at)?;
    let (major, minor) = device.split_once(':').context("it is no device")?;
    node.run(&["mknod", OWN, "b", major, minor])?;
    node.run(&["mount", "-o", "noatime", OWN, path]).map(drop)
}

/// Undoes [`give_own`]. Nothing may use the directory.
pub fn take_own(node: &Node, path: &str) -> Result<()> {
    let (at, kept) = (node.path(path), kept(node, path));
    Command::new([Path::new("cp"), Path::new("-a"), &at, &kept]).run()?;
    // A node that was switched on later has it from the machine.
    node.run(&["umount", path])?;
    node.run(&["rm", "-f", OWN])?;
    umount(&at).with_context(|| format!("cannot unmount {}", at.display()))?;
    fs::remove_dir(&at)?;
    Ok(fs::rename(kept, at)?)
}

/// Where the content of a directory waits meanwhile.
fn kept(node: &Node, path: &str) -> PathBuf {
    node.path(&format!("{path}.kept"))
}

/// Lets every file system below `dir` go on that stands still. What waits for one can neither end nor be ended.
pub fn thaw_below(dir: &Path) -> Result<()> {
    for point in mounts_below(dir)? {
        // Refused where it does not stand still, and by the others, which cannot.
        Command::new([Path::new("fsfreeze"), Path::new("--unfreeze"), &point]).output()?;
    }
    Ok(())
}

/// What is mounted below `dir` on this machine, or there, in the order in which it was mounted.
pub fn mounts_below(dir: &Path) -> Result<Vec<PathBuf>> {
    let mounts = fs::read_to_string("/proc/self/mounts").context("cannot read the mounts")?;
    let points = mounts.lines().filter_map(|line| line.split(' ').nth(1)).map(PathBuf::from);
    Ok(points.filter(|point| point.starts_with(dir)).collect())
}

/// Mounts a new one that is a file; it is gone as soon as nothing is mounted from it any more, whatever has become of the lab.
fn mount_new_device(image: &Path, at: &Path) -> Result<()> {
    let device = new_device(image)?;
    let mounted = make_and_mount(&device, at);
    Command::new(["losetup", "--detach", &device]).run()?;
    mounted
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
