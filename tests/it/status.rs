//! `pgsqlms status`: its report in each state, against files; and the command on a real instance.

mod command;
mod metrics;

use std::collections::BTreeMap;
use std::path::Path;
use std::time::Duration;

use pgsqlms::location::Lsn;
use pgsqlms::node::NodeName;
use pgsqlms::rules::check::{Following, Source};
use pgsqlms::rules::fitness::TooLow;
use pgsqlms::rules::overview::{
    Answer, Cluster, Details, Facts, Level, Local, Member, Peer, Report, judge, limits, psql, report,
};
use pgsqlms::rules::status::{Role, Status};
use pgsqlms::rules::synchronous::waiting::Waiting;

use crate::run::repository;

pub(crate) fn running(role: Role, score: &str) -> Member {
    Member { is_online: true, role: Some(role), score: Some(score.to_owned()), ..Member::default() }
}

pub(crate) fn member<'a>(facts: &'a mut Facts, node: &str) -> &'a mut Member {
    facts.cluster.as_mut().unwrap().nodes.get_mut(&NodeName::new(node)).unwrap()
}

pub(crate) fn server(facts: &mut Facts) -> &mut Report {
    facts.local.as_mut().unwrap().report.as_mut().unwrap()
}

fn peer(name: &str) -> Peer {
    let (name, state, sync) = (name.to_owned(), "streaming".to_owned(), "quorum".to_owned());
    Peer { name, state, sync, replayed: Some(Lsn(0x600_0168)), bytes: Some(0), ..Peer::default() }
}

fn all_nodes() -> BTreeMap<NodeName, Member> {
    let nodes = [("srv1", Role::Primary, "1001"), ("srv2", Role::Standby, "1000"), ("srv3", Role::Standby, "990")];
    nodes.into_iter().map(|(node, role, score)| (NodeName::new(node), running(role, score))).collect()
}

/// A healthy cluster, seen from its primary.
pub(crate) fn healthy() -> Facts {
    let cluster = Cluster {
        has_quorum: true,
        has_fencing: true,
        clone: Some("pgsqld-clone".to_owned()),
        nodes: all_nodes(),
        ..Cluster::default()
    };
    let server = Report {
        version: "17.12".to_owned(),
        timeline: Some(8),
        lsn: Some(Lsn(0x600_0168)),
        peers: vec![peer("srv2"), peer("srv3")],
        synchronous: "ANY 1 (srv1, srv2, srv3)".to_owned(),
        ..Report::default()
    };
    let status = Status::Running { role: Role::Primary, trouble: None };
    Facts {
        resource: "pgsqld".to_owned(),
        me: NodeName::new("srv1"),
        cluster: Ok(cluster),
        local: Ok(Local { status, report: Ok(server) }),
        others: BTreeMap::new(),
        psql: psql("postgres", None, None),
    }
}

/// The same, seen from a standby.
pub(crate) fn from_standby() -> Facts {
    let mut facts = healthy();
    facts.me = NodeName::new("srv3");
    facts.local.as_mut().unwrap().status = Status::Running { role: Role::Standby, trouble: None };
    let (source, time) = (Source::Stream, Some(Duration::from_millis(1250)));
    let server = server(&mut facts);
    (server.peers, server.following) = (Vec::new(), Some(Following { source, bytes: Some(26 << 20), time }));
    facts
}

/// What srv1, the primary, and srv2 say to srv3.
fn answering(mut facts: Facts) -> Facts {
    let (timeline, lsn) = (Some(8), Some(Lsn(0x800_0168)));
    let standbys = vec!["srv2".to_owned(), "srv3".to_owned(), "pgsqlms asks 4711".to_owned()];
    let details = Ok(Details { standbys, ..Details::default() });
    facts.others.insert(NodeName::new("srv1"), Ok(Answer { role: Some(Role::Primary), timeline, lsn, details }));
    let details = Ok(Details { replayed: Some(Lsn(0x7f0_0168)), ..Details::default() });
    facts.others.insert(NodeName::new("srv2"), Ok(Answer { role: Some(Role::Standby), timeline, lsn, details }));
    facts
}

fn answer<'a>(facts: &'a mut Facts, node: &str) -> &'a mut Answer {
    facts.others.get_mut(&NodeName::new(node)).unwrap().as_mut().unwrap()
}

fn details<'a>(facts: &'a mut Facts, node: &str) -> &'a mut Details {
    answer(facts, node).details.as_mut().unwrap()
}

fn silent(facts: &mut Facts, node: &str, why: &str) {
    facts.others.insert(NodeName::new(node), Err(why.to_owned()));
}

const NO_ENTRY: &str =
    "no pg_hba.conf entry for replication connection from host \"10.20.30.13\", user \"replicator\", no encryption";

pub(crate) fn stopped(facts: &mut Facts, node: &str) {
    let member = member(facts, node);
    (member.role, member.score) = (None, None);
    if let Ok(Local { report: Ok(server), .. }) = &mut facts.local {
        server.peers.retain(|peer| peer.name != node);
    }
}

/// The report is that of the file of this name, and as bad as this. The file is written anew if PGSQLMS_WRITE_REPORTS is set.
#[track_caller]
fn expect(name: &str, level: Level, facts: &Facts) {
    let verdict = judge(facts);
    let text = report(facts, &verdict) + "\n";
    compare(&repository("tests/it/status").join(format!("{name}.txt")), &text);
    assert_eq!(verdict.level, level, "{text}");
}

/// The output of a command equals this file, and fits on a terminal.
#[track_caller]
pub(crate) fn compare(path: &Path, text: &str) {
    if std::env::var_os("PGSQLMS_WRITE_REPORTS").is_some() {
        std::fs::write(path, text).unwrap();
    }
    let wanted = std::fs::read_to_string(path).unwrap_or_default();
    assert!(text == wanted, "{} should be:\n{text}", path.display());
    for line in text.lines() {
        assert!(line.is_ascii() && line.len() <= 100, "{line:?}");
    }
}

macro_rules! reports {
    ($($name:ident: $level:ident, $facts:expr, $change:expr;)+) => {
        $(
            #[test]
            fn $name() {
                let mut facts = $facts;
                let change: fn(&mut Facts) = $change;
                change(&mut facts);
                expect(stringify!($name), Level::$level, &facts);
            }
        )+
    };
}

reports! {
    all_is_well: Ok, healthy(), |_| {};
    all_is_well_from_a_standby: Ok, from_standby(), |_| {};
    a_node_is_in_standby: Warning, healthy(), |facts| {
        stopped(facts, "srv2");
        member(facts, "srv2").in_standby = true;
    };
    a_node_is_offline: Warning, healthy(), |facts| {
        stopped(facts, "srv3");
        member(facts, "srv3").is_online = false;
    };
    a_standby_has_failed: Warning, healthy(), |facts| {
        stopped(facts, "srv2");
        let failed = member(facts, "srv2");
        failed.is_failed = true;
        failed.reason = Some("PostgreSQL did not start: could not bind IPv4 address \"0.0.0.0\": Address already in use".to_owned());
    };
    a_standby_is_frozen: Warning, from_standby(), |facts| {
        let status = Status::Unresponsive { pid: 4711, waited: None };
        facts.local = Ok(Local { report: Err(status.to_string()), status });
    };
    a_standby_has_diverged: Warning, healthy(), |facts| {
        server(facts).peers.retain(|peer| peer.name != "srv3");
        let diverged = member(facts, "srv3");
        diverged.score = Some("-1000000".to_owned());
        diverged.reason = Some("run `pgsqlms rejoin --resource pgsqld` here: diverged from timeline 8 (srv1) at 0/6000000".to_owned());
    };
    replay_is_paused_by_settings: Warning, from_standby(), |facts| {
        let server = server(facts);
        server.is_paused = true;
        server.too_low = vec![TooLow { name: "max_connections".to_owned(), own: 100, least: 200 }];
    };
    replay_is_paused_by_an_operator: Warning, from_standby(), |facts| server(facts).is_paused = true;
    commits_hang: Critical, healthy(), |facts| {
        stopped(facts, "srv2");
        stopped(facts, "srv3");
        member(facts, "srv2").in_standby = true;
        member(facts, "srv3").is_online = false;
        server(facts).waiting = Waiting { sessions: 14, longest: Duration::from_secs(98) };
    };
    commits_hang_as_pacemaker_shows: Critical, from_standby(), |facts| {
        member(facts, "srv1").reason =
            Some("commits wait for a synchronous standby (14, for up to 98 s): start srv2".to_owned());
    };
    there_is_no_primary: Critical, from_standby(), |facts| {
        stopped(facts, "srv1");
        stopped(facts, "srv2");
        member(facts, "srv1").is_online = false;
        member(facts, "srv2").in_standby = true;
        member(facts, "srv3").reason =
            Some("no primary: start srv1, or srv2, or run pgsqlms promote-anyway: commits may be on them alone".to_owned());
        server(facts).following = Some(Following::default());
    };
    no_node_may_be_promoted_in_maintenance: Critical, from_standby(), |facts| {
        facts.cluster.as_mut().unwrap().in_maintenance = true;
        stopped(facts, "srv1");
    };
    there_is_no_quorum: Critical, from_standby(), |facts| {
        facts.cluster.as_mut().unwrap().has_quorum = false;
        ["srv1", "srv2", "srv3"].into_iter().for_each(|node| stopped(facts, node));
        ["srv1", "srv2"].into_iter().for_each(|node| member(facts, node).is_online = false);
        facts.local = Ok(Local { status: Status::Stopped, report: Err(Status::Stopped.to_string()) });
    };
    maintenance_mode_is_on: Warning, healthy(), |facts| {
        facts.cluster.as_mut().unwrap().in_maintenance = true;
        facts.cluster.as_mut().unwrap().nodes.values_mut().for_each(|member| member.is_unmanaged = true);
    };
    fencing_is_off: Warning, healthy(), |facts| facts.cluster.as_mut().unwrap().has_fencing = false;
    a_node_waits_to_be_fenced: Critical, from_standby(), |facts| member(facts, "srv1").is_unclean = true;
    two_nodes_are_primaries: Critical, healthy(), |facts| member(facts, "srv2").role = Some(Role::Primary);
    all_nodes_answer: Ok, answering(from_standby()), |_| {};
    a_node_rejects_replication: Ok, answering(from_standby()), |facts| silent(facts, "srv2", NO_ENTRY);
    no_node_answers: Ok, answering(from_standby()), |facts| {
        ["srv1", "srv2"].into_iter().for_each(|node| silent(facts, node, "srv3 cannot ask: primary_conninfo is not set"));
    };
    the_database_is_closed: Ok, answering(from_standby()), |facts| {
        let why = "no pg_hba.conf entry for host \"10.20.30.13\", user \"replicator\", database \"postgres\", no encryption";
        ["srv1", "srv2"].into_iter().for_each(|node| answer(facts, node).details = Err(why.to_owned()));
    };
    another_standby_receives_nothing: Warning, answering(from_standby()), |facts| {
        details(facts, "srv1").standbys.retain(|name| name != "srv2");
    };
    a_standby_streams_from_a_standby: Ok, answering(from_standby()), |facts| {
        details(facts, "srv1").standbys.retain(|name| name != "srv2");
        details(facts, "srv2").standbys = vec!["srv3".to_owned()];
        details(facts, "srv1").standbys = vec!["srv2".to_owned()];
    };
    another_standby_is_paused: Warning, answering(from_standby()), |facts| {
        details(facts, "srv2").is_paused = true;
        ["srv1", "srv2"].into_iter().for_each(|node| details(facts, node).limits = limits("max_connections=100"));
    };
    another_standby_is_paused_and_why_is_not_seen: Warning, answering(from_standby()), |facts| {
        details(facts, "srv2").is_paused = true;
    };
    settings_of_another_standby_are_too_low: Warning, answering(from_standby()), |facts| {
        details(facts, "srv2").is_paused = true;
        details(facts, "srv1").limits = limits("max_connections=200 max_wal_senders=10");
        details(facts, "srv2").limits = limits("max_connections=100 max_wal_senders=20");
    };
    a_primary_was_restarted_by_hand_in_maintenance: Warning, healthy(), |facts| {
        facts.cluster.as_mut().unwrap().in_maintenance = true;
        member(facts, "srv1").role = Some(Role::Standby);
    };
    another_standby_is_paused_by_settings: Warning, answering(from_standby()), |facts| {
        member(facts, "srv2").too_low = vec![
            TooLow { name: "max_connections".to_owned(), own: 100, least: 200 },
            TooLow { name: "max_locks_per_transaction".to_owned(), own: 64, least: 128 },
        ];
        member(facts, "srv2").reason = Some("raise max_connections from 100 to 200 here".to_owned());
    };
    another_standby_answers_as_a_primary: Critical, answering(from_standby()), |facts| {
        answer(facts, "srv2").role = Some(Role::Primary);
    };
    a_standby_is_frozen_as_pacemaker_shows: Warning, answering(from_standby()), |facts| {
        silent(facts, "srv2", "no answer within 0.9 s");
        let frozen = member(facts, "srv2");
        frozen.is_failed = true;
        frozen.reason =
            Some("the postmaster (process 815) is frozen by a signal: `kill -CONT 815` resumes it".to_owned());
    };
    a_standby_has_failed_too_often: Warning, healthy(), |facts| {
        stopped(facts, "srv2");
        let failed = member(facts, "srv2");
        (failed.is_failed, failed.is_given_up) = (true, true);
        failed.reason = Some("no PostgreSQL process is left, and pg_control says that it ran as a standby: it crashed".to_owned());
    };
    a_node_is_banned: Warning, healthy(), |facts| {
        stopped(facts, "srv2");
        facts.cluster.as_mut().unwrap().bans = vec![("cli-ban-pgsqld-clone-on-srv2".to_owned(), NodeName::new("srv2"))];
    };
    a_standby_was_promoted_by_hand: Warning, healthy(), |facts| {
        server(facts).peers.retain(|peer| peer.name != "srv3");
        member(facts, "srv3").reason = Some(
            "promoted outside an election, srv1 is the primary: run `pgsqlms rejoin --resource pgsqld` here".to_owned(),
        );
    };
    a_log_line_asks_for_a_command: Warning, healthy(), |facts| {
        member(facts, "srv3").reason = Some("no WAL received: run `rm -rf /` here, and `kill -CONT 1`".to_owned());
    };
    a_standby_does_not_stream: Warning, healthy(), |facts| server(facts).peers.retain(|peer| peer.name != "srv3");
    the_primary_was_stopped_by_hand_in_maintenance: Critical, healthy(), |facts| {
        facts.cluster.as_mut().unwrap().in_maintenance = true;
        facts.local = Ok(Local { status: Status::Stopped, report: Err(Status::Stopped.to_string()) });
    };
    the_resource_is_disabled: Critical, from_standby(), |facts| {
        facts.cluster.as_mut().unwrap().is_disabled = true;
        ["srv1", "srv2", "srv3"].into_iter().for_each(|node| stopped(facts, node));
        facts.local = Ok(Local { status: Status::Stopped, report: Err(Status::Stopped.to_string()) });
    };
    a_setting_waits_for_a_restart: Ok, healthy(), |facts| server(facts).pending = vec!["max_connections".to_owned()];
    as_the_postgresql_user: Ok, healthy(), |facts| {
        facts.cluster = Err("needs root, or membership in the group haclient; or Pacemaker does not run".to_owned());
    };
    as_an_unprivileged_user: Unknown, healthy(), |facts| {
        facts.cluster = Err("needs root, or membership in the group haclient; or Pacemaker does not run".to_owned());
        facts.local = Err("needs root, or the user postgres".to_owned());
    };
    a_hostile_reason: Warning, healthy(), |facts| {
        member(facts, "srv2").reason = Some(format!("\u{1b}[2J\u{e4}{} ", "x".repeat(300)));
    };
}

#[test]
fn a_missing_primary_is_over_when_there_is_one() {
    let mut facts = healthy();
    member(&mut facts, "srv2").reason = Some("no primary: see why Pacemaker does not promote srv1".to_owned());
    expect("all_is_well", Level::Ok, &facts);
}
