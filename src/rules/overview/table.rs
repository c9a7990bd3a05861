//! One row for each node.

use super::others::Streams;
use super::{Answer, Facts, Member, Peer, Report};
use crate::node::NodeName;
use crate::rules::check::Source;
use crate::rules::status::{Role, Status};

/// What is known of one node. A cell without a value does not apply, or was not seen.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Row {
    /// The node.
    pub node: String,
    /// It is the one that looked.
    pub is_here: bool,
    /// `primary`, `standby` or `-`.
    pub role: &'static str,
    /// What it is doing. In capitals if that is wrong.
    pub state: String,
    /// Its timeline.
    pub timeline: Option<u32>,
    /// Its position: where a primary writes, and how far a standby has replayed, or received where that is all it says.
    pub lsn: Option<String>,
    /// How many bytes it has not replayed.
    pub lag_bytes: Option<u64>,
    /// How old what it replays is, in tenths of a second.
    pub lag_tenths: Option<u64>,
    /// `sync`, `quorum`, `potential` or `async`.
    pub sync: Option<String>,
    /// The node from which it streams.
    pub from: Option<String>,
    /// Its promotion score.
    pub score: Option<String>,
    /// What else a person should know.
    pub note: String,
}

/// All rows, by node.
pub fn rows(facts: &Facts) -> Vec<Row> {
    let Ok(cluster) = &facts.cluster else { return vec![here(facts, row_of(&facts.me, None))] };
    let report = facts.report().filter(|_| facts.primaries().contains(&facts.me));
    let rows = cluster.nodes.iter().map(|(node, member)| {
        let row = row_of(node, Some(member));
        if *node == facts.me {
            return streams(facts, node, here(facts, row));
        }
        let row = match facts.answer(node) {
            Some(answer) => by_answer(facts, row, answer),
            None => row,
        };
        streams(facts, node, seen_by_primary(row, report))
    });
    rows.collect()
}

fn row_of(node: &NodeName, member: Option<&Member>) -> Row {
    let role = member.and_then(|member| member.role);
    let state = match member {
        None => "",
        Some(Member { is_unclean: true, .. }) => "UNCLEAN",
        Some(Member { is_online: false, .. }) => "OFFLINE",
        Some(Member { role: Some(_), .. }) => "running",
        Some(Member { is_failed: true, .. }) => "FAILED",
        Some(_) => "stopped",
    };
    let note = match member {
        Some(Member { in_standby: true, .. }) => "node in standby",
        Some(Member { in_maintenance: true, .. }) => "node in maintenance",
        Some(Member { is_unmanaged: true, .. }) => "unmanaged",
        _ => "",
    };
    Row {
        node: node.to_string(),
        role: name(role),
        state: state.to_owned(),
        score: member.and_then(|member| member.score.as_deref()).map(short_score),
        note: note.to_owned(),
        ..Row::default()
    }
}

fn name(role: Option<Role>) -> &'static str {
    match role {
        Some(Role::Primary) => "primary",
        Some(Role::Standby) => "standby",
        None => "-",
    }
}

/// Pacemaker's infinity.
pub(in crate::rules) fn short_score(score: &str) -> String {
    match score {
        "-1000000" | "-INFINITY" => "-INF".to_owned(),
        _ => score.to_owned(),
    }
}

fn here(facts: &Facts, mut row: Row) -> Row {
    row.is_here = true;
    let Ok(local) = &facts.local else { return row };
    let (role, state) = match &local.status {
        Status::Running { role, .. } => (Some(*role), "running"),
        Status::Starting(role) => (Some(*role), "starting"),
        Status::Stopping => (None, "stopping"),
        Status::Stopped => (None, "stopped"),
        Status::Crashed(_) | Status::Orphaned { .. } => (None, "CRASHED"),
        Status::Obscure { .. } | Status::Unclear(_) => (None, "SILENT"),
        Status::StorageHangs { .. } => (None, "NO DISK"),
        Status::Unresponsive { waited: None, .. } => (None, "FROZEN"),
        Status::Unresponsive { waited: Some(_), .. } => (None, "SILENT"),
    };
    (row.role, row.state) = (name(role), state.to_owned());
    let Ok(report) = &local.report else { return row };
    (row.timeline, row.lsn) = (report.timeline, report.lsn.map(|lsn| lsn.to_string()));
    if let Some(following) = report.following.filter(|_| role == Some(Role::Standby)) {
        row.state = match following.source {
            _ if report.is_paused => "PAUSED",
            Source::Stream => "streaming",
            Source::Archive => "archive",
            Source::None => "NO WAL",
        }
        .to_owned();
        row.lag_bytes = following.bytes;
        row.lag_tenths = following.time.and_then(|time| u64::try_from(time.as_millis() / 100).ok());
    }
    let notes = [
        report.waiting.is_long().then(|| "COMMITS HANG".to_owned()),
        (!report.pending.is_empty()).then(|| format!("restart: {}", report.pending.join(", "))),
        Some(row.note).filter(|note| !note.is_empty()),
    ];
    row.note = notes.into_iter().flatten().collect::<Vec<_>>().join("; ");
    row
}

/// What the instance of another node says of itself.
fn by_answer(facts: &Facts, mut row: Row, answer: &Answer) -> Row {
    let details = answer.details.as_ref().ok();
    if let Some(role) = answer.role {
        row.role = name(Some(role));
        row.state = "running".to_owned();
    }
    row.timeline = answer.timeline;
    let is_standby = answer.role != Some(Role::Primary);
    let lsn = details.and_then(|details| details.replayed).filter(|_| is_standby).or(answer.lsn);
    row.lsn = lsn.map(|lsn| lsn.to_string());
    if let (true, Some(lsn), Some(end)) = (is_standby, lsn, facts.end_of_wal()) {
        row.lag_bytes = Some(end.0.saturating_sub(lsn.0));
    }
    if let Some(details) = details.filter(|details| !details.pending.is_empty()) {
        let restart = format!("restart: {}", details.pending.join(", "));
        row.note = [restart, row.note].into_iter().filter(|note| !note.is_empty()).collect::<Vec<_>>().join("; ");
    }
    row
}

/// From where a standby streams, and whether it replays, as its primary and it itself say.
fn streams(facts: &Facts, node: &NodeName, mut row: Row) -> Row {
    if row.role != "standby" {
        return row;
    }
    if let Streams::From(from) = facts.streams(node) {
        row.from = Some(from.to_string());
        if !facts.primaries().contains(from) {
            row.note = format!("from {from}{}{}", if row.note.is_empty() { "" } else { "; " }, row.note);
        }
    }
    if row.state == "running" {
        row.state = match facts.streams(node) {
            Streams::From(_) => "streaming",
            Streams::Nowhere => "NO WAL",
            Streams::Unseen => "running",
        }
        .to_owned();
    }
    if facts.is_paused(node) && ["running", "streaming", "NO WAL"].contains(&row.state.as_str()) {
        row.state = "PAUSED".to_owned();
    }
    row
}

/// What the primary, here, sees of another node.
fn seen_by_primary(mut row: Row, report: Option<&Report>) -> Row {
    let Some(report) = report else { return row };
    let peer = report.peers.iter().find(|peer| peer.name == row.node);
    if let Some(Peer { state, sync, replayed, bytes, tenths, .. }) = peer {
        row.state.clone_from(state);
        (row.timeline, row.lsn) = (report.timeline, replayed.map(|lsn| lsn.to_string()));
        (row.lag_bytes, row.lag_tenths) = (*bytes, *tenths);
        row.sync = Some(sync.clone());
    }
    row
}
