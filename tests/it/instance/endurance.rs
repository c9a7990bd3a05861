//! What is left of agents: of those that were killed, and of many.

use std::io::{BufRead, BufReader};
use std::os::unix::process::CommandExt;
use std::process::{Command, Stdio};
use std::time::Duration;

use nix::sys::signal::{Signal, killpg};
use nix::unistd::Pid;
use pgsqlms::exit::OcfExitCode::*;

use crate::run::AGENT;
use crate::throwaway::{Instance, eventually};

/// Pacemaker kills the process group of an action that takes too long.
#[test]
fn postgresql_outlives_the_agents_process_group() {
    let Some(instance) = Instance::new() else { return };
    let start = instance.agent("start").env("HA_LOGFILE", "/dev/null").command();
    let mut group = Command::new("/bin/sh");
    group.args(["-c", "\"$0\" start; echo $?; exec sleep 60", AGENT]).env_clear().stdout(Stdio::piped());
    for (name, value) in start.get_envs() {
        group.env(name, value.unwrap());
    }
    let mut group = group.process_group(0).spawn().unwrap();
    let mut code = String::new();
    BufReader::new(group.stdout.as_mut().unwrap()).read_line(&mut code).unwrap();
    assert_eq!(code, "0\n");
    killpg(Pid::from_raw(group.id() as i32), Signal::SIGKILL).unwrap();
    group.wait().unwrap();
    std::thread::sleep(Duration::from_millis(200));
    instance.probe(Success);
    assert_eq!(instance.sql("SELECT 1"), "1");
}

/// Whatever the agent is doing when it is killed, the next action gets on with it.
#[test]
fn an_agent_killed_at_any_moment_can_be_followed_by_another() {
    let Some(instance) = Instance::new() else { return };
    let killed_after = |action: &str, milliseconds: u64| {
        let mut agent = instance.agent(action).env("HA_LOGFILE", "/dev/null").command();
        let mut agent = agent.stderr(Stdio::null()).process_group(0).spawn().unwrap();
        std::thread::sleep(Duration::from_millis(milliseconds));
        let _ = killpg(Pid::from_raw(agent.id() as i32), Signal::SIGKILL);
        agent.wait().unwrap();
    };
    for milliseconds in [5, 20, 50, 100, 200] {
        killed_after("start", milliseconds);
        instance.start();
        killed_after("promote", milliseconds);
        instance.agent("promote").expect(Success);
        instance.probe(RunningPromoted);
        killed_after("demote", milliseconds);
        instance.agent("demote").expect(Success);
        instance.probe(Success);
        killed_after("stop", milliseconds);
        instance.agent("stop").expect(Success);
        instance.probe(NotRunning);
    }
}

#[test]
fn two_hundred_monitors_leave_nothing_behind() {
    let Some(instance) = Instance::new() else { return };
    instance.promote();
    let monitor = instance.agent("monitor").env("HA_LOGFILE", "/dev/null").command();
    let mut shell = Command::new("setsid");
    let script = "echo $$; for i in $(seq 200); do \"$0\" monitor; [ $? = 8 ] || exit 1; done";
    shell.args(["--wait", "/bin/sh", "-c", script, AGENT]).env_clear();
    for (name, value) in monitor.get_envs() {
        shell.env(name, value.unwrap());
    }
    let output = shell.output().unwrap();
    assert!(output.status.success(), "{output:?}");
    let session: i32 = String::from_utf8(output.stdout).unwrap().trim().parse().unwrap();
    let of_session = |stat: &str| {
        let fields: Vec<&str> = stat.rsplit_once(')').map_or("", |(_, rest)| rest).split_whitespace().collect();
        fields.get(3).and_then(|field| field.parse().ok()) == Some(session)
    };
    let processes = std::fs::read_dir("/proc").unwrap().flatten();
    let stats = processes.filter_map(|entry| std::fs::read_to_string(entry.path().join("stat")).ok());
    assert_eq!(stats.filter(|stat| of_session(stat)).collect::<Vec<_>>(), Vec::<String>::new());
    let clients = "SELECT count(*) FROM pg_stat_activity WHERE backend_type = 'client backend'";
    eventually("the end of their sessions", || instance.sql(clients) == "1");
}
