//! What keeps Pacemaker from promoting any node: causes 1 to 4 and 7.

use super::{Blocked, Cause, Facts, Gone, cure};
use crate::node::NodeName;
use crate::rules::overview::{Cluster, Cure, FREE, clone_of, end_of_maintenance, start_nodes};

/// Where Pacemaker is not there to promote anything.
pub(super) fn gone(facts: &Facts) -> Option<Cause> {
    let me = &facts.seen.me;
    let text = match facts.gone.as_ref()? {
        Gone::NotRunning => format!("Pacemaker does not run on {me}"),
        Gone::NoTools(why) => format!("the tools of Pacemaker are not there on {me}: {why}"),
        Gone::Silent(why) => format!("Pacemaker runs on {me} and does not answer: {why}"),
    };
    let cures = vec![
        cure("systemctl status pacemaker corosync", format!("on {me}: shows why")),
        cure(format!("pcs cluster start {me}"), format!("if it was stopped on purpose; {FREE}")),
    ];
    Some(Cause { number: 1, id: "no-cluster", text, cures })
}

/// What keeps Pacemaker from promoting any node of this resource.
pub(super) fn cause(facts: &Facts, cluster: &Cluster) -> Option<Cause> {
    no_quorum(cluster).or_else(|| unclean(cluster)).or_else(|| switched_off(facts, cluster))
}

fn no_quorum(cluster: &Cluster) -> Option<Cause> {
    if cluster.has_quorum || cluster.no_quorum_policy.as_deref() == Some("ignore") {
        return None;
    }
    let online = cluster.nodes.values().filter(|member| member.is_online).count();
    let text = format!(
        "no quorum: {online} of {} nodes are online, and Pacemaker promotes nothing (no-quorum-policy={})",
        cluster.nodes.len(),
        cluster.no_quorum_policy.as_deref().unwrap_or("stop")
    );
    let mut cures = start_nodes(cluster);
    let gone = cluster.nodes.iter().filter(|(_, member)| !member.is_online);
    let confirm = |(node, _): (&NodeName, _)| {
        cure(
            format!("pcs stonith confirm {node}"),
            format!("only if {node} is off for good: if it runs, there are two primaries"),
        )
    };
    cures.extend(gone.map(confirm));
    if online < cluster.nodes.len() {
        cures.push(cure("pcs quorum unblock", "only if all that are missing are off: then go on without them"));
    }
    Some(Cause { number: 2, id: "no-quorum", text, cures })
}

fn unclean(cluster: &Cluster) -> Option<Cause> {
    // Without fencing Pacemaker takes such a node as stopped.
    let (node, _) = cluster.nodes.iter().find(|(_, member)| member.is_unclean && cluster.has_fencing)?;
    let attempts: Vec<&str> =
        cluster.fencing.iter().filter(|(target, _)| target == node).map(|(_, text)| text.as_str()).collect();
    let attempts = match attempts.as_slice() {
        [] => ": no attempt is on record".to_owned(),
        attempts => format!(": {}", attempts.join(", ")),
    };
    let text = format!("{node} must be fenced before any node is promoted, and has not been{attempts}");
    let cures = vec![
        cure(format!("pcs stonith history show {node}"), "shows which device failed with what"),
        cure(format!("pcs stonith fence {node}"), format!("tries again: switches {node} off")),
        cure(
            format!("pcs stonith confirm {node}"),
            format!("only if {node} is off for certain: if it runs, there are two primaries"),
        ),
    ];
    Some(Cause { number: 3, id: "fencing", text, cures })
}

/// The operator has set Pacemaker to leave it alone.
fn switched_off(facts: &Facts, cluster: &Cluster) -> Option<Cause> {
    let clone = clone_of(&facts.seen);
    let role = cluster.target_role.as_deref().unwrap_or_default();
    let is_kept_down = ["Slave", "Unpromoted"].iter().any(|word| role.eq_ignore_ascii_case(word));
    let is_stopped = cluster.is_disabled || role.eq_ignore_ascii_case("Stopped");
    let mut running = cluster.nodes.values().filter(|member| member.role.is_some()).peekable();
    let is_unmanaged = running.peek().is_some() && running.all(|member| member.is_unmanaged);
    let (id, what, end): (_, String, Cure) = if cluster.in_maintenance {
        let what = "maintenance mode is on: Pacemaker starts, stops and promotes nothing".to_owned();
        ("maintenance", what, end_of_maintenance())
    } else if cluster.stops_all {
        let end = cure("pcs property set stop-all-resources=false", "Pacemaker starts all resources again");
        ("stop-all", "stop-all-resources is set: Pacemaker stops everything".to_owned(), end)
    } else if is_stopped {
        let what = format!("{clone} is disabled (target-role)");
        ("disabled", what, cure(format!("pcs resource enable {clone}"), FREE))
    } else if is_kept_down {
        let end = cure(format!("pcs resource meta {clone} target-role=Started"), FREE);
        ("target-role", format!("target-role={role} of {clone} lets no node be promoted"), end)
    } else if is_unmanaged {
        let end = cure(format!("pcs resource manage {clone}"), "Pacemaker acts again");
        ("unmanaged", format!("{clone} is unmanaged: Pacemaker does nothing with it"), end)
    } else {
        return None;
    };
    let change = cluster.last_change.as_ref();
    let change = change.map_or(String::new(), |change| format!(". The last change of the configuration: {change}"));
    Some(Cause { number: 4, id, text: format!("{what}{change}"), cures: vec![end] })
}

/// Something that cannot be stopped or demoted, which the promotion waits for: an instance of ours, or what a constraint ties to it.
pub(super) fn blocked(facts: &Facts) -> Option<Cause> {
    let plan = facts.plan.as_ref().ok().filter(|plan| plan.promotes.is_empty())?;
    let is_ours = |blocked: &&Blocked| blocked.resource == facts.seen.resource || !blocked.constraints.is_empty();
    let ends = |blocked: &&Blocked| ["stop", "demote"].contains(&blocked.action.as_str());
    let Blocked { action, resource, node, reason, constraints } =
        plan.blocked.iter().filter(ends).find(|blocked| is_ours(blocked))?;
    let reason = if reason.is_empty() { String::new() } else { format!(" ({reason})") };
    let (about, mut cures) = match constraints.as_slice() {
        [] => (String::new(), Vec::new()),
        ids => {
            let show = cure("pcs constraint --full", "shows them: one asks for what cannot happen first");
            (format!(". The constraints that tie it to ours: {}", ids.join(", ")), vec![show])
        }
    };
    cures.push(cure(format!("pcs resource cleanup {resource}"), "if its stop has failed: after what failed is mended"));
    let text = format!("Pacemaker cannot {action} {resource} on {node}{reason}, and the rest waits for that{about}");
    Some(Cause { number: 7, id: "blocked", text, cures })
}
