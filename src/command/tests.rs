//! Real programs: their output, and that none outlives its time.

use super::*;

fn run(invocation: Invocation, patience: Duration) -> Result<String, CommandError> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    invocation.run(&runtime, patience)
}

#[test]
fn output_and_failure_are_returned() {
    let long = Duration::from_secs(10);
    assert_eq!(run(Invocation::new("echo").arg("a; $(b)"), long).unwrap(), "a; $(b)\n");
    let failure = run(Invocation::new("ls").arg("/nowhere"), long).unwrap_err().to_string();
    assert!(failure.starts_with("ls /nowhere failed (exit status: 2): ls: "), "{failure}");
    let missing = run(Invocation::new("no-such-program"), long).unwrap_err().to_string();
    assert!(missing.starts_with("cannot run no-such-program: No such file"), "{missing}");
}

fn watched(script: &str, patience: Duration) -> (Result<(), CommandError>, Vec<String>) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let mut lines = Vec::new();
    let shell = Invocation::new("sh").arg("-c").arg(script);
    let ended =
        shell.run_watched(&runtime, patience, &[("NAME", "a b".into())], &mut |line| lines.push(line.to_owned()));
    (ended, lines)
}

#[test]
fn the_output_of_a_watched_program_is_passed_on() {
    let long = Duration::from_secs(10);
    let (ended, mut lines) = watched("echo \"$NAME\"; echo error >&2; printf rest; exit 3", long);
    lines.sort();
    assert_eq!(lines, ["a b", "error", "rest"]);
    assert!(ended.unwrap_err().to_string().ends_with("failed (exit status: 3)"));
}

#[test]
fn a_watched_program_is_not_waited_for_beyond_its_end() {
    let began = crate::clock::SystemClock::start();
    let (ended, lines) = watched("sleep 5 & echo done", Duration::from_secs(4));
    assert!(ended.is_ok() && lines == ["done"], "{ended:?} {lines:?}");
    assert!(crate::clock::Clock::now(&began) < Duration::from_secs(3));
}

#[test]
fn a_watched_program_that_hangs_is_killed_with_its_children() {
    let (ended, lines) = watched("sleep 61.7 & echo $!; wait", Duration::from_millis(300));
    assert!(ended.unwrap_err().to_string().ends_with("did not end within 0.3 s"));
    let child = nix::unistd::Pid::from_raw(lines[0].parse().unwrap());
    let state = || std::fs::read_to_string(format!("/proc/{child}/stat")).unwrap_or_default();
    let began = crate::clock::SystemClock::start();
    while !state().is_empty() && !state().contains(") Z ") {
        assert!(crate::clock::Clock::now(&began) < Duration::from_secs(10), "{}", state());
    }
}

#[test]
fn a_program_that_hangs_is_given_up() {
    let hangs = run(Invocation::new("sleep").arg("60"), Duration::from_millis(50)).unwrap_err();
    assert_eq!(hangs.to_string(), "sleep 60 did not end within 0.1 s");
}
