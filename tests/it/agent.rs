//! The binary and its environment: for any input Pacemaker gets a code it knows and a person gets one line.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::process::Stdio;
use std::time::{Duration, Instant};

use nix::fcntl::OFlag;
use pgsqlms::exit::OcfExitCode::{self, *};
use tempfile::TempDir;

use crate::run::{Test, skip};

/// Absurd values of parameters.
mod hostile;

/// All that Pacemaker, an administrator or a tool may ask for.
const ACTIONS: [&str; 9] =
    ["start", "stop", "monitor", "promote", "demote", "notify", "reload", "reload-agent", "validate-all"];

/// Nothing is, and nothing will be, here.
const NOWHERE: &str = "/nonexistent/data";

fn nowhere<const N: usize>(arguments: [&str; N]) -> Test {
    Test::new(arguments).parameter("pgdata", NOWHERE)
}

#[test]
fn without_an_action_there_is_nothing_to_do() {
    let ended = Test::new([]).run();
    assert_eq!((ended.code, ended.stdout.as_str()), (Unimplemented as i32, ""));
    assert!(ended.stderr.contains("<ACTION>"), "{ended:?}");
}

#[test]
fn an_unknown_action_is_unimplemented() {
    for name in ["bogus", "", "Start", "start ", "stop\n", "monitor;id", "migrate_to"] {
        let ended = Test::new([name]).expect(Unimplemented);
        assert!(ended.reason().ends_with("is not an action of this agent"), "{ended:?}");
    }
    let option = Test::new(["--bogus"]).run();
    assert_eq!(option.code, Unimplemented as i32);
    let bytes = Test::new([]).argument(OsStr::from_bytes(b"\xff\xfe")).run();
    assert_eq!(bytes.code, Unimplemented as i32);
}

/// An executor that does not read, and so leaves no room in the pipe, must not hold up an action.
#[test]
fn a_full_pipe_does_not_delay_an_action() {
    let (_reader, writer) = nix::unistd::pipe().unwrap();
    let mode = |flags| nix::fcntl::fcntl(&writer, nix::fcntl::FcntlArg::F_SETFL(flags)).unwrap();
    mode(OFlag::O_NONBLOCK);
    while nix::unistd::write(&writer, &[b'.'; 512]).is_ok() {}
    mode(OFlag::empty());
    let mut command = nowhere(["start"]).command();
    let mut agent = command.stdout(Stdio::null()).stderr(writer).spawn().unwrap();
    let deadline = Instant::now() + Duration::from_secs(30);
    let ended = loop {
        match agent.try_wait().unwrap() {
            Some(ended) => break ended,
            None if Instant::now() > deadline => break agent.kill().and_then(|()| agent.wait()).unwrap(),
            None => std::thread::yield_now(),
        }
    };
    assert_eq!(ended.code(), Some(GenericError as i32), "None: it did not end within 30 s");
}

/// OCF 1.1: "RAs must ignore additional arguments".
#[test]
fn more_arguments_are_ignored() {
    let ended = nowhere(["monitor", "extra", "--option", "-x", "--", ""]).expect(NotRunning);
    assert_eq!(ended.stderr, "");
}

#[test]
fn help_and_version_are_for_people() {
    let help = Test::new(["--help"]).expect(Success);
    assert!(help.stdout.contains("OCF_RESKEY_") && help.stdout.contains("validate-all"), "{help:?}");
    for command in ["status", "why", "doctor", "promote-anyway", "forget-history", "rejoin", "rebuild", "check"] {
        assert!(help.stdout.contains(&format!("\n  {command} ")), "{command}: {help:?}");
    }
    let options = Test::new(["promote-anyway", "--help"]).expect(Success).stdout;
    assert!(options.contains("Usage: pgsqlms promote-anyway "), "{options}");
    let version = Test::new(["--version"]).expect(Success);
    assert_eq!(version.stdout, format!("pgsqlms {}\n", env!("CARGO_PKG_VERSION")));
}

#[test]
fn methods_are_all_the_actions() {
    let methods = Test::new(["methods"]).expect(Success).stdout;
    let methods: Vec<&str> = methods.lines().collect();
    for action in ACTIONS {
        assert!(methods.contains(&action), "{action}");
    }
}

/// Faults: println! panics and Rust's 101 reaches Pacemaker when no process reads the meta-data.
#[test]
fn the_meta_data_need_no_reader() {
    Test::new(["meta-data"]).redirected(">&-").run();
    let full = Test::new(["meta-data"]).redirected(">/dev/full").run();
    assert_eq!(full.code, GenericError as i32);
    let closed_pipe = Test::new(["meta-data"]).redirected("| :").run();
    assert!([0, 1].contains(&closed_pipe.code), "{closed_pipe:?}");
}

#[test]
fn the_reason_needs_no_reader() {
    for redirection in ["2>&-", "2>/dev/full", "2>/dev/null", ">&- 2>&- <&-"] {
        for (action, code) in [("monitor", NotRunning), ("stop", Success), ("bogus", Unimplemented)] {
            let ended = nowhere([action]).redirected(redirection).run();
            assert_eq!(ended.code, code as i32, "{action} {redirection}");
        }
        let ended = nowhere(["validate-all"]).parameter("pgport", "x").redirected(redirection).run();
        assert_eq!(ended.code, BadArguments as i32, "{redirection}");
    }
}

#[test]
fn a_bad_pgdata_is_not_an_instance() {
    for bad in ["data", "", "/", "../x", "/a\nb", "$(id)", "-D"] {
        Test::new(["stop"]).parameter("pgdata", bad).expect(Success);
        Test::new(["monitor"]).parameter("pgdata", bad).expect(NotRunning);
    }
}

#[test]
fn a_probe_without_a_data_directory_finds_nothing() {
    for interval in ["0", "15000"] {
        let ended = nowhere(["monitor"]).meta("interval", interval).expect(NotRunning);
        assert!(interval != "0" || ended.stderr.is_empty(), "{ended:?}");
    }
    let file = Path::new("/etc/passwd");
    Test::new(["monitor"]).parameter("pgdata", file).expect(NotRunning);
}

/// PAF's commonest fencing: a stop that failed because something it did not need was wrong or missing.
#[test]
fn stop_needs_nothing() {
    let data = TempDir::new().unwrap();
    let stop = || Test::new(["stop"]).parameter("pgdata", data.path());
    stop().expect(Success);
    stop().parameter("system_user", "no-such-user").expect(Success);
    stop().parameter("bindir", "/nonexistent").expect(Success);
    stop().parameter("pgport", "x").parameter("maxlag", "x").parameter("start_opts", "'").expect(Success);
    stop().meta("notify", "false").meta("promoted_max", "2").expect(Success);
    stop().env("OCF_RESKEY_crm_feature_set", "1.0").expect(Success);
    std::fs::write(data.path().join("PG_VERSION"), "9.6\n").unwrap();
    stop().expect(Success);
    std::fs::write(data.path().join("recovery.conf.pcmk"), "").unwrap();
    stop().expect(Success);
    std::fs::write(data.path().join("postmaster.pid"), format!("{}\n{NOWHERE}\n", std::process::id())).unwrap();
    stop().expect(Success);
    std::fs::create_dir(data.path().join("global")).unwrap();
    std::fs::write(data.path().join("global/pg_control"), "garbage").unwrap();
    stop().expect(Success);
}

#[track_caller]
fn refused(test: Test, code: OcfExitCode, reason: &str) {
    let ended = test.expect(code);
    assert!(ended.reason().starts_with(reason), "{ended:?}");
}

#[test]
fn validate_all_names_the_wrong_value() {
    for (name, value) in [
        ("pgdata", "data"),
        ("datadir", "../data"),
        ("system_user", "post gres"),
        ("bindir", "bin"),
        ("pghost", "a,b"),
        ("pgport", "0"),
        ("pgport", "65536"),
        ("maxlag", "10MB"),
        ("start_opts", "-c 'x"),
        ("recovery_template", "recovery.conf"),
    ] {
        let reason = format!("{name}=\"{value}\" is not valid: expected ");
        refused(nowhere(["validate-all"]).parameter(name, value), BadArguments, &reason);
    }
}

#[test]
fn validate_all_accepts_good_values_and_no_meta_attributes() {
    Test::new(["validate-all"]).expect(Success);
    nowhere(["validate-all"]).expect(Success);
    nowhere(["validate-all"])
        .parameter("datadir", "/srv/pg")
        .parameter("system_user", "pg_17")
        .parameter("bindir", "/usr/lib/postgresql/17/bin")
        .parameter("pghost", "/var/run/postgresql")
        .parameter("pgport", "5433")
        .parameter("maxlag", "1E8")
        .parameter("start_opts", "-c config_file=/etc/postgresql/17/main/postgresql.conf")
        .parameter("recovery_template", "/nonexistent/recovery.conf")
        .meta("notify", "true")
        .meta("promoted_max", "1")
        .meta("master_max", "1")
        .env("OCF_RESKEY_crm_feature_set", "3.19.0")
        .expect(Success);
}

#[test]
fn validate_all_wants_notifications_and_one_primary() {
    let with = |name: &str, value: &str| nowhere(["validate-all"]).meta(name, value);
    refused(with("notify", "false"), BadArguments, "the clone needs the meta attribute notify=true");
    refused(with("promoted_max", "2"), BadArguments, "the clone needs the meta attribute promoted-max=1, not 2");
    refused(with("master_max", "2"), BadArguments, "the clone needs the meta attribute promoted-max=1, not 2");
    let old = nowhere(["validate-all"]).env("OCF_RESKEY_crm_feature_set", "3.0.14");
    refused(old, NotInstalled, "Pacemaker is too old (feature set 3.0.14)");
}

/// OCF 1.1: level 0 must give the same answer on every machine.
#[test]
fn validate_all_looks_at_the_node_from_level_10_on() {
    let unknown = |level: &str| {
        let test = nowhere(["validate-all"]).parameter("system_user", "no-such-user");
        test.env("OCF_CHECK_LEVEL", level)
    };
    unknown("0").expect(Success);
    refused(unknown("10"), NotInstalled, "system_user \"no-such-user\" does not exist on this node");
}

#[test]
fn the_log_file_is_written_and_debug_messages_on_request_only() {
    let run = |debug: Option<&str>| {
        let test = nowhere(["start"]);
        debug.map_or_else(|| nowhere(["start"]), |debug| test.env("HA_debug", debug)).run().log
    };
    for quiet in [None, Some("0")] {
        let log = run(quiet);
        assert!(log.contains("pgsqlms(pgsql-test)") && log.contains(NOWHERE), "{log}");
        assert!(!log.contains("DEBUG"), "{log}");
    }
    assert!(run(Some("1")).contains("DEBUG"));
}

#[test]
fn nothing_is_logged_when_there_is_nothing_to_say() {
    for action in ["stop", "monitor", "notify", "validate-all", "reload"] {
        let ended = nowhere([action]).run();
        assert_eq!((ended.log.as_str(), ended.stderr.as_str()), ("", ""), "{action}");
    }
}

#[test]
fn a_log_file_that_cannot_be_written_changes_no_answer() {
    for path in ["/nonexistent/log", "/", "/dev/full", ""] {
        let ended = nowhere(["monitor"]).env("HA_LOGFILE", path).run();
        assert_eq!(ended.code, NotRunning as i32, "{path}");
    }
}

/// Nothing of Pacemaker's environment but OCF's and HA's variables counts, and programs come from the system only.
#[test]
fn the_callers_environment_is_not_ours() {
    use std::os::unix::fs::PermissionsExt;
    let directory = TempDir::new().unwrap();
    let canary = directory.path().join("canary");
    for program in ["crm_node", "attrd_updater", "crm_attribute", "cibadmin", "postgres", "pg_controldata", "sh"] {
        let path = directory.path().join(program);
        std::fs::write(&path, format!("#!/bin/sh\n: >{}\n", canary.display())).unwrap();
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o755)).unwrap();
    }
    for action in ACTIONS {
        nowhere([action])
            .meta("on_node", "")
            .meta("interval", "15000")
            .env("PATH", directory.path())
            .env("PGHOST", "/nonexistent")
            .env("PGDATA", directory.path())
            .run();
        assert!(!canary.exists(), "{action}");
    }
}

#[test]
fn a_removed_working_directory_does_not_matter() {
    if !Path::new("/bin/sh").exists() {
        return skip("there is no /bin/sh");
    }
    let script = "d=$(mktemp -d) && cd \"$d\" && rmdir \"$d\" && exec \"$0\" monitor";
    let status = std::process::Command::new("/bin/sh")
        .args(["-c", script, crate::run::AGENT])
        .env("OCF_RESKEY_pgdata", NOWHERE)
        .env("HA_LOGFACILITY", "none")
        .status()
        .unwrap();
    assert_eq!(status.code(), Some(NotRunning as i32));
}
