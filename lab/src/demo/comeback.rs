//! The old primary gets its power back. Mostly it just follows the new one. If it had written something in its last
//! instant that no other node has got, it cannot: then the operator rewinds it.

use std::fs;
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};

use super::show::{LIMIT, Show, crm_mon};
use super::story::{Step, unix_micros};
use crate::eventually::eventually;
use crate::lab::{Lab, RESOURCE};
use crate::node::Node;

/// How long pcs and pg_rewind may take.
const COMMAND_LIMIT: Duration = Duration::from_secs(120);

const POSTGRES_LOG: &str = "/var/log/postgresql/postgresql.log";

/// Whether the node can follow the primary.
enum Return {
    /// It does: what the primary says of it.
    Streams(String),
    /// It never can as it is: the evidence.
    Diverged(String),
}

impl Show<'_> {
    /// The old primary gets its power back.
    pub(super) fn comeback(&mut self) -> Result<()> {
        let (lab, story) = (self.lab, self.story);
        let node = self.victim.context("no node has lost its power")?;
        let (name, primary) = (node.name(), lab.primary()?);
        story.chapter(&format!("Return: {name} gets its power back"));
        let logged = log_of(node).len();
        let began = self.mark("return");
        node.power_on()?;
        let what = format!("{name} to stream from {}", primary.name());
        let seen = eventually(LIMIT, &what, || see(lab, primary, node, logged))?;
        let at = unix_micros();
        let mut steps = self.steps(began, |journals| journals.comeback(name))?;
        let mut last = Step::new(at, format!("{name} streams from {}, which says of it:", primary.name()));
        match &seen {
            Return::Streams(row) => last.what.push(row.clone()),
            Return::Diverged(why) => {
                last = Step::new(at, format!("{name} cannot follow {}; PostgreSQL says:", primary.name()));
                last.what.push(why.clone());
            }
        }
        steps.push(last);
        story.steps(began, &steps);
        if matches!(seen, Return::Diverged(_)) {
            self.rewind(primary, node)?;
        }
        lab.wait_for_primary(LIMIT, lab.nodes().len() - 1)?;
        crm_mon(lab, story)?;
        let fenced = lab.fencings()?.iter().filter(|fencing| fencing.at * 1000 >= began).count();
        story.sum(&format!("{name} is a standby again, and was fenced {fenced} further times"));
        ensure!(fenced == 0, "{fenced} nodes were fenced after {name} had got its power back");
        Ok(())
    }

    /// What an operator does with a node that has left the cluster's history.
    fn rewind(&self, primary: &Node, node: &Node) -> Result<()> {
        let name = node.name();
        crm_mon(self.lab, self.story)?;
        self.story.say(format!(
            "{name} had written something in its last instant that no other node has got; the operator rewinds it:"
        ));
        self.checkpoint(primary)?;
        self.command(primary, &["pcs", "node", "standby", name, "--wait=60"])?;
        let (pgdata, program) = (node.pgdata(), format!("{}/pg_rewind", node.bindir()));
        let source = format!("host={} user=replicator dbname=postgres", self.lab.vip());
        let as_postgres = ["runuser", "-u", "postgres", "--", "env", "PGPASSFILE=/var/lib/postgresql/.pgpass"];
        let rewind = [&*program, "--target-pgdata", &pgdata, "--source-server", &source];
        self.command(node, &[&as_postgres[..], &rewind[..]].concat())?;
        self.command(node, &["runuser", "-u", "postgres", "--", "touch", &format!("{pgdata}/standby.signal")])?;
        self.command(primary, &["pcs", "node", "unstandby", name, "--wait=60"])?;
        let logged = log_of(node).len();
        let what = format!("{name} to stream from {} once it is rewound", primary.name());
        eventually(LIMIT, &what, || match see(self.lab, primary, node, logged)? {
            Return::Streams(row) => {
                self.story.say(format!("{name} streams from {}, which says of it: {row}", primary.name()));
                Ok(())
            }
            Return::Diverged(why) => bail!("it has still diverged: {why}"),
        })?;
        self.command(primary, &["pcs", "resource", "cleanup", RESOURCE, &format!("node={name}")])
    }

    fn command(&self, node: &Node, argv: &[&str]) -> Result<()> {
        self.story.say(format!("{}: {}", node.name(), shown(argv)));
        node.exec_within(COMMAND_LIMIT, argv)?.ok().map(drop)
    }
}

/// What became of the node so far; an error while that cannot be told. `logged` is what PostgreSQL had logged before.
fn see(lab: &Lab, primary: &Node, node: &Node, logged: usize) -> Result<Return> {
    let log = log_of(node);
    if let Some(why) = divergence(log.get(logged..).unwrap_or(&log)) {
        return Ok(Return::Diverged(why));
    }
    let cluster = lab.cluster()?;
    let row = primary.psql(&format!(
        "SELECT application_name || ', ' || state || ', ' || sync_state FROM pg_stat_replication \
         WHERE application_name = '{}' AND state = 'streaming'",
        node.name()
    ))?;
    ensure!(
        !row.is_empty(),
        "{cluster}; PostgreSQL's last words on {}: {}",
        node.name(),
        log.lines().last().unwrap_or("")
    );
    // A node that has diverged is `streaming` for moments, again and again, on the timeline it can never leave.
    let ours = primary.psql("SELECT ('x' || left(pg_walfile_name(pg_current_wal_lsn()), 8))::bit(32)::bigint")?;
    let theirs = node.psql("SELECT received_tli FROM pg_stat_wal_receiver WHERE status = 'streaming'")?;
    ensure!(ours == theirs, "{RESOURCE} on {} receives timeline `{theirs}`, not {ours}", node.name());
    Ok(Return::Streams(format!("{row}, timeline {theirs}")))
}

fn log_of(node: &Node) -> String {
    let bytes = fs::read(node.path(POSTGRES_LOG)).unwrap_or_default();
    String::from_utf8_lossy(&bytes).into_owned()
}

/// What PostgreSQL writes when the primary's timeline left this node's at an earlier point.
fn divergence(log: &str) -> Option<String> {
    let line = log.lines().rfind(|line| line.contains(" forked off current database system timeline "))?;
    Some(line.split_once("LOG:").map_or(line, |(_, text)| text).trim().to_owned())
}

/// A command line as one would type it.
fn shown(argv: &[&str]) -> String {
    let quoted = |word: &&str| if word.contains(' ') { format!("'{word}'") } else { (*word).to_owned() };
    argv.iter().map(quoted).collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_node_that_wrote_more_than_anybody_got_has_diverged() {
        let log = "2026-01-01 12:00:00.041 UTC [146] LOG:  new timeline 4 forked off current database system timeline 3 \
                   before current recovery point 0/50B9270\n2026-01-01 12:00:00.041 UTC [146] LOG:  waiting for WAL\n";
        let why =
            "new timeline 4 forked off current database system timeline 3 before current recovery point 0/50B9270";
        assert_eq!(divergence(log).as_deref(), Some(why));
        assert_eq!(divergence("LOG:  started streaming WAL from primary at 0/5000000 on timeline 4"), None);
    }

    #[test]
    fn commands_can_be_typed_again() {
        assert_eq!(shown(&["pg_rewind", "host=a user=b"]), "pg_rewind 'host=a user=b'");
    }
}
