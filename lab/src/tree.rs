//! The distribution tree that all nodes share: made once by debootstrap and the provisioning script that virtual
//! machines run too, then kept in a cache under a name that depends on its ingredients.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use nix::fcntl::{Flock, FlockArg};

use crate::cgroup::Cgroup;
use crate::clock::Deadline;
use crate::command::Command;
use crate::interrupt::{self, Mine};
use crate::layout::fnv1a;
use crate::{env, host, progress};

const PACKAGES: &str = include_str!("../../vagrant/provision/packages.sh");
const LEAN: &str = include_str!("../nodes/lean.sh");
const FENCE_AGENT: &str = include_str!("../nodes/fence_lab.py");

/// Making a tree takes a minute on a good day; mirrors have bad days.
const BUILD_LIMIT: Duration = Duration::from_secs(1800);

/// How often a long step says that it is still alive.
const SIGN_OF_LIFE: Duration = Duration::from_secs(5);

/// A finished tree in the cache.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tree {
    /// Its root folder; never write there.
    pub path: PathBuf,
    /// The distribution's code name.
    pub suite: String,
}

impl Tree {
    /// The tree of a Debian suite, made now unless the cache has it.
    pub fn ensure(suite: &str) -> Result<Self> {
        let fits = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit();
        ensure!(!suite.is_empty() && suite.chars().all(fits), "`{suite}` cannot be the name of a Debian suite");
        let cache = env::cache_dir();
        let stamp = fnv1a([suite, PACKAGES, LEAN, FENCE_AGENT].join("\0").as_bytes());
        let tree = Self { path: cache.join(format!("{suite}-{stamp:016x}")), suite: suite.to_owned() };
        if tree.path.exists() {
            return Ok(tree);
        }
        fs::create_dir_all(&cache).with_context(|| format!("cannot create {}", cache.display()))?;
        let _lock = lock(&tree.path.with_extension("lock"))?;
        if !tree.path.exists() {
            tree.build()?;
        }
        Ok(tree)
    }

    /// The newest PostgreSQL in the tree.
    pub fn postgres_version(&self) -> Result<u32> {
        let dir = self.path.join("usr/lib/postgresql");
        let entries = fs::read_dir(&dir).with_context(|| format!("no PostgreSQL in {}", dir.display()))?;
        let versions = entries.flatten().filter_map(|entry| entry.file_name().to_str()?.parse().ok());
        versions.max().with_context(|| format!("no PostgreSQL in {}", dir.display()))
    }

    /// Builds in a folder of its own and renames it at the end: a tree in the cache is always a whole one.
    fn build(&self) -> Result<()> {
        let unfinished = self.path.with_extension("unfinished");
        let makers = Cgroup::new(format!("pgsqlms.{}", self.path.file_name().unwrap_or_default().to_string_lossy()));
        let mine = Mine::Tree(unfinished.clone(), makers.clone());
        mine.remove()?;
        interrupt::register(mine.clone())?;
        progress::step(format!("making the tree of {}: once, a minute or two", self.suite));
        let built = self.fill(&unfinished, &makers);
        if built.is_ok() {
            fs::rename(&unfinished, &self.path).with_context(|| format!("cannot finish {}", self.path.display()))?;
        }
        interrupt::unregister(&mine);
        mine.remove()?;
        built?;
        progress::step(format!("the tree of {} is in {}", self.suite, self.path.display()));
        Ok(())
    }

    fn fill(&self, dir: &Path, makers: &Cgroup) -> Result<()> {
        makers.create()?;
        self.debootstrap(dir, makers)?;
        self.configure_apt(dir)?;
        install(&dir.join("usr/sbin/fence_lab"), FENCE_AGENT)?;
        for (name, script) in [("packages.sh", PACKAGES), ("lean.sh", LEAN)] {
            self.run_inside(dir, makers, name, script)?;
        }
        Ok(())
    }

    fn debootstrap(&self, into: &Path, makers: &Cgroup) -> Result<()> {
        let (into, mirror) = (into.to_string_lossy(), host::debian_mirror());
        let mut argv = vec!["debootstrap", "--variant=minbase", &self.suite, &into];
        argv.extend(mirror.as_deref());
        long_step(Command::new(makers.enter(argv)).title(format!("debootstrap {}", self.suite)))
    }

    /// An archive that is frozen at some day must not be refused for its age.
    fn configure_apt(&self, tree: &Path) -> Result<()> {
        let conf = "Acquire::Check-Valid-Until \"false\";\nAPT::Install-Recommends \"false\";\n";
        let path = tree.join("etc/apt/apt.conf.d/99lab");
        fs::write(&path, conf).with_context(|| format!("cannot write {}", path.display()))
    }

    fn run_inside(&self, tree: &Path, makers: &Cgroup, name: &str, script: &str) -> Result<()> {
        let inside = tree.join("root").join(name);
        install(&inside, script)?;
        let (root, group) = (tree.to_string_lossy(), makers.child(name));
        group.create()?;
        let argv = group.enter([
            "systemd-nspawn",
            "--quiet",
            "--register=no",
            "--keep-unit",
            "--as-pid2",
            "--pipe",
            "--resolv-conf=copy-host",
            "--machine=pgsqlms-tree",
            "--directory",
            &root,
            &format!("/root/{name}"),
        ]);
        long_step(
            Command::new(argv).env("SYSTEMD_NSPAWN_UNIFIED_HIERARCHY", "1").title(format!("{name} for {}", self.suite)),
        )?;
        fs::remove_file(&inside).with_context(|| format!("cannot remove {}", inside.display()))
    }
}

fn long_step(command: Command) -> Result<()> {
    let mut next = Deadline::after(SIGN_OF_LIFE);
    let output = command.limit(BUILD_LIMIT).watch(|line| {
        if next.passed() {
            progress::step(format!("  {}", line.chars().take(100).collect::<String>()));
            next = Deadline::after(SIGN_OF_LIFE);
        }
    })?;
    output.ok().map(drop)
}

fn lock(path: &Path) -> Result<Flock<File>> {
    let file = File::create(path).with_context(|| format!("cannot create {}", path.display()))?;
    let file = match Flock::lock(file, FlockArg::LockExclusiveNonblock) {
        Ok(lock) => return Ok(lock),
        Err((file, _)) => file,
    };
    progress::step("another lab is making this tree; waiting for it");
    Flock::lock(file, FlockArg::LockExclusive).map_err(|(_, error)| error).context("cannot lock the tree cache")
}

fn install(path: &Path, script: &str) -> Result<()> {
    use std::os::unix::fs::PermissionsExt;
    fs::write(path, script)
        .and_then(|()| fs::set_permissions(path, fs::Permissions::from_mode(0o755)))
        .with_context(|| format!("cannot write {}", path.display()))
}
