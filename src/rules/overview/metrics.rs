//! The facts for Prometheus: one sample a line, in its text format. Each node reports itself; what concerns the whole cluster is
//! reported by each node as it sees it.

use std::fmt::{Display, Write as _};

use super::{Cluster, Facts, Level, Local, Report, Row, Verdict, rows};
use crate::rules::check::{Following, Source};
use crate::rules::status::Role;

/// What an instance may be doing, as [`Row::state`] says it in small letters.
const STATES: [&str; 16] = [
    "running",
    "streaming",
    "archive",
    "paused",
    "no_wal",
    "starting",
    "stopping",
    "stopped",
    "crashed",
    "frozen",
    "silent",
    "no_disk",
    "failed",
    "offline",
    "unclean",
    "unknown",
];

/// Pacemaker's infinity.
const INFINITY: i32 = 1_000_000;

/// A page of samples.
struct Page {
    /// What is in it so far.
    text: String,
    /// The labels of each sample.
    common: String,
}

impl Page {
    /// Adds a metric of this name with a sample for each of the other labels; nothing if there is none.
    fn add<V: Display>(&mut self, name: &str, help: &str, samples: impl IntoIterator<Item = (String, V)>) {
        let mut is_new = true;
        for (labels, value) in samples {
            if std::mem::take(&mut is_new) {
                let _ = writeln!(self.text, "# HELP pgsqlms_{name} {help}\n# TYPE pgsqlms_{name} gauge");
            }
            let _ = writeln!(self.text, "pgsqlms_{name}{{{}{labels}}} {value}", self.common);
        }
    }

    /// Adds a metric with one sample.
    fn one(&mut self, name: &str, help: &str, value: impl Display) {
        self.add(name, help, [(String::new(), value)]);
    }

    /// Adds a metric with one sample, if it has a value.
    fn any(&mut self, name: &str, help: &str, value: Option<impl Display>) {
        self.add(name, help, value.map(|value| (String::new(), value)));
    }

    /// Adds a metric that is 1 or 0.
    fn flag(&mut self, name: &str, help: &str, value: bool) {
        self.one(name, help, u8::from(value));
    }
}

/// One more label, for the end of the others.
fn label(name: &str, value: &str) -> String {
    let value = value.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n");
    format!(",{name}=\"{value}\"")
}

/// A sample for each of `values`: 1 for the one that holds, 0 for the others.
fn each<'a>(name: &'a str, values: &'a [&str], holds: &'a str) -> impl Iterator<Item = (String, u8)> + 'a {
    values.iter().map(move |value| (label(name, value), u8::from(*value == holds)))
}

/// All samples.
pub fn metrics(facts: &Facts, verdict: &Verdict, version: &str) -> String {
    let resource = label("resource", &facts.resource);
    let common = format!("{}{}", resource.trim_start_matches(','), label("node", facts.me.as_str()));
    let mut page = Page { text: String::new(), common };
    of_report(&mut page, facts, verdict, version);
    if let Ok(cluster) = &facts.cluster {
        of_cluster(&mut page, facts, cluster);
    }
    let rows = rows(facts);
    let here = rows.iter().find(|row| row.is_here);
    if let Some(row) = here.filter(|_| facts.local.is_ok() || facts.cluster.is_ok()) {
        of_row(&mut page, row);
    }
    if let Some(report) = facts.report() {
        of_instance(&mut page, report);
        match &facts.local {
            Ok(Local { status, .. }) if status.runs_as(Role::Primary) => of_primary(&mut page, report),
            _ => of_standby(&mut page, report),
        }
    }
    page.text
}

/// What was looked at, and what is wrong.
fn of_report(page: &mut Page, facts: &Facts, verdict: &Verdict, version: &str) {
    let postgresql = facts.report().map_or("", |report| report.version.as_str());
    let versions = format!("{}{}", label("version", version), label("postgresql", postgresql));
    page.add("info", "Versions of the agent and of PostgreSQL.", [(versions, 1)]);
    let seen = [("cluster", facts.cluster.is_ok()), ("instance", facts.report().is_some())];
    let seen = seen.map(|(source, is_seen)| (label("source", source), u8::from(is_seen)));
    page.add("seen", "Whether this could be seen; if not, the metrics about it are missing.", seen);
    page.one(
        "level",
        "The exit code of pgsqlms status: 0 well, 1 warning, 2 critical, 3 unknown.",
        verdict.level as u8,
    );
    let findings = verdict.findings.iter().filter(|finding| finding.level > Level::Ok);
    let mut found: Vec<String> = findings.map(|finding| label("id", finding.id)).collect();
    found.sort();
    found.dedup();
    page.add("finding", "What pgsqlms status finds wrong.", found.into_iter().map(|labels| (labels, 1)));
}

/// What Pacemaker says.
fn of_cluster(page: &mut Page, facts: &Facts, cluster: &Cluster) {
    page.flag("quorate", "Whether this node's partition has quorum.", cluster.has_quorum);
    page.one("nodes", "Configured nodes.", cluster.nodes.len());
    let online = cluster.nodes.values().filter(|member| member.is_online).count();
    page.one("nodes_online", "Nodes in this node's partition.", online);
    page.flag("fencing_enabled", "Whether fencing is on.", cluster.has_fencing);
    page.flag("maintenance", "Whether Pacemaker is in maintenance mode.", cluster.in_maintenance);
    let Some(member) = cluster.nodes.get(&facts.me) else { return };
    page.flag("node_standby", "Whether this node is to run nothing.", member.in_standby);
    let managed = !(member.is_unmanaged || member.in_maintenance || cluster.in_maintenance);
    page.flag("managed", "Whether Pacemaker manages PostgreSQL here.", managed);
    page.flag("failed", "Whether an action has failed here that is not cleaned up.", member.is_failed);
    page.any("score", "The promotion score; -1000000 is never.", member.score.as_deref().and_then(score));
}

fn score(text: &str) -> Option<i32> {
    match text {
        "INFINITY" | "+INFINITY" => Some(INFINITY),
        "-INFINITY" => Some(-INFINITY),
        number => number.parse().ok(),
    }
}

/// What the instance is and does.
fn of_row(page: &mut Page, row: &Row) {
    let role = if row.role == "-" { "none" } else { row.role };
    page.add("role", "The role of PostgreSQL here.", each("role", &["primary", "standby", "none"], role));
    let state = row.state.to_lowercase().replace(' ', "_");
    let known = STATES.iter().find(|known| **known == state).unwrap_or(&"unknown");
    page.add("state", "What PostgreSQL does here.", each("state", &STATES, known));
}

fn of_instance(page: &mut Page, report: &Report) {
    page.any("timeline", "The timeline; each promotion begins a new one.", report.timeline);
    let position = report.lsn.map(|lsn| lsn.0);
    page.any("wal_position_bytes", "Where the primary writes, or the standby has replayed to.", position);
    page.one("pending_restart", "Settings that wait for a restart.", report.pending.len());
}

fn of_primary(page: &mut Page, report: &Report) {
    page.one("commits_waiting", "Commits that wait for a synchronous standby.", report.waiting.sessions);
    page.one("commits_wait_seconds", "How long the longest of them has waited.", report.waiting.longest.as_secs());
    page.flag("synchronous", "Whether synchronous_standby_names is set.", !report.synchronous.is_empty());
    let streaming = report.peers.iter().filter(|peer| peer.state == "streaming").count();
    page.one("standbys_streaming", "Standbys that stream from here.", streaming);
    let of_peers = |value: fn(&super::Peer) -> Option<u64>| {
        report
            .peers
            .iter()
            .filter_map(move |peer| Some((label("standby", &peer.name), value(peer)?)))
            .collect::<Vec<_>>()
    };
    page.add(
        "standby_lag_bytes",
        "What a standby has not replayed, as the primary sees it.",
        of_peers(|peer| peer.bytes),
    );
    let seconds = of_peers(|peer| peer.tenths).into_iter().map(|(labels, tenths)| (labels, in_seconds(tenths)));
    page.add("standby_lag_seconds", "How old that is.", seconds);
}

fn of_standby(page: &mut Page, report: &Report) {
    let paused = match (report.is_paused, report.too_low.is_empty()) {
        (false, _) => "",
        (true, true) => "operator",
        (true, false) => "settings",
    };
    page.add("replay_paused", "Whether replay is paused, and by what.", each("by", &["operator", "settings"], paused));
    let Some(Following { source, bytes, time }) = report.following else { return };
    page.flag("receiving", "Whether a server sends WAL to this standby.", source == Source::Stream);
    page.any("lag_bytes", "What this standby has not replayed of the WAL that it knows of.", bytes);
    // It has replayed all that it knows of.
    let none = (source == Source::Stream).then_some(0);
    let tenths = time.and_then(|time| u64::try_from(time.as_millis() / 100).ok()).or(none);
    page.any(
        "lag_seconds",
        "How old the last commit is that it has replayed; 0 if that is all.",
        tenths.map(in_seconds),
    );
}

fn in_seconds(tenths: u64) -> String {
    format!("{}.{}", tenths / 10, tenths % 10)
}
