//! What is wrong, and what helps.

use super::{Cluster, Cure, Facts, Finding, Level, Local, Member, Report, Verdict};
use crate::node::NodeName;
use crate::rules::check::Source;
use crate::rules::status::{Role, Status};

/// What costs nothing.
pub(in crate::rules) const FREE: &str = "loses nothing";

/// What the facts amount to.
pub fn judge(facts: &Facts) -> Verdict {
    let mut findings = Vec::new();
    if let Ok(cluster) = &facts.cluster {
        of_cluster(facts, cluster, &mut findings);
    }
    if let Ok(local) = &facts.local {
        of_local(facts, local, &mut findings);
    }
    if let Ok(cluster) = &facts.cluster {
        cluster.nodes.iter().for_each(|(node, member)| of_node(facts, cluster, (node, member), &mut findings));
    }
    // Of two that are as bad, the one that was found first is the cause more often.
    findings.sort_by_key(|finding: &Finding| std::cmp::Reverse(finding.level));
    if findings.is_empty() {
        findings.push(nothing_wrong(facts));
    }
    let level = findings.first().map_or(Level::Unknown, |finding| finding.level);
    Verdict { level, findings, unseen: unseen(facts) }
}

fn cure(command: impl Into<String>, costs: impl Into<String>) -> Cure {
    Cure { command: command.into(), costs: costs.into() }
}

fn finding(id: &'static str, level: Level, text: impl Into<String>, cures: Vec<Cure>) -> Finding {
    Finding { id, level, text: text.into(), cures }
}

/// What is wrong with the cluster as a whole.
fn of_cluster(facts: &Facts, cluster: &Cluster, findings: &mut Vec<Finding>) {
    if !cluster.has_quorum {
        let online = cluster.nodes.values().filter(|member| member.is_online).count();
        let text =
            format!("no quorum: {online} of {} nodes are online, and Pacemaker stops PostgreSQL", cluster.nodes.len());
        findings.push(finding("no-quorum", Level::Critical, text, start_nodes(cluster)));
    }
    match facts.primaries().as_slice() {
        [] => findings.push(no_primary(facts, cluster)),
        [_] => {}
        several => {
            let names: Vec<&str> = several.iter().map(NodeName::as_str).collect();
            let text = format!("{} are primaries: commits go to each of them", names.join(" and "));
            let cures = vec![cure("pcs status --full", "find out which of them the clients use; then")];
            findings.push(finding("several-primaries", Level::Critical, text, cures));
        }
    }
    if cluster.in_maintenance {
        let text = "maintenance mode is on: Pacemaker starts, stops and promotes nothing";
        findings.push(finding("maintenance", Level::Warning, text, vec![end_of_maintenance()]));
    }
    if !cluster.has_fencing {
        let cures =
            vec![cure("pcs property set stonith-enabled=true", "after fence devices are configured and tested")];
        let text = "fencing is off: two nodes may accept writes at the same time";
        findings.push(finding("no-fencing", Level::Warning, text, cures));
    }
}

/// What ends maintenance mode.
pub(in crate::rules) fn end_of_maintenance() -> Cure {
    cure("pcs property set maintenance-mode=false", "Pacemaker acts again")
}

/// How the nodes that are away are started.
pub(in crate::rules) fn start_nodes(cluster: &Cluster) -> Vec<Cure> {
    let away = cluster.nodes.iter().filter(|(_, member)| !member.is_online);
    away.map(|(node, _)| cure(format!("pcs cluster start {node}"), format!("or switch {node} on; {FREE}"))).collect()
}

/// No node accepts writes. The exit reason that says so is the best explanation.
fn no_primary(facts: &Facts, cluster: &Cluster) -> Finding {
    let reasons = cluster.nodes.values().filter_map(|member| member.reason.as_deref());
    let reason = reasons.min_by_key(|reason| !reason.starts_with("no primary"));
    let text = reason.map_or("no primary".to_owned(), |reason| match reason.strip_prefix("no primary") {
        Some(_) => reason.to_owned(),
        None => format!("no primary: {reason}"),
    });
    let mut cures = Vec::new();
    let clone = cluster.clone.as_ref().unwrap_or(&facts.resource);
    if cluster.in_maintenance {
        cures.push(end_of_maintenance());
    }
    if cluster.is_disabled {
        cures.push(cure(format!("pcs resource enable {clone}"), FREE));
    }
    let online = || cluster.nodes.iter().filter(|(_, member)| member.is_online);
    let in_standby = online().filter(|(_, member)| member.in_standby);
    cures.extend(in_standby.map(|(node, _)| cure(format!("pcs node unstandby {node}"), FREE)));
    if online().any(|(_, member)| !member.in_standby && member.role.is_none()) && !cluster.is_disabled {
        cures
            .push(cure(format!("pcs resource cleanup {}", facts.resource), format!("tries again to start it; {FREE}")));
    }
    // Without quorum this is said before.
    if cluster.has_quorum {
        cures.extend(start_nodes(cluster));
        let standby = online().find(|(_, member)| member.role == Some(Role::Standby));
        if let Some((node, _)) = standby.filter(|_| !cluster.in_maintenance) {
            cures.push(cure(format!("pgsqlms promote-anyway --node {node}"), "shows what would be lost"));
        }
    }
    finding("no-primary", Level::Critical, text, cures)
}

/// What is wrong with this node's instance.
fn of_local(facts: &Facts, local: &Local, findings: &mut Vec<Finding>) {
    let me = &facts.me;
    if let Status::Unresponsive { .. } | Status::Orphaned { .. } | Status::Obscure { .. } | Status::Unclear(_) =
        local.status
    {
        let is_primary = facts.primaries().contains(me);
        let level = if is_primary { Level::Critical } else { Level::Warning };
        let text = format!("{me}: {}", local.status);
        findings.push(finding(
            "no-answer",
            level,
            text,
            vec![cure("journalctl -t pgsqlms --since -1h", format!("on {me}"))],
        ));
    }
    let Ok(report) = &local.report else { return };
    if local.status.runs_as(Role::Primary) {
        of_primary(facts, report, findings);
    } else if local.status.runs_as(Role::Standby) {
        of_standby(facts, report, findings);
    }
}

fn of_primary(facts: &Facts, report: &Report, findings: &mut Vec<Finding>) {
    if !report.waiting.is_long() {
        return;
    }
    let streams =
        |node: &NodeName| report.peers.iter().any(|peer| peer.name == node.as_str() && peer.state == "streaming");
    let members = facts.cluster.iter().flat_map(|cluster| &cluster.nodes);
    let missing = members.filter(|(node, _)| **node != facts.me && !streams(node));
    let mut cures: Vec<Cure> = missing.map(|(node, member)| start(facts, node, member)).collect();
    cures.push(cure(
        "ALTER SYSTEM RESET synchronous_standby_names",
        format!("on {}, and reload: no second copy then", facts.me),
    ));
    findings.push(finding("commits-hang", Level::Critical, report.waiting.to_string(), cures));
}

fn of_standby(facts: &Facts, report: &Report, findings: &mut Vec<Finding>) {
    let me = &facts.me;
    if !report.too_low.is_empty() {
        let low: Vec<String> =
            report.too_low.iter().map(|low| format!("{} = {} < {}", low.name, low.own, low.least)).collect();
        let text = format!("{me}: replay is paused by {}: a promotion would end PostgreSQL", low.join(", "));
        let cures =
            vec![cure(format!("pcs resource restart {} {me}", clone_of(facts)), "after the setting is raised there")];
        findings.push(finding("paused-by-settings", Level::Warning, text, cures));
    } else if report.is_paused {
        let cures = vec![cure("SELECT pg_wal_replay_resume()", format!("in psql on {me}; {FREE}"))];
        findings.push(finding("paused", Level::Warning, format!("{me}: an operator has paused replay"), cures));
    }
    let is_cut_off = report.following.is_some_and(|following| following.source == Source::None);
    let is_explained = facts.cluster.as_ref().is_ok_and(|it| it.nodes.get(me).is_some_and(|it| it.reason.is_some()));
    if is_cut_off && !facts.primaries().is_empty() && !is_explained {
        let text = format!("{me} receives no WAL: it cannot reach the primary, or has diverged");
        let cures = vec![cure("pgsqlms rejoin", format!("on {me}: shows which, changes nothing"))];
        findings.push(finding("no-wal", Level::Warning, text, cures));
    }
}

/// The name by which people know the resource.
pub(in crate::rules) fn clone_of(facts: &Facts) -> &str {
    let clone = facts.cluster.as_ref().ok().and_then(|cluster| cluster.clone.as_deref());
    clone.unwrap_or(&facts.resource)
}

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
        Member { .. } => {
            cure(format!("pcs resource cleanup {}", facts.resource), format!("tries again to start it; {FREE}"))
        }
    }
}

fn warning(id: &'static str, text: String, cures: Vec<Cure>) -> Finding {
    finding(id, Level::Warning, text, cures)
}

/// What is wrong with one node.
fn of_node(facts: &Facts, cluster: &Cluster, (node, member): (&NodeName, &Member), findings: &mut Vec<Finding>) {
    let has_primary = !facts.primaries().is_empty();
    if member.is_unclean {
        let cures = vec![cure("pcs stonith history", "shows why; nothing goes on before it is fenced")];
        let text = format!("{node} is to be fenced, and has not been");
        return findings.push(finding("unclean", Level::Critical, text, cures));
    }
    let cures = vec![start(facts, node, member)];
    if !member.is_online {
        return findings.push(warning("offline", format!("{node} is offline"), cures));
    }
    if member.in_standby {
        let text = format!("{node} is in standby: PostgreSQL does not run there");
        return findings.push(warning("node-standby", text, cures));
    }
    if member.in_maintenance && !cluster.in_maintenance {
        let text = format!("{node} is in maintenance: Pacemaker does nothing there");
        let end = cure(format!("pcs node unmaintenance {node}"), "Pacemaker acts again there");
        findings.push(warning("node-maintenance", text, vec![end]));
    } else if member.is_unmanaged && !cluster.in_maintenance {
        let manage = cure(format!("pcs resource manage {}", clone_of(facts)), "Pacemaker acts again");
        findings.push(warning("unmanaged", format!("{node}: Pacemaker does not manage PostgreSQL"), vec![manage]));
    }
    match (&member.reason, member.role) {
        // It has been said above.
        (Some(_), _) if !has_primary => {}
        (Some(reason), Some(Role::Primary)) if reason.starts_with("commits wait") => {
            // It may have been said by the instance itself.
            let cures = vec![cure("pgsqlms status", format!("on {node}: what is missing"))];
            let said = finding("commits-hang", Level::Critical, format!("{node}: {reason}"), cures);
            findings.extend(findings.iter().all(|finding| finding.id != said.id).then_some(said));
        }
        (Some(reason), Some(_)) => findings.push(warning("reason", format!("{node}: {reason}"), Vec::new())),
        (reason, None) if has_primary => {
            let why = reason.as_ref().map_or(String::new(), |reason| format!(": {reason}"));
            findings.push(warning("stopped", format!("{node}: PostgreSQL is stopped{why}"), cures));
        }
        _ => {}
    }
}

fn nothing_wrong(facts: &Facts) -> Finding {
    let primaries = facts.primaries();
    let Ok(cluster) = &facts.cluster else {
        return match &facts.local {
            Ok(local) if local.status.runs_as(Role::Primary) || local.status.runs_as(Role::Standby) => {
                finding("local-only", Level::Ok, format!("{}: {}", facts.me, local.status), Vec::new())
            }
            Ok(local) => {
                let text = format!("{}: {}", facts.me, local.status);
                finding("stopped", Level::Critical, text, vec![cure("pcs status --full", "as root: shows why")])
            }
            Err(_) => {
                let cures = vec![cure("sudo pgsqlms status", "")];
                finding("unseen", Level::Unknown, "neither the cluster nor PostgreSQL could be seen", cures)
            }
        };
    };
    let standbys = cluster.nodes.values().filter(|member| member.role == Some(Role::Standby)).count();
    let others = cluster.nodes.len().saturating_sub(1);
    let primary = primaries.first().map_or("", NodeName::as_str);
    let does = match facts.report().filter(|_| facts.primaries().contains(&facts.me)) {
        Some(report) => {
            format!("{} of {others} standbys stream", report.peers.iter().filter(|it| it.state == "streaming").count())
        }
        None => format!("{standbys} of {others} standbys run"),
    };
    finding("well", Level::Ok, format!("{primary} is the primary; {does}"), Vec::new())
}

fn unseen(facts: &Facts) -> Vec<String> {
    let mut unseen = Vec::new();
    if let Err(why) = &facts.cluster {
        unseen.push(format!("the cluster: {why}"));
    }
    match &facts.local {
        Err(why) => unseen.push(format!("PostgreSQL on {}: {why}", facts.me)),
        Ok(Local { report: Err(why), status }) if !matches!(status, Status::Stopped) => {
            unseen.push(format!("PostgreSQL on {}: {why}", facts.me));
        }
        Ok(_) => {}
    }
    let is_primary = facts.primaries().contains(&facts.me);
    if let (Ok(cluster), false) = (&facts.cluster, is_primary && facts.report().is_some()) {
        let running = cluster.nodes.iter().filter(|(node, member)| **node != facts.me && member.role.is_some());
        let others: Vec<&str> = running.map(|(node, _)| node.as_str()).collect();
        if !others.is_empty() {
            unseen.push(format!("positions of {}: run this on the primary", others.join(", ")));
        }
    }
    unseen
}
