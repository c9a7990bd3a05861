//! `pgsqlms status` as a command.

use std::io::{BufRead, BufReader};
use std::process::Stdio;
use std::time::{Duration, Instant};

use crate::run::{Test, is_root};
use crate::throwaway::{Instance, eventually};

/// A configuration with this agent and a terminal's worth of data in it says nothing that is not in JSON.
#[test]
fn a_real_primary_is_seen_without_a_cluster() {
    let Some(instance) = Instance::new() else { return };
    instance.promote();
    let run = |arguments: &[&str]| {
        let test = Test::new(["status", "--pgdata"]).argument(instance.data()).without("OCF_RESOURCE_INSTANCE");
        let test = test.argument("--system-user").argument(&instance.user.name);
        arguments.iter().fold(test, Test::argument).run()
    };
    let began = Instant::now();
    let ended = run(&[]);
    assert!(began.elapsed() < Duration::from_secs(3), "{:?}", began.elapsed());
    assert_eq!((ended.code, ended.stderr.as_str()), (0, ""), "{ended:?}");
    let lines: Vec<&str> = ended.stdout.lines().collect();
    assert!(lines[1].starts_with("OK ") && lines[1].ends_with("PostgreSQL runs as a primary"), "{ended:?}");
    assert!(ended.stdout.contains("not seen the cluster: "), "{ended:?}");
    let json = run(&["--json"]).stdout;
    for words in [r#""version":1"#, r#""role":"primary""#, r#""level":"ok""#] {
        assert!(json.contains(words), "{words} is not in {json}");
    }
    instance.crash();
    let ended = run(&[]);
    assert!(ended.code == 2 && ended.stdout.lines().nth(1).is_some_and(|line| line.starts_with("FAIL ")), "{ended:?}");
}

/// One report after the other until the reader has gone.
#[test]
fn it_is_watched_until_nobody_reads() {
    let mut command =
        Test::new(["status", "--watch", "1", "--pgdata", "/nonexistent"]).without("OCF_RESOURCE_INSTANCE").command();
    let mut watching = command.stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap();
    let mut output = BufReader::new(watching.stdout.take().unwrap());
    let mut next = || {
        let mut line = String::new();
        output.read_line(&mut line).unwrap();
        line
    };
    let (mut titles, mut separated) = (0, false);
    while titles < 2 {
        let line = next();
        assert!(!line.is_empty(), "it has ended");
        assert!(!line.contains('\u{1b}'), "a file is not cleared");
        if line.contains("seen from ") {
            assert!(titles == 0 || separated, "the second report follows the first without an empty line");
            titles += 1;
        }
        separated = line == "\n";
    }
    drop(output);
    eventually("it to end without a reader", || watching.try_wait().unwrap().is_some());
}

#[test]
fn what_cannot_be_seen_is_said() {
    let ended = Test::new(["status"]).without("OCF_RESOURCE_INSTANCE").run();
    assert_eq!(ended.code, 3, "{ended:?}");
    let words = if is_root() { "the cluster: " } else { "needs root" };
    assert!(ended.stdout.contains(words) && ended.stdout.contains("--pgdata"), "{ended:?}");
}
