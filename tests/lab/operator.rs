//! What people do on a cluster, and what they look at.

use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use lab::cluster::Failure;
use lab::lab::RESOURCE;
use lab::provision::Script;
use lab::{Lab, Node, eventually};

use crate::trial::LIMIT;

/// How long any command may take. Those of pcs wait for the cluster.
const COMMAND_LIMIT: Duration = Duration::from_secs(180);

/// Where PostgreSQL logs in every node.
pub const POSTGRESQL_LOG: &str = "/var/log/postgresql/postgresql.log";

/// The agent, for people to call.
pub const AGENT: &str = "/usr/lib/ocf/resource.d/rust/pgsqlms";

/// The promotable clone, as pcs wants it called.
pub const CLONE: &str = "pgsqld-clone";

/// The script that makes a standby in the first place.
const COPY_THE_PRIMARY: Script =
    Script { name: "postgresql-standby.sh", text: include_str!("../../vagrant/provision/postgresql-standby.sh") };

/// Runs pcs on a node, or, for its commonest commands, the tool of Pacemaker that does the same.
pub fn pcs(node: &Node, words: &[&str]) -> Result<String> {
    let (words, waits) = match words {
        [words @ .., last] if last.starts_with("--wait=") && quick(words).is_some() => (words, true),
        words => (words, false),
    };
    let argv = quick(words).unwrap_or_else(|| ["pcs"].iter().chain(words).copied().collect());
    let said = node.exec_within(COMMAND_LIMIT, &argv)?.ok()?;
    if waits {
        wait_until_idle(node)?;
    }
    Ok(said)
}

/// What Pacemaker's own tool is told for a command of pcs, which takes a second of the processor to start.
fn quick<'a>(words: &[&'a str]) -> Option<Vec<&'a str>> {
    let attribute = |tool: &[&'a str], name: &'a str, to: &'a str| {
        let change: &[&str] = if to.is_empty() { &["--delete"] } else { &["--update", to] };
        Some([&["crm_attribute"], tool, &["--name", name], change].concat())
    };
    match words {
        ["node", "standby", node] => attribute(&["--node", node], "standby", "on"),
        ["node", "unstandby", node] if !node.starts_with('-') => attribute(&["--node", node], "standby", ""),
        ["node", "attribute", node, setting] => {
            let (name, to) = setting.split_once('=')?;
            attribute(&["--node", node], name, to)
        }
        ["property", "set", setting] => {
            let (name, to) = setting.split_once('=')?;
            attribute(&["--type", "crm_config"], name, to)
        }
        ["resource", "update", resource, setting] => {
            let (name, to) = setting.split_once('=')?;
            let change: &[&str] = if to.is_empty() {
                &["--delete-parameter", name]
            } else {
                &["--set-parameter", name, "--parameter-value", to]
            };
            Some([&["crm_resource", "--resource", resource], change].concat())
        }
        _ => None,
    }
}

/// A node that has diverged is reported and stays out, as by default. The examples have it rewound.
pub fn report_divergence(lab: &Lab) -> Result<()> {
    let primary = lab.primary()?;
    pcs(primary, &["resource", "update", RESOURCE, "rejoin="])?;
    // For a moment Pacemaker calls a primary that reloads its parameters unpromoted.
    wait_until_idle(primary)
}

/// Waits until Pacemaker has nothing left to do. Its own tool waits for a recurring monitor, too, whose first result was 190 or 191:
/// that stays recorded as pending, although nothing is left to do.
pub fn wait_until_idle(node: &Node) -> Result<()> {
    eventually(COMMAND_LIMIT, "Pacemaker to be idle", || {
        let waited = node.exec_within(COMMAND_LIMIT, &["crm_resource", "--wait", "--timeout=10s"])?;
        if waited.success() {
            return Ok(());
        }
        let said = format!("{}{}", waited.stdout, waited.stderr);
        ensure!(!said.contains("Action "), "{said}");
        let dc = node.run(&["crmadmin", "--dc_lookup", "--quiet"])?;
        let state = node.run(&["crmadmin", "--status", dc.trim()])?;
        ensure!(state.contains("S_IDLE"), "{state}");
        Ok(())
    })
}

/// When the postmaster of a node was started: it changes with every restart.
pub fn started_at(node: &Node) -> Result<String> {
    node.psql("SELECT pg_postmaster_start_time()")
}

/// When each of these was started.
pub fn all_started_at<'a>(nodes: impl IntoIterator<Item = &'a Node>) -> Result<Vec<String>> {
    nodes.into_iter().map(|node| Ok(format!("{}: {}", node.name(), started_at(node)?))).collect()
}

/// The process number of a node's postmaster, inside the node.
pub fn postmaster(node: &Node) -> Result<String> {
    let pid = node.run(&["head", "-n", "1", &format!("{}/postmaster.pid", node.pgdata())])?;
    Ok(pid.trim().to_owned())
}

/// Kills a node's postmaster, so that it can neither write a checkpoint nor end its children.
pub fn kill_postmaster(node: &Node) -> Result<()> {
    node.run(&["kill", "-9", &postmaster(node)?]).map(drop)
}

/// Restarts a node's PostgreSQL by hand, in the role it has.
pub fn restart_by_hand(node: &Node) -> Result<()> {
    pg_ctl(node, &["restart", "--log", "/var/log/postgresql/by-hand.log"])
}

/// Starts a node's PostgreSQL by hand.
pub fn start_by_hand(node: &Node) -> Result<()> {
    pg_ctl(node, &["start", "--log", "/var/log/postgresql/by-hand.log"])
}

/// Stops a node's PostgreSQL by hand, cleanly.
pub fn stop_by_hand(node: &Node) -> Result<()> {
    pg_ctl(node, &["stop"])
}

fn pg_ctl(node: &Node, words: &[&str]) -> Result<()> {
    let (pg_ctl, pgdata) = (format!("{}/pg_ctl", node.bindir()), node.pgdata());
    let mut argv = vec!["runuser", "-u", "postgres", "--", &pg_ctl, "--wait", "--pgdata", &pgdata];
    argv.extend(words);
    node.exec_within(COMMAND_LIMIT, &argv)?.ok().map(drop)
}

/// Replaces what a node holds by a copy of the primary, while the cluster leaves the node alone.
pub fn rebuild(node: &Node, primary: &Node) -> Result<()> {
    pcs(primary, &["node", "standby", node.name(), "--wait=120"])?;
    node.run(&["rm", "-rf", &node.pgdata()])?;
    COPY_THE_PRIMARY.run(node, &[], &[("PRIMARY", primary.address().to_string())])?;
    pcs(primary, &["resource", "cleanup"])?;
    pcs(primary, &["node", "unstandby", node.name(), "--wait=120"]).map(drop)
}

/// Runs the command on a node that brings it back once it has diverged.
pub fn rejoin(node: &Node) -> Result<()> {
    let told = node.exec_within(COMMAND_LIMIT, &[AGENT, "rejoin", "--resource", RESOURCE, "--yes"])?.ok()?;
    lab::progress::step(told.trim());
    ensure!(told.contains("follows the primary"), "the command told: {told}");
    Ok(())
}

/// The names of failed actions that Pacemaker shows: `pgsqld_monitor_2000 on srv1`.
pub fn failed_actions(lab: &Lab) -> Result<Vec<String>> {
    let mut failures: Vec<String> = lab.cluster()?.failures.iter().map(name).collect();
    failures.sort();
    failures.dedup();
    Ok(failures)
}

/// Those of [`failed_actions`] that are promotions which a node has refused in favour of a better one.
pub fn refused_promotions(lab: &Lab) -> Result<Vec<String>> {
    let promote = format!("{RESOURCE}_promote_0");
    let refused = |failure: &&Failure| failure.operation == promote && failure.reason.contains("is the best candidate");
    Ok(lab.cluster()?.failures.iter().filter(refused).map(name).collect())
}

/// Those of [`failed_actions`] that are monitors of a primary which no node could have followed for a minute, or whose commits
/// have waited for 10 s.
pub fn primaries_without_followers(lab: &Lab) -> Result<Vec<String>> {
    let words = ["no failover possible", "commits wait for a synchronous standby"];
    let alone = |failure: &&Failure| words.iter().any(|words| failure.reason.contains(words));
    Ok(lab.cluster()?.failures.iter().filter(alone).map(name).collect())
}

/// Fails when Pacemaker shows a failed action.
pub fn no_failure(lab: &Lab) -> Result<()> {
    let failed = failed_actions(lab)?;
    ensure!(failed.is_empty(), "failed actions: {failed:?}");
    Ok(())
}

/// Waits until Pacemaker shows that an action of PostgreSQL's resource has failed on a node; the reason. `action` is named with
/// its interval: `monitor_2000`.
pub fn reason_shown(lab: &Lab, action: &str, node: &Node) -> Result<String> {
    let operation = format!("{RESOURCE}_{action}");
    let reason = eventually(LIMIT, &format!("{operation} to fail on {}", node.name()), || {
        let cluster = lab.cluster()?;
        let of_it = |failure: &&Failure| failure.operation == operation && failure.node == node.name();
        let failure = cluster.failures.iter().find(of_it).with_context(|| format!("{cluster}"))?;
        Ok(failure.reason.clone())
    })?;
    lab::progress::step(format!("{operation} on {}: {reason}", node.name()));
    Ok(reason)
}

/// The timeline that a primary writes to.
pub fn timeline(primary: &Node) -> Result<u32> {
    let file = primary.psql("SELECT pg_walfile_name(pg_current_wal_insert_lsn())")?;
    Ok(u32::from_str_radix(file.get(..8).context("no WAL file's name")?, 16)?)
}

/// How many promotions have led to a primary.
pub fn promotions(primary: &Node) -> Result<usize> {
    let history = format!("{}/pg_wal/{:08X}.history", primary.pgdata(), timeline(primary)?);
    let lines = primary.run(&["cat", &history])?;
    Ok(lines.lines().filter(|line| !line.trim().is_empty()).count())
}

fn name(failure: &Failure) -> String {
    format!("{} on {}", failure.operation, failure.node)
}

/// The interval of the recurring monitor of a role, in milliseconds.
pub fn monitor_on(node: &Node, interval: u32) -> String {
    format!("{RESOURCE}_monitor_{interval} on {}", node.name())
}

/// Whether this is a failed action by which Pacemaker shows that the postmaster of `node` was killed: the report of its unit, or
/// a monitor that came first.
pub fn shows_a_kill(action: &str, node: &Node) -> bool {
    action == reported_on(node) || [2000, 3000].iter().any(|interval| action == monitor_on(node, *interval))
}

/// The failed action that is no action: PostgreSQL's unit on `node` has reported its end.
pub fn reported_on(node: &Node) -> String {
    format!("{RESOURCE}_asyncmon_0 on {}", node.name())
}

/// A node that can be asked about the cluster.
pub fn any_node(lab: &Lab) -> Result<&Node> {
    lab.nodes().iter().find(|node| node.is_on()).context("all nodes are off")
}

/// The node that is not any of these.
pub fn another<'a>(lab: &'a Lab, than: &[&Node]) -> Result<&'a Node> {
    let other = lab.nodes().iter().find(|node| !than.iter().any(|not| not.name() == node.name()));
    let Some(other) = other else { bail!("there is no other node") };
    Ok(other)
}

/// Fails when a tool has complained about what it was given.
pub fn no_complaint(said: &str) -> Result<()> {
    let complaint = said.lines().find(|line| {
        let line = line.to_lowercase();
        line.contains("warning") || line.starts_with("error:")
    });
    complaint.map_or(Ok(()), |line| bail!("there is a complaint: {line}"))
}

/// The last words of a node's agent and of its PostgreSQL, and the processes that are left.
pub fn symptoms(node: &Node) -> String {
    let commands: [&[&str]; 3] = [
        &["journalctl", "--identifier=pgsqlms", "--lines=4", "--output=cat"],
        &["tail", "--lines=6", POSTGRESQL_LOG],
        &["ps", "-u", "postgres", "-o", "etimes=,args="],
    ];
    let said = commands.map(|argv| match node.exec(argv) {
        Ok(said) => said.stdout.lines().map(str::trim).collect::<Vec<_>>().join(" | "),
        Err(error) => format!("{error:#}"),
    });
    format!("{}: {}", node.name(), said.join(" || "))
}
