//! What is wrong, and what helps.

use super::{Cluster, Cure, Facts, Finding, Level, Local, Verdict, instances, members, others};
use crate::node::NodeName;
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
        instances::of_local(facts, local, &mut findings);
    }
    if let Ok(cluster) = &facts.cluster {
        cluster.nodes.iter().for_each(|(node, member)| members::of_node(facts, cluster, (node, member), &mut findings));
    }
    // Of two that are as bad, the one that was found first is the cause more often.
    findings.sort_by_key(|finding: &Finding| std::cmp::Reverse(finding.level));
    if findings.is_empty() {
        findings.push(nothing_wrong(facts));
    }
    let level = findings.first().map_or(Level::Unknown, |finding| finding.level);
    Verdict { level, findings, unseen: unseen(facts) }
}

pub(super) fn cure(command: impl Into<String>, costs: impl Into<String>) -> Cure {
    Cure { command: command.into(), costs: costs.into() }
}

pub(super) fn finding(id: &'static str, level: Level, text: impl Into<String>, cures: Vec<Cure>) -> Finding {
    Finding { id, level, node: None, text: text.into(), why: None, cures }
}

impl Finding {
    /// About one node.
    pub(super) fn of(self, node: &NodeName) -> Self {
        Self { node: Some(node.clone()), ..self }
    }

    /// With the reason that the cluster shows.
    pub(super) fn because(self, why: Option<&str>) -> Self {
        Self { why: why.map(str::to_owned), ..self }
    }
}

/// What is wrong with the cluster as a whole.
fn of_cluster(facts: &Facts, cluster: &Cluster, findings: &mut Vec<Finding>) {
    if !cluster.has_quorum {
        let online = cluster.nodes.values().filter(|member| member.is_online).count();
        let text =
            format!("no quorum: {online} of {} nodes are online, and Pacemaker stops PostgreSQL", cluster.nodes.len());
        let mut cures = start_nodes(cluster);
        if cures.is_empty() {
            cures.push(cure("corosync-quorumtool", "shows which votes are missing"));
        }
        findings.push(finding("no-quorum", Level::Critical, text, cures));
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
    let why = reason.map(|reason| reason.strip_prefix("no primary: ").unwrap_or(reason));
    let mut cures = Vec::new();
    let clone = clone_of(facts);
    if cluster.in_maintenance {
        cures.push(end_of_maintenance());
    }
    if cluster.stops_all {
        cures.push(cure("pcs property set stop-all-resources=false", FREE));
    }
    if cluster.is_disabled {
        cures.push(cure(format!("pcs resource enable {clone}"), FREE));
    }
    let online = || cluster.nodes.iter().filter(|(_, member)| member.is_online);
    let in_standby = online().filter(|(_, member)| member.in_standby);
    cures.extend(in_standby.map(|(node, _)| cure(format!("pcs node unstandby {node}"), FREE)));
    cures.extend(cluster.bans.iter().map(|(id, node)| members::unban(facts, id, node)));
    if online().any(|(_, member)| !member.in_standby && member.role.is_none()) && !cluster.is_disabled {
        cures.push(members::clean_up(facts));
    }
    // Without quorum this is said before.
    if cluster.has_quorum {
        cures.extend(start_nodes(cluster));
        let standby = online().find(|(_, member)| member.role == Some(Role::Standby));
        if let Some((node, _)) = standby.filter(|_| !cluster.in_maintenance) {
            cures.push(cure(format!("pgsqlms promote-anyway --node {node}"), "shows what would be lost"));
        }
        cures.push(cure("pgsqlms why", "shows what keeps nodes from being promoted"));
    }
    cures.dedup();
    finding("no-primary", Level::Critical, "no primary", cures).because(why)
}

/// The name by which people know the resource.
pub(in crate::rules) fn clone_of(facts: &Facts) -> &str {
    let clone = facts.cluster.as_ref().ok().and_then(|cluster| cluster.clone.as_deref());
    clone.unwrap_or(&facts.resource)
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
    let does = match streaming(facts, cluster) {
        Some(streaming) => format!("{streaming} of {others} standbys stream"),
        None => format!("{standbys} of {others} standbys run"),
    };
    finding("well", Level::Ok, format!("{primary} is the primary; {does}"), Vec::new())
}

/// How many standbys stream, if that is seen.
fn streaming(facts: &Facts, cluster: &Cluster) -> Option<usize> {
    if let Some(report) = facts.report().filter(|_| facts.primaries().contains(&facts.me)) {
        return Some(report.peers.iter().filter(|it| it.state == "streaming").count());
    }
    let standbys = cluster.nodes.iter().filter(|(_, member)| member.role == Some(Role::Standby));
    let streams: Vec<others::Streams> = standbys.map(|(node, _)| facts.streams(node)).collect();
    let is_seen = !streams.contains(&others::Streams::Unseen);
    is_seen.then(|| streams.iter().filter(|it| matches!(it, others::Streams::From(_))).count())
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
    unseen.extend(others::unseen(facts));
    unseen
}
