//! Each cause, planted in a cluster that lacks nothing else; and which node would be promoted without the primary.

use std::collections::BTreeMap;

use super::*;
use crate::location::Lsn;
use crate::rules::bars::Bar;
use crate::rules::overview::{Member, Peer, Report};
use crate::rules::status::Role;
use crate::rules::table;

fn member(score: Option<&str>, role: Option<Role>) -> Member {
    Member { is_online: true, role, score: score.map(str::to_owned), ..Member::default() }
}

/// Three nodes. The primary is srv1 if it runs, and the standbys are srv2 and srv3. All of it seen from srv1.
fn cluster(primary: Option<Role>) -> Facts {
    let nodes =
        [("srv1", "1001", primary), ("srv2", "1000", Some(Role::Standby)), ("srv3", "990", Some(Role::Standby))];
    let nodes: BTreeMap<NodeName, Member> = nodes
        .into_iter()
        .map(|(node, score, role)| (NodeName::new(node), member(primary.map(|_| score), role)))
        .collect();
    let cluster = Cluster {
        has_quorum: true,
        has_fencing: true,
        clone: Some("pgsqld-clone".to_owned()),
        nodes,
        ..Cluster::default()
    };
    let members = ["srv1", "srv2", "srv3"].map(NodeName::new).into();
    let published = Some("srv1: ANY 1 (srv2, srv3)".parse().unwrap());
    let record = "1@0/100 srv1 5 kept".parse().unwrap();
    Facts {
        seen: overview::Facts {
            resource: "pgsqld".to_owned(),
            me: NodeName::new("srv1"),
            cluster: Ok(cluster),
            local: Err("not asked".to_owned()),
            others: BTreeMap::new(),
            psql: overview::psql("postgres", None, None),
        },
        file: None,
        gone: None,
        election: Ok(promotion::Facts { members, published, record, ..promotion::Facts::default() }),
        no_votes: None,
        plan: Ok(Plan::default()),
        quorum: Ok(Votes { total: 3, needed: 2, two_nodes: false, one_each: true }),
        token: Some(1000),
    }
}

/// Makes what `word` says so.
fn plant(facts: &mut Facts, word: &str) {
    let (what, value) = word.split_once('=').unwrap_or((word, ""));
    let (what, name) = what.split_once(':').unwrap_or((what, ""));
    let node = NodeName::new(name);
    let election = facts.election.as_mut().unwrap();
    let cluster = facts.seen.cluster.as_mut().unwrap();
    let mut on_node = |change: fn(&mut Member, &str)| change(cluster.nodes.get_mut(&node).unwrap(), value);
    match what {
        "offline" => on_node(|it, _| *it = Member::default()),
        "unclean" => on_node(|it, _| *it = Member { is_unclean: true, ..Member::default() }),
        "standby" => on_node(|it, _| (it.in_standby, it.role) = (true, None)),
        "node-maintenance" => on_node(|it, _| it.in_maintenance = true),
        "stopped" => on_node(|it, _| it.role = None),
        "given-up" => on_node(|it, _| it.is_given_up = true),
        "stuck" => on_node(|it, _| it.is_blocked = true),
        "pending" => on_node(|it, value| it.pending = Some(value.to_owned())),
        "score" => on_node(|it, value| it.score = Some(value.to_owned())),
        "reason" => on_node(|it, value| it.reason = Some(value.replace('_', " "))),
        "unmanaged" => cluster.nodes.values_mut().for_each(|it| it.is_unmanaged = true),
        "ban" => cluster.bans.push((value.to_owned(), node)),
        "no-quorum" => cluster.has_quorum = false,
        "policy" => cluster.no_quorum_policy = Some(value.to_owned()),
        "no-fencing" => cluster.has_fencing = false,
        "maintenance" => cluster.in_maintenance = true,
        "stop-all" => cluster.stops_all = true,
        "disabled" => cluster.is_disabled = true,
        "role" => cluster.target_role = Some(value.to_owned()),
        "nofailover" => _ = election.barred.insert(node, Bar::NoFailover),
        "no-room" => _ = election.barred.insert(node, Bar::NoRoom),
        "recovering" => _ = election.recovering.insert(node),
        "silent" => _ = election.votes.insert(node, None),
        "vote" => election.count_vote(&node, value.replace(',', " ").parse().unwrap()),
        "asynchronous" => election.published = Some(promotion_free()),
        "unpublished" => election.published = None,
        "missed" => election.record = "2@0/100 srv1 5 kept".parse().unwrap(),
        "no-votes" => facts.no_votes = Some("it is a file".to_owned()),
        "no-plan" => facts.plan = Err("crm_simulate did not end".to_owned()),
        "promotes" => facts.plan.as_mut().unwrap().promotes.push(node),
        "blocked" => facts.plan.as_mut().unwrap().blocked.push(Blocked {
            action: "stop".to_owned(),
            resource: name.to_owned(),
            node: "srv3".to_owned(),
            constraints: Some(value.to_owned()).filter(|id| !id.is_empty()).into_iter().collect(),
            ..Blocked::default()
        }),
        "gone" => facts.gone = Some(Gone::NotRunning),
        "votes" => {
            let (total, needed) = value.split_once('/').unwrap();
            let (total, needed) = (total.parse().unwrap(), needed.parse().unwrap());
            facts.quorum = Ok(Votes { total, needed, two_nodes: name == "two", one_each: name != "many" });
        }
        "flushed" => {
            let report = facts.seen.local.as_mut().unwrap().report.as_mut().unwrap();
            report.peers.push(Peer {
                name: name.to_owned(),
                flushed: Some(Lsn(value.parse().unwrap())),
                ..Peer::default()
            });
        }
        _ => panic!("{word}"),
    }
}

fn promotion_free() -> crate::rules::synchronous::Published {
    crate::rules::synchronous::Published::default()
}

/// What is planted where there is no primary → the number and name of the cause, and the first command; or that it is not seen.
fn why(planted: &str) -> String {
    let mut facts = cluster(None);
    planted.split_whitespace().for_each(|word| plant(&mut facts, word));
    summary(explain(&facts, None))
}

fn summary(answer: Answer) -> String {
    match answer.found {
        Found::Cause(cause) | Found::Barred(_, _, cause) => {
            let first = cause.cures.first().map_or("nothing", |cure| cure.command.as_str());
            format!("{} {}: {first}", cause.number, cause.id)
        }
        Found::Unseen(_) => "not seen".to_owned(),
        other => panic!("{other:?}"),
    }
}

// 1: there is no cluster.
table! { why;
    pacemaker_does_not_run: "gone" => "1 no-cluster: systemctl status pacemaker corosync";
}

// 2: there is no quorum.
table! { why;
    there_is_no_quorum: "no-quorum offline:srv1 offline:srv2" => "2 no-quorum: pcs cluster start srv1";
    quorum_comes_before_what_it_causes: "no-quorum offline:srv1 stopped:srv2 stopped:srv3 maintenance"
        => "2 no-quorum: pcs cluster start srv1";
    quorum_is_not_asked_for: "no-quorum policy=ignore vote:srv2=1#300 vote:srv3=1#300 promotes:srv2" => "13 soon: crm_mon";
}

// 3: a node is to be fenced.
table! { why;
    a_node_is_unclean: "unclean:srv1" => "3 fencing: pcs stonith history show srv1";
    without_fencing_it_is_not_waited_for: "unclean:srv1 no-fencing vote:srv2=1#300 vote:srv3=1#300 promotes:srv2"
        => "13 soon: crm_mon";
}

// 4: it is disabled.
table! { why;
    maintenance_mode: "maintenance" => "4 maintenance: pcs property set maintenance-mode=false";
    all_resources_are_stopped: "stop-all" => "4 stop-all: pcs property set stop-all-resources=false";
    it_is_disabled: "disabled stopped:srv2 stopped:srv3" => "4 disabled: pcs resource enable pgsqld-clone";
    its_role_is_kept_down: "role=Unpromoted" => "4 target-role: pcs resource meta pgsqld-clone target-role=Started";
    its_role_in_old_words: "role=slave" => "4 target-role: pcs resource meta pgsqld-clone target-role=Started";
    it_may_have_any_role: "role=Started vote:srv2=1#300 vote:srv3=1#300 promotes:srv2" => "13 soon: crm_mon";
    it_is_unmanaged: "unmanaged" => "4 unmanaged: pcs resource manage pgsqld-clone";
    all_nodes_are_in_standby: "standby:srv1 standby:srv2 standby:srv3" => "4 node-standby: pcs node unstandby srv1";
    all_nodes_that_are_there_are: "offline:srv1 standby:srv2 standby:srv3" => "4 node-standby: pcs node unstandby srv2";
    a_node_in_maintenance: "offline:srv1 node-maintenance:srv2 standby:srv3"
        => "4 node-maintenance: pcs node unmaintenance srv2";
}

// 5: constraints.
table! { why;
    all_are_banned: "offline:srv1 ban:srv2=cli-ban-x ban:srv3=cli-ban-y" => "5 banned: pcs resource clear pgsqld-clone";
    by_a_constraint_of_an_operator: "offline:srv1 ban:srv2=location-1 ban:srv3=cli-ban-y"
        => "5 banned: pcs constraint remove location-1";
}

// 6: failures.
table! { why;
    it_has_failed_too_often: "offline:srv1 given-up:srv2 given-up:srv3" => "6 failed: pcs resource cleanup pgsqld";
}

// 7: something blocks the transition.
table! { why;
    the_address_cannot_be_stopped: "offline:srv1 blocked:pgsql-vip=demote-then-stop" => "7 blocked: pcs constraint --full";
    an_instance_of_ours: "offline:srv1 blocked:pgsqld" => "7 blocked: pcs resource cleanup pgsqld";
    a_stop_has_failed_everywhere: "offline:srv1 stuck:srv2 stuck:srv3" => "7 blocked: pcs resource cleanup pgsqld";
    another_resource_does_not_matter: "offline:srv1 blocked:backup silent:srv2 silent:srv3"
        => "12 no-votes: journalctl -t pgsqlms --since -10min";
    nor_does_it_where_one_is_promoted: "blocked:pgsql-vip=x vote:srv2=1#300 vote:srv3=1#300 promotes:srv2"
        => "13 soon: crm_mon";
    failures_come_first: "offline:srv1 given-up:srv2 given-up:srv3 blocked:pgsqld" => "6 failed: pcs resource cleanup pgsqld";
    it_comes_before_what_is_down: "offline:srv1 stopped:srv2 stopped:srv3 blocked:pgsqld"
        => "7 blocked: pcs resource cleanup pgsqld";
}

// 8: PostgreSQL is down.
table! { why;
    all_are_stopped: "stopped:srv1 stopped:srv2 stopped:srv3" => "8 stopped: pcs resource cleanup pgsqld";
    those_that_are_there_are: "offline:srv1 stopped:srv2 stopped:srv3" => "8 stopped: pcs resource cleanup pgsqld";
    all_are_away: "offline:srv1 offline:srv2 offline:srv3" => "8 offline: pcs cluster start srv1";
}

// 9: it is on its way.
table! { why;
    all_are_starting: "offline:srv1 pending:srv2=Starting pending:srv3=Starting" => "9 busy: crm_mon";
    a_monitor_is_nothing: "offline:srv1 pending:srv2=Monitoring silent:srv2 silent:srv3"
        => "12 no-votes: journalctl -t pgsqlms --since -10min";
    after_a_crash: "offline:srv1 recovering:srv2 recovering:srv3" => "9 busy: crm_mon";
    one_reads_its_wal: "vote:srv2=1#300 vote:srv3=1#200,extent=atleast" => "9 reading: crm_mon";
}

// 10: none of them may be promoted.
table! { why;
    people_say_no: "offline:srv1 nofailover:srv2 nofailover:srv3"
        => "10 nofailover: crm_attribute --node srv2 --name pgsqlms-nofailover --delete";
    their_disks_are_full: "offline:srv1 no-room:srv2 no-room:srv3" => "10 no-room: free space on srv2";
    all_have_diverged: "offline:srv1 score:srv2=-1000000 score:srv3=-INFINITY" => "10 never: pgsqlms rejoin";
    all_have_missed_the_last_promotion: "vote:srv2=1#300 vote:srv3=1#300 offline:srv1 missed"
        => "10 history: pcs cluster start srv1";
    of_several_bars_the_first_of_the_list: "offline:srv1 nofailover:srv2 stopped:srv3" => "8 stopped: pcs resource cleanup pgsqld";
}

// 11: what the last primary promised.
table! { why;
    a_promise_stands_against_it: "offline:srv1 standby:srv2 vote:srv3=1#300" => "11 synchronous: pcs node unstandby srv2";
    what_was_promised_is_not_known: "offline:srv1 unpublished vote:srv2=1#300 vote:srv3=1#300"
        => "11 synchronous: pgsqlms promote-anyway --node srv3";
    by_what_the_monitor_has_said: "offline:srv1 no-votes reason:srv3=no_primary:_start_srv1"
        => "11 refused: pcs cluster start srv1";
}

// 12: the votes.
table! { why;
    no_node_has_voted: "offline:srv1 silent:srv2 silent:srv3" => "12 no-votes: journalctl -t pgsqlms --since -10min";
}

// 13: it is about to happen.
table! { why;
    pacemaker_is_about_to: "vote:srv2=1#300 vote:srv3=1#300 promotes:srv2" => "13 soon: crm_mon";
    before_a_monitor: "vote:srv2=1#300 vote:srv3=1#300" => "13 soon: crm_mon";
    it_does_not: "vote:srv2=1#300 vote:srv3=1#300 score:srv2=1 score:srv3=1" => "13 not-promoted: crm_simulate -sL";
    in_a_file: "no-votes promotes:srv2" => "13 soon: crm_mon";
}

// A fact that cannot be seen is not a cause.
table! { why;
    what_pacemaker_does: "vote:srv2=1#300 vote:srv3=1#300 no-plan" => "not seen";
    how_they_vote: "no-votes" => "not seen";
}

/// What is planted in a healthy cluster → the node that would be promoted without its primary, and the loss.
fn forecast(planted: &str) -> String {
    let mut facts = cluster(Some(Role::Primary));
    let report = Report { lsn: Some(Lsn(1000)), ..Report::default() };
    let status = Status::Running { role: Role::Primary, trouble: None };
    facts.seen.local = Ok(Local { status, report: Ok(report) });
    planted.split_whitespace().for_each(|word| plant(&mut facts, word));
    let Found::Forecast(forecast) = explain(&facts, None).found else { panic!("no forecast") };
    let loss = match forecast.loss {
        Some(Loss::Nothing(_)) => "nothing lost".to_owned(),
        Some(Loss::Bytes(bytes, _)) => format!("{bytes} lost"),
        Some(Loss::Unknown(_)) => "loss not seen".to_owned(),
        None => String::new(),
    };
    let fails: Vec<&str> = forecast.fails_without.iter().map(|(node, _)| node.as_str()).collect();
    let next: String = forecast.next.iter().map(|node| format!(", {node}")).collect();
    match forecast.winner {
        Ok(winner) => format!("{winner}{next}; {loss}; not without: {}", fails.join(" ")),
        Err(NoWinner::Cause(cause)) => format!("none: {} {}", cause.number, cause.id),
        Err(NoWinner::Unseen(_)) => "not seen".to_owned(),
    }
}

table! { forecast;
    all_is_well: "flushed:srv2=1000 flushed:srv3=1000" => "srv2, srv3; nothing lost; not without: srv2 srv3";
    five_votes: "votes=5/3" => "srv2, srv3; nothing lost; not without: srv2 srv3";
    five_votes_and_no_promise: "votes=5/3 asynchronous flushed:srv2=900 flushed:srv3=800" => "srv2, srv3; 100 lost; not without: ";
    asynchronous_and_none_streams: "asynchronous" => "srv2, srv3; loss not seen; not without: srv2 srv3";
    the_better_one_is_barred: "nofailover:srv2" => "srv3; nothing lost; not without: srv2 srv3";
    both_are_barred: "nofailover:srv2 ban:srv3=x" => "none: 5 banned";
    a_standby_is_down: "stopped:srv3" => "none: 11 synchronous";
    a_standby_is_off: "offline:srv3 votes=2/2" => "none: 2 no-quorum";
    a_standby_is_off_and_nothing_was_promised: "offline:srv3 votes=2/2 asynchronous" => "none: 2 no-quorum";
    two_nodes: "offline:srv3 votes:two=2/1 asynchronous flushed:srv2=1000" => "srv2; 0 lost; not without: srv2";
    votes_that_differ_are_not_counted: "votes:many=4/3" => "srv2, srv3; nothing lost; not without: srv2 srv3";
    in_maintenance: "maintenance" => "none: 4 maintenance";
    no_node_has_a_score: "score:srv2=-1000 score:srv3=-1000" => "not seen";
    nothing_is_known_of_the_promises: "unpublished" => "none: 11 synchronous";
}

/// The node that is asked for, and what is planted in a healthy cluster → what is said of it.
fn of_node((node, planted): (&str, &str)) -> String {
    let mut facts = cluster(Some(Role::Primary));
    planted.split_whitespace().for_each(|word| plant(&mut facts, word));
    match explain(&facts, Some(&NodeName::new(node))) {
        Answer { found: Found::IsPrimary(node), .. } => format!("{node} is the primary"),
        Answer { found: Found::NoSuchNode(node), .. } => format!("no {node}"),
        Answer { found: Found::Forecast(_), .. } => "a forecast".to_owned(),
        answer => summary(answer),
    }
}

table! { of_node;
    the_primary: ("srv1", "") => "srv1 is the primary";
    a_standby: ("srv2", "") => "a forecast";
    a_banned_one: ("srv2", "ban:srv2=x") => "5 banned: pcs constraint remove x";
    a_stopped_one: ("srv3", "stopped:srv3") => "8 stopped: pcs resource cleanup pgsqld";
    an_unknown_one: ("srv9", "") => "no srv9";
}

#[test]
fn a_cluster_that_is_not_seen_is_no_cause() {
    let mut facts = cluster(None);
    facts.seen.cluster = Err("needs root".to_owned());
    let answer = explain(&facts, None);
    assert_eq!((answer.level, matches!(answer.found, Found::Unseen(_))), (Level::Unknown, true));
}
