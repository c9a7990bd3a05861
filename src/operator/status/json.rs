//! The same report for programs. A field that is there stays there.

use serde_json::{Value, json};

use crate::node::NodeName;
use crate::rules::overview::{Cure, Facts, Finding, Row, Verdict, rows};

/// The report, as one object.
pub(super) fn report(facts: &Facts, verdict: &Verdict) -> String {
    let cluster = facts.cluster.as_ref().ok();
    let report = json!({
        "version": 1,
        "resource": facts.resource,
        "seen_from": facts.me.as_str(),
        "level": verdict.level.to_string().to_lowercase(),
        "findings": verdict.findings.iter().map(finding).collect::<Vec<_>>(),
        "nodes": rows(facts).iter().map(row).collect::<Vec<_>>(),
        "quorum": cluster.map(|cluster| cluster.has_quorum),
        "fencing": cluster.map(|cluster| cluster.has_fencing),
        "maintenance": cluster.map(|cluster| cluster.in_maintenance),
        "commits_waiting": facts.report().map(|report| json!({
            "sessions": report.waiting.sessions,
            "longest_seconds": report.waiting.longest.as_secs(),
        })),
        "not_seen": verdict.unseen,
    });
    report.to_string()
}

fn finding(finding: &Finding) -> Value {
    let Finding { id, level, node, cures, .. } = finding;
    let cure = |Cure { command, costs }: &Cure| json!({ "command": command, "costs": costs });
    let commands: Vec<Value> = cures.iter().map(cure).collect();
    let (level, text) = (level.to_string().to_lowercase(), finding.sentence());
    let node = node.as_ref().map(NodeName::as_str);
    json!({ "id": id, "level": level, "node": node, "text": text, "commands": commands })
}

fn row(row: &Row) -> Value {
    json!({
        "name": row.node,
        "here": row.is_here,
        "role": if row.role == "-" { None } else { Some(row.role) },
        "state": row.state,
        "timeline": row.timeline,
        "lsn": row.lsn,
        "lag_bytes": row.lag_bytes,
        "lag_tenths": row.lag_tenths,
        "sync": row.sync,
        "from": row.from,
        "score": row.score,
        "note": row.note,
    })
}
