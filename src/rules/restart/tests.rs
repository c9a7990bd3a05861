use super::*;
use crate::rules::overview::{Cluster, Member};
use crate::rules::switchover::Instance;
use crate::rules::table;

/// srv1 is the primary, srv2 and srv3 stream. What waits on each: `srv1=max_connections:100:200 srv2=`; no word for a node that
/// could not be asked.
fn facts(pending: &str) -> Facts {
    let nodes = [("srv1", Role::Primary, "1001"), ("srv2", Role::Standby, "1000"), ("srv3", Role::Standby, "990")];
    let member = |role, score: &str| Member {
        is_online: true,
        role: Some(role),
        score: Some(score.to_owned()),
        ..Member::default()
    };
    let nodes = nodes.map(|(node, role, score)| (NodeName::new(node), member(role, score)));
    let (has_quorum, clone) = (true, Some("pgsqld-clone".to_owned()));
    let cluster = Cluster { has_quorum, clone, nodes: nodes.into(), ..Cluster::default() };
    let instance = Instance { synchronous: Some(String::new()), ..Instance::default() };
    let instances = ["srv1", "srv2", "srv3"].map(|node| (NodeName::new(node), instance.clone())).into();
    let switchover = switchover::Facts { cluster, is_idle: true, instances, ..switchover::Facts::default() };
    let setting = |text: &str| {
        let mut words = text.split(':').map(str::to_owned);
        Pending { name: words.next().unwrap(), values: words.next().zip(words.next()) }
    };
    let of_node = |(node, settings): (&str, &str)| {
        (NodeName::new(node), settings.split(',').filter(|text| !text.is_empty()).map(setting).collect())
    };
    let pending = pending.split_whitespace().map(|word| of_node(word.split_once('=').unwrap())).collect();
    Facts { switchover, pending, ..Facts::default() }
}

fn planned(facts: &Facts) -> String {
    match plan(facts) {
        Verdict::Nothing => "nothing".to_owned(),
        Verdict::Refused(lines) => lines.into_iter().map(|line| line.text).collect::<Vec<_>>().join(" | "),
        Verdict::Planned(Plan { standbys, primary, .. }) => {
            let standbys: Vec<String> = standbys.iter().map(ToString::to_string).collect();
            format!("{} then {}", standbys.join(" "), primary.map_or("-".to_owned(), |node| node.to_string()))
        }
    }
}

fn all(pending: &str) -> String {
    planned(&facts(pending))
}

table! { all;
    standbys_first: "" => "srv2 srv3 then srv1";
    raised: "srv1=max_connections:100:200 srv2=max_connections:100:200" => "srv2 srv3 then srv1";
    lowered: "srv1=max_connections:200:100"
        => "srv1: max_connections 200 -> 100 is lowered: restart the primary in place first, in maintenance mode; then the standbys";
    lowered_and_of_no_consequence: "srv1=shared_buffers:200:100" => "srv2 srv3 then srv1";
    lowered_on_a_standby: "srv2=max_connections:200:100"
        => "srv2: max_connections 200 -> 100 is lowered: restart the primary in place first, in maintenance mode; then the standbys";
    lowered_on_the_primary_before: "srv1= srv2=max_connections:200:100" => "srv2 srv3 then srv1";
    no_number: "srv1=max_connections" => "srv2 srv3 then srv1";
}

fn pending(pending: &str) -> String {
    planned(&Facts { only_pending: true, ..facts(pending) })
}

table! { pending;
    on_all: "srv1=a srv2=a srv3=a" => "srv2 srv3 then srv1";
    on_a_standby: "srv1= srv2= srv3=a" => "srv3 then -";
    on_the_primary: "srv1=a srv2= srv3=" => " then srv1";
    nowhere: "srv1= srv2= srv3=" => "nothing";
    not_seen: "srv1= srv2=a"
        => "whether srv3 waits for a restart was not seen: pg_hba.conf there must let this node's replication role in, to the \
            database postgres; or leave out --pending";
}

fn only(node: &str) -> String {
    planned(&Facts { only: Some(NodeName::new(node)), ..facts("") })
}

table! { only;
    a_standby: "srv3" => "srv3 then -";
    the_primary: "srv1" => "srv1 is the primary: pgsqlms switchover restarts it, as a standby";
    unknown_node: "srv9" => "PostgreSQL does not run on srv9: see pgsqlms status";
}

#[test]
fn what_hinders_a_switchover_hinders_a_restart() {
    let mut facts = facts("");
    facts.switchover.cluster.in_maintenance = true;
    assert_eq!(planned(&facts), "maintenance mode is on: pcs property set maintenance-mode=false");
    facts.only = Some(NodeName::new("srv3"));
    assert_eq!(planned(&facts), "maintenance mode is on: pcs property set maintenance-mode=false");
}

#[test]
fn a_standby_is_restarted_where_none_could_be_promoted() {
    let mut facts = facts("");
    for member in facts.switchover.cluster.nodes.values_mut() {
        member.score = None;
    }
    assert!(planned(&facts).ends_with(" | no standby could be promoted: see pgsqlms status"), "{}", planned(&facts));
    facts.only = Some(NodeName::new("srv3"));
    assert_eq!(planned(&facts), "srv3 then -");
}

#[test]
fn what_waits_is_listed_with_its_values() {
    let Verdict::Planned(plan) = plan(&facts("srv2=max_connections:100:200,b")) else { panic!() };
    assert_eq!(plan.lines[0].text, "srv2: max_connections 100 -> 200, b");
}

/// What is seen every time: `-` stopped, `u` up and not ranked, `r` ranked; the standby's position and the primary's.
fn course(moments: &str) -> String {
    let mut course = Course::default();
    for moment in moments.split_whitespace() {
        let (letter, positions) = moment.split_at(1);
        let (standby, primary) = positions.split_once('/').unwrap_or_default();
        let lsn = |text: &str| text.parse().ok().map(Lsn);
        let member = match letter {
            "-" => Member::default(),
            "u" => Member { role: Some(Role::Standby), score: Some("-1000".to_owned()), ..Member::default() },
            _ => Member { role: Some(Role::Standby), score: Some("990".to_owned()), ..Member::default() },
        };
        course.see(&Seen { member, standby: lsn(standby), primary: lsn(primary) });
    }
    course.to_string()
}

table! { course;
    not_begun: "r1/1 r1/1" => "has not been stopped yet";
    down: "r1/1 -" => "is stopped";
    up: "r1/1 - u1/9" => "runs again and does not follow the primary yet";
    ranked_as_it_was_before: "r1/1 - r1/9" => "runs again and does not follow the primary yet";
    back: "r1/1 - u1/9 r1/11 r9/20" => "runs again and follows the primary";
    down_again: "r1/1 - u1/9 -" => "is stopped";
    no_node_is_reached: "r - u r" => "runs again and follows the primary";
}
