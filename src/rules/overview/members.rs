//! What is wrong with one node by what Pacemaker knows of it.

use super::findings::{FREE, cure, finding};
use super::instances::{commits_hang, frozen, no_wal, paused};
use super::others::Streams;
use super::{Cluster, Cure, Facts, Finding, Level, Member, clone_of};
use crate::node::NodeName;
use crate::rules::status::{Role, Status};

/// How PostgreSQL is started on a node.
pub(in crate::rules) fn start(facts: &Facts, node: &NodeName, member: &Member) -> Cure {
    match member {
        Member { is_online: false, .. } => {
            cure(format!("pcs cluster start {node}"), format!("or switch {node} on; {FREE}"))
        }
        Member { in_standby: true, .. } => cure(format!("pcs node unstandby {node}"), FREE),
        Member { in_maintenance: true, .. } => {
            cure(format!("pcs node unmaintenance {node}"), "Pacemaker acts again there")
        }
        Member { role: Some(_), .. } => cure("pgsqlms status", format!("on {node}: what it says of its own standby")),
        Member { .. } => clean_up(facts),
    }
}

/// What makes Pacemaker forget that it has failed.
pub(super) fn clean_up(facts: &Facts) -> Cure {
    cure(format!("pcs resource cleanup {}", facts.resource), format!("tries again to start it; {FREE}"))
}

/// What ends a ban.
pub(super) fn unban(facts: &Facts, id: &str, node: &NodeName) -> Cure {
    match id.starts_with("cli-") {
        true => cure(format!("pcs resource clear {}", clone_of(facts)), format!("ends the ban; {FREE}")),
        false => cure(format!("pcs constraint remove {id}"), format!("if it may run on {node}; {FREE}")),
    }
}

/// The command by which a node is looked at that may have diverged.
pub(super) fn rejoin(node: &NodeName, costs: &str) -> Cure {
    cure("pgsqlms rejoin", format!("on {node}: {costs}"))
}

fn warning(id: &'static str, node: &NodeName, text: String, cures: Vec<Cure>) -> Finding {
    finding(id, Level::Warning, text, cures).of(node)
}

/// What is wrong with one node.
pub(super) fn of_node(
    facts: &Facts,
    cluster: &Cluster,
    (node, member): (&NodeName, &Member),
    findings: &mut Vec<Finding>,
) {
    if member.is_unclean {
        let cures = vec![cure("pcs stonith history", "shows why; nothing goes on before it is fenced")];
        let text = format!("{node} is to be fenced, and has not been");
        return findings.push(finding("unclean", Level::Critical, text, cures).of(node));
    }
    let cures = vec![start(facts, node, member)];
    if !member.is_online {
        return findings.push(warning("offline", node, format!("{node} is offline"), cures));
    }
    if member.in_standby {
        let text = format!("{node} is in standby: PostgreSQL does not run there");
        return findings.push(warning("node-standby", node, text, cures));
    }
    if member.in_maintenance && !cluster.in_maintenance {
        let text = format!("{node} is in maintenance: Pacemaker does nothing there");
        let end = cure(format!("pcs node unmaintenance {node}"), "Pacemaker acts again there");
        findings.push(warning("node-maintenance", node, text, vec![end]));
    } else if member.is_unmanaged && !cluster.in_maintenance {
        let manage = cure(format!("pcs resource manage {}", clone_of(facts)), "Pacemaker acts again");
        findings.push(warning(
            "unmanaged",
            node,
            format!("{node}: Pacemaker does not manage PostgreSQL"),
            vec![manage],
        ));
    }
    let is_told = findings
        .iter()
        .any(|finding| finding.node.as_ref() == Some(node) && !["node-maintenance", "unmanaged"].contains(&finding.id));
    // Where there is no primary, that has been said, and why.
    if !is_told && !facts.primaries().is_empty() {
        findings.extend(of_instance(facts, cluster, node, member));
    }
}

/// What is wrong with the instance of a node that is online and to run one.
fn of_instance(facts: &Facts, cluster: &Cluster, node: &NodeName, member: &Member) -> Option<Finding> {
    // There is a primary: that there is none was true when the monitor came.
    let reason = member.reason.as_deref().filter(|reason| !reason.starts_with("no primary:"));
    let is_down = *node == facts.me
        && facts.local.as_ref().is_ok_and(|local| matches!(local.status, Status::Stopped | Status::Crashed(_)));
    if member.role.is_none() {
        return Some(stopped(facts, cluster, node, member));
    }
    if is_down {
        let cures = match cluster.in_maintenance {
            true => vec![super::end_of_maintenance()],
            false => vec![cure("pcs status --full", "Pacemaker has not seen it yet")],
        };
        return Some(warning("stopped", node, format!("{node}: PostgreSQL is stopped"), cures));
    }
    if let Some(paused) = paused(facts, node) {
        return Some(paused);
    }
    match reason {
        Some(reason) if member.role == Some(Role::Primary) && reason.starts_with("commits wait") => {
            Some(commits_hang(facts, node, format!("{node}: commits hang")).because(Some(reason)))
        }
        Some(reason) => Some(with_reason(node, reason)),
        // In maintenance Pacemaker takes a primary that was restarted by hand for a standby.
        None if member.role == Some(Role::Standby) && !facts.primaries().contains(node) => {
            (facts.streams(node) == Streams::Nowhere).then(|| no_wal(node))
        }
        None => None,
    }
}

/// PostgreSQL does not run on a node where it should.
fn stopped(facts: &Facts, cluster: &Cluster, node: &NodeName, member: &Member) -> Finding {
    let reason = member.reason.as_deref();
    if let Some(brought_back) = reason.and_then(|reason| brought_back(node, reason)) {
        return brought_back;
    }
    let after = || vec![cure(clean_up(facts).command, format!("after the cause is mended; {FREE}"))];
    let ban = cluster.bans.iter().find(|(_, banned)| banned == node);
    let (id, text, cures) = match ban {
        _ if member.is_blocked => {
            ("blocked", format!("{node}: PostgreSQL could not be stopped, and Pacemaker does nothing more"), after())
        }
        _ if member.is_given_up => {
            ("failed", format!("{node}: PostgreSQL is stopped: it has failed too often, Pacemaker gave up"), after())
        }
        Some((id, _)) => {
            let text = format!("{node}: PostgreSQL is stopped: a constraint keeps it away");
            return warning("banned", node, text, vec![unban(facts, id, node)]).because(Some(id));
        }
        None => ("stopped", format!("{node}: PostgreSQL is stopped"), vec![start(facts, node, member)]),
    };
    warning(id, node, text, cures).because(reason)
}

/// An instance runs, and its monitor has a reason to be looked at.
fn with_reason(node: &NodeName, reason: &str) -> Finding {
    let process = reason.strip_prefix("the postmaster (process ").and_then(|rest| rest.split_once(") is frozen"));
    if let Some(pid) = process.and_then(|(pid, _)| pid.parse().ok()) {
        return frozen(node, pid, Level::Warning);
    }
    let other = || warning("reason", node, format!("{node}: {reason}"), Vec::new());
    brought_back(node, reason).unwrap_or_else(other)
}

/// What brings back a node that has diverged or lacks WAL, as its monitor or start asks for. No command is taken from the text of a
/// reason: it may quote what others have written.
fn brought_back(node: &NodeName, reason: &str) -> Option<Finding> {
    let keeps = |command: &str, costs: &str| {
        let show = cure(format!("pgsqlms {command}"), format!("on {node}: shows that, changes nothing"));
        vec![cure(format!("pgsqlms {command} --yes"), format!("on {node}: {costs}")), show]
    };
    let found = |id, text: String, cures| Some(warning(id, node, text, cures).because(Some(reason)));
    let by_hand = reason.starts_with("promoted outside an election") && reason.contains("run `pgsqlms rejoin");
    if by_hand || reason.starts_with("run `pgsqlms rejoin") {
        let text = format!("{node} has diverged");
        return found("diverged", text, keeps("rejoin", "saves what it alone has; rewinds"));
    }
    if reason.starts_with("run `pgsqlms rebuild") {
        let text = format!("{node} cannot follow the primary");
        return found("cannot-follow", text, keeps("rebuild", "saves what it alone has; copies"));
    }
    None
}
