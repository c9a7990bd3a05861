//! The checks, in the order in which a person wants to know of them.

use std::collections::BTreeSet;

use super::{Facts, Line, Load, Plan, Verdict, Weight};
use crate::node::NodeName;
use crate::rules::fitness::listed;
use crate::rules::status::Role;
use crate::rules::synchronous::{Member as Named, SyncSetting};

/// One that is further behind has its old primary wait too long for it, and itself to replay.
const MOST_BEHIND: u64 = 64 << 20;

/// A transaction that has lasted so many seconds is worth a word: it is ended.
const LONG_TRANSACTION: u64 = 60;

/// Whether a switchover may begin, and to which node.
pub fn preflight(facts: &Facts) -> Verdict {
    let refusals = of_cluster(facts);
    let primaries = facts.with_role(Role::Primary);
    let [from] = primaries.as_slice() else {
        let text = match primaries.as_slice() {
            [] => "there is no primary: see pgsqlms status".to_owned(),
            several => format!("{} are primaries: see pgsqlms status", names(several.iter().copied())),
        };
        return Verdict::Refused(with(refusals, refused(text)));
    };
    if facts.wanted.as_ref() == Some(*from) {
        return Verdict::Already((*from).clone());
    }
    let to = match chosen(facts) {
        Ok(to) => to,
        Err(text) => return Verdict::Refused(with(refusals, refused(text))),
    };
    let mut lines = refusals;
    lines.extend(of_constraints(facts));
    lines.extend(of_target(facts, from, to));
    let followers: BTreeSet<NodeName> =
        facts.with_role(Role::Standby).into_iter().chain([*from]).filter(|node| *node != to).cloned().collect();
    lines.extend(of_commits(facts, to, &followers));
    if lines.iter().any(|line| line.weight == Weight::Refusal) {
        return Verdict::Refused(lines.into_iter().filter(|line| line.weight == Weight::Refusal).collect());
    }
    lines.extend(facts.load.as_ref().map(|load| of_load(load, to)).unwrap_or_default());
    lines.push(expectation(facts));
    let timeline = facts.instances.get(*from).and_then(|instance| instance.timeline);
    Verdict::Planned(Plan { from: (*from).clone(), to: to.clone(), followers, timeline, lines })
}

fn line(weight: Weight, text: impl Into<String>) -> Line {
    Line { weight, text: text.into() }
}

fn refused(text: impl Into<String>) -> Line {
    line(Weight::Refusal, text)
}

fn with(mut lines: Vec<Line>, last: Line) -> Vec<Line> {
    lines.push(last);
    lines
}

fn names<'a>(nodes: impl IntoIterator<Item = &'a NodeName>) -> String {
    nodes.into_iter().map(NodeName::as_str).collect::<Vec<_>>().join(" and ")
}

/// What keeps Pacemaker from doing anything.
pub fn hindrances(facts: &Facts) -> Vec<Line> {
    of_cluster(facts).into_iter().filter(|line| line.weight == Weight::Refusal).collect()
}

/// Whether Pacemaker would do anything, and could.
fn of_cluster(facts: &Facts) -> Vec<Line> {
    let cluster = &facts.cluster;
    let mut lines = Vec::new();
    if !cluster.has_quorum {
        lines.push(refused("there is no quorum: start more nodes"));
    }
    if cluster.in_maintenance {
        lines.push(refused("maintenance mode is on: pcs property set maintenance-mode=false"));
    }
    if cluster.clone.is_none() {
        lines.push(refused("the resource is not in a clone: make it promotable first"));
    } else if cluster.is_disabled {
        lines.push(refused("the resource is switched off: pcs resource enable it"));
    }
    for (node, _) in cluster.nodes.iter().filter(|(_, member)| member.is_unclean) {
        lines.push(refused(format!("{node} is to be fenced, and has not been: pcs stonith history")));
    }
    if !facts.is_idle {
        lines.push(refused("Pacemaker is at work: try again when `crm_resource --wait` has returned"));
    }
    if lines.is_empty() {
        let online = cluster.nodes.values().filter(|member| member.is_online).count();
        let text = format!(
            "quorum, {online} of {} nodes online; nothing to be fenced, no maintenance, no transition",
            cluster.nodes.len()
        );
        lines.push(line(Weight::Ok, text));
    }
    lines
}

/// The standby that is to be promoted: the one that is wanted, or the one that Pacemaker would promote now.
fn chosen(facts: &Facts) -> Result<&NodeName, String> {
    if let Some(wanted) = &facts.wanted {
        let known = facts.cluster.nodes.get_key_value(wanted).map(|(node, _)| node);
        let all = || facts.cluster.nodes.keys().map(NodeName::as_str).collect::<Vec<_>>().join(", ");
        return known.ok_or_else(|| format!("{wanted} is not a node of this cluster: they are {}", all()));
    }
    let candidates = facts.with_role(Role::Standby).into_iter().filter(|node| !facts.barred.contains_key(*node));
    let fit = candidates.filter(|node| facts.fitness.get(*node).is_none_or(|fitness| fitness.is_fit()));
    // Of two, the one whose name comes first: on every node the same.
    let best = fit.filter(|node| facts.score(node).is_some_and(|score| score.allows_promotion()));
    best.min_by_key(|node| std::cmp::Reverse(facts.score(node)))
        .ok_or_else(|| "no standby could be promoted: see pgsqlms status".to_owned())
}

/// What earlier commands and lasting constraints do to it.
fn of_constraints(facts: &Facts) -> Vec<Line> {
    let mut lines = Vec::new();
    let clone = facts.cluster.clone.as_deref().unwrap_or("the clone");
    if !facts.leftovers.is_empty() {
        let left: Vec<&str> = facts.leftovers.iter().map(String::as_str).collect();
        lines.push(refused(format!(
            "an earlier command has left {}: see `pcs constraint`, then pcs resource clear {clone}",
            left.join(", ")
        )));
    } else if facts.has_preference {
        let text = "a location constraint prefers a node as the primary: Pacemaker may move it back afterwards";
        lines.push(line(Weight::Warning, text));
    } else {
        lines.push(line(Weight::Ok, format!("no command has left a constraint on {clone}")));
    }
    lines
}

/// Whether the target could be promoted, and soon.
fn of_target(facts: &Facts, from: &NodeName, to: &NodeName) -> Vec<Line> {
    let Some(member) = facts.member(to) else { return Vec::new() };
    let reason = member.reason.as_ref().map_or(String::new(), |reason| format!(": {reason}"));
    let instead = [
        (!member.is_online, format!("{to} is offline: pcs cluster start {to}, or switch it on")),
        (member.in_standby, format!("{to} is in standby: pcs node unstandby {to}")),
        (member.in_maintenance, format!("{to} is in maintenance: pcs node unmaintenance {to}")),
        (member.role != Some(Role::Standby), format!("{to} does not run as a standby{reason}")),
        (member.is_unmanaged, format!("{to}: Pacemaker does not manage PostgreSQL: pcs resource manage it")),
    ];
    if let Some((_, text)) = instead.into_iter().find(|(is_so, _)| *is_so) {
        return vec![refused(text)];
    }
    if let Some(bar) = facts.barred.get(to) {
        let way_out = bar.way_out(to).map_or(String::new(), |way_out| format!(": {way_out}"));
        return vec![refused(format!("{to} must not be promoted, {bar}{way_out}"))];
    }
    if let Some(fitness) = facts.fitness.get(to).filter(|fitness| !fitness.is_fit()) {
        let why = match (fitness.too_low.is_empty(), fitness.has_room) {
            (false, _) => format!("raise {} there and restart it", listed(&fitness.too_low)),
            (true, false) => "free space for pg_wal there".to_owned(),
            (true, true) => "its server does not let the agent in".to_owned(),
        };
        return vec![refused(format!("a promotion of {to} would fail: {why}"))];
    }
    let streams = facts.load.as_ref().map(|load| load.streaming.contains(to.as_str()));
    if streams == Some(false) || facts.score(to).is_none_or(|score| !score.allows_promotion()) {
        let score = member.score.as_deref().unwrap_or("none");
        return vec![refused(format!("{to} does not stream from {from}, score {score}{reason}"))];
    }
    vec![distance(facts, from, to)]
}

fn distance(facts: &Facts, from: &NodeName, to: &NodeName) -> Line {
    let timeline = |node| facts.instances.get(node).and_then(|instance| instance.timeline);
    if let (Some(ours), Some(theirs)) = (timeline(from), timeline(to)) {
        if ours != theirs {
            return refused(format!("{to} is on timeline {theirs}, {from} on {ours}: pgsqlms rejoin on {to}"));
        }
    }
    match facts.behind(from, to) {
        Some(bytes) if bytes > MOST_BEHIND => {
            refused(format!("{to} is {} MB behind: wait until it has caught up", bytes >> 20))
        }
        Some(bytes) => line(Weight::Ok, format!("{to} streams from {from}, {bytes} B behind")),
        None => line(Weight::Ok, format!("{to} streams from {from}, by its score; its position was not seen")),
    }
}

/// Whether commits would go on.
fn of_commits(facts: &Facts, to: &NodeName, followers: &BTreeSet<NodeName>) -> Vec<Line> {
    let setting = facts.instances.get(to).and_then(|instance| instance.synchronous.as_deref());
    let Some(setting) = setting.and_then(|text| text.parse::<SyncSetting>().ok()) else {
        return vec![line(Weight::Warning, format!("what commits would wait for on {to} was not seen"))];
    };
    let SyncSetting::Quorum { required, members, .. } = setting else {
        return vec![line(Weight::Ok, "commits wait for no standby")];
    };
    let counts = |node: &&NodeName| {
        members.iter().any(|member| match member {
            Named::Wildcard => true,
            Named::Named(name) => name.eq_ignore_ascii_case(node.as_str()),
        })
    };
    let counted: Vec<&NodeName> = followers.iter().filter(counts).collect();
    let needed = required.get() as usize;
    if counted.len() < needed {
        let text = format!(
            "commits would hang: on {to} they wait for {needed} standby(s), and {} of those named run",
            counted.len()
        );
        return vec![refused(text)];
    }
    let listed: Vec<&str> = counted.iter().map(|node| node.as_str()).collect();
    vec![line(Weight::Ok, format!("commits then wait for {needed} of {}", listed.join(", ")))]
}

/// What becomes of what goes on at the primary.
fn of_load(load: &Load, to: &NodeName) -> Vec<Line> {
    let mut texts = Vec::new();
    if load.oldest >= LONG_TRANSACTION {
        texts.push(format!("a transaction has been open for {} s: it is ended", load.oldest));
    }
    if load.prepared > 0 {
        texts.push(format!("{} prepared transaction(s): they go on on {to}", load.prepared));
    }
    if load.archiver_fails {
        texts.push("archive_command fails: the shutdown may wait for it".to_owned());
    }
    if load.waiting.is_long() {
        texts.push(format!("{}", load.waiting));
    }
    texts.into_iter().map(|text| line(Weight::Warning, text)).collect()
}

fn expectation(facts: &Facts) -> Line {
    let closed = match &facts.load {
        Some(load) => format!("closes {} session(s) of the primary", load.sessions),
        None => "closes the sessions of the primary".to_owned(),
    };
    line(Weight::Expectation, format!("no writes for some seconds; {closed}; loses nothing"))
}
