//! `pgsqlms check` on real instances: exit codes and lines for a proxy.

use std::cell::RefCell;
use std::io::{Read, Write};
use std::os::unix::net::UnixListener;
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use nix::sys::signal::Signal;

use crate::members::{Members, has_a_process_of_its_own};
use crate::run::{AGENT, Test, is_root, skip};
use crate::throwaway::{Instance, Succeeds, eventually, eventually_or};

fn check(instance: &Instance, arguments: &[&str]) -> Test {
    let test = Test::new(["check", "--pgdata"]).argument(instance.data());
    let test = test.argument("--system-user").argument(&instance.user.name);
    arguments.iter().fold(test, Test::argument)
}

/// The exit code and the line.
#[track_caller]
fn code_and_line(instance: &Instance, arguments: &[&str]) -> (i32, String) {
    let ended = check(instance, arguments).run();
    assert_eq!((ended.stderr.as_str(), ended.stdout.lines().count()), ("", 1), "{ended:?}");
    (ended.code, ended.stdout.trim().to_owned())
}

/// A check gives a session a fraction of a second, which may be too little on a busy machine.
#[track_caller]
fn expect(instance: &Instance, arguments: &[&str], code: i32, line: &str) {
    let seen = RefCell::new((0, String::new()));
    let is_so = || {
        seen.replace(code_and_line(instance, arguments));
        *seen.borrow() == (code, line.to_owned())
    };
    eventually_or(&format!("{arguments:?} to say {line:?}"), is_so, || format!("{:?}", seen.borrow()));
}

const PRIMARY: [&str; 2] = ["--role", "primary"];
const REPLICA: [&str; 2] = ["--role", "replica"];

#[test]
fn a_primary_is_up_while_it_is_one() {
    let Some(instance) = Instance::new() else { return };
    let stopped = "down: PostgreSQL is stopped";
    expect(&instance, &PRIMARY, 1, stopped);
    instance.start();
    expect(&instance, &PRIMARY, 1, "down: PostgreSQL runs as a standby");
    expect(
        &instance,
        &REPLICA,
        1,
        "down: it is a standby that receives nothing: there is no primary, or it has diverged",
    );
    instance.promote();
    expect(&instance, &PRIMARY, 0, "up: PostgreSQL runs as a primary");
    expect(&instance, &REPLICA, 1, "down: PostgreSQL runs as a primary");
    expect(&instance, &["--role", "primary", "--agent"], 0, "up");
    expect(&instance, &["--role", "replica", "--agent"], 0, "down # PostgreSQL runs as a primary");
    instance.crash();
    let (code, line) = code_and_line(&instance, &PRIMARY);
    assert!(code == 1 && line.ends_with("it crashed"), "{line}");
    expect(
        &instance,
        &["--role", "primary", "--pgport", "x"],
        1,
        "down: pgport=\"x\" is not valid: expected a port number from 1 to 65535",
    );
    let (_, line) = code_and_line(&instance, &["--role", "primary", "--system-user", "no-such-user"]);
    assert!(line.starts_with("down: system_user \"no-such-user\" does not exist"), "{line}");
}

#[test]
fn a_full_primary_is_up() {
    let Some(instance) = Instance::new() else { return };
    instance.promote();
    instance.configure("max_connections = 5\nsuperuser_reserved_connections = 0\nmax_wal_senders = 0\n");
    let mut restart = instance.as_user("pg_ctl");
    restart.args(["restart", "-D"]).arg(instance.data()).arg("-l").arg(instance.data().join("log")).success();
    let mut clients = Vec::new();
    eventually("all connections to be taken", || {
        clients
            .push(instance.psql().args(["--command", "SELECT pg_sleep(600)"]).stderr(Stdio::null()).spawn().unwrap());
        code_and_line(&instance, &PRIMARY).1.contains("53300")
    });
    assert_eq!(code_and_line(&instance, &PRIMARY).0, 0);
    instance.crash();
    clients.iter_mut().for_each(|client| assert!(!client.wait().unwrap().success()));
}

#[test]
fn a_replica_is_up_while_it_follows_closely() {
    if !has_a_process_of_its_own("check::a_replica_is_up_while_it_follows_closely") {
        return;
    }
    let Some(members) = Members::new(2, "") else { return };
    let (primary, standby) = (members.instance(1), members.instance(2));
    standby.configure(&format!("primary_conninfo = 'host={}'\n", primary.directory.path().display()));
    standby.sql("SELECT pg_reload_conf()");
    members.wait_until_streaming(2, 1);
    let lag = |most: &str| code_and_line(standby, &["--role", "replica", "--max-lag", most]);
    for most in ["0", "0s"] {
        eventually("it to have replayed all", || lag(most) == (0, "up: it is a standby, 0 bytes behind".to_owned()));
    }
    // Until it has replayed a commit it knows of none.
    primary.sql("CREATE TABLE first AS SELECT 1");
    eventually("the first commit", || standby.sql("SELECT count(*) FROM first") == "1");
    // At the end of a segment an idle primary sends nothing for a long time.
    primary.sql("SELECT pg_switch_wal()");
    eventually("it to have replayed all", || lag("0").0 == 0);
    standby.agent("stop").expect(pgsqlms::exit::OcfExitCode::Success);
    standby.start();
    let began = Instant::now();
    eventually("it to count as following", || code_and_line(standby, &REPLICA).0 == 0);
    assert!(began.elapsed() < Duration::from_secs(12), "{:?}", began.elapsed());
    standby.sql("SELECT pg_wal_replay_pause()");
    eventually("the pause", || standby.sql("SELECT pg_is_wal_replay_paused()") == "t");
    primary.sql("CREATE TABLE t AS SELECT generate_series(1, 10000)");
    eventually("it to be behind", || lag("100kB").0 == 1);
    assert_eq!(lag("1GB").0, 0);
    eventually("a second to pass", || lag("1s").0 == 1);
    assert!(lag("1s").1.ends_with(" s behind"), "{:?}", lag("1s"));
    assert_eq!(lag("600s").0, 0);
    assert_eq!(code_and_line(standby, &REPLICA).0, 0);
    standby.sql("SELECT pg_wal_replay_resume()");
    eventually("it to catch up", || lag("0").0 == 0);
    primary.agent("stop").expect(pgsqlms::exit::OcfExitCode::Success);
    eventually("the end of the stream", || code_and_line(standby, &REPLICA).1.contains("receives nothing"));
}

#[test]
fn a_diverged_replica_is_down() {
    if !has_a_process_of_its_own("check::a_diverged_replica_is_down") {
        return;
    }
    let Some(members) = Members::new(2, "wal_retrieve_retry_interval = 1ms\n") else { return };
    let (primary, strayed) = (members.instance(1), members.instance(2));
    strayed.as_user("pg_ctl").args(["promote", "-D"]).arg(strayed.data()).success();
    strayed.sql("CREATE TABLE lost AS SELECT 1");
    strayed.agent("stop").expect(pgsqlms::exit::OcfExitCode::Success);
    strayed.configure(&format!("primary_conninfo = 'host={}'\n", primary.directory.path().display()));
    strayed.start();
    // The WAL receiver connects, gets an error because of its timeline, and ends, again and again.
    for _ in 0..60 {
        let (code, line) = code_and_line(strayed, &REPLICA);
        assert!(code == 1 && line.contains("or it has diverged"), "{line}");
    }
}

/// The server that accepts the connection does not answer, and the primary lives: clients have no other server.
#[test]
fn a_silent_connection_is_given_up_after_a_second() {
    let Some(instance) = Instance::new() else { return };
    instance.promote();
    let elsewhere = tempfile::TempDir::with_prefix_in("pgsqlms.", "/var/tmp").unwrap();
    instance.give(elsewhere.path());
    let socket = elsewhere.path().join(".s.PGSQL.5432");
    let _silent = UnixListener::bind(&socket).unwrap();
    std::fs::set_permissions(&socket, std::os::unix::fs::PermissionsExt::from_mode(0o777)).unwrap();
    let began = Instant::now();
    let (code, line) = code_and_line(&instance, &["--role", "primary", "--pghost", elsewhere.path().to_str().unwrap()]);
    let took = began.elapsed();
    assert!(code == 0 && line.contains("did not let the agent in within 0.6 s"), "{line}");
    assert!(took < Duration::from_secs(2), "{took:?}");
}

/// Root is not needed, and another user sees too little to say that nothing runs.
#[test]
fn only_the_postgresql_user_and_root_can_run_a_check() {
    if !is_root() {
        return skip("not run as root");
    }
    let Some(instance) = Instance::new() else { return };
    instance.promote();
    let as_user = |uid: u32, gid: u32| {
        let mut command = check(&instance, &PRIMARY).command();
        let output = command.uid(uid).gid(gid).output().unwrap();
        (output.status.code(), String::from_utf8(output.stdout).unwrap())
    };
    let (code, line) = as_user(instance.user.uid.as_raw(), instance.user.gid.as_raw());
    assert_eq!((code, line.as_str()), (Some(0), "up: PostgreSQL runs as a primary\n"));
    let (code, line) = as_user(65534, 65534);
    assert!(code == Some(1) && line.starts_with("down: cannot act as user "), "{line}");
}

/// As from a socket that inetd or systemd has accepted.
fn ask(command: &mut Command, request: &str) -> (String, Option<i32>) {
    let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
    child.stdin.take().unwrap().write_all(request.as_bytes()).unwrap();
    let output = child.wait_with_output().unwrap();
    (String::from_utf8(output.stdout).unwrap(), output.status.code())
}

#[test]
fn http_is_answered() {
    let Some(instance) = Instance::new() else { return };
    instance.promote();
    let status = |arguments: &[&str], request: &str| {
        let arguments = [arguments, &["--http"]].concat();
        let (answer, code) = ask(&mut check(&instance, &arguments).command(), &format!("{request}\r\n\r\n"));
        assert_eq!(code, Some(0));
        assert!(answer.starts_with("HTTP/1.1 ") && answer.contains("\r\nConnection: close\r\n"), "{answer}");
        answer[9..12].parse::<u16>().unwrap()
    };
    assert_eq!(status(&[], "OPTIONS /primary HTTP/1.0"), 200);
    assert_eq!(status(&[], "GET /replica HTTP/1.1\r\nHost: srv1"), 503);
    assert_eq!(status(&PRIMARY, "GET / HTTP/1.1"), 200);
    assert_eq!(status(&PRIMARY, "GET /replica HTTP/1.1"), 503);
    assert_eq!(status(&[], "GET / HTTP/1.1"), 404);
    assert_eq!(status(&[], "GET /other HTTP/1.1"), 404);
    assert_eq!(status(&[], "DELETE /primary HTTP/1.1"), 405);
    assert_eq!(status(&[], "\u{16}\u{3}\u{1} TLS"), 400);
    assert_eq!(status(&[], &"x".repeat(20 << 10)), 400);
    instance.agent("stop").expect(pgsqlms::exit::OcfExitCode::Success);
    assert_eq!(status(&[], "GET /primary HTTP/1.1"), 503);
}

#[test]
fn a_client_that_asks_nothing_holds_nothing_up() {
    let mut command = Command::new(AGENT);
    let command = command.args(["check", "--http"]).stdin(Stdio::piped()).stdout(Stdio::piped());
    let began = Instant::now();
    let mut child = command.spawn().unwrap();
    let _client = child.stdin.take().unwrap();
    let mut answer = String::new();
    child.stdout.take().unwrap().read_to_string(&mut answer).unwrap();
    let status = child.wait().unwrap();
    assert_eq!((answer.as_str(), status.signal()), ("", Some(Signal::SIGALRM as i32)));
    assert!(began.elapsed() < Duration::from_millis(2800), "{:?}", began.elapsed());
}

#[test]
fn a_check_needs_a_role() {
    let ended = Test::new(["check"]).run();
    assert!(ended.code != 0 && ended.stderr.contains("--role"), "{ended:?}");
    // No cluster runs here that knows the data directory.
    let ended = Test::new(["check", "--role", "primary"]).run();
    let line = "down: where the data is, is not known: say --pgdata, or run this as root while Pacemaker runs\n";
    assert_eq!((ended.code, ended.stdout.as_str()), (1, line), "{ended:?}");
    let ended = Test::new(["check", "--role", "replica", "--max-lag", "much"]).run();
    assert!(ended.code != 0 && ended.stderr.contains("bytes such as 16777216 or 16MB"), "{ended:?}");
}
