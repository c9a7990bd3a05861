//! Nodes with another database than the one on record, on real instances: after a package has made a fresh one, pg_upgrade, or
//! initdb.

use std::process::Command;

use pgsqlms::actions::{follow, monitor, primary, promote, start, stop};
use pgsqlms::agent::Outcome;
use pgsqlms::exit::OcfExitCode::{self, *};
use pgsqlms::failure::Failure;
use pgsqlms::node::NodeName;
use pgsqlms::notification::Transition;
use pgsqlms::operator::Which;
use pgsqlms::operator::forget_history::{self, ForgetHistory};
use pgsqlms::operator::promote_anyway::{self, PromoteAnyway};
use pgsqlms::pacemaker::{Attribute, Property};

use crate::members::{Members, RESOURCE, has_a_process_of_its_own, promotion_of};
use crate::throwaway::Succeeds;

fn none() -> Transition {
    Transition::default()
}

/// Two nodes whose primary srv1 is on record.
fn members() -> Option<Members> {
    let members = Members::new(2, "primary_conninfo = 'host=/nowhere'\n")?;
    assert_eq!(publish(&members, 1), None);
    Some(members)
}

fn publish(members: &Members, node: usize) -> Option<String> {
    members.act(node, &none(), |agent| primary::publish(agent).unwrap())
}

fn monitored(members: &Members, node: usize) -> (OcfExitCode, String) {
    let Outcome { code, reason } = members.act(node, &none(), |agent| monitor::run(agent).unwrap());
    (code, reason.unwrap_or_default())
}

fn system(members: &Members, node: usize) -> String {
    members.instance(node).sql("SELECT system_identifier FROM pg_control_system()")
}

fn property(members: &Members, property: Property) -> Option<String> {
    members.board.borrow().cib.properties.get(&property.of(RESOURCE)).cloned()
}

fn record(members: &Members) -> String {
    property(members, Property::Promotions).unwrap_or_default()
}

fn score(members: &Members, node: usize) -> String {
    let board = members.board.borrow();
    let values = board.cib.transient.get(&NodeName::new(format!("srv{node}")));
    values.and_then(|values| values.get(&Attribute::Score.of(RESOURCE))).cloned().unwrap_or_default()
}

fn start(members: &Members, node: usize) {
    members.act(node, &none(), |agent| start::run(agent).unwrap());
}

fn stop(members: &Members, node: usize) {
    members.act(node, &none(), |agent| stop::run(agent).unwrap());
}

fn forget(members: &Members, yes: bool) -> Result<String, Failure> {
    let command = ForgetHistory { which: Which { resource: Some(RESOURCE.to_owned()) }, yes };
    members.act(1, &none(), |agent| forget_history::run(agent, &command))
}

fn order(members: &Members, node: usize, yes: bool) -> Result<String, Failure> {
    let (which, node) = (Which { resource: Some(RESOURCE.to_owned()) }, Some(format!("srv{node}")));
    members.act(1, &none(), |agent| promote_anyway::run(agent, &PromoteAnyway { which, node, yes }))
}

/// Both nodes are stopped, and get one new database: initdb on srv1, and a copy of that on srv2.
fn get_a_new_database(members: &Members) {
    let [first, second] = [1, 2].map(|node| members.instance(node));
    [1, 2].iter().for_each(|node| stop(members, *node));
    first.fill_anew();
    let old = second.data().join("postgresql.conf");
    let config = std::fs::read_to_string(&old).unwrap();
    std::fs::remove_dir_all(second.data()).unwrap();
    Command::new("cp").args(["-a", "-T"]).arg(first.data()).arg(second.data()).success();
    std::fs::write(&old, config).unwrap();
}

#[test]
fn a_fresh_database_beside_the_primary_is_named_and_never_promoted() {
    let name = "another_database::a_fresh_database_beside_the_primary_is_named_and_never_promoted";
    if !has_a_process_of_its_own(name) {
        return;
    }
    let Some(members) = members() else { return };
    let before = record(&members);
    assert!(before.contains(&format!("system={}", system(&members, 1))), "{before}");
    let fresh = members.instance(2);
    stop(&members, 2);
    fresh.fill_anew();
    start(&members, 2);
    let (code, reason) = monitored(&members, 2);
    assert_eq!(code, Degraded, "{reason}");
    let wanted = "another database than the cluster's: run `pgsqlms rebuild --resource pgsqld` here";
    assert!(reason.starts_with(wanted) && reason.contains(&system(&members, 2)), "{reason}");
    assert_eq!(score(&members, 2), "-1000000");

    // The primary is lost. Each attempt to promote srv2 is refused.
    members.instance(1).crash();
    members.board.borrow_mut().cib.transient.remove(&NodeName::new("srv1"));
    let refused = members.act(2, &promotion_of(2), promote::run).unwrap_err().to_string();
    assert!(refused.starts_with("not promoted: another database than on record"), "{refused}");
    let refused = order(&members, 2, true).unwrap_err().to_string();
    assert!(refused.starts_with("not ordered: srv2 has another database"), "{refused}");
    assert_eq!(fresh.sql("SELECT pg_is_in_recovery()"), "t");
    assert_eq!(record(&members), before);
}

#[test]
fn a_primary_of_another_database_gives_way_to_the_elected_one() {
    let name = "another_database::a_primary_of_another_database_gives_way_to_the_elected_one";
    if !has_a_process_of_its_own(name) {
        return;
    }
    let Some(members) = members() else { return };
    let before = record(&members);
    let fresh = members.instance(2);
    fresh.agent("stop").expect(Success);
    fresh.fill_anew();
    fresh.run_by_hand();
    let (code, reason) = monitored(&members, 2);
    assert_eq!(code, DegradedPromoted, "{reason}");
    let wanted = "another database than that of the primary srv1: run `pgsqlms rebuild --resource pgsqld` here";
    assert!(reason.starts_with(wanted), "{reason}");
    assert_eq!((score(&members, 2).as_str(), score(&members, 1).as_str()), ("-1000000", "1001"));
    assert_eq!(monitored(&members, 1), (RunningPromoted, String::new()));
    // Meanwhile a standby may have kept that promotion.
    assert_eq!(record(&members).replace(" kept", ""), before.replace(" kept", ""));
}

/// pg_upgrade in maintenance mode: the DBA starts the new database on one node, and the others are copies of it.
#[test]
fn a_new_database_that_runs_as_the_primary_begins_a_new_record() {
    let name = "another_database::a_new_database_that_runs_as_the_primary_begins_a_new_record";
    if !has_a_process_of_its_own(name) {
        return;
    }
    let Some(members) = members() else { return };
    let promised = "srv1: ANY 1 (srv2)".to_owned();
    members.board.borrow_mut().cib.properties.insert(Property::Synchronous.of(RESOURCE), promised);
    get_a_new_database(&members);
    // Nothing of it went through the cluster.
    members.board.borrow_mut().private.clear();
    members.instance(1).run_by_hand();
    members.instance(2).start();
    members.act(2, &promotion_of(1), |agent| follow::primary_of(agent, &agent.request.transition)).unwrap();
    members.wait_until_streaming(2, 1);
    assert_eq!(monitored(&members, 1), (RunningPromoted, String::new()));
    let now = record(&members);
    let entry = format!("system={}", system(&members, 1));
    assert!(now.starts_with("1@0/0 srv1 ") && now.ends_with(&entry) && !now.contains(';'), "{now}");
    assert_eq!(property(&members, Property::Synchronous), None);
    assert_eq!((score(&members, 1).as_str(), score(&members, 2).as_str()), ("1001", "1000"));
    assert_eq!(monitored(&members, 2), (Success, String::new()));
}

#[test]
fn after_initdb_on_all_nodes_the_record_is_forgotten_on_request() {
    let name = "another_database::after_initdb_on_all_nodes_the_record_is_forgotten_on_request";
    if !has_a_process_of_its_own(name) {
        return;
    }
    let Some(members) = members() else { return };
    let before = record(&members);
    let refused = forget(&members, true).unwrap_err().to_string();
    assert!(refused.contains("srv1 was elected and is the primary"), "{refused}");
    let refused = order(&members, 2, true).unwrap_err().to_string();
    assert!(refused.contains("srv1 is the primary: use `pcs resource move`"), "{refused}");
    get_a_new_database(&members);
    [1, 2].iter().for_each(|node| start(&members, *node));
    // Their scores are those of before, so Pacemaker wants to promote them first.
    for node in [1, 2] {
        let refused = members.act(node, &promotion_of(node), promote::run).unwrap_err().to_string();
        let wanted = "not promoted: another database than on record; if that is intended, run pgsqlms forget-history";
        assert!(refused.starts_with(wanted), "srv{node}: {refused}");
    }
    // srv2 streams from it.
    let (code, reason) = monitored(&members, 1);
    let wanted = "no primary: another database than on record; if that is intended, run pgsqlms forget-history";
    assert!(code == Degraded && reason.starts_with(wanted), "{reason}");
    let text = order(&members, 1, false).unwrap_err().to_string();
    assert!(text.contains("no position in one compares") && text.starts_with("not ordered: "), "{text}");

    let text = forget(&members, false).unwrap();
    let system = system(&members, 1);
    for words in ["The record of pgsqld is about", "timeline 2 from 0/", "Nothing has been done", &system] {
        assert!(text.contains(words), "{words:?} is not in the output: {text}");
    }
    assert_eq!((record(&members), property(&members, Property::Forgotten)), (before, None));
    let text = forget(&members, true).unwrap();
    assert!(text.contains("That is forgotten."), "{text}");
    assert_eq!((record(&members).as_str(), property(&members, Property::Forgotten).is_some()), ("", true));

    assert_eq!(monitored(&members, 1), (Success, String::new()));
    assert_eq!(score(&members, 1), "1");
    members.act(1, &promotion_of(1), promote::run).unwrap();
    assert_eq!(publish(&members, 1), None);
    let now = record(&members);
    assert!(now.contains(&format!("system={system}")) && !now.contains(';'), "{now}");
    let refused = forget(&members, false).unwrap_err().to_string();
    assert!(refused.contains("srv1 was elected and is the primary"), "{refused}");
}

#[test]
fn the_history_of_a_deleted_resource_is_removed_on_request() {
    let name = "another_database::the_history_of_a_deleted_resource_is_removed_on_request";
    if !has_a_process_of_its_own(name) {
        return;
    }
    let Some(members) = members() else { return };
    [2, 1].iter().for_each(|node| stop(&members, *node));
    members.board.borrow_mut().without_resource = true;
    let text = forget(&members, false).unwrap();
    assert!(text.starts_with("The cluster has no resource pgsqld any more."), "{text}");
    forget(&members, true).unwrap();
    let board = members.board.borrow();
    let left: Vec<&String> = board.cib.properties.keys().collect();
    assert_eq!(left, [&Property::Forgotten.of(RESOURCE)]);
    let scores = board.cib.transient.values().flat_map(|values| values.keys());
    assert_eq!(scores.collect::<Vec<_>>(), Vec::<&String>::new());
    let private = board.private.iter().filter(|(_, values)| !values.is_empty());
    assert_eq!(private.collect::<Vec<_>>(), Vec::new());
    drop(board);
    let refused = forget(&members, true).unwrap_err().to_string();
    assert!(refused.contains("the cluster has no such resource"), "{refused}");
}
