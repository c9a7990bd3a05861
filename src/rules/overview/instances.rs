//! What is wrong with an instance by what it says itself.

use super::findings::{FREE, cure, finding};
use super::members::{rejoin, start};
use super::others::{Paused, Streams};
use super::{Cure, Facts, Finding, Level, Local, Report};
use crate::node::NodeName;
use crate::rules::check::Source;
use crate::rules::fitness::TooLow;
use crate::rules::status::{Role, Status};

/// What is wrong with this node's instance.
pub(super) fn of_local(facts: &Facts, local: &Local, findings: &mut Vec<Finding>) {
    let me = &facts.me;
    let is_primary = facts.primaries().contains(me);
    let level = if is_primary { Level::Critical } else { Level::Warning };
    match local.status {
        Status::Unresponsive { pid, waited: None } => findings.push(frozen(me, pid, level)),
        Status::Unresponsive { .. } | Status::Orphaned { .. } | Status::Obscure { .. } | Status::Unclear(_) => {
            let cures = vec![cure("journalctl -t pgsqlms --since -1h", format!("on {me}"))];
            findings.push(finding("no-answer", level, format!("{me}: {}", local.status), cures).of(me));
        }
        _ => {}
    }
    let Ok(report) = &local.report else { return };
    if local.status.runs_as(Role::Primary) {
        of_primary(facts, report, findings);
    } else if local.status.runs_as(Role::Standby) {
        findings.extend(paused(facts, me));
        of_standby(facts, report, findings);
    }
}

/// A postmaster that a signal has stopped.
pub(super) fn frozen(node: &NodeName, pid: i32, level: Level) -> Finding {
    let cures = vec![cure(format!("kill -CONT {pid}"), format!("on {node}; {FREE}"))];
    let text = format!("{node}: the postmaster (process {pid}) is frozen by a signal");
    finding("no-answer", level, text, cures).of(node)
}

fn of_primary(facts: &Facts, report: &Report, findings: &mut Vec<Finding>) {
    if report.waiting.is_long() {
        let (sessions, seconds) = (report.waiting.sessions, report.waiting.longest.as_secs());
        let text = format!("commits hang: {sessions} wait for a synchronous standby, for up to {seconds} s");
        findings.push(commits_hang(facts, &facts.me, text));
    }
}

/// Commits of this primary wait for a standby that does not confirm them.
pub(super) fn commits_hang(facts: &Facts, primary: &NodeName, text: String) -> Finding {
    let members = facts.cluster.iter().flat_map(|cluster| &cluster.nodes);
    let others = || members.clone().filter(|(node, _)| *node != primary);
    // One that Pacemaker has running is looked at last.
    let stopped = others().filter(|(_, member)| member.role.is_none());
    let mut cures: Vec<Cure> = stopped.map(|(node, member)| start(facts, node, member)).collect();
    let is_resumed = |node: &NodeName| facts.paused(node) == Some(Paused::ByOperator);
    cures.extend(others().filter(|(node, _)| is_resumed(node)).map(|(node, _)| resume(facts, node)));
    let running = others().filter(|(node, member)| {
        member.role.is_some() && !matches!(facts.streams(node), Streams::From(_)) && !facts.is_paused(node)
    });
    cures.extend(running.map(|(node, member)| start(facts, node, member)));
    cures.dedup();
    let commands = ["ALTER SYSTEM RESET synchronous_standby_names", "SELECT pg_reload_conf()"];
    cures.push(cure(sql(facts, &commands), format!("on {primary}: no second copy then")));
    finding("commits-hang", Level::Critical, text, cures).of(primary)
}

/// One statement after the other in psql: what changes a setting must not be in a transaction.
fn sql(facts: &Facts, statements: &[&str]) -> String {
    let calls = statements.iter().map(|statement| format!("{} -c '{statement}'", facts.psql));
    calls.collect::<Vec<_>>().join(" && ")
}

fn resume(facts: &Facts, node: &NodeName) -> Cure {
    cure(sql(facts, &["SELECT pg_wal_replay_resume()"]), format!("on {node}; {FREE}"))
}

/// What has paused the replay of a node, if that is seen.
pub(super) fn paused(facts: &Facts, node: &NodeName) -> Option<Finding> {
    let (text, cure) = match facts.paused(node)? {
        Paused::By(too_low) => return Some(too_low_for(facts, node, &too_low)),
        Paused::ByOperator => (format!("{node}: an operator has paused replay"), resume(facts, node)),
        Paused::Unclear => {
            let look = cure("pgsqlms status", format!("on {node}: what has paused it"));
            (format!("{node}: replay is paused, by an operator or by settings"), look)
        }
    };
    Some(finding("paused", Level::Warning, text, vec![cure]).of(node))
}

/// Its settings are raised to the primary's, and it is restarted.
fn too_low_for(facts: &Facts, node: &NodeName, too_low: &[TooLow]) -> Finding {
    let low = too_low.first().map_or(String::new(), |low| format!("{} = {} < {}", low.name, low.own, low.least));
    let then = match too_low.len() {
        0 | 1 => ": a promotion would end PostgreSQL".to_owned(),
        several => format!(", and by {} more", several - 1),
    };
    let text = format!("{node}: replay is paused by {low}{then}");
    let raise: Vec<String> =
        too_low.iter().map(|low| format!("ALTER SYSTEM SET {} = {}", low.name, low.least)).collect();
    let raise = sql(facts, &raise.iter().map(String::as_str).collect::<Vec<_>>());
    let cures =
        vec![cure(format!("{raise} && pgsqlms restart {node} --yes"), format!("on {node}: interrupts reading there"))];
    finding("paused-by-settings", Level::Warning, text, cures).of(node)
}

fn of_standby(facts: &Facts, report: &Report, findings: &mut Vec<Finding>) {
    let me = &facts.me;
    let is_cut_off = report.following.is_some_and(|following| following.source == Source::None);
    let is_explained = facts.cluster.as_ref().is_ok_and(|it| it.nodes.get(me).is_some_and(|it| it.reason.is_some()));
    if is_cut_off && !facts.primaries().is_empty() && !is_explained {
        findings.push(no_wal(me));
    }
}

/// A standby that no node sends WAL to.
pub(super) fn no_wal(node: &NodeName) -> Finding {
    let text = format!("{node} receives no WAL: it cannot reach the primary, or has diverged");
    let show = rejoin(node, "shows which, changes nothing");
    finding("no-wal", Level::Warning, text, vec![show]).of(node)
}
