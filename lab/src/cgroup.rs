//! Control groups: one per node, to cut its power and to freeze it.
//!
//! systemd inside a node gets the unified hierarchy. Machines that mount the old hierarchies beside it (hybrid) get a
//! group in `systemd` as well, because systemd-nspawn asks for one, and in `blkio`, which limits how fast a disk is read.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, Result, ensure};

use crate::eventually::eventually;

const ROOT: &str = "/sys/fs/cgroup";

/// Where the unified hierarchy is mounted.
fn unified() -> PathBuf {
    let hybrid = Path::new(ROOT).join("unified");
    if hybrid.join("cgroup.procs").exists() { hybrid } else { ROOT.into() }
}

/// One of the old hierarchies, where it is mounted.
fn old(name: &str) -> Option<PathBuf> {
    Some(Path::new(ROOT).join(name)).filter(|dir| dir.join("cgroup.procs").exists() && *dir != unified())
}

/// Every hierarchy that a node needs a group in, the unified one first.
fn hierarchies() -> Vec<PathBuf> {
    [Some(unified()), old("systemd"), old("blkio")].into_iter().flatten().collect()
}

/// Fails with one sentence when this kernel's control groups cannot be used.
pub fn check() -> Result<()> {
    ensure!(
        unified().join("cgroup.procs").exists(),
        "the lab needs the unified control group hierarchy (cgroup2) below {ROOT}"
    );
    Ok(())
}

/// A group of processes, by its path below the hierarchies' roots.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cgroup {
    path: PathBuf,
}

impl Cgroup {
    /// The group of this path, which need not exist.
    pub fn new(path: impl Into<PathBuf>) -> Self {
        Self { path: path.into() }
    }

    /// A group inside this one.
    pub fn child(&self, name: impl AsRef<Path>) -> Self {
        Self { path: self.path.join(name) }
    }

    /// Its folder in the unified hierarchy.
    pub fn dir(&self) -> PathBuf {
        unified().join(&self.path)
    }

    /// Creates it in every hierarchy.
    pub fn create(&self) -> Result<()> {
        for hierarchy in hierarchies() {
            let dir = hierarchy.join(&self.path);
            fs::create_dir_all(&dir).with_context(|| format!("cannot create {}", dir.display()))?;
        }
        Ok(())
    }

    /// Whether any process is left in it or below it.
    pub fn populated(&self) -> bool {
        fs::read_to_string(self.dir().join("cgroup.events")).is_ok_and(|events| events.contains("populated 1"))
    }

    /// Ends every process in it and below it at once.
    pub fn kill(&self) -> Result<()> {
        self.write("cgroup.kill", "1")
    }

    /// Stops every process in it and below it, or lets them go on.
    pub fn freeze(&self, frozen: bool) -> Result<()> {
        self.write("cgroup.freeze", if frozen { "1" } else { "0" })?;
        let wanted = format!("frozen {}", u8::from(frozen));
        eventually(Duration::from_secs(5), "the freezer", || {
            let events = fs::read_to_string(self.dir().join("cgroup.events"))?;
            ensure!(events.contains(&wanted), "{}", events.trim());
            Ok(())
        })
    }

    /// Whether everything in it is stopped.
    pub fn frozen(&self) -> bool {
        fs::read_to_string(self.dir().join("cgroup.events")).is_ok_and(|events| events.contains("frozen 1"))
    }

    /// Has its processes read at most so many bytes a second from a device such as `7:0`; none for as many as they can.
    pub fn limit_reading(&self, device: &str, rate: Option<u64>) -> Result<()> {
        if let Some(blkio) = old("blkio") {
            let file = blkio.join(&self.path).join("blkio.throttle.read_bps_device");
            return set(&file, &format!("{device} {}", rate.unwrap_or(0)));
        }
        let parents: Vec<&Path> = self.path.ancestors().skip(1).collect();
        for parent in parents.into_iter().rev() {
            set(&unified().join(parent).join("cgroup.subtree_control"), "+io")?;
        }
        self.write("io.max", &format!("{device} rbps={}", rate.map_or("max".to_owned(), |rate| rate.to_string())))
    }

    /// Processes directly in it.
    pub fn processes(&self) -> Vec<u32> {
        let listed = fs::read_to_string(self.dir().join("cgroup.procs")).unwrap_or_default();
        listed.lines().filter_map(|line| line.parse().ok()).collect()
    }

    /// Ends every process and removes the group with all below it, from every hierarchy. Fine when there is none.
    pub fn destroy(&self) -> Result<()> {
        if self.dir().exists() {
            self.kill()?;
            eventually(
                Duration::from_secs(10),
                &format!("the processes of {} to be gone", self.path.display()),
                || {
                    ensure!(!self.populated(), "still there: {:?}", self.processes());
                    Ok(())
                },
            )?;
        }
        for hierarchy in hierarchies() {
            let dir = hierarchy.join(&self.path);
            eventually(Duration::from_secs(5), &format!("{} to be removed", dir.display()), || remove_tree(&dir))?;
        }
        Ok(())
    }

    /// A command line that runs another one inside this group.
    pub fn enter<'a>(&self, argv: impl IntoIterator<Item = &'a str>) -> Vec<String> {
        let files: Vec<_> = hierarchies()
            .iter()
            .map(|hierarchy| hierarchy.join(&self.path).join("cgroup.procs"))
            .filter(|file| file.exists())
            .map(|file| file.to_string_lossy().into_owned())
            .collect();
        let script = "files=$1; shift; for file in $files; do echo $$ >\"$file\"; done; exec \"$@\"";
        let mut line = vec!["sh".to_owned(), "-c".into(), script.into(), "enter".into(), files.join(" ")];
        line.extend(argv.into_iter().map(str::to_owned));
        line
    }

    fn write(&self, file: &str, value: &str) -> Result<()> {
        set(&self.dir().join(file), value)
    }
}

fn set(file: &Path, value: &str) -> Result<()> {
    fs::write(file, value).with_context(|| format!("cannot write {value} to {}", file.display()))
}

/// Groups can only be removed one by one, the innermost first; files in them do not matter.
fn remove_tree(dir: &Path) -> Result<()> {
    let Ok(entries) = fs::read_dir(dir) else { return Ok(()) };
    for entry in entries.flatten().filter(|entry| entry.file_type().is_ok_and(|kind| kind.is_dir())) {
        remove_tree(&entry.path())?;
    }
    fs::remove_dir(dir).with_context(|| format!("cannot remove {}", dir.display()))
}
