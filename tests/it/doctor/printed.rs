//! The output of `pgsqlms doctor`.

use std::time::{Duration, Instant};

use pgsqlms::pacemaker::configuration;
use pgsqlms::rules::doctor::{Facts, examine, report};
use pgsqlms::rules::overview::Level;

use super::{cib, healthy};
use crate::run::{Test, repository};
use crate::status::compare;
use crate::throwaway::Instance;

macro_rules! reports {
    ($($name:ident: $level:ident, $change:expr;)+) => {
        $(
            #[test]
            fn $name() {
                let mut facts = healthy();
                let change: fn(&mut Facts) = $change;
                change(&mut facts);
                let diagnosis = examine(&facts);
                let text = report(&facts, &diagnosis) + "\n";
                compare(&repository("tests/it/doctor").join(concat!(stringify!($name), ".txt")), &text);
                assert_eq!(diagnosis.level, Level::$level, "{text}");
            }
        )+
    };
}

reports! {
    all_is_well: Ok, |_| {};
    some_mistakes: Critical, |facts| {
        let xml = cib().replace(r#"value="stop""#, r#"value="ignore""#).replace("1000%", "80%").replace(r#"kind="Optional""#, "");
        facts.configuration = configuration::read(&xml, "pgsqld");
        facts.machine.as_mut().unwrap().enabled.push("postgresql.service".to_owned());
        facts.server.as_mut().unwrap().settings.get_mut("wal_sender_timeout").unwrap().value = "60000".to_owned();
    };
    a_hint_is_not_a_warning: Ok, |facts| {
        let xml = cib().replace("1000%", "80%");
        facts.configuration = configuration::read(&xml, "pgsqld");
    };
    as_the_postgresql_user: Ok, |facts| {
        let why = "needs root, or membership in the group haclient; or Pacemaker does not run";
        facts.configuration = Err(why.to_owned());
        facts.corosync = Err(why.to_owned());
    };
    as_an_unprivileged_user: Unknown, |facts| {
        let why = "needs root, or membership in the group haclient; or Pacemaker does not run";
        facts.configuration = Err(why.to_owned());
        facts.corosync = Err(why.to_owned());
        facts.machine = Err("where its data is, is not known: say --pgdata".to_owned());
        facts.server = Err("where its data is, is not known: say --pgdata".to_owned());
    };
}

/// The page lists the checks that there are.
#[test]
fn the_documentation_has_every_check() {
    let table = pgsqlms::rules::doctor::markdown_table();
    let page = std::fs::read_to_string(repository("docs/trouble/findings.md")).unwrap();
    let (_, rest) = page.split_once("<!-- findings -->\n").unwrap();
    let (documented, _) = rest.split_once("<!-- /findings -->").unwrap();
    assert!(documented.trim() == table.trim(), "docs/trouble/findings.md must have this table:\n\n{table}");
}

/// Without a cluster and without a data directory there is nothing to be checked.
#[test]
fn doctor_without_a_cluster_exits_unknown() {
    let ended = Test::new(["doctor"]).without("OCF_RESOURCE_INSTANCE").run();
    assert!(ended.code == 3 && ended.stdout.contains("UNKNOWN"), "{} {}", ended.code, ended.stdout);
}

/// A real server is asked everything that the checks need, and it takes no longer than a person waits.
#[test]
fn a_real_primary_is_examined_without_a_cluster() {
    let Some(instance) = Instance::new() else { return };
    instance.promote();
    let run = |arguments: &[&str]| {
        let test = Test::new(["doctor", "--pgdata"]).argument(instance.data()).without("OCF_RESOURCE_INSTANCE");
        let test = test.argument("--system-user").argument(&instance.user.name);
        arguments.iter().fold(test, Test::argument).run()
    };
    let began = Instant::now();
    let ended = run(&[]);
    assert!(began.elapsed() < Duration::from_secs(3), "{:?}", began.elapsed());
    assert!(ended.stdout.contains("not seen the cluster's configuration: "), "{ended:?}");
    assert!(!ended.stdout.contains("PostgreSQL on ") && !ended.stdout.contains("the machine "), "{ended:?}");
    let json: serde_json::Value = serde_json::from_str(&run(&["--json"]).stdout).unwrap();
    let found = |id: &str| json["findings"].as_array().unwrap().iter().any(|it| it["id"] == id);
    // Instances of these tests have fsync off, and listen nowhere.
    assert!(found("fsync") && found("listen-addresses"), "{json}");
    let checks = json["checks"].as_u64().unwrap();
    assert!(json["version"] == 1 && checks > 40, "{json}");
    // Of one that is stopped the files are read, before there is a cluster as well.
    instance.crash();
    let ended = run(&["--before", "--json"]);
    let json: serde_json::Value = serde_json::from_str(&ended.stdout).unwrap();
    let found: Vec<&str> = json["findings"].as_array().unwrap().iter().filter_map(|it| it["id"].as_str()).collect();
    assert!(found.contains(&"fsync") && found.contains(&"listen-addresses"), "{ended:?}");
    assert!(json["checks"] == checks, "{ended:?}");
}
