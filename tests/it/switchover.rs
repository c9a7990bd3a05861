//! `pgsqlms switchover` and `pgsqlms restart` without a cluster. The tests in src/rules cover the decisions, the lab the
//! effects.

use std::process::Output;

use crate::run::Test;

const COMMANDS: [&str; 2] = ["switchover", "restart"];

fn run(command: &str, arguments: &[&str]) -> Output {
    let test = arguments.iter().fold(Test::new([command]), Test::argument);
    test.without("OCF_RESOURCE_INSTANCE").command().output().unwrap()
}

#[test]
fn a_wrong_option_exits_64_and_help_exits_0() {
    for command in COMMANDS {
        for arguments in [&["--bogus"][..], &["srv1", "srv2"], &["--wait=0"], &["--wait=soon"]] {
            let ended = run(command, arguments);
            assert_eq!(ended.status.code(), Some(64), "{command} {arguments:?}: {ended:?}");
        }
        let help = run(command, &["--help"]);
        assert!(help.status.success() && String::from_utf8_lossy(&help.stdout).contains("--yes"), "{help:?}");
    }
}

#[test]
fn without_a_cluster_nothing_can_be_seen() {
    for (command, arguments) in COMMANDS.into_iter().flat_map(|it| [(it, &[][..]), (it, &["srv2", "--yes"])]) {
        let ended = run(command, arguments);
        assert_eq!(ended.status.code(), Some(3), "{command} {arguments:?}: {ended:?}");
        let said = String::from_utf8_lossy(&ended.stderr);
        assert!(said.starts_with("pgsqlms: ") && said.lines().count() == 1 && ended.stdout.is_empty(), "{ended:?}");
    }
}
