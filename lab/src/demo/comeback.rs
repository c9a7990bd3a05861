//! The old primary gets its power back, and no command is given. If it had written something in its last instant that
//! no other node has got, its agent keeps that and rewinds it; in any case it follows the new primary.

use std::collections::BTreeSet;
use std::fs;

use anyhow::{Context, Result, ensure};

use super::show::{LIMIT, Show, crm_mon};
use super::story::Step;
use crate::clock::unix_micros;
use crate::eventually::eventually;
use crate::lab::{Lab, RESOURCE};
use crate::node::Node;

const POSTGRES_LOG: &str = "/var/log/postgresql/postgresql.log";

/// The agent's evidence of rewinds: a directory for each rewind, with a summary for people in it.
const EVIDENCE: &str = "/var/lib/pgsqlms/pgsqld";
const SUMMARY: &str = "summary.txt";

/// The number of lines of a summary that are shown.
const FIRST_LINES: usize = 6;

impl Show<'_> {
    /// The old primary gets its power back.
    pub(super) fn comeback(&mut self) -> Result<()> {
        let (lab, story) = (self.lab, self.story);
        let node = self.victim.context("no node has lost its power")?;
        let (name, primary) = (node.name(), lab.primary()?);
        self.checkpoint(primary)?;
        story.chapter(&format!("Return: {name} gets its power back, and no command is given"));
        let before = evidence(node);
        let began = self.mark("return");
        node.power_on()?;
        let what = format!("{name} to stream from {}", primary.name());
        let row = eventually(LIMIT, &what, || see(lab, primary, node))?;
        let at = unix_micros();
        let mut steps = self.steps(began, |journals| journals.comeback(name))?;
        let mut last = Step::new(at, format!("{name} streams from {}, which says of it:", primary.name()));
        last.what.push(row);
        steps.push(last);
        story.steps(began, &steps);
        self.kept(node, &before)?;
        lab.wait_for_primary(LIMIT, lab.nodes().len() - 1)?;
        crm_mon(lab, story)?;
        let fenced = lab.fencings()?.iter().filter(|fencing| fencing.at * 1000 >= began).count();
        story.sum(&format!("{name} is a standby again by itself, and was fenced {fenced} further times"));
        ensure!(fenced == 0, "{fenced} nodes were fenced after {name} had got its power back");
        Ok(())
    }

    /// Prints the commits that only this node held, and the file in which they are kept.
    fn kept(&self, node: &Node, before: &BTreeSet<String>) -> Result<()> {
        let (name, now) = (node.name(), evidence(node));
        let Some(new) = now.difference(before).last() else {
            self.story.say(format!("{name} held nothing that the others have not got: it was not rewound"));
            return Ok(());
        };
        let summary = format!("{EVIDENCE}/{new}/{SUMMARY}");
        let text = fs::read_to_string(node.path(&summary)).with_context(|| format!("{name} has no {summary}"))?;
        self.story.say(format!(
            "{name} had written something in its last instant that no other node has received and no client saw \
             acknowledged: its agent has rewound it, and kept that in {summary}:"
        ));
        self.story.quote(&text.lines().take(FIRST_LINES).collect::<Vec<_>>().join("\n"));
        Ok(())
    }
}

/// The primary's row about the node that streams from it; an error while it does not.
fn see(lab: &Lab, primary: &Node, node: &Node) -> Result<String> {
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
        log_of(node).lines().last().unwrap_or("")
    );
    // A node that has diverged is `streaming` for moments, again and again, on the timeline it can never leave.
    let ours = primary.psql("SELECT ('x' || left(pg_walfile_name(pg_current_wal_lsn()), 8))::bit(32)::bigint")?;
    let theirs = node.psql("SELECT received_tli FROM pg_stat_wal_receiver WHERE status = 'streaming'")?;
    ensure!(ours == theirs, "{RESOURCE} on {} receives timeline `{theirs}`, not {ours}", node.name());
    Ok(format!("{row}, timeline {theirs}"))
}

/// The names of the directories in which a node's agent has kept something.
fn evidence(node: &Node) -> BTreeSet<String> {
    let entries = fs::read_dir(node.path(EVIDENCE)).into_iter().flatten().flatten();
    let kept = entries.filter(|entry| entry.path().join(SUMMARY).is_file());
    kept.filter_map(|entry| entry.file_name().into_string().ok()).collect()
}

fn log_of(node: &Node) -> String {
    let bytes = fs::read(node.path(POSTGRES_LOG)).unwrap_or_default();
    String::from_utf8_lossy(&bytes).into_owned()
}
