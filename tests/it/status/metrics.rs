//! `pgsqlms metrics`: what it prints in some of the states of `pgsqlms status`, against files; the command; and the alerts.

use std::collections::BTreeSet;
use std::process::Command;

use pgsqlms::rules::overview::metrics;
use tempfile::TempDir;

use super::*;
use crate::run::{Test, say_skipped};
use crate::throwaway::Instance;

/// The version of an agent that does not change with each release.
const VERSION: &str = "0.0.0";

/// The output equals the file of this name. The file is written anew if PGSQLMS_WRITE_REPORTS is set.
#[track_caller]
fn expect_samples(name: &str, facts: &Facts) {
    let text = metrics(facts, &judge(facts), VERSION);
    let path = repository("tests/it/status").join(format!("{name}.prom"));
    if std::env::var_os("PGSQLMS_WRITE_REPORTS").is_some() {
        std::fs::write(&path, &text).unwrap();
    }
    let wanted = std::fs::read_to_string(&path).unwrap_or_default();
    assert!(text == wanted, "{} should be:\n{text}", path.display());
}

/// The facts, after a change.
fn with(mut facts: Facts, change: impl FnOnce(&mut Facts)) -> Facts {
    change(&mut facts);
    facts
}

#[test]
fn a_primary() {
    expect_samples("a_primary", &healthy());
}

#[test]
fn a_standby_that_lags() {
    expect_samples("a_standby_that_lags", &from_standby());
}

#[test]
fn a_primary_whose_commits_hang() {
    let facts = with(healthy(), |facts| {
        server(facts).peers.clear();
        server(facts).waiting = Waiting { sessions: 14, longest: Duration::from_secs(98) };
        member(facts, "srv1").score = Some("-INFINITY".to_owned());
    });
    expect_samples("a_primary_whose_commits_hang", &facts);
}

#[test]
fn an_instance_that_is_frozen_and_a_cluster_that_cannot_be_seen() {
    let facts = with(from_standby(), |facts| {
        facts.resource = "a \"quoted\" \\ name".to_owned();
        let status = Status::Unresponsive { pid: 4711, waited: None };
        facts.local = Ok(Local { report: Err(status.to_string()), status });
        facts.cluster = Err("no".to_owned());
    });
    expect_samples("a_frozen_instance_alone", &facts);
}

#[test]
fn replay_that_settings_have_paused() {
    let facts = with(from_standby(), |facts| {
        server(facts).is_paused = true;
        server(facts).too_low = vec![TooLow { name: "max_connections".to_owned(), own: 100, least: 200 }];
    });
    let text = metrics(&facts, &judge(&facts), VERSION);
    for line in [
        r#"pgsqlms_replay_paused{resource="pgsqld",node="srv3",by="settings"} 1"#,
        r#"pgsqlms_replay_paused{resource="pgsqld",node="srv3",by="operator"} 0"#,
        r#"pgsqlms_state{resource="pgsqld",node="srv3",state="paused"} 1"#,
    ] {
        assert!(text.lines().any(|it| it == line), "{line} is not in\n{text}");
    }
}

/// For all facts: one sample for each name and labels, in one block, after its type; and a value that is a number.
#[test]
fn the_format_is_that_of_prometheus() {
    let nothing = with(healthy(), |facts| {
        facts.cluster = Err("no".to_owned());
        facts.local = Err("no".to_owned());
    });
    for facts in [healthy(), from_standby(), nothing] {
        let text = metrics(&facts, &judge(&facts), VERSION);
        let (mut types, mut samples, mut block) = (BTreeSet::new(), BTreeSet::new(), String::new());
        for line in text.lines().filter(|line| !line.starts_with("# HELP ")) {
            if let Some(named) = line.strip_prefix("# TYPE ") {
                block = named.strip_suffix(" gauge").unwrap().to_owned();
                assert!(types.insert(block.clone()), "twice: {block}");
                continue;
            }
            let (sample, value) = line.rsplit_once(' ').unwrap();
            assert_eq!(sample.split('{').next().unwrap(), block, "{line}");
            assert!(value.parse::<f64>().is_ok(), "{line}");
            assert!(samples.insert(sample.to_owned()), "twice: {sample}");
        }
        let states = text.lines().filter(|line| line.starts_with("pgsqlms_state{") && line.ends_with(" 1")).count();
        assert_eq!(states, usize::from(facts.cluster.is_ok()), "{text}");
    }
}

#[test]
fn a_real_primary_is_measured_and_the_file_is_replaced() {
    let Some(instance) = Instance::new() else { return };
    instance.promote();
    let directory = TempDir::new().unwrap();
    let (file, elsewhere) = (directory.path().join("pgsqlms.prom"), directory.path().join("elsewhere"));
    std::fs::write(&elsewhere, "mine").unwrap();
    // An attacker's link, which would make root write elsewhere.
    std::os::unix::fs::symlink(&elsewhere, directory.path().join("pgsqlms.prom.new")).unwrap();
    let test = Test::new(["metrics", "--pgdata"]).argument(instance.data()).without("OCF_RESOURCE_INSTANCE");
    let test = test.argument("--system-user").argument(&instance.user.name).argument("--textfile").argument(&file);
    let ended = test.run();
    assert_eq!((ended.code, ended.stdout.as_str(), ended.stderr.as_str()), (0, "", ""), "{ended:?}");
    let text = std::fs::read_to_string(&file).unwrap();
    for words in ["role=\"primary\"} 1\n", "source=\"cluster\"} 0\n", "pgsqlms_commits_waiting{"] {
        assert!(text.contains(words), "{words} is not in {text}");
    }
    assert_eq!(std::fs::read_to_string(&elsewhere).unwrap(), "mine");
    assert_eq!(std::fs::read_dir(directory.path()).unwrap().count(), 2);
}

#[test]
fn an_unwritable_textfile_is_an_error() {
    let ended =
        Test::new(["metrics", "--textfile", "/nonexistent/pgsqlms.prom"]).without("OCF_RESOURCE_INSTANCE").run();
    assert_eq!((ended.code, ended.stdout.as_str()), (3, ""), "{ended:?}");
    assert!(ended.stderr.contains("/nonexistent/pgsqlms.prom"), "{ended:?}");
}

const ALERTS: &str = "examples/prometheus/pgsqlms-alerts.yml";

/// Each metric that an alert names is one that is printed in some state.
#[test]
fn alerts_name_metrics_that_exist() {
    let alerts = std::fs::read_to_string(repository(ALERTS)).unwrap();
    let source = std::fs::read_to_string(repository("src/rules/overview/metrics.rs")).unwrap();
    let source: String = source.split_whitespace().collect::<Vec<_>>().join(" ").replace("( ", "(");
    let page = std::fs::read_to_string(repository("docs/reference/metrics.md")).unwrap();
    let is_word = |c: char| c.is_ascii_lowercase() || c == '_';
    let named: BTreeSet<&str> =
        alerts.split("pgsqlms_").skip(1).filter_map(|rest| rest.split(|c| !is_word(c)).next()).collect();
    assert!(named.len() > 8, "{named:?}");
    for name in named {
        assert!(source.contains(&format!("(\"{name}\", ")), "{name} is not a metric");
    }
    let added = ["page.add(\"", "page.one(\"", "page.any(\"", "page.flag(\""].map(|call| source.split(call).skip(1));
    for name in added.into_iter().flatten().filter_map(|rest| rest.split('"').next()) {
        assert!(page.contains(&format!("`pgsqlms_{name}")), "docs/reference/metrics.md does not have {name}");
    }
}

/// Prometheus itself is too much to be installed for this.
#[test]
fn promtool_accepts_the_alerts() {
    let checked = Command::new("promtool").args(["check", "rules"]).arg(repository(ALERTS)).output();
    match checked {
        Ok(output) => assert!(output.status.success(), "{output:?}"),
        Err(_) => say_skipped("promtool (package prometheus) is not installed"),
    }
}
