//! An instance, its faults and how they are undone.

use std::ops::{Deref, DerefMut};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use super::table::Case;
use crate::run::Test;
use crate::throwaway::{Instance, Succeeds, as_user, eventually};

/// A function that undoes a fault.
type Undo = Box<dyn FnOnce(&mut Stage)>;

/// One instance under test.
pub(super) struct Stage {
    instance: Instance,
    /// Child processes: the postmaster, which stays unreaped as long as it is in this list, and clients.
    held: Vec<Child>,
    /// Parameters of every call of the agent.
    pub(super) parameters: Vec<(String, String)>,
    /// Undoes the faults, the last first.
    pub(super) undo: Vec<Undo>,
    /// The data directory as it was found: after it was unmounted, nothing leads to it any more.
    data: PathBuf,
    /// Agents run without the right to look at other users' processes.
    pub(super) without_ptrace: bool,
    /// Another instance on this machine.
    pub(super) other: Option<Instance>,
}

impl Deref for Stage {
    type Target = Instance;

    fn deref(&self) -> &Instance {
        &self.instance
    }
}

impl DerefMut for Stage {
    fn deref_mut(&mut self) -> &mut Instance {
        &mut self.instance
    }
}

impl Stage {
    /// Whether no instance can be made here, which then is said.
    pub(super) fn is_impossible() -> bool {
        Instance::empty().is_none()
    }

    /// An instance in the role and on the kind of file system that the case wants.
    pub(super) fn set(case: &Case) -> Self {
        let mut instance = Instance::empty().unwrap();
        match case.place.as_str() {
            "" => {}
            "tmpfs" => on_tmpfs(&mut instance, "data", "size=80m,nr_inodes=2k"),
            "disk" => on_disk(&mut instance),
            "its own pg_wal" => {}
            place => panic!("no such place: {place}"),
        }
        instance.fill();
        if case.place == "its own pg_wal" {
            let wal = instance.data().join("pg_wal");
            let kept = instance.directory.path().join("wal");
            Command::new("mv").args([&wal, &kept]).success();
            std::fs::create_dir(&wal).unwrap();
            on_tmpfs(&mut instance, "data/pg_wal", "size=12m");
            Command::new("cp").arg("-a").arg(kept.join(".")).arg(&wal).success();
        }
        let data = instance.data();
        let (held, parameters, undo) = (Vec::new(), Vec::new(), Vec::new());
        let mut stage = Self { instance, held, parameters, undo, data, without_ptrace: false, other: None };
        match case.role.as_str() {
            "fresh" => {}
            "standby" | "stopped standby" => {
                as_user(Path::new("touch"), &stage.user).arg(stage.data().join("standby.signal")).success();
                stage.launch();
            }
            "primary" | "stopped primary" => stage.launch(),
            role => panic!("no such role: {role}"),
        }
        if case.role.starts_with("stopped") {
            kill(stage.postmaster().unwrap(), Signal::SIGINT).unwrap();
            stage.held.drain(..).for_each(|mut child| assert!(child.wait().is_ok()));
        }
        stage
    }

    /// Starts the server without the agent.
    pub(super) fn launch(&mut self) {
        self.spawn();
        eventually("the server", || self.sql("SELECT 1") == "1");
    }

    /// Starts the server and waits for nothing.
    pub(super) fn spawn(&mut self) {
        let mut server = self.as_user("postgres");
        let log = self.directory.path().join("server.log");
        let log = std::fs::File::options().create(true).append(true).open(log).unwrap();
        self.hold(server.arg("-D").arg(self.data()).stdout(Stdio::null()).stderr(log));
    }

    /// Starts something that ends with the case.
    pub(super) fn hold(&mut self, command: &mut Command) {
        self.held.push(command.spawn().unwrap());
    }

    /// The process that was started last.
    pub(super) fn last_held(&self) -> Pid {
        Pid::from_raw(self.held.last().unwrap().id() as i32)
    }

    /// A client whose session does nothing for a long time, and the process that serves it.
    pub(super) fn client(&mut self) -> Pid {
        let of_client = "FROM pg_stat_activity WHERE wait_event = 'PgSleep'";
        let mut psql = self.psql();
        self.hold(psql.args(["--command", "SELECT pg_sleep(600)"]).stderr(Stdio::null()));
        eventually("a client", || self.sql(&format!("SELECT count(*) {of_client}")) != "0");
        let pid = self.sql(&format!("SELECT max(pid) {of_client}"));
        Pid::from_raw(pid.parse().unwrap())
    }

    /// The agent, with the case's parameters.
    pub(super) fn agent(&self, action: &str, timeout: u64) -> Test {
        let test = self.instance.agent(action).meta("timeout", timeout.to_string());
        let test = if self.without_ptrace { test.without_ptrace() } else { test };
        let parameters = self.parameters.iter();
        parameters.fold(test, |test, (name, value)| test.parameter(name, self.expanded(value)))
    }

    /// The processes that work in the data directory, or in the former one after an unmount.
    pub(super) fn processes(&self) -> usize {
        self.pids().len()
    }

    /// `text` with the place of this instance in it.
    pub(super) fn expanded(&self, text: &str) -> String {
        text.replace("{dir}", &self.directory.path().display().to_string())
            .replace("{data}", &self.data.display().to_string())
            .replace("{bindir}", &self.bindir.display().to_string())
    }

    /// Takes notice of the end of all that has ended. A process that is ending has no program any more, and is waited for: a moment
    /// later it would be a dead process that nothing has taken notice of.
    pub(super) fn reap(&mut self) {
        for child in &mut self.held {
            let program = format!("/proc/{}/exe", child.id());
            eventually("the end of what has lost its program", || {
                child.try_wait().unwrap().is_some() || std::fs::read_link(&program).is_ok()
            });
        }
    }

    /// Undoes the faults.
    pub(super) fn heal(&mut self) {
        while let Some(undo) = self.undo.pop() {
            undo(self);
        }
    }
}

impl Drop for Stage {
    fn drop(&mut self) {
        self.heal();
        let left =
            self.instance.pids().into_iter().chain(self.held.iter().map(|child| Pid::from_raw(child.id() as i32)));
        left.for_each(|pid| kill(pid, Signal::SIGKILL).unwrap_or_default());
        self.held.drain(..).for_each(|mut child| drop(child.wait()));
    }
}

/// Mounts something below the instance's directory.
pub(super) fn mount(instance: &mut Instance, what: &Path, at: &Path, options: &str, kind: &str) {
    std::fs::create_dir_all(at).unwrap();
    Command::new("mount").args(["-t", kind, "-o", options]).args([what, at]).success();
    instance.mounts.push(at.to_owned());
    instance.give(at);
    std::fs::set_permissions(at, std::os::unix::fs::PermissionsExt::from_mode(0o700)).unwrap();
}

fn on_tmpfs(instance: &mut Instance, name: &str, options: &str) {
    let at = instance.directory.path().join(name);
    mount(instance, Path::new("tmpfs"), &at, options, "tmpfs");
}

/// A file system in a file that has holes, on one that can be filled: a write into a hole then fails.
fn on_disk(instance: &mut Instance) {
    on_tmpfs(instance, "backing", "size=120m");
    let image = instance.directory.path().join("backing/image");
    std::fs::File::create(&image).unwrap().set_len(200 << 20).unwrap();
    Command::new("mkfs.ext4").args(["-q", "-F", "-m", "0"]).arg(&image).success();
    let at = instance.data();
    mount(instance, &image, &at, "loop,errors=remount-ro", "ext4");
    let _ = std::fs::remove_dir(at.join("lost+found"));
}
