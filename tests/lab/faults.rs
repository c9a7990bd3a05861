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

/// A file system of its own, as small as this, below a node's `pg_wal`, while PostgreSQL does not run there.
pub fn make_wal_disk_small(node: &Node, size: &str) -> Result<()> {
    let wal = format!("{}/pg_wal", node.pgdata());
    let script = format!(
        "mv {wal} {wal}.large && install -d -o postgres -g postgres -m 700 {wal} && \
         mount -t tmpfs -o size={size},uid=postgres,gid=postgres,mode=700 small {wal} && \
         cp -a {wal}.large/. {wal} && rm -rf {wal}.large"
    );
    node.run(&["sh", "-c", &script]).map(drop)
}

/// Undoes [`make_wal_disk_small`], while PostgreSQL does not run there.
pub fn make_wal_disk_large(node: &Node) -> Result<()> {
    let wal = format!("{}/pg_wal", node.pgdata());
    let script = format!("cp -a {wal} {wal}.large && umount {wal} && rm -rf {wal} && mv {wal}.large {wal}");
    node.run(&["sh", "-c", &script]).map(drop)
}

/// Fills the file system of `pg_wal` to the last byte.
pub fn fill_wal_disk(node: &Node) -> Result<()> {
    let fill = format!("cat /dev/zero >{}", ballast(node));
    let filled = node.exec(&["sh", "-c", &fill])?;
    ensure!(!filled.success(), "the disk is endless");
    Ok(())
}

/// Gives back what [`fill_wal_disk`] has taken.
pub fn free_wal_disk(node: &Node) -> Result<()> {
    node.run(&["rm", &ballast(node)]).map(drop)
}

fn ballast(node: &Node) -> String {
    format!("{}/pg_wal/ballast", node.pgdata())
}
