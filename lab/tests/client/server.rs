//! A real PostgreSQL in a network namespace of its own, thrown away in the end.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio, id};
use std::sync::atomic::{AtomicU32, Ordering};
use std::thread::sleep;
use std::time::{Duration, Instant};

use lab::client::{Access, NodeAddress, WriterConfig};
use tempfile::TempDir;

const PASSWORD: &str = "only for this test";

/// A network namespace with nothing but its loopback, and a folder.
pub(crate) struct Network {
    pub(crate) name: String,
    pub(crate) folder: TempDir,
}

impl Network {
    pub(crate) fn new() -> Self {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let name = format!("labtest-{}-{}", id(), COUNT.fetch_add(1, Ordering::Relaxed));
        run(Command::new("ip").args(["netns", "add", &name]));
        run(Command::new("ip").args(["-n", &name, "link", "set", "lo", "up"]));
        let folder = tempfile::tempdir().unwrap();
        fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o755)).unwrap();
        Self { name, folder }
    }

    pub(crate) fn access(&self) -> Access {
        let namespace = Path::new("/run/netns").join(&self.name);
        Access::new("app").password(PASSWORD).database("app").port(5499).namespace(namespace)
    }

    pub(crate) fn writer(&self, server: &Server) -> WriterConfig {
        WriterConfig::new(self.access(), &server.host, self.journal())
    }

    pub(crate) fn journal(&self) -> PathBuf {
        self.folder.path().join("journal.jsonl")
    }

    /// A program of PostgreSQL, as its own user, in this network.
    fn program(&self, name: &str) -> Command {
        let mut command = Command::new("ip");
        command.args([
            "netns",
            "exec",
            &self.name,
            "setpriv",
            "--reuid=postgres",
            "--regid=postgres",
            "--clear-groups",
        ]);
        command.arg(bindir().join(name)).env("PGPASSWORD", PASSWORD).current_dir("/");
        command
    }
}

impl Drop for Network {
    fn drop(&mut self) {
        let _ = Command::new("ip").args(["netns", "del", &self.name]).status();
    }
}

/// One instance.
pub(crate) struct Server<'a> {
    network: &'a Network,
    pub(crate) name: String,
    pub(crate) host: String,
    data: PathBuf,
    database: &'static str,
    postmaster: Option<Child>,
}

impl<'a> Server<'a> {
    /// A new primary called `srv<number>`.
    pub(crate) fn primary(network: &'a Network, number: u8) -> Self {
        let mut server = Self::empty(network, number);
        server.database = "postgres";
        let password = network.folder.path().join("password");
        fs::write(&password, PASSWORD).unwrap();
        let mut initdb = network.program("initdb");
        run(initdb
            .args(["-U", "postgres", "--auth=scram-sha-256", "--no-sync", "-D"])
            .arg(&server.data)
            .arg(format!("--pwfile={}", password.display())));
        server.start();
        server.sql(&format!("CREATE ROLE app LOGIN PASSWORD '{PASSWORD}' IN ROLE pg_monitor"));
        server.sql("CREATE DATABASE app OWNER app");
        server.database = "app";
        server
    }

    /// A new standby called `srv<number>`.
    pub(crate) fn standby(network: &'a Network, number: u8, primary: &Server) -> Self {
        let mut server = Self::empty(network, number);
        let mut backup = network.program("pg_basebackup");
        backup.args(["-U", "postgres", "-p", "5499", "-h", &primary.host, "-c", "fast", "-R", "-D"]);
        run(backup.arg(&server.data));
        server.start();
        server
    }

    fn empty(network: &'a Network, number: u8) -> Self {
        let name = format!("srv{number}");
        let data = network.folder.path().join(&name);
        run(Command::new("install").args(["-d", "-m", "700", "-o", "postgres", "-g", "postgres"]).arg(&data));
        Self { network, name, host: format!("127.0.0.1{number}"), data, database: "app", postmaster: None }
    }

    pub(crate) fn address(&self) -> NodeAddress {
        NodeAddress::new(&self.name, &self.host)
    }

    /// Starts it and waits until it answers. Fails at first when the old one's children still hold the memory.
    pub(crate) fn start(&mut self) {
        let started = Instant::now();
        while started.elapsed() < Duration::from_secs(20) {
            let ended = self.postmaster.as_mut().is_none_or(|child| child.try_wait().unwrap().is_some());
            if ended {
                self.postmaster = Some(self.launch());
            }
            if self.psql("SELECT 1").is_ok() {
                return;
            }
            sleep(Duration::from_millis(50));
        }
        panic!("{} does not start: {}", self.name, fs::read_to_string(self.log()).unwrap_or_default());
    }

    fn launch(&self) -> Child {
        let log = fs::File::create(self.log()).unwrap();
        let mut postgres = self.network.program("postgres");
        postgres.arg("-D").arg(&self.data).args(["-p", "5499", "-c", "fsync=off", "-c", "unix_socket_directories="]);
        postgres.args([format!("--listen_addresses={}", self.host), format!("--cluster_name={}", self.name)]);
        postgres.stdin(Stdio::null()).stdout(log.try_clone().unwrap()).stderr(log).spawn().unwrap()
    }

    fn log(&self) -> PathBuf {
        self.network.folder.path().join(format!("{}.log", self.name))
    }

    /// Runs SQL as a superuser, in the client's database as soon as there is one.
    pub(crate) fn psql(&self, sql: &str) -> Result<String, String> {
        let mut psql = self.network.program("psql");
        psql.args(["-XAtq", "-U", "postgres", "-p", "5499", "-h", &self.host, "-c", sql]);
        let output = psql.args(["-d", self.database]).output().unwrap();
        if output.status.success() {
            Ok(String::from_utf8(output.stdout).unwrap().trim().to_owned())
        } else {
            Err(String::from_utf8_lossy(&output.stderr).into_owned())
        }
    }

    pub(crate) fn sql(&self, sql: &str) -> String {
        self.psql(sql).unwrap()
    }

    /// Kills the postmaster; its children notice by themselves.
    pub(crate) fn kill(&mut self) {
        let mut child = self.postmaster.take().unwrap();
        child.kill().unwrap();
        child.wait().unwrap();
    }

    /// Sends a signal to the postmaster and all its children.
    pub(crate) fn signal_all(&self, signal: &str) {
        let postmaster = self.postmaster.as_ref().unwrap().id().to_string();
        let children = Command::new("ps").args(["-o", "pid=", "--ppid", &postmaster]).output().unwrap();
        let children = String::from_utf8(children.stdout).unwrap();
        let mut kill = Command::new("kill");
        // A child may end meanwhile, so the status says nothing.
        let _ = kill.args(["-s", signal, &postmaster]).args(children.split_whitespace()).output().unwrap();
    }
}

impl Drop for Server<'_> {
    fn drop(&mut self) {
        if let Some(child) = &mut self.postmaster {
            let _ = Command::new("kill").args(["-s", "QUIT", &child.id().to_string()]).output();
            let _ = child.wait();
        }
    }
}

/// The newest PostgreSQL of this machine.
fn bindir() -> PathBuf {
    let versions = fs::read_dir("/usr/lib/postgresql").expect("PostgreSQL is installed");
    let newest = versions.filter_map(|entry| entry.unwrap().file_name().to_str()?.parse::<u32>().ok()).max();
    PathBuf::from(format!("/usr/lib/postgresql/{}/bin", newest.expect("PostgreSQL is installed")))
}

fn run(command: &mut Command) {
    let output = command.output().unwrap();
    assert!(output.status.success(), "{command:?}: {}", String::from_utf8_lossy(&output.stderr));
}
