//! The meta-data is the committed one, and every tool that reads meta-data accepts it.

use std::collections::BTreeSet;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use pgsqlms::metadata::{self, ACTIONS};
use pgsqlms::parameters::PARAMETERS;

use crate::run::{say_skipped, skip};

/// The meta-data as `pgsqlms meta-data` prints it.
fn xml() -> String {
    let mut document = Vec::new();
    metadata::write(&mut document).unwrap();
    String::from_utf8(document).unwrap()
}

fn golden() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("ocf/pgsqlms.xml")
}

#[test]
fn is_the_golden_file() {
    let committed = std::fs::read_to_string(golden()).unwrap_or_default();
    assert!(
        xml() == committed,
        "the meta-data is not ocf/pgsqlms.xml; if it is meant to change: pgsqlms meta-data > ocf/pgsqlms.xml"
    );
}

/// Runs xmllint on the meta-data in `directory`; skips if `schema` or xmllint is not installed.
fn xmllint(directory: &str, schema: &str, package: &str, arguments: &[&str]) {
    if !Path::new(directory).join(schema).exists() {
        return say_skipped(&format!("{directory}/{schema} is not installed (package {package})"));
    }
    let catalog = concat!(env!("CARGO_MANIFEST_DIR"), "/ocf/catalog.xml");
    let spawned = Command::new("xmllint")
        .env("XML_CATALOG_FILES", catalog)
        .args(arguments)
        .arg("-")
        .current_dir(directory)
        .stdin(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn();
    let Ok(mut process) = spawned else { return skip("xmllint is not installed (package libxml2-utils)") };
    process.stdin.take().unwrap().write_all(xml().as_bytes()).unwrap();
    let output = process.wait_with_output().unwrap();
    assert!(output.status.success(), "{arguments:?}:\n{}", String::from_utf8_lossy(&output.stderr));
}

#[test]
fn satisfies_the_dtd_exactly_as_ocf_tester_checks_it() {
    xmllint("/usr/share/resource-agents", "ra-api-1.dtd", "resource-agents", &["--noout", "--valid"]);
}

#[test]
fn satisfies_the_schema_of_pcs() {
    let schema = "ocf-1.1.rng";
    xmllint("/usr/share/pcs/data", schema, "pcs", &["--noout", "--nowarning", "--relaxng", schema]);
}

#[test]
fn satisfies_the_schema_of_pacemaker() {
    let schema = "ocf-ra-1.1.rng";
    let package = "pacemaker-common, 3.0 or later";
    xmllint("/usr/share/pacemaker/api", schema, package, &["--noout", "--nowarning", "--relaxng", schema]);
}

#[test]
fn names_no_encoding_because_crmsh_cannot_read_one_that_does() {
    assert!(xml().starts_with("<?xml version=\"1.0\"?>\n"));
    assert!(xml().is_ascii());
}

#[test]
fn has_every_parameter_and_every_action_in_order() {
    let xml = self::xml();
    let named = |element: &str| {
        let start = format!("<{element} name=\"");
        xml.split(&start).skip(1).filter_map(|rest| rest.split('"').next()).map(str::to_owned).collect::<Vec<_>>()
    };
    assert_eq!(named("parameter"), PARAMETERS.iter().map(|parameter| parameter.name).collect::<Vec<_>>());
    assert_eq!(named("action"), ACTIONS.iter().map(|action| action.name).collect::<Vec<_>>());
}

#[test]
fn a_restart_is_demanded_only_for_parameters_that_need_one() {
    let not_reloadable: Vec<_> = PARAMETERS.iter().filter(|p| !p.reloadable).map(|p| p.name).collect();
    assert_eq!(not_reloadable, ["pgdata", "datadir", "system_user", "start_opts"]);
}

/// Pacemaker identifies a recurring operation by its name and interval.
#[test]
fn no_two_monitors_share_an_interval() {
    let intervals: Vec<_> = ACTIONS.iter().filter_map(|action| action.repeated).map(|r| r.interval).collect();
    let distinct: BTreeSet<_> = intervals.iter().collect();
    assert_eq!((intervals.len(), distinct.len()), (2, 2));
}

/// pcs copies every advertised action but meta-data, status and validate-all into the resources it creates.
#[test]
fn advertises_nothing_that_pacemaker_would_not_run() {
    assert!(ACTIONS.iter().all(|action| action.name != "methods"));
}
