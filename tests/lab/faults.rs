//! What goes wrong on one node, and how it is mended.

use std::fs::{self, File};
use std::io::Write;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use lab::{Node, eventually};

use crate::operator::postmaster;
use crate::trial::LIMIT;

/// A mistake that PostgreSQL notices when it reads its configuration.
const TYPO: &str = "work_mem = 'oops";

/// Takes every connection there is for so many seconds, those that are reserved for superusers too, and whatever becomes free;
/// says how many, and how often there was none left.
const TAKE_ALL_CONNECTIONS: &str = r#"
import socket, struct, sys, time
end, held, refused = time.monotonic() + float(sys.argv[1]), [], 0
parameters = b"user\0postgres\0database\0postgres\0application_name\0greedy\0\0"
startup = struct.pack("!ii", len(parameters) + 8, 196608) + parameters
while time.monotonic() < end:
    connection = socket.socket(socket.AF_UNIX)
    connection.settimeout(5)
    connection.connect("/run/postgresql/.s.PGSQL.5432")
    connection.sendall(startup)
    if connection.recv(1) == b"E":
        refused += 1
        time.sleep(0.05)
    else:
        held.append(connection)
print(len(held), refused)
"#;

/// Spoils `postgresql.conf`, which the running server has read long ago.
pub fn spoil_configuration(node: &Node) -> Result<()> {
    let path = node.path(&format!("{}/postgresql.conf", node.pgdata()));
    fs::copy(&path, path.with_extension("conf.well"))?;
    let mut file = File::options().append(true).open(&path)?;
    writeln!(file, "{TYPO}").with_context(|| format!("cannot write {}", path.display()))
}

/// Undoes [`spoil_configuration`]; the file keeps its owner.
pub fn mend_configuration(node: &Node) -> Result<()> {
    let path = node.path(&format!("{}/postgresql.conf", node.pgdata()));
    let well = path.with_extension("conf.well");
    fs::write(&path, fs::read(&well)?)?;
    Ok(fs::remove_file(well)?)
}

/// Moves PostgreSQL's programs away.
pub fn hide_programs(node: &Node) -> Result<()> {
    node.run(&["mv", &node.bindir(), &format!("{}.away", node.bindir())]).map(drop)
}

/// Undoes [`hide_programs`].
pub fn bring_back_programs(node: &Node) -> Result<()> {
    node.run(&["mv", &format!("{}.away", node.bindir()), &node.bindir()]).map(drop)
}

/// Stops the postmaster by a signal: whoever connects to it gets no answer, its children go on.
pub fn freeze_postmaster(node: &Node) -> Result<String> {
    let pid = postmaster(node)?;
    node.run(&["kill", "-STOP", &pid])?;
    Ok(pid)
}

/// Lets nobody else connect to a node's PostgreSQL for this long; its maximum of connections must have been reached.
pub fn take_all_connections(node: &Node, how_long: Duration) -> Result<()> {
    let seconds = how_long.as_secs().to_string();
    let argv = ["runuser", "-u", "postgres", "--", "python3", "-c", TAKE_ALL_CONNECTIONS, &seconds];
    let said = node.exec_within(how_long + LIMIT, &argv)?.ok()?;
    let (held, refused) = said.trim().split_once(' ').context("the script has not counted")?;
    lab::progress::step(format!("{}: {held} connections were held, {refused} refused", node.name()));
    ensure!(refused != "0", "{} always had a connection left", node.name());
    Ok(())
}

/// Kills one of Pacemaker's daemons, and waits until there is a new one. The node may be fenced for it.
pub fn kill_daemon(node: &Node, daemon: &str) -> Result<()> {
    let pattern = format!("^/usr/lib/pacemaker/pacemaker-{daemon}");
    let before = node.run(&["pgrep", "--full", &pattern])?;
    node.run(&["kill", "-9", before.trim()])?;
    eventually(LIMIT, &format!("a new pacemaker-{daemon} on {}", node.name()), || {
        let now = node.run(&["pgrep", "--full", &pattern])?;
        ensure!(now != before, "there is the old one");
        Ok(())
    })
}

/// What has a file system of its own on a node, and may be full.
#[derive(Debug, Clone, Copy)]
pub enum Disk {
    /// The whole data directory.
    Data,
    /// `pg_wal`.
    Wal,
}

impl Disk {
    fn path(self, node: &Node) -> String {
        match self {
            Disk::Data => node.pgdata(),
            Disk::Wal => format!("{}/pg_wal", node.pgdata()),
        }
    }

    fn ballast(self, node: &Node) -> String {
        format!("{}/ballast", self.path(node))
    }

    /// Gives it one as small as this, while PostgreSQL does not run there.
    pub fn make_small(self, node: &Node, size: &str) -> Result<()> {
        let path = self.path(node);
        let script = format!(
            "mv {path} {path}.large && install -d -o postgres -g postgres -m 700 {path} && \
             mount -t tmpfs -o size={size},uid=postgres,gid=postgres,mode=700 small {path} && \
             cp -a {path}.large/. {path} && rm -rf {path}.large"
        );
        node.run(&["sh", "-c", &script]).map(drop)
    }

    /// Undoes [`Disk::make_small`], while PostgreSQL does not run there.
    pub fn make_large(self, node: &Node) -> Result<()> {
        let path = self.path(node);
        let script = format!("cp -a {path} {path}.large && umount {path} && rm -rf {path} && mv {path}.large {path}");
        node.run(&["sh", "-c", &script]).map(drop)
    }

    /// Fills it to the last byte.
    pub fn fill(self, node: &Node) -> Result<()> {
        let filled = node.exec(&["sh", "-c", &format!("cat /dev/zero >{}", self.ballast(node))])?;
        ensure!(!filled.success(), "the disk is endless");
        Ok(())
    }

    /// Gives back what [`Disk::fill`] has taken.
    pub fn free(self, node: &Node) -> Result<()> {
        node.run(&["rm", &self.ballast(node)]).map(drop)
    }
}
