//! Throw-away instances of PostgreSQL: copies of one template, each gone with all its processes when its test is over.

use std::cell::RefCell;
use std::collections::BTreeSet;
use std::fmt::Display;
use std::os::unix::fs::{MetadataExt, PermissionsExt, chown};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use nix::errno::Errno;
use nix::sys::signal::{Signal, kill};
use nix::unistd::{Pid, User, geteuid};
use pgsqlms::exit::OcfExitCode::{self, *};
use tempfile::TempDir;

use self::template::{initdb, template};
use crate::run::{Test, is_root, skip};

/// PostgreSQL's programs with a script in the place of one.
pub(crate) mod scripts;
/// The files that a killed server leaves outside of its directory.
mod shared_memory;
/// How data directories are made.
mod template;

/// How long a busy machine may take for anything that is waited for.
const WAIT: Duration = Duration::from_secs(60);

/// The name of a directory that no test may open: its file system hangs.
pub(crate) const HANGS: &str = "hangs";

/// PostgreSQL's programs, and the user that they run as.
#[derive(Debug, Clone)]
struct Programs {
    bindir: PathBuf,
    user: User,
}

/// Where tests make their directories.
const PLACE: &str = "/var/tmp";

/// A data directory of its own, and the server in it. Dropping this ends the server and removes the directory.
pub(crate) struct Instance {
    pub(crate) directory: TempDir,
    pub(crate) bindir: PathBuf,
    pub(crate) user: User,
    /// Mounts below the directory.
    pub(crate) mounts: Vec<PathBuf>,
    /// The first data directory as the kernel knows it, also after a rename.
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
        let directory = TempDir::with_prefix_in("pgsqlms.", PLACE).unwrap();
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

    /// Makes the data directory anew, a database of its own. Its WAL has come far: it begins at segment 100.
    pub(crate) fn fill_anew(&self) {
        if self.data().exists() {
            // A killed postmaster that was not reaped yet keeps another one from the socket.
            if let Some(before) = self.postmaster() {
                eventually("the postmaster before to be reaped", || kill(before, None) == Err(Errno::ESRCH));
            }
            std::fs::rename(self.data(), self.directory.path().join("before")).unwrap();
        }
        initdb(&self.bindir, &self.user, &self.data());
        self.inodes.borrow_mut().extend(inode(&self.data()));
        self.configure(&format!("unix_socket_directories = '{}'\n", self.directory.path().display()));
        self.as_user("pg_resetwal").args(["-l", "000000010000000000000064"]).arg(self.data()).success();
        self.run_by_hand();
        self.sql("CREATE TABLE anew AS SELECT 1 AS number");
        self.as_user("pg_ctl").args(["stop", "--silent", "--pgdata"]).arg(self.data()).success();
    }

    /// Starts it by hand, as a primary or a standby.
    pub(crate) fn run_by_hand(&self) {
        let log = self.directory.path().join("log");
        let mut start = self.as_user("pg_ctl");
        let output = start.args(["start", "--silent", "--log"]).arg(&log).arg("--pgdata").arg(self.data()).output();
        assert!(output.unwrap().status.success(), "{}", std::fs::read_to_string(log).unwrap_or_default());
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

    /// The agent on this instance, with the environment of the only instance of a clone. `crm_feature_set` is missing, by
    /// which the agent knows that there is a cluster to ask.
    pub(crate) fn agent(&self, action: &str) -> Test {
        Test::new([action])
            .parameter("pgdata", self.data())
            .parameter("system_user", &self.user.name)
            .parameter("evidence_dir", self.directory.path().join("evidence"))
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

    /// The processes that work in the data directory. A zombie has no directory any more.
    pub(crate) fn pids(&self) -> Vec<Pid> {
        // It may be another one by now, or one that something else has made.
        self.inodes.borrow_mut().extend(inode(&self.data()));
        let inodes = self.inodes.borrow();
        let entries = std::fs::read_dir("/proc").unwrap().flatten();
        let works_there = |entry: &std::fs::DirEntry| {
            let cwd = entry.path().join("cwd");
            if cwd.read_link().is_ok_and(|cwd| cwd.ends_with(HANGS)) {
                return false;
            }
            let there = inode(&cwd).is_some_and(|inode| inodes.contains(&inode));
            // The inode of a data directory that was removed may be another test's by now.
            let is_ours = |path: PathBuf| path.starts_with(self.directory.path()) || !path.starts_with(PLACE);
            // One that is just ending has no program any more.
            there && cwd.read_link().is_ok_and(is_ours) && entry.path().join("exe").read_link().is_ok()
        };
        let ours = entries.filter(works_there);
        ours.filter_map(|entry| entry.file_name().to_str()?.parse().ok().map(Pid::from_raw)).collect()
    }

    /// The instance's name in the names of files.
    fn name(&self) -> String {
        self.data().to_string_lossy().trim_matches('/').replace('/', "-")
    }

    /// A file that monitors keep in /run.
    pub(crate) fn note(&self, extension: &str) -> PathBuf {
        PathBuf::from(format!("/run/pgsqlms/{}.{extension}", self.name()))
    }

    /// Moves a recorded beginning, if the monitors have one, a minute into the past.
    pub(crate) fn a_minute_passes(&self, extension: &str) {
        let Ok(noted) = std::fs::read_to_string(self.note(extension)) else { return };
        let (since, seen) = noted.split_once(' ').unwrap();
        let since: u64 = since.parse().unwrap();
        std::fs::write(self.note(extension), format!("{} {seen}", since.saturating_sub(60_000))).unwrap();
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
        self.remove_shared_memory();
        for mount in self.mounts.iter().rev() {
            let _ = Command::new("umount").arg("--lazy").arg(mount).stderr(Stdio::null()).status();
        }
        // The server's log in Debian's directory for logs.
        let _ = std::fs::remove_file(format!("/var/log/postgresql/pgsqlms-{}.log", self.name()));
        let notes = [
            "break",
            "told",
            "wait",
            "wal",
            "successor",
            "names",
            "session",
            "hung",
            "storage",
            "standstill",
            "unfit",
            "lost",
        ];
        for note in notes.into_iter().chain(["logged"]) {
            let _ = std::fs::remove_file(self.note(note));
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
        // setpriv execs the program, so that the caller can signal it.
        let mut command = Command::new("setpriv");
        command.args(["--reuid", &user.name, "--regid", &user.gid.to_string(), "--init-groups", "--"]).arg(program);
        command
    } else {
        Command::new(program)
    };
    command.current_dir("/").env("LC_ALL", "C").stdin(Stdio::null());
    command
}

/// The programs and the user of instances. None, with a message, if a program is missing.
fn programs() -> Option<Programs> {
    let Some(bindir) = newest_postgresql() else {
        skip("PostgreSQL 12 or later is not installed (package postgresql)");
        return None;
    };
    // PostgreSQL refuses to be run by root; the agent then acts as postgres, else as the user who tests.
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

#[track_caller]
pub(crate) fn eventually(what: &str, is_so: impl FnMut() -> bool) {
    eventually_or(what, is_so, || "nothing");
}

/// As `eventually`; what was seen `instead` is said, too.
#[track_caller]
pub(crate) fn eventually_or<T: Display>(what: &str, mut is_so: impl FnMut() -> bool, instead: impl Fn() -> T) {
    let began = Instant::now();
    while !is_so() {
        assert!(began.elapsed() < WAIT, "waited {} s for {what}, saw {}", WAIT.as_secs(), instead());
        std::thread::sleep(Duration::from_millis(10));
    }
}

#[test]
fn an_instance_ends_no_other_one() {
    let (Some(one), Some(other)) = (Instance::new(), Instance::new()) else { return };
    other.run_by_hand();
    // As if a directory that it has removed had had the inode that the other one's has now.
    one.inodes.borrow_mut().extend(inode(&other.data()));
    drop(one);
    assert!(other.processes() > 0);
}
