//! What goes wrong on one node, and how it is mended.

use std::fs::{self, File};
use std::io::{BufRead, BufReader, Write};
use std::process::{Child, Command, Stdio};

use anyhow::{Context, Result, ensure};
use lab::{Node, eventually};

use crate::operator::postmaster;
use crate::trial::LIMIT;

/// A mistake that PostgreSQL notices when it reads its configuration.
const TYPO: &str = "work_mem = 'oops";

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

    /// Gives it one with so many MB of room beyond what is there, while PostgreSQL does not run there. How much WAL there is
    /// depends on the scenarios before.
    pub fn make_small(self, node: &Node, room: u64) -> Result<()> {
        let path = self.path(node);
        let used = node.run(&["du", "--summarize", "--block-size=1M", &path])?;
        let used: u64 = used.split_whitespace().next().context("du says nothing")?.parse()?;
        let size = used + room;
        let script = format!(
            "mv {path} {path}.large && install -d -o postgres -g postgres -m 700 {path} && \
             mount -t tmpfs -o size={size}M,uid=postgres,gid=postgres,mode=700 small {path} && \
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

/// A file system that stands still until this is dropped, or this process has ended, however: reading goes on, and what writes waits in
/// the kernel, where nothing can end it.
pub struct Frozen(Child);

/// Ends with its input. Ctrl-C is meant for the one that it serves.
const FREEZE: &str =
    "trap '' INT TERM HUP; fsfreeze --freeze \"$0\" && echo frozen && read -r line; fsfreeze --unfreeze \"$0\"";

impl Frozen {
    /// Has the file system stand still that a directory of a node has for its own.
    pub fn new(node: &Node, path: &str) -> Result<Self> {
        let mut sh = Command::new("sh");
        sh.args(["-c", FREEZE]).arg(node.path(path));
        let mut keeper = Self(sh.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null()).spawn()?);
        let mut said = String::new();
        BufReader::new(keeper.0.stdout.take().context("no output")?).read_line(&mut said)?;
        ensure!(said == "frozen\n", "{path} of {} cannot be frozen", node.name());
        Ok(keeper)
    }
}

impl Drop for Frozen {
    fn drop(&mut self) {
        drop(self.0.stdin.take());
        // It does not stand still any more if its node was switched off.
        let _ = self.0.wait();
    }
}
