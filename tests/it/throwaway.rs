//! Throw-away instances of PostgreSQL: copies of one template, each gone with all its processes when its test is over.

use std::cell::RefCell;
use std::collections::BTreeSet;
use std::os::unix::fs::{MetadataExt, PermissionsExt, chown};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::OnceLock;
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::unistd::{Pid, User, geteuid};
use pgsqlms::exit::OcfExitCode::{self, *};
use tempfile::TempDir;

use crate::run::{Test, is_root, skip};

/// What every instance is configured with, but for where its socket is. A standby needs somebody to follow; nobody
/// listens on port 1. No TCP: it runs beside other instances.
const SETTINGS: &str = "listen_addresses = ''\nfsync = off\nshared_buffers = 1MB\nmin_wal_size = 2MB\nmax_wal_size = 32MB\n\
     primary_conninfo = 'host=127.0.0.1 port=1 application_name=srv1'\n";

/// PostgreSQL's programs, and whom they run as.
#[derive(Debug, Clone)]
struct Programs {
    bindir: PathBuf,
    user: User,
}

/// A data directory of its own, and whatever runs in it. All of it is gone when this goes out of scope.
pub(crate) struct Instance {
    pub(crate) directory: TempDir,
    pub(crate) bindir: PathBuf,
    pub(crate) user: User,
    /// What is mounted below the directory.
    pub(crate) mounts: Vec<PathBuf>,
    /// What was the data directory, as the kernel knows it, wherever that is by now.
    inodes: RefCell<BTreeSet<(u64, u64)>>,
}

impl Instance {
    /// A fresh instance that has never run; nothing, said loudly, where none can be made.
    pub(crate) fn new() -> Option<Self> {
        let instance = Self::empty()?;
        instance.fill();
        Some(instance)
    }

    /// The place for an instance, without its data directory.
    pub(crate) fn empty() -> Option<Self> {
        let Programs { bindir, user } = programs()?;
        let directory = TempDir::with_prefix_in("pgsqlms.", "/var/tmp").unwrap();
        let instance = Self { directory, bindir, user, mounts: Vec::new(), inodes: RefCell::default() };
        instance.give(instance.directory.path());
        Some(instance)
    }

    /// Makes a directory PostgreSQL's.
    pub(crate) fn give(&self, directory: &Path) {
        std::fs::set_permissions(directory, std::fs::Permissions::from_mode(0o755)).unwrap();
        chown(directory, Some(self.user.uid.as_raw()), Some(self.user.gid.as_raw())).unwrap();
    }

    /// Makes the data directory, a copy of the template.
    pub(crate) fn fill(&self) {
        Command::new("cp").args(["-a", "-T"]).arg(template(&self.bindir, &self.user)).arg(self.data()).success();
        self.inodes.borrow_mut().extend(inode(&self.data()));
        self.configure(&format!("unix_socket_directories = '{}'\n", self.directory.path().display()));
    }

    /// Adds lines to postgresql.conf.
    pub(crate) fn configure(&self, lines: &str) {
        let file = self.data().join("postgresql.conf");
        let before = std::fs::read_to_string(&file).unwrap();
        std::fs::write(&file, before + lines).unwrap();
    }

    pub(crate) fn data(&self) -> PathBuf {
        self.directory.path().join("data")
    }

    /// One of PostgreSQL's programs, run as its user.
    pub(crate) fn as_user(&self, program: &str) -> Command {
        as_user(&self.bindir.join(program), &self.user)
    }

    /// The agent on this instance, told what Pacemaker tells the only instance of a clone; but for `crm_feature_set`, by
    /// which the agent knows that there is a cluster to ask.
    pub(crate) fn agent(&self, action: &str) -> Test {
        Test::new([action])
            .parameter("pgdata", self.data())
            .parameter("system_user", &self.user.name)
            .meta("timeout", "60000")
            .meta("notify", "true")
            .meta("promoted_max", "1")
    }

    #[track_caller]
    pub(crate) fn probe(&self, code: OcfExitCode) {
        self.agent("monitor").expect(code);
    }

    #[track_caller]
    pub(crate) fn start(&self) {
        self.agent("start").expect(Success);
    }

    #[track_caller]
    pub(crate) fn promote(&self) {
        self.start();
        self.agent("promote").expect(Success);
    }

    /// The line of postmaster.pid with this number, from 1 on.
    pub(crate) fn pid_file(&self, line: usize) -> Option<String> {
        let text = std::fs::read_to_string(self.data().join("postmaster.pid")).ok()?;
        text.lines().nth(line - 1).map(|line| line.trim().to_owned())
    }

    pub(crate) fn postmaster(&self) -> Option<Pid> {
        self.pid_file(1)?.parse().ok().map(Pid::from_raw)
    }

    /// Kills the postmaster; its children find out by themselves.
    pub(crate) fn crash(&self) {
        let postmaster = self.postmaster().unwrap();
        kill(postmaster, Signal::SIGKILL).unwrap();
        eventually("the end of all processes", || self.processes() == 0);
    }

    /// How many processes work in the data directory.
    pub(crate) fn processes(&self) -> usize {
        self.pids().len()
    }

    /// The processes that work in the data directory. What has ended and was not reaped has no directory any more.
    pub(crate) fn pids(&self) -> Vec<Pid> {
        // It may be another one by now, or one that something else has made.
        self.inodes.borrow_mut().extend(inode(&self.data()));
        let inodes = self.inodes.borrow();
        let entries = std::fs::read_dir("/proc").unwrap().flatten();
        let works_there = |entry: &std::fs::DirEntry| {
            let there = inode(&entry.path().join("cwd")).is_some_and(|inode| inodes.contains(&inode));
            // One that is just ending has no program any more.
            there && entry.path().join("exe").read_link().is_ok()
        };
        let ours = entries.filter(works_there);
        ours.filter_map(|entry| entry.file_name().to_str()?.parse().ok().map(Pid::from_raw)).collect()
    }

    pub(crate) fn psql(&self) -> Command {
        let mut psql = self.as_user("psql");
        psql.args(["--no-psqlrc", "--tuples-only", "--no-align", "--dbname=postgres", "--host"]);
        psql.arg(self.directory.path());
        psql
    }

    pub(crate) fn sql(&self, sql: &str) -> String {
        let output = self.psql().args(["--command", sql]).output().unwrap();
        String::from_utf8(output.stdout).unwrap().trim().to_owned()
    }
}

impl Drop for Instance {
    fn drop(&mut self) {
        for pid in self.pids() {
            let _ = kill(pid, Signal::SIGKILL);
        }
        let began = Instant::now();
        while self.processes() > 0 && began.elapsed() < Duration::from_secs(10) {
            std::thread::sleep(Duration::from_millis(10));
        }
        for mount in self.mounts.iter().rev() {
            let _ = Command::new("umount").arg("--lazy").arg(mount).stderr(Stdio::null()).status();
        }
        // What the agent had the server write where Debian keeps its logs.
        let name = self.data().to_string_lossy().trim_matches('/').replace('/', "-");
        let _ = std::fs::remove_file(format!("/var/log/postgresql/pgsqlms-{name}.log"));
        for note in ["break", "told"] {
            let _ = std::fs::remove_file(format!("/run/pgsqlms/{name}.{note}"));
        }
    }
}

/// The device and inode of a file.
fn inode(path: &Path) -> Option<(u64, u64)> {
    std::fs::metadata(path).ok().map(|found| (found.dev(), found.ino()))
}

pub(crate) trait Succeeds {
    fn success(&mut self);
}

impl Succeeds for Command {
    #[track_caller]
    fn success(&mut self) {
        let output = self.output().unwrap();
        assert!(output.status.success(), "{self:?}: {output:?}");
    }
}

/// A program run as the user of an instance.
pub(crate) fn as_user(program: &Path, user: &User) -> Command {
    let mut command = if is_root() {
        // It becomes the program, so that whoever started it can signal it.
        let mut command = Command::new("setpriv");
        command.args(["--reuid", &user.name, "--regid", &user.gid.to_string(), "--init-groups", "--"]).arg(program);
        command
    } else {
        Command::new(program)
    };
    command.current_dir("/").env("LC_ALL", "C").stdin(Stdio::null());
    command
}

/// What instances are made with; nothing, said loudly, where something is missing.
fn programs() -> Option<Programs> {
    let Some(bindir) = newest_postgresql() else {
        skip("PostgreSQL 12 or later is not installed (package postgresql)");
        return None;
    };
    // PostgreSQL refuses to be run by root; the agent then acts as postgres, else as whoever tests.
    let user = if is_root() { User::from_name("postgres") } else { User::from_uid(geteuid()) };
    let Ok(Some(user)) = user else {
        skip("there is no user postgres (package postgresql)");
        return None;
    };
    Some(Programs { bindir, user })
}

fn newest_postgresql() -> Option<PathBuf> {
    let parents = [("/usr/lib/postgresql", "", "bin"), ("/usr", "pgsql-", "bin")];
    let found = parents.iter().flat_map(|(parent, prefix, bin)| {
        let entries = std::fs::read_dir(parent).into_iter().flatten().flatten();
        entries.filter_map(move |entry| {
            let version: u32 = entry.file_name().to_str()?.strip_prefix(prefix)?.parse().ok()?;
            Some((version, entry.path().join(bin)))
                .filter(|(version, bin)| *version >= 12 && bin.join("initdb").exists())
        })
    });
    found.max().map(|(_, bindir)| bindir)
}

/// A data directory to copy, made once in a build's directory for temporary files. Small segments make small copies.
fn template(bindir: &Path, user: &User) -> &'static Path {
    static TEMPLATE: OnceLock<PathBuf> = OnceLock::new();
    TEMPLATE.get_or_init(|| {
        let version = bindir.to_string_lossy().replace('/', "-");
        let path = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("instance-1{version}"));
        if path.exists() {
            return path;
        }
        let directory = TempDir::with_prefix_in("pgsqlms.", "/var/tmp").unwrap();
        chown(directory.path(), Some(user.uid.as_raw()), Some(user.gid.as_raw())).unwrap();
        let data = directory.path().join("data");
        let options = ["--no-sync", "--auth-local=peer", "--auth-host=reject", "--encoding=UTF8", "--locale=C"];
        let mut initdb = as_user(&bindir.join("initdb"), user);
        // From PostgreSQL 18 on there are checksums unless they are refused, which no other one understands.
        let help = as_user(&bindir.join("initdb"), user).arg("--help").output().unwrap().stdout;
        if String::from_utf8_lossy(&help).contains("--no-data-checksums") {
            initdb.arg("--no-data-checksums");
        }
        initdb.args(options).args(["--wal-segsize=1", "-D"]).arg(&data).success();
        let file = data.join("postgresql.conf");
        std::fs::write(&file, std::fs::read_to_string(&file).unwrap() + SETTINGS).unwrap();
        // Beside the final name, so that whoever else makes one at the same time is not in the way.
        let beside = TempDir::with_prefix_in("instance.", env!("CARGO_TARGET_TMPDIR")).unwrap();
        let made = beside.path().join("data");
        Command::new("cp").arg("-a").arg(&data).arg(&made).success();
        if let Err(error) = std::fs::rename(&made, &path) {
            assert!(path.exists(), "{error}");
        }
        path
    })
}

#[track_caller]
pub(crate) fn eventually(what: &str, mut is_so: impl FnMut() -> bool) {
    let began = Instant::now();
    while !is_so() {
        assert!(began.elapsed() < Duration::from_secs(30), "waited in vain for {what}");
        std::thread::sleep(Duration::from_millis(10));
    }
}
