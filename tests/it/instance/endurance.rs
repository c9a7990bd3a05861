//! Leftovers of agents: of those that were killed, and of many.

use std::io::{BufRead, BufReader};
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

use nix::sys::signal::{Signal, killpg};
use nix::unistd::Pid;
use pgsqlms::exit::OcfExitCode::*;

use crate::run::{AGENT, Test, is_root, skip};
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

/// The agent is killed at any point: the next action resumes.
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
fn three_hundred_monitors_leave_nothing_behind() {
    monitors_leave_nothing_behind(300);
}

#[test]
#[ignore = "takes minutes: make campaign"]
fn ten_thousand_monitors_leave_nothing_behind() {
    monitors_leave_nothing_behind(10_000);
}

/// The files where a program would leave something, those of other tests left out.
fn left_by_monitors(instance: &Instance) -> Vec<String> {
    let names = |place: &Path| -> Vec<String> {
        let entries = std::fs::read_dir(place).into_iter().flatten().flatten();
        entries.map(|entry| entry.path().to_string_lossy().into_owned()).collect()
    };
    let of_agent = ["/tmp", "/var/tmp", "/dev/shm"].into_iter().flat_map(|place| names(Path::new(place)));
    let of_agent = of_agent.filter(|path| path.ends_with("/pgsqlms"));
    let notes = names(Path::new("/run/pgsqlms")).into_iter();
    let name = instance.directory.path().file_name().unwrap().to_string_lossy().into_owned();
    let notes = notes.filter(|path| path.contains(&name));
    let of_instance = [instance.directory.path().to_owned(), instance.data()];
    let mut left: Vec<String> =
        of_agent.chain(notes).chain(of_instance.iter().flat_map(|place| names(place))).collect();
    left.sort();
    left
}

#[track_caller]
fn monitors_leave_nothing_behind(count: u32) {
    let Some(instance) = Instance::new() else { return };
    instance.promote();
    instance.probe(RunningPromoted);
    let before = left_by_monitors(&instance);
    let monitor = instance.agent("monitor").env("HA_LOGFILE", "/dev/null").command();
    let mut shell = Command::new("setsid");
    let script = "echo $$; for i in $(seq $1); do \"$0\" monitor; [ $? = 8 ] || exit 1; done";
    shell.args(["--wait", "/bin/sh", "-c", script, AGENT]).arg(count.to_string()).env_clear();
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
    assert_eq!(left_by_monitors(&instance), before);
}

/// The most memory that a run of the agent was seen to have, in kB. The kernel keeps the maximum, so the last look counts.
fn memory_of(test: &Test) -> u64 {
    let most_of_a_run = |_| {
        let mut agent = test.command().stderr(Stdio::null()).spawn().unwrap();
        let status = format!("/proc/{}/status", agent.id());
        let mut most = 0;
        while agent.try_wait().unwrap().is_none() {
            let status = std::fs::read_to_string(&status).unwrap_or_default();
            let of_agent = status.starts_with("Name:\tpgsqlms\n");
            let peak = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).filter(|_| of_agent);
            most = peak.and_then(|peak| peak.trim().strip_suffix(" kB")?.parse().ok()).unwrap_or(most);
        }
        most
    };
    (0..5).map(most_of_a_run).max().unwrap_or(0)
}

#[test]
fn a_monitor_needs_little_memory() {
    let Some(instance) = Instance::new() else { return };
    instance.start();
    let monitor = instance.agent("monitor").meta("interval", "15000").env("HA_LOGFILE", "/dev/null");
    let standby = memory_of(&monitor);
    instance.promote();
    let primary = memory_of(&monitor);
    let little = 1000..10 << 10;
    assert!(little.contains(&standby) && little.contains(&primary), "{standby} and {primary} kB");
}

/// When memory runs out the kernel is to take a backend: the postmaster is protected, and its children are not.
#[test]
fn the_kernel_spares_the_postmaster() {
    if !is_root() {
        return skip("not run as root");
    }
    let Some(instance) = Instance::new() else { return };
    instance.start();
    let score = |pid: Pid| std::fs::read_to_string(format!("/proc/{pid}/oom_score_adj")).unwrap().trim().to_owned();
    let postmaster = instance.postmaster().unwrap();
    // Not every machine lets even root lower it.
    let mut sleep = Command::new("sleep").arg("60").spawn().unwrap();
    let is_allowed = std::fs::write(format!("/proc/{}/oom_score_adj", sleep.id()), "-900").is_ok();
    sleep.kill().and_then(|()| sleep.wait()).unwrap();
    assert_eq!(score(postmaster), if is_allowed { "-900".to_owned() } else { score(Pid::this()) });
    let environment = std::fs::read(format!("/proc/{postmaster}/environ")).unwrap();
    assert!(String::from_utf8_lossy(&environment).contains("PG_OOM_ADJUST_FILE=/proc/self/oom_score_adj"));
    let children: Vec<Pid> = instance.pids().into_iter().filter(|pid| *pid != postmaster).collect();
    assert!(!children.is_empty() && children.iter().all(|child| score(*child) == "0"), "{children:?}");
}
