//! Absurd values of environment variables: each is only data, and every action ends as it should.

use std::ffi::OsString;
use std::os::unix::ffi::OsStringExt;
use std::path::Path;

use pgsqlms::exit::OcfExitCode::*;
use pgsqlms::parameters::PARAMETERS;
use tempfile::TempDir;

use super::ACTIONS;
use crate::run::Test;

/// Values that a shell, a format string, a parser or a terminal would stumble over. `CANARY` is the path of a file that
/// they would make.
fn hostile_values(canary: &Path) -> Vec<OsString> {
    let canary = canary.to_str().unwrap();
    let mut values: Vec<OsString> = [
        format!("$(touch {canary})"),
        format!("`touch {canary}`"),
        format!("; touch {canary} ;"),
        format!("'; touch {canary}; '"),
        format!("\"; touch {canary}; \""),
        format!("/tmp\n touch {canary}"),
        format!("/tmp/x; touch {canary}"),
        format!("| touch {canary}"),
        format!("-c archive_command='touch {canary}'"),
        "a b\tc".to_owned(),
        "'".to_owned(),
        "\"".to_owned(),
        "\\".to_owned(),
        "*".to_owned(),
        "/*/../?[a]{b,c}~".to_owned(),
        "-D".to_owned(),
        "--help".to_owned(),
        "%s%n%s%n".to_owned(),
        "x\nocf-exit-reason:forged".to_owned(),
        "\x1b[2Jx\r".to_owned(),
        "\u{2028}é".to_owned(),
        "0".to_owned(),
        "-1".to_owned(),
        "99999999999999999999999999".to_owned(),
        "NaN".to_owned(),
        "x".repeat(4096),
        format!("/{}", "x".repeat(4095)),
    ]
    .into_iter()
    .map(OsString::from)
    .collect();
    values.push(OsString::from_vec(b"/\xff\xfe".to_vec()));
    values.push(OsString::from_vec(b"\xc0\x80\xed\xa0\x80".to_vec()));
    values
}

/// The value of one variable is hostile; every action ends well or says why it does not.
#[track_caller]
fn survives_hostile(variable: &str, actions: &[&str]) {
    let directory = TempDir::new().unwrap();
    let canary = directory.path().join("canary");
    let nothing_here = directory.path().join("data");
    for value in hostile_values(&canary) {
        for action in actions {
            let ended = Test::new([action])
                .parameter("pgdata", &nothing_here)
                .meta("timeout", "4000")
                .env(variable, &value)
                .run();
            let what = format!("{variable}={value:?} {action}: {ended:?}");
            match *action {
                "stop" | "notify" | "reload" | "reload-agent" => assert_eq!(ended.code, Success as i32, "{what}"),
                "monitor" => assert_eq!(ended.code, NotRunning as i32, "{what}"),
                "validate-all" => assert!([0, 2, 5].contains(&ended.code), "{what}"),
                _ => assert_ne!(ended.code, Success as i32, "{what}"),
            }
            let failed = ![Success as i32, NotRunning as i32].contains(&ended.code);
            assert_eq!(ended.reasons().len(), usize::from(failed), "{what}");
            assert_eq!(ended.stderr.lines().count(), ended.reasons().len(), "{what}");
            assert!(ended.stderr.len() < 5000, "{what}");
            assert!(!ended.stderr.trim_end().contains(|c: char| c.is_control()), "{what}");
            assert!(!canary.exists(), "{what}");
        }
        assert!(!nothing_here.exists(), "{variable}={value:?} made a data directory");
    }
}

#[test]
fn no_value_of_a_parameter_is_more_than_data() {
    std::thread::scope(|scope| {
        for parameter in &PARAMETERS {
            scope.spawn(|| survives_hostile(&parameter.variable(), &ACTIONS));
        }
    });
}

#[test]
fn no_value_that_pacemaker_passes_is_more_than_data() {
    let names = [
        "OCF_RESOURCE_INSTANCE",
        "OCF_CHECK_LEVEL",
        "OCF_RESKEY_crm_feature_set",
        "OCF_RESKEY_CRM_meta_timeout",
        "OCF_RESKEY_CRM_meta_interval",
        "OCF_RESKEY_CRM_meta_on_node",
        "OCF_RESKEY_CRM_meta_notify_type",
        "OCF_RESKEY_CRM_meta_notify_operation",
        "OCF_RESKEY_CRM_meta_notify_promote_uname",
        "OCF_RESKEY_CRM_meta_promoted_max",
        "OCF_RESKEY_unheard_of",
    ];
    std::thread::scope(|scope| {
        for name in names {
            scope.spawn(move || survives_hostile(name, &["stop", "monitor", "notify", "validate-all", "start"]));
        }
    });
}
