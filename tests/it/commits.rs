//! Reasons of a primary whose commits are less safe than they seem, on a real instance.

use pgsqlms::exit::OcfExitCode;
use pgsqlms::node::NodeName;

use crate::members::{Members, has_a_process_of_its_own};
use crate::run::{is_root, skip};
use crate::throwaway::eventually;

const WEAK: [(&str, &str); 6] = [
    // The setting, and the monitor's reason.
    (
        "ALTER ROLE app SET synchronous_commit = remote_write",
        "synchronous_commit=remote_write for role app: a standby may lose acknowledged commits with its power; reset it, \
         or accept it: `pcs node attribute srv1 pgsqlms-accepts-loss=true`",
    ),
    (
        "ALTER DATABASE template1 SET synchronous_commit = local",
        "synchronous_commit=local for database template1: a failover may lose acknowledged commits (and 1 more); ",
    ),
    (
        "ALTER ROLE app IN DATABASE template1 SET synchronous_commit = off",
        "synchronous_commit=off for role app in database template1: a crash or a failover may lose acknowledged commits \
         (and 2 more); ",
    ),
    ("ALTER ROLE ALL SET synchronous_commit = local", "(and 3 more); "),
    ("ALTER ROLE ALL RESET synchronous_commit", "(and 2 more); "),
    (
        "ALTER SYSTEM SET synchronous_commit = remote_write",
        "synchronous_commit=remote_write: a standby may lose acknowledged commits with its power (and 3 more); ",
    ),
];

/// Monitors the primary until it says just that much, or nothing.
#[track_caller]
fn says(members: &Members, words: &str) {
    let code = if words.is_empty() { OcfExitCode::RunningPromoted } else { OcfExitCode::DegradedPromoted };
    let mut said = String::new();
    eventually(&format!("{code:?} {words}"), || {
        let outcome = members.monitored(1);
        said = outcome.reason.unwrap_or_default();
        outcome.code == code && said.contains(words) && said.is_empty() == words.is_empty()
    });
}

/// Changes something without waiting for a standby.
fn change(members: &Members, sql: &str) {
    let primary = members.instance(1);
    if sql.starts_with("ALTER SYSTEM") {
        primary.sql(sql);
        primary.sql("SELECT pg_catalog.pg_reload_conf()");
    } else {
        primary.sql(&format!("SET synchronous_commit = local; {sql}"));
    }
}

fn accept(members: &Members, value: &str) {
    let cib = &mut members.board.borrow_mut().cib;
    let attributes = cib.permanent.entry(NodeName::new("srv1")).or_default();
    attributes.insert("pgsqlms-accepts-loss".to_owned(), value.to_owned());
}

/// The setting for all is said; for a role that cannot log in nothing is.
#[test]
fn commits_that_no_standby_has_on_its_disk_are_said() {
    if !has_a_process_of_its_own("commits::commits_that_no_standby_has_on_its_disk_are_said") {
        return;
    }
    let Some(members) = Members::new(1, "") else { return };
    members.board.borrow_mut().cib.nodes.extend(["srv2", "srv3"].map(NodeName::new));
    change(&members, "CREATE ROLE app LOGIN; CREATE ROLE nobody; ALTER ROLE nobody SET synchronous_commit = off");
    change(&members, "ALTER ROLE app SET synchronous_commit = remote_write");
    // Nothing is promised.
    says(&members, "");
    change(&members, "ALTER SYSTEM SET synchronous_standby_names = 'ANY 1 (srv1, srv2, srv3)'");
    for (sql, words) in WEAK {
        change(&members, sql);
        says(&members, words);
    }
    accept(&members, "Yes");
    says(&members, "");
    accept(&members, "no");
    says(&members, "synchronous_commit=remote_write: ");
    change(&members, "ALTER SYSTEM RESET synchronous_commit");
    change(&members, "ALTER ROLE app RESET ALL; ALTER ROLE app IN DATABASE template1 RESET ALL");
    says(&members, "synchronous_commit=local for database template1: a failover may lose acknowledged commits; ");
    change(&members, "ALTER DATABASE template1 RESET ALL");
    says(&members, "");
}

/// All processes are well, and clients wait for ever.
#[test]
fn commits_that_wait_for_a_standby_are_said() {
    if !has_a_process_of_its_own("commits::commits_that_wait_for_a_standby_are_said") {
        return;
    }
    if !is_root() {
        return skip("a note is root's");
    }
    let Some(members) = Members::new(1, "") else { return };
    members.board.borrow_mut().cib.nodes.extend(["srv2", "srv3"].map(NodeName::new));
    change(&members, "ALTER SYSTEM SET synchronous_standby_names = 'ANY 1 (srv2, srv3)'");
    let primary = members.instance(1);
    let mut client = primary.psql();
    let mut client = client.args(["--command", "CREATE TABLE waits ()"]).spawn().unwrap();
    let waits = "SELECT count(*) FROM pg_stat_activity WHERE wait_event = 'SyncRep'";
    eventually("a commit to wait", || primary.sql(waits) == "1");
    says(&members, "");
    says(&members, "commits wait for a synchronous standby (1, for up to 1");
    says(&members, " s): start srv2, srv3, or change synchronous_standby_names");

    change(&members, "ALTER SYSTEM RESET synchronous_standby_names");
    assert!(client.wait().unwrap().success());
    says(&members, "");
}

/// The primary before had commits wait for a standby, and this one's configuration lacks the setting.
#[test]
fn a_setting_that_the_new_primary_lacks_is_said_until_it_is_set_or_accepted() {
    if !has_a_process_of_its_own("commits::a_setting_that_the_new_primary_lacks_is_said_until_it_is_set_or_accepted") {
        return;
    }
    if !is_root() {
        return skip("a note is root's");
    }
    let Some(members) = Members::new(1, "") else { return };
    says(&members, "");
    let promised = "srv2: ANY 1 (srv1, srv3)".to_owned();
    members.board.borrow_mut().cib.properties.insert("pgsqlms-pgsqld-synchronous".to_owned(), promised);
    let lacks = "commits wait for no standby: set synchronous_standby_names; srv2 had ANY 1 (srv1, srv3); or accept it: \
                 `pcs node attribute srv1 pgsqlms-accepts-loss=true`";
    says(&members, lacks);
    // By now this primary's own promise is published, and that of the other is forgotten.
    members.board.borrow_mut().cib.properties.insert("pgsqlms-pgsqld-synchronous".to_owned(), "srv1: -".to_owned());
    says(&members, lacks);
    accept(&members, "true");
    says(&members, "");
    accept(&members, "false");
    says(&members, lacks);
    change(&members, "ALTER SYSTEM SET synchronous_standby_names = 'ANY 1 (srv2, srv3)'");
    says(&members, "");
    // An operator has intended that.
    change(&members, "ALTER SYSTEM SET synchronous_standby_names = ''");
    says(&members, "");
}
