//! One node: run something in it, its power, its freezer.

use std::fs::{self, File};
use std::net::Ipv4Addr;
use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use nix::fcntl::{Flock, FlockArg};

use crate::cgroup::Cgroup;
use crate::command::{Command, Output};
use crate::disk;
use crate::eventually::eventually;
use crate::layout::{HYPERVISOR_IN_NODE, Layout};
use crate::network::Network;

/// How long something run in a node may take unless a limit is given.
const EXEC_LIMIT: Duration = Duration::from_secs(60);

/// A node boots in a second; a busy machine may need longer.
const BOOT_LIMIT: Duration = Duration::from_secs(60);

const PATH_IN_NODE: &str = "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/// One node of a lab. Its disk is an overlay that survives a power cut.
#[derive(Debug, Clone)]
pub struct Node {
    layout: Layout,
    number: u8,
    name: String,
    postgres: u32,
}

impl Node {
    /// The node with this number, from 1 on; `postgres` is the major version it has.
    pub fn new(layout: &Layout, number: u8, postgres: u32) -> Self {
        Self { layout: layout.clone(), number, name: Layout::node_name(number), postgres }
    }

    /// Its name, in the cluster and on the network.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Its own address.
    pub fn address(&self) -> Ipv4Addr {
        self.layout.node_address(self.number)
    }

    /// A path of its file system as seen from outside, whether it is on or off. `path` is absolute inside the node.
    pub fn path(&self, path: &str) -> PathBuf {
        match path.strip_prefix("/var/log") {
            Some(log) => self.layout.node_log_dir(&self.name).join(log.trim_start_matches('/')),
            None => self.layout.root(&self.name).join(path.trim_start_matches('/')),
        }
    }

    /// Where its PostgreSQL's data is, inside the node.
    pub fn pgdata(&self) -> String {
        format!("/var/lib/postgresql/{}/main", self.postgres)
    }

    /// Where PostgreSQL's programs are, inside the node.
    pub fn bindir(&self) -> String {
        format!("/usr/lib/postgresql/{}/bin", self.postgres)
    }

    /// Whether it has power and something runs in it.
    pub fn is_on(&self) -> bool {
        self.cgroup().populated()
    }

    /// Runs something in it as root. Any exit code is fine; an error means that the node did not run it to its end.
    pub fn exec(&self, argv: &[&str]) -> Result<Output> {
        self.exec_within(EXEC_LIMIT, argv)
    }

    /// Like [`Node::exec`] with a limit of its own.
    pub fn exec_within(&self, limit: Duration, argv: &[&str]) -> Result<Output> {
        let job = self.job()?;
        let command = self.command(&job, argv)?;
        let output = command.title(format!("{}: {}", self.name, argv.join(" "))).limit(limit).output();
        // Nothing of it may stay behind: neither after a timeout nor in its background.
        if output.is_err() {
            job.destroy()?;
        } else {
            let _ = fs::remove_dir(job.dir());
        }
        output
    }

    /// Runs something in it as root, wants exit code 0 and returns its output.
    pub fn run(&self, argv: &[&str]) -> Result<String> {
        self.exec(argv)?.ok()
    }

    /// Runs something in it on the caller's terminal and gives its exit code.
    pub fn interactive(&self, argv: &[&str]) -> Result<i32> {
        let job = self.job()?;
        self.command(&job, argv)?.interactive()
    }

    /// Runs SQL in its PostgreSQL as the superuser; gives the rows, columns separated by `|`.
    pub fn psql(&self, sql: &str) -> Result<String> {
        self.psql_in("postgres", sql)
    }

    /// Like [`Node::psql`] in a database of the caller's choice.
    pub fn psql_in(&self, database: &str, sql: &str) -> Result<String> {
        let psql = format!("{}/psql", self.bindir());
        let rows = self.run(&[
            "setpriv",
            "--reuid=postgres",
            "--regid=postgres",
            "--init-groups",
            "env",
            "PGCONNECT_TIMEOUT=5",
            &psql,
            "-XqAt",
            "-vON_ERROR_STOP=1",
            "-h/run/postgresql",
            "-Upostgres",
            "-d",
            database,
            "-c",
            sql,
        ])?;
        Ok(rows.trim_end().to_owned())
    }

    /// Cuts its power, as an operator who pulls the plug: fencing cannot switch it on again, only
    /// [`Node::power_on`] can.
    pub fn power_off(&self) -> Result<()> {
        File::create(self.layout.unplugged(&self.name)).context("cannot note that the plug is pulled")?;
        self.cut_power()
    }

    /// Cuts its power in an instant. Its disk keeps its files; nothing else is left.
    pub fn cut_power(&self) -> Result<()> {
        let _lock = self.lock_power()?;
        if self.cgroup().dir().exists() {
            // The cable first: the kernel would still send the data in the dead processes' sockets.
            self.network().set_link(&self.name, false)?;
            self.cgroup().kill()?;
            // What is dead already, and waits for a disk that stands still, is gone then.
            disk::thaw_below(&self.layout.root(&self.name))?;
            self.cgroup().destroy().with_context(|| format!("cannot cut the power of {}", self.name))?;
        }
        Ok(())
    }

    /// Gives it power and waits until it has booted. Fine when it is on already.
    pub fn power_on(&self) -> Result<()> {
        let unplugged = self.layout.unplugged(&self.name);
        if unplugged.exists() {
            fs::remove_file(&unplugged).with_context(|| format!("cannot remove {}", unplugged.display()))?;
        }
        self.give_power(Duration::ZERO)?;
        self.wait_booted()
    }

    /// Whether the operator has pulled its plug.
    pub fn is_unplugged(&self) -> bool {
        self.layout.unplugged(&self.name).exists()
    }

    /// Gives it power and does not wait. It boots once its `firmware` has had its time.
    pub fn give_power(&self, firmware: Duration) -> Result<()> {
        let _lock = self.lock_power()?;
        if self.is_on() {
            return Ok(());
        }
        // A new group and a new namespace: a process in a used group dies at once, and the virtual address may be left
        // in a used namespace.
        self.cgroup().destroy()?;
        self.cgroup().create()?;
        self.network().connect(&self.name, self.address())?;
        let console = self.layout.log_dir().join(format!("{}.console", self.name));
        let console =
            File::options().create(true).append(true).open(&console).context("cannot open the console log")?;
        let machine = format!("{}-{}", self.layout.name(), self.name);
        let log = format!("--bind={}:/var/log", self.layout.node_log_dir(&self.name).display());
        let hypervisor = format!("--bind={}:{HYPERVISOR_IN_NODE}", self.layout.hypervisor_dir().display());
        let namespace = format!("--network-namespace-path=/run/netns/{}", self.layout.namespace(&self.name));
        let root = format!("--directory={}", self.layout.root(&self.name).display());
        let argv = self.cgroup().enter([
            "sh",
            "-c",
            "sleep $0; exec \"$@\"",
            &firmware.as_secs().to_string(),
            "systemd-nspawn",
            "--quiet",
            "--boot",
            "--register=no",
            "--keep-unit",
            "--console=passive",
            "--link-journal=no",
            "--resolv-conf=off",
            "--timezone=off",
            // For the virtual address.
            "--capability=CAP_NET_ADMIN",
            &format!("--machine={machine}"),
            &format!("--hostname={}", self.name),
            &namespace,
            &root,
            &log,
            &hypervisor,
        ]);
        // The node's systemd wants the unified hierarchy, also if the machine's does not use it.
        Command::new(argv).env("SYSTEMD_NSPAWN_UNIFIED_HIERARCHY", "1").spawn_detached(console)
    }

    /// Waits until its systemd has started everything.
    pub fn wait_booted(&self) -> Result<()> {
        let what = format!("{} to boot (its console is in {})", self.name, self.layout.log_dir().display());
        eventually(BOOT_LIMIT, &what, || {
            let state = self.exec(&["systemctl", "is-system-running"])?;
            match state.stdout.trim() {
                "running" | "degraded" => Ok(()),
                other => bail!("its systemd is {other}"),
            }
        })
    }

    /// Stops everything in it without ending anything: it keeps its sockets and goes silent.
    pub fn freeze(&self) -> Result<()> {
        self.cgroup().freeze(true).with_context(|| format!("cannot freeze {}", self.name))
    }

    /// Lets it go on.
    pub fn thaw(&self) -> Result<()> {
        self.cgroup().freeze(false).with_context(|| format!("cannot thaw {}", self.name))
    }

    /// Whether it is frozen.
    pub fn is_frozen(&self) -> bool {
        self.cgroup().frozen()
    }

    /// Has it read at most so many bytes a second from its disk until it loses its power; none for as many as it can. Its
    /// disk must be one.
    pub fn read_slowly(&self, rate: Option<u64>) -> Result<()> {
        let device = disk::device_of(&self.layout.disk(&self.name))?;
        self.cgroup()
            .limit_reading(&device, rate)
            .with_context(|| format!("cannot slow down the disk of {}", self.name))
    }

    /// Its control group.
    pub fn cgroup(&self) -> Cgroup {
        Cgroup::new(self.layout.cgroup()).child(&self.name)
    }

    /// A group for one thing run in the node, so that a power cut ends it and a freeze stops it.
    fn job(&self) -> Result<Cgroup> {
        static COUNT: AtomicU64 = AtomicU64::new(0);
        ensure!(self.is_on(), "{} is off; `lab power-on {}` switches it on", self.name, self.name);
        let count = COUNT.fetch_add(1, Ordering::Relaxed);
        let job = self.cgroup().child(format!("job-{}-{count}", std::process::id()));
        fs::create_dir(job.dir()).with_context(|| format!("{} has lost its power", self.name))?;
        Ok(job)
    }

    fn command(&self, job: &Cgroup, argv: &[&str]) -> Result<Command> {
        let leader = self.leader()?.to_string();
        let mut line = vec!["nsenter", "--target", &leader, "--mount", "--uts", "--ipc", "--net", "--pid", "--cgroup"];
        line.extend(["--root", "--wd", "--", "env", "-i", PATH_IN_NODE, "HOME=/root", "LANG=C.UTF-8", "TERM=xterm"]);
        line.extend(argv);
        Ok(Command::new(job.enter(line)))
    }

    /// The node's own process 1, as the machine sees it: the child of its nspawn.
    fn leader(&self) -> Result<u32> {
        let nspawn = self.cgroup().child("supervisor").processes();
        let nspawn = nspawn.first().with_context(|| format!("{} is just starting or going down", self.name))?;
        let children = fs::read_to_string(format!("/proc/{nspawn}/task/{nspawn}/children")).unwrap_or_default();
        let leader = children.split_whitespace().next().and_then(|pid| pid.parse().ok());
        leader.with_context(|| format!("{} is just starting or going down", self.name))
    }

    fn network(&self) -> Network {
        Network::new(&self.layout)
    }

    /// The operator and the fence agent may be at the same node at the same time, in different processes.
    fn lock_power(&self) -> Result<Flock<File>> {
        let path = self.layout.run_dir().join(format!("{}.power", self.name));
        let file = File::create(&path).with_context(|| format!("cannot open {}", path.display()))?;
        Flock::lock(file, FlockArg::LockExclusive).map_err(|(_, error)| error).context("cannot lock the power switch")
    }
}
