//! The faults that the table can inject into an instance, by name. `heal` and the end of the case undo them.

use std::os::unix::fs::{FileExt, PermissionsExt};
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

/// Its file system.
mod storage;

use super::stage::Stage;
use super::{hanging, surroundings};
use crate::throwaway::{Instance, Succeeds, as_user, eventually};

/// Injects the fault of one line of the table.
pub(super) fn inject(stage: &mut Stage, line: &str) {
    let (name, rest) = line.split_once(": ").unwrap_or((line, ""));
    let rest = stage.expanded(rest);
    let rest = rest.as_str();
    match name {
        "heal" => stage.heal(),
        "launch" => stage.launch(),
        "launch slowly" => launch_slowly(stage, "CONT"),
        "launch stuck" => launch_slowly(stage, "STOP"),
        "settings" => settings(stage, rest),
        "sql" => drop(stage.sql(rest)),
        "sql says" => says(stage, rest),
        "kill" => kill_some(stage, rest),
        "signal postmaster" => signal(stage.postmaster().unwrap(), rest),
        "stop processes called" => stop_called(stage, rest),
        "freeze" => freeze(stage),
        "orphan a backend" => orphan(stage),
        "client" => drop(stage.client()),
        "exhaust" => exhaust(stage, rest),
        "signal a backend" => signal(stage.client(), rest),
        "configure" => stage.configure(&format!("{rest}\n")),
        "reload" => reload(stage),
        "write" => write(stage, rest),
        "remove" => remove(&stage.data().join(rest)),
        "garble" => garble(&stage.data().join(rest)),
        "chmod" => chmod(stage, rest),
        "chown to root" => {
            Command::new("chown").args(["--no-dereference", "root:root"]).arg(stage.data().join(rest)).success()
        }
        "fill" => storage::fill(stage, rest),
        "use up inodes" => storage::use_up_inodes(stage),
        "mount read-only" => storage::read_only(stage),
        "file system error" => storage::file_system_error(stage),
        "unmount" => storage::unmount(stage),
        "recycle the pid" => recycle(stage),
        "cut off for" => cut_off(stage, rest),
        "take the other's pid" => take_pid(stage, stage.other.as_ref().unwrap().postmaster().unwrap()),
        "no file" => assert!(!stage.data().join(rest).exists(), "{rest} was made"),
        "link" => link(stage, rest),
        "split like Debian" => split(stage),
        "own programs" => own_programs(stage),
        "upgrade" => upgrade(stage),
        "another instance" => another(stage),
        "same path in another mount namespace" => surroundings::same_path_in_another_mount_namespace(stage),
        "single-user server" => surroundings::single_user(stage),
        "foreign server on a file system that hangs" => hanging::foreign_server(stage),
        "the name service has named" => surroundings::has_named(stage, rest),
        "its environment has" => surroundings::environment_has(stage, rest),
        "rename programs" => surroundings::rename_programs(stage),
        "orphaned archiver" => surroundings::orphaned_archiver(stage),
        "without CAP_SYS_PTRACE" => stage.without_ptrace = true,
        "hanging name service" => surroundings::hanging_name_service(stage),
        "stalled receiver" => stalled_receiver(stage),
        "replication client called" => replication_client(stage, rest),
        "wait until" => wait_until(stage, rest),
        "the other runs" => {
            assert_eq!(stage.other.as_ref().unwrap().sql("SELECT 1"), "1", "the other one does not run")
        }
        _ => panic!("no such injection: {line}"),
    }
}

/// As a standby whose startup process gets little time or none.
fn launch_slowly(stage: &mut Stage, signal: &str) {
    as_user(Path::new("touch"), &stage.user).arg(stage.data().join("standby.signal")).success();
    // PostgreSQL takes a dead postmaster that was not reaped for a running one.
    stage.reap();
    stage.spawn();
    let startup = || called(stage, "startup").first().copied();
    eventually("recovery", || startup().is_some_and(|pid| kill(pid, Signal::SIGSTOP).is_ok()));
    let pid = startup().unwrap();
    let script = "while kill -\"$1\" \"$0\"; do sleep 0.005; kill -STOP \"$0\"; sleep 0.4; done";
    let mut brake = Command::new("/bin/sh");
    stage.hold(brake.args(["-c", script]).arg(pid.to_string()).arg(signal).stderr(Stdio::null()));
    let brake = stage.last_held();
    stage.undo.push(Box::new(move |_| {
        let _ = kill(brake, Signal::SIGKILL);
        let _ = kill(pid, Signal::SIGCONT);
    }));
}

fn signal(pid: Pid, name: &str) {
    let signal: Signal = name.parse().unwrap();
    kill(pid, signal).unwrap();
    if signal == Signal::SIGSTOP {
        eventually("it to stop", || is_stopped(pid));
    }
}

fn is_stopped(pid: Pid) -> bool {
    std::fs::read_to_string(format!("/proc/{pid}/stat")).is_ok_and(|stat| stat.contains(") T "))
}

fn settings(stage: &mut Stage, rest: &str) {
    let pairs = rest.split_whitespace().map(|word| word.split_once('=').unwrap());
    stage.parameters.extend(pairs.map(|(name, value)| (name.to_owned(), value.to_owned())));
}

fn says(stage: &Stage, rest: &str) {
    let (sql, wanted) = rest.split_once(" => ").unwrap();
    eventually(rest, || stage.sql(sql) == wanted);
}

fn kill_some(stage: &Stage, which: &str) {
    let doomed = match which {
        "postmaster" => vec![stage.postmaster().unwrap()],
        "all" => stage.pids(),
        _ => panic!("kill {which}?"),
    };
    // Children follow their postmaster by themselves.
    doomed.into_iter().for_each(|pid| kill(pid, Signal::SIGKILL).unwrap_or_default());
    eventually("the end of all processes", || stage.processes() == 0);
}

fn called(stage: &Stage, title: &str) -> Vec<Pid> {
    let is_called =
        |pid: &Pid| std::fs::read_to_string(format!("/proc/{pid}/cmdline")).is_ok_and(|it| it.contains(title));
    stage.pids().into_iter().filter(is_called).collect()
}

fn stop_called(stage: &mut Stage, title: &str) {
    let found = called(stage, title);
    assert!(!found.is_empty(), "nothing is called {title}");
    for pid in found {
        signal(pid, "SIGSTOP");
        stage.undo.push(Box::new(move |_| kill(pid, Signal::SIGCONT).unwrap_or_default()));
    }
}

/// Freezes all processes at once, as the freezer does to a container.
fn freeze(stage: &mut Stage) {
    let roots = ["/sys/fs/cgroup", "/sys/fs/cgroup/unified"].map(Path::new);
    let Some(root) =
        roots.into_iter().find(|root| root.join("cgroup.procs").exists() && root.join("cgroup.controllers").exists())
    else {
        stage.pids().into_iter().for_each(|pid| kill(pid, Signal::SIGSTOP).unwrap());
        return;
    };
    let group = root.join(stage.directory.path().file_name().unwrap());
    std::fs::create_dir(&group).unwrap();
    for pid in stage.pids() {
        // One that has ended meanwhile is not missed.
        let _ = std::fs::write(group.join("cgroup.procs"), pid.to_string());
    }
    std::fs::write(group.join("cgroup.freeze"), "1").unwrap();
    stage.undo.push(Box::new(move |stage| {
        let _ = std::fs::write(group.join("cgroup.freeze"), "0");
        for pid in std::fs::read_to_string(group.join("cgroup.procs")).unwrap_or_default().lines() {
            let _ = std::fs::write(group.parent().unwrap().join("cgroup.procs"), pid);
        }
        let emptied = || std::fs::read_to_string(group.join("cgroup.procs")).is_ok_and(|pids| pids.is_empty());
        stage.reap();
        eventually("the freezer to be empty", emptied);
        let _ = std::fs::remove_dir(&group);
    }));
}

/// The postmaster dies and one of its children cannot take notice.
fn orphan(stage: &mut Stage) {
    let backend = stage.client();
    signal(backend, "SIGSTOP");
    kill(stage.postmaster().unwrap(), Signal::SIGKILL).unwrap();
    eventually("all but one to end", || stage.processes() == 1);
}

fn exhaust(stage: &mut Stage, what: &str) {
    match what {
        "connections" => {
            for _ in 0..20 {
                let mut psql = stage.psql();
                stage.hold(psql.args(["--command", "SELECT pg_sleep(600)"]).stderr(Stdio::null()));
            }
            eventually("it to be full", || stage.sql("SELECT 1") != "1");
        }
        "walsenders" => {
            let full = "SELECT count(*) >= current_setting('max_wal_senders')::int FROM pg_stat_replication";
            for number in 0..2 {
                replication_client(stage, &format!("sender{number}"));
            }
            eventually("no walsender to be left", || stage.sql(full) == "t");
        }
        _ => panic!("exhaust {what}?"),
    }
}

/// An idle replication connection with any application name.
fn replication_client(stage: &mut Stage, name: &str) {
    let quoted = name.replace('\\', "\\\\").replace('\'', "\\'");
    let host = stage.directory.path().display();
    let conninfo = format!("host={host} dbname=postgres replication=true application_name='{quoted}'");
    let mut psql = stage.as_user("psql");
    psql.args(["--no-psqlrc", "--dbname", &conninfo]).stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::null());
    let count = "SELECT count(*) FROM pg_stat_replication";
    let before = stage.sql(count);
    stage.hold(&mut psql);
    eventually("a replication client", || stage.sql(count) != before);
}

fn reload(stage: &Stage) {
    kill(stage.postmaster().unwrap(), Signal::SIGHUP).unwrap();
    // A reload is over when the children have read the files. Nothing shows that while the server refuses connections.
    std::thread::sleep(Duration::from_millis(300));
}

/// `FILE TEXT` in the data directory, instead of its former content.
fn write(stage: &mut Stage, rest: &str) {
    let (name, text) = rest.split_once(' ').unwrap_or((rest, ""));
    let path = stage.data().join(name);
    let before = std::fs::read(&path).ok();
    std::fs::write(&path, format!("{text}\n")).unwrap();
    Command::new("chown").arg(&stage.user.name).arg(&path).success();
    stage.undo.push(Box::new(move |_| drop(before.map(|before| std::fs::write(&path, before)))));
}

fn remove(path: &Path) {
    match path.is_dir() {
        true => std::fs::remove_dir_all(path).unwrap(),
        false => std::fs::remove_file(path).unwrap(),
    }
}

fn garble(path: &Path) {
    let file = std::fs::File::options().write(true).open(path).unwrap();
    file.write_all_at(&[0x5a; 64], 16).unwrap();
}

fn chmod(stage: &mut Stage, rest: &str) {
    let (mode, name) = rest.split_once(' ').unwrap();
    let path = stage.directory.path().join(name);
    let before = std::fs::metadata(&path).unwrap().permissions();
    let mode = u32::from_str_radix(mode, 8).unwrap();
    std::fs::set_permissions(&path, PermissionsExt::from_mode(mode)).unwrap();
    stage.undo.push(Box::new(move |_| drop(std::fs::set_permissions(&path, before))));
}

/// The process number in postmaster.pid is another process's of the same user by now.
fn recycle(stage: &mut Stage) {
    let mut sleep = Command::new("setpriv");
    stage.hold(sleep.args(["--reuid", &stage.user.name, "--clear-groups", "--", "sleep", "600"]));
    take_pid(stage, stage.last_held());
}

fn take_pid(stage: &Stage, taken: Pid) {
    let (path, socket) = (stage.data().join("postmaster.pid"), stage.directory.path().join(".s.PGSQL.5432.lock"));
    for path in [path, socket] {
        let text = std::fs::read_to_string(&path).unwrap();
        let (_, rest) = text.split_once('\n').unwrap();
        std::fs::write(&path, format!("{taken}\n{rest}")).unwrap();
    }
}

/// As if a monitor had seen so many seconds ago that it receives nothing.
fn cut_off(stage: &Stage, seconds: &str) {
    let name = stage.data().to_string_lossy().trim_matches('/').replace('/', "-");
    let path = format!("/run/pgsqlms/{name}.break");
    let noted = std::fs::read_to_string(&path).unwrap();
    let seen: u64 = noted.split_once(' ').unwrap().1.parse().unwrap();
    let since = seen.saturating_sub(seconds.parse::<u64>().unwrap() * 1000);
    std::fs::write(&path, format!("{since} {seen}")).unwrap();
}

/// `NAME TARGET`
fn link(stage: &Stage, rest: &str) {
    let (name, target) = rest.split_once(' ').unwrap();
    std::os::unix::fs::symlink(target, stage.directory.path().join(name)).unwrap();
}

/// Debian keeps the configuration apart: the server is started with that directory, which names the other.
fn split(stage: &mut Stage) {
    let etc = stage.directory.path().join("etc");
    std::fs::create_dir(&etc).unwrap();
    for name in ["postgresql.conf", "pg_hba.conf", "pg_ident.conf"] {
        Command::new("mv").arg(stage.data().join(name)).arg(&etc).success();
    }
    let file = etc.join("postgresql.conf");
    let before = std::fs::read_to_string(&file).unwrap();
    std::fs::write(&file, format!("{before}data_directory = '{}'\n", stage.data().display())).unwrap();
    stage.parameters.push(("pgdata".to_owned(), etc.display().to_string()));
    stage.parameters.push(("datadir".to_owned(), stage.data().display().to_string()));
}

/// Programs that can be replaced.
fn own_programs(stage: &mut Stage) {
    let bin = stage.directory.path().join("bin");
    Command::new("cp").arg("-r").args([&stage.bindir, &bin]).success();
    std::os::unix::fs::symlink(stage.bindir.with_file_name("lib"), bin.with_file_name("lib")).unwrap();
    stage.bindir = bin;
    stage.parameters.push(("bindir".to_owned(), "{bindir}".to_owned()));
}

/// The packages are replaced while the server runs.
fn upgrade(stage: &Stage) {
    let new = stage.directory.path().join("new");
    Command::new("cp").arg("-r").args([&stage.bindir, &new]).success();
    std::fs::remove_dir_all(&stage.bindir).unwrap();
    std::fs::rename(new, &stage.bindir).unwrap();
}

fn another(stage: &mut Stage) {
    let other = Instance::new().unwrap();
    other.start();
    stage.other = Some(other);
}

/// A pg_receivewal that is stopped and lags: a clean shutdown waits for it.
fn stalled_receiver(stage: &mut Stage) {
    let target = stage.directory.path().join("received");
    std::fs::create_dir(&target).unwrap();
    stage.give(&target);
    let mut receiver = stage.as_user("pg_receivewal");
    receiver.arg("--directory").arg(&target).arg("--host").arg(stage.directory.path());
    stage.hold(receiver.stderr(Stdio::null()));
    let streaming = "SELECT count(*) FROM pg_stat_replication WHERE state = 'streaming'";
    eventually("the receiver", || stage.sql(streaming) == "1");
    signal(stage.last_held(), "SIGSTOP");
    stage.sql("CREATE TABLE much AS SELECT repeat(i::text, 20) FROM generate_series(1, 200000) i");
}

fn wait_until(stage: &mut Stage, what: &str) {
    match what {
        "it is gone" => eventually(what, || stage.processes() == 0),
        "it refuses connections" => eventually(what, || stage.sql("SELECT 1") != "1"),
        "it accepts connections" => eventually(what, || stage.sql("SELECT 1") == "1"),
        _ => panic!("wait until {what}?"),
    }
    stage.reap();
}
