//! The environment that Pacemaker passes. The input is lines: the first byte of each chooses a variable, the rest is
//! its value, which need not be text.
#![no_main]

use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::OsStrExt;
use std::sync::LazyLock;
use std::time::Duration;

use libfuzzer_sys::fuzz_target;
use pgsqlms::clock::{Deadline, VirtualClock};
use pgsqlms::env::Environment;
use pgsqlms::notification::{Notification, Transition};
use pgsqlms::parameters::{Config, Host, PARAMETERS};
use pgsqlms::rules::setup::{Meta, check_meta};
use pgsqlms::rules::steps;

const META: [&str; 16] = [
    "timeout",
    "notify",
    "promoted_max",
    "notify_type",
    "notify_operation",
    "notify_active_uname",
    "notify_promoted_uname",
    "notify_master_uname",
    "notify_unpromoted_uname",
    "notify_slave_uname",
    "notify_start_uname",
    "notify_stop_uname",
    "notify_promote_uname",
    "notify_demote_uname",
    "interval",
    "on_node",
];

/// From 0x60 on the parameters, below that Pacemaker's own variables.
fn variable(number: u8) -> String {
    match number.checked_sub(0x60) {
        Some(number) => PARAMETERS[usize::from(number) % PARAMETERS.len()].variable(),
        None => format!("OCF_RESKEY_CRM_meta_{}", META[usize::from(number) % META.len()]),
    }
}

static VARIABLES: LazyLock<Vec<String>> = LazyLock::new(|| (0..=u8::MAX).map(variable).collect());

fn check_config(environment: &Environment) {
    let (config, bad) = Config::read(environment);
    for parameter in &bad {
        let text = parameter.to_string();
        assert!(!text.contains(char::is_control) && text.len() < 600, "{text:?}");
    }
    assert!(config.pgdata.is_absolute() && config.datadir().is_absolute());
    assert!(config.recovery_template().is_absolute());
    assert!(!config.system_user.is_empty() && !config.system_user.starts_with('-'));
    if let Some(Host::Directory(directory)) = &config.pghost {
        assert!(directory.as_os_str().len() + ".s.PGSQL.1".len() <= 107);
    }
    // The words are those that a shell would see in the quoted text.
    if let Ok(quoted) = shlex::try_join(config.start_opts.iter().map(String::as_str)) {
        let again: Environment = [("OCF_RESKEY_start_opts", quoted)].into_iter().collect();
        assert_eq!(Config::read(&again).0.start_opts, config.start_opts);
    }
}

fn check_transition(environment: &Environment) {
    let transition = Transition::read(environment);
    let voters = transition.voters();
    assert!(transition.start.is_subset(&voters));
    assert!(voters.iter().all(|node| transition.active.contains(node) || transition.start.contains(node)));
    assert!(transition.promoted.is_subset(&transition.active) && transition.unpromoted.is_subset(&transition.active));
    assert!(voters.iter().all(|node| !node.as_str().contains(char::is_whitespace)));
    if let Some(notification) = Notification::read(environment) {
        assert_eq!(notification.transition, transition);
        let _ = steps::part(&notification);
    }
}

fuzz_target!(|bytes: &[u8]| {
    let lines = bytes.split(|byte| *byte == b'\n').filter_map(|line| line.split_first());
    // No variable can hold a NUL.
    let pairs = lines.map(|(number, value)| {
        let end = value.iter().position(|byte| *byte == 0).unwrap_or(value.len());
        (OsString::from(&VARIABLES[usize::from(*number)]), OsStr::from_bytes(&value[..end]).to_owned())
    });
    let environment: Environment = pairs.collect();
    check_config(&environment);
    check_transition(&environment);
    if let Some(timeout) = environment.milliseconds("OCF_RESKEY_CRM_meta_timeout") {
        let clock = VirtualClock::default();
        let deadline = Deadline::within(timeout);
        assert!(deadline.left(&clock) <= timeout);
        assert!(deadline.share(&clock, 0.3).or_after(&clock, Duration::from_secs(5)).left(&clock) <= timeout);
    }
    let text = |name: &str| environment.text(name).map(str::to_owned);
    let promoted_max = text("OCF_RESKEY_CRM_meta_promoted_max");
    let meta = Meta { feature_set: text("OCF_RESKEY_CRM_meta_on_node"), notify: None, promoted_max };
    let _ = check_meta(&meta);
});
