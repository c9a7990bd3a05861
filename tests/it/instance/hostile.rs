//! A wrong configuration, a hostile environment or a link does not mislead the agent.

use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};
use std::path::Path;

use pgsqlms::exit::OcfExitCode::*;
use tempfile::TempDir;

use crate::run::{is_root, skip};
use crate::throwaway::{Instance, eventually};

#[test]
fn stop_ends_the_running_server_despite_bad_parameters() {
    if !is_root() {
        return skip("not run as root");
    }
    let Some(instance) = Instance::new() else { return };
    for (name, value) in [
        ("system_user", "no-such-user"),
        ("bindir", "/nonexistent"),
        ("pgport", "x"),
        ("pghost", "/nonexistent"),
        ("start_opts", "-c 'x"),
        ("maxlag", "10MB"),
    ] {
        instance.start();
        assert!(instance.processes() > 0);
        instance.agent("stop").parameter(name, value).meta("promoted_max", "2").expect(Success);
        assert_eq!(instance.processes(), 0, "{name}={value}");
    }
    instance.start();
    for file in ["PG_VERSION", "postmaster.pid", "postmaster.opts", "global/pg_control"] {
        std::fs::remove_file(instance.data().join(file)).unwrap();
    }
    instance.agent("stop").expect(Success);
    assert_eq!(instance.processes(), 0);
}

/// PAF creates and chowns standby.signal as root, so the owner of the data directory can point it anywhere.
#[test]
fn a_link_leads_root_nowhere() {
    if !is_root() {
        return skip("not run as root");
    }
    let Some(instance) = Instance::new() else { return };
    let roots = TempDir::new().unwrap();
    std::fs::set_permissions(roots.path(), std::fs::Permissions::from_mode(0o755)).unwrap();
    let secret = roots.path().join("secret");
    std::fs::write(&secret, "root's").unwrap();
    std::fs::set_permissions(&secret, std::fs::Permissions::from_mode(0o600)).unwrap();
    let made = roots.path().join("made");
    let seen = |path: &Path| {
        let meta = std::fs::metadata(path).unwrap();
        (meta.uid(), meta.gid(), meta.mode(), meta.mtime_nsec(), meta.len())
    };
    let before = seen(&secret);
    for target in [&secret, &made] {
        for name in ["standby.signal", "promote", "pgsqlms.log"] {
            let link = instance.data().join(name);
            let _ = std::fs::remove_file(&link);
            symlink(target, &link).unwrap();
            for action in ["start", "promote", "demote", "stop"] {
                instance.agent(action).run();
            }
            assert_eq!(seen(&secret), before, "{name}");
            assert!(!made.exists(), "{name}");
            let _ = std::fs::remove_file(&link);
        }
    }
    assert_eq!(instance.agent("stop").run().code, Success as i32);
}

/// libpq's variables are for people at a terminal; Pacemaker may have inherited some.
#[test]
fn the_callers_environment_does_not_change_the_result() {
    let Some(instance) = Instance::new() else { return };
    let polluted = |action: &str| {
        [
            ("PGHOST", "/nonexistent"),
            ("PGHOSTADDR", "192.0.2.1"),
            ("PGPORT", "1"),
            ("PGUSER", "nobody"),
            ("PGDATABASE", "nothing"),
            ("PGOPTIONS", "-c no_such_setting=1"),
            ("PGSERVICE", "nowhere"),
            ("PGPASSFILE", "/nonexistent"),
            ("PGSSLMODE", "verify-full"),
            ("PGDATA", "/nonexistent"),
            ("PGTZ", "nowhere"),
            ("LC_ALL", "xx_XX.UTF-8"),
            ("LANG", "de_DE"),
            ("PATH", "/nonexistent"),
            ("TMPDIR", "/nonexistent"),
            ("HOME", "/nonexistent"),
        ]
        .into_iter()
        .fold(instance.agent(action), |test, (name, value)| test.env(name, value))
    };
    polluted("start").expect(Success);
    polluted("monitor").expect(Success);
    polluted("promote").expect(Success);
    polluted("monitor").expect(RunningPromoted);
    let environment = std::fs::read(format!("/proc/{}/environ", instance.postmaster().unwrap())).unwrap();
    let environment = String::from_utf8_lossy(&environment).replace('\0', "\n");
    assert!(!environment.contains("PGHOST") && !environment.contains("OCF_"), "{environment}");
    polluted("demote").expect(Success);
    polluted("stop").expect(Success);
}

#[test]
fn start_opts_are_arguments_and_no_code() {
    let Some(instance) = Instance::new() else { return };
    let canary = instance.directory.path().join("canary");
    let options = format!("-c cluster_name='$(touch {0});`touch {0}`' -c work_mem=7MB", canary.display());
    instance.agent("start").parameter("start_opts", options).expect(Success);
    assert_eq!(instance.sql("SHOW work_mem"), "7MB");
    assert!(instance.sql("SHOW cluster_name").starts_with("$(touch "));
    assert!(!canary.exists());
    let ended = instance.agent("stop").expect(Success);
    assert_eq!(ended.stderr, "");
    let wrong = instance.agent("start").parameter("start_opts", "-c no_such_setting=1").expect(GenericError);
    assert!(
        wrong.reason().contains("PostgreSQL did not start") && wrong.reason().contains("no_such_setting"),
        "{wrong:?}"
    );
}

/// A server that is full or refuses the agent is alive: Pacemaker must not restart it.
#[test]
fn a_server_that_refuses_the_agent_is_alive() {
    let Some(instance) = Instance::new() else { return };
    instance.promote();
    instance.sql("ALTER SYSTEM SET max_connections = 5");
    std::fs::write(instance.data().join("pg_hba.conf"), "local all all reject\n").unwrap();
    instance.sql("SELECT pg_reload_conf()");
    eventually("the server to refuse", || instance.sql("SELECT 1") != "1");
    let ended = instance.agent("monitor").expect(DegradedPromoted);
    assert!(ended.reason().contains("refuses the agent's connection"), "{ended:?}");
    instance.agent("stop").expect(Success);
}
