//! An operator orders the rewind: `pgsqlms rejoin`.

use std::path::Path;
use std::process::Stdio;

use pgsqlms::exit::OcfExitCode::*;

use super::{expect, pair};
use crate::run::Test;
use crate::throwaway::eventually;

/// Debian keeps the configuration apart from the data.
#[test]
fn the_configuration_is_not_in_the_data_directory() {
    let Some(pair) = pair() else { return };
    let (data, configuration) = (pair.old.data(), pair.old.directory.path().join("etc"));
    std::fs::create_dir(&configuration).unwrap();
    pair.old.give(&configuration);
    for name in ["postgresql.conf", "pg_hba.conf", "pg_ident.conf"] {
        std::fs::rename(data.join(name), configuration.join(name)).unwrap();
    }
    let file = configuration.join("postgresql.conf");
    let settings = std::fs::read_to_string(&file).unwrap() + &format!("data_directory = '{}'\n", data.display());
    std::fs::write(&file, &settings).unwrap();
    let options = format!("-c config_file={}", file.display());
    pair.set_cluster("srv2", &[("pgdata", &configuration), ("datadir", &data), ("start_opts", Path::new(&options))]);
    let action = |name: &str| {
        let action = pair.action(name).parameter("pgdata", &configuration).parameter("datadir", &data);
        action.parameter("start_opts", &options).parameter("rejoin", "report")
    };
    expect(&pair.run(action("start")), Success);
    let monitor = || action("monitor").meta("interval", "3000");
    expect(&pair.run(monitor()), Degraded);
    let output = pair.inside(command(&["--dry-run"])).output().unwrap();
    assert!(String::from_utf8_lossy(&output.stdout).contains(": COMMIT 20"), "{output:?}");

    let mut watching = pair.inside(command(&["--yes"])).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
    eventually("the order", || pair.notes().contains("stage=ordered"));
    expect(&pair.run(monitor()), GenericError);
    expect(&pair.run(action("stop")), Success);
    expect(&pair.run(action("start")), Success);
    eventually("the command to see it follow", || watching.try_wait().unwrap().is_some_and(|ended| ended.success()));
    pair.is_whole();
    expect(&pair.run(monitor()), Success);
    assert_eq!(std::fs::read_to_string(&file).unwrap(), settings);
    assert!(!data.join("postgresql.conf").exists(), "it has the primary's configuration");
}

fn command(more: &[&str]) -> Test {
    let test = Test::new(["rejoin", "--resource", "pgsql-test"]);
    more.iter().fold(test, |test, argument| test.argument(argument))
}
