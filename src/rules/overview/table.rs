//! One row for each node.

use super::{Facts, Member, Peer, Report};
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
    /// Its position.
    pub lsn: Option<String>,
    /// How many bytes it has not replayed.
    pub lag_bytes: Option<u64>,
    /// How old what it replays is, in tenths of a second.
    pub lag_tenths: Option<u64>,
    /// `sync`, `quorum`, `potential` or `async`.
    pub sync: Option<String>,
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
        if *node == facts.me { here(facts, row) } else { seen_by_primary(row, report) }
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

/// What the primary, here, sees of another node.
fn seen_by_primary(mut row: Row, report: Option<&Report>) -> Row {
    let Some(report) = report else { return row };
    match report.peers.iter().find(|peer| peer.name == row.node) {
        Some(Peer { state, sync, replayed, bytes, tenths, .. }) => {
            row.state.clone_from(state);
            (row.timeline, row.lsn) = (report.timeline, replayed.map(|lsn| lsn.to_string()));
            (row.lag_bytes, row.lag_tenths) = (*bytes, *tenths);
            row.sync = Some(sync.clone());
        }
        None if row.role == "standby" => row.state = "NO WAL".to_owned(),
        None => {}
    }
    row
}
