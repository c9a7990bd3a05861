//! The binary and a real, throw-away instance of PostgreSQL, on a machine without a cluster.

use std::io::{BufRead, BufReader};
use std::os::unix::fs::{MetadataExt, PermissionsExt, chown, symlink};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill, killpg};
use nix::unistd::{Pid, User, geteuid};
use pgsqlms::exit::OcfExitCode::{self, *};
use tempfile::TempDir;

use crate::run::{AGENT, Test, is_root, skip};

/// A data directory of its own, and whatever runs in it. All of it is gone when this goes out of scope.
struct Instance {
    directory: TempDir,
    bindir: PathBuf,
    user: User,
}

impl Instance {
    /// A fresh instance that has never run; nothing, said loudly, where none can be made.
    fn new() -> Option<Self> {
        let Some(bindir) = newest_postgresql() else {
            skip("PostgreSQL 12 or later is not installed (package postgresql)");
            return None;
        };
        // PostgreSQL refuses to be run by root; the agent then acts as postgres, else as whoever tests.
        let user = if is_root() { User::from_name("postgres") } else { User::from_uid(geteuid()) };
        let Ok(Some(user)) = user else {
            skip("there is no user postgres (package postgresql)");
            return None;
        };
        let directory = TempDir::with_prefix_in("pgsqlms.", "/var/tmp").unwrap();
        std::fs::set_permissions(directory.path(), std::fs::Permissions::from_mode(0o755)).unwrap();
        chown(directory.path(), Some(user.uid.as_raw()), Some(user.gid.as_raw())).unwrap();
        let instance = Self { directory, bindir, user };
        let options = ["--no-sync", "--auth-local=peer", "--auth-host=reject", "--encoding=UTF8", "--locale=C", "-D"];
        instance.as_user("initdb").args(options).arg(instance.data()).stdout(Stdio::null()).success();
        let socket = instance.directory.path().display();
        // A standby needs somebody to follow; nobody listens on port 1. No TCP: it runs beside other instances.
        let settings = format!(
            "listen_addresses = ''\nunix_socket_directories = '{socket}'\nfsync = off\nshared_buffers = 1MB\n\
             primary_conninfo = 'host=127.0.0.1 port=1 application_name=srv1'\n"
        );
        let file = instance.data().join("postgresql.conf");
        let before = std::fs::read_to_string(&file).unwrap();
        std::fs::write(&file, before + &settings).unwrap();
        Some(instance)
    }

    fn data(&self) -> PathBuf {
        self.directory.path().join("data")
    }

    fn as_user(&self, program: &str) -> Command {
        let program = self.bindir.join(program);
        let mut command = if is_root() {
            let mut command = Command::new("runuser");
            command.args(["-u", &self.user.name, "--"]).arg(program);
            command
        } else {
            Command::new(program)
        };
        command.current_dir("/").env("LC_ALL", "C");
        command
    }

    /// The agent on this instance, told what Pacemaker tells the only instance of a clone; but for `crm_feature_set`, by
    /// which the agent knows that there is a cluster to ask.
    fn agent(&self, action: &str) -> Test {
        Test::new([action])
            .parameter("pgdata", self.data())
            .parameter("system_user", &self.user.name)
            .meta("timeout", "60000")
            .meta("notify", "true")
            .meta("promoted_max", "1")
    }

    #[track_caller]
    fn probe(&self, code: OcfExitCode) {
        self.agent("monitor").expect(code);
    }

    #[track_caller]
    fn start(&self) {
        self.agent("start").expect(Success);
    }

    #[track_caller]
    fn promote(&self) {
        self.start();
        self.agent("promote").expect(Success);
    }

    /// The line of postmaster.pid with this number, from 1 on.
    fn pid_file(&self, line: usize) -> Option<String> {
        let text = std::fs::read_to_string(self.data().join("postmaster.pid")).ok()?;
        text.lines().nth(line - 1).map(|line| line.trim().to_owned())
    }

    fn postmaster(&self) -> Option<Pid> {
        self.pid_file(1)?.parse().ok().map(Pid::from_raw)
    }

    /// Kills the postmaster; its children find out by themselves. PostgreSQL does not start again while the dead one has
    /// not been reaped, and not every init does that at once.
    fn crash(&self) {
        let postmaster = self.postmaster().unwrap();
        kill(postmaster, Signal::SIGKILL).unwrap();
        eventually("the end of all processes", || self.processes() == 0 && kill(postmaster, None).is_err());
    }

    /// How many processes work in the data directory.
    fn processes(&self) -> usize {
        let data = self.data();
        let entries = std::fs::read_dir("/proc").unwrap().flatten();
        entries.filter(|entry| std::fs::read_link(entry.path().join("cwd")).is_ok_and(|cwd| cwd == data)).count()
    }

    fn sql(&self, sql: &str) -> String {
        let output = self
            .as_user("psql")
            .args(["--no-psqlrc", "--tuples-only", "--no-align", "--dbname=postgres", "--command", sql, "--host"])
            .arg(self.directory.path())
            .output()
            .unwrap();
        String::from_utf8(output.stdout).unwrap().trim().to_owned()
    }
}

impl Drop for Instance {
    fn drop(&mut self) {
        if let Some(postmaster) = self.postmaster().filter(|_| self.processes() > 0) {
            let _ = kill(postmaster, Signal::SIGQUIT);
            let _ = kill(postmaster, Signal::SIGCONT);
        }
        let began = Instant::now();
        while self.processes() > 0 && began.elapsed() < Duration::from_secs(10) {
            std::thread::sleep(Duration::from_millis(10));
        }
        // What the agent had the server write where Debian keeps its logs.
        let name = self.data().to_string_lossy().trim_matches('/').replace('/', "-");
        let _ = std::fs::remove_file(format!("/var/log/postgresql/pgsqlms-{name}.log"));
    }
}

trait Succeeds {
    fn success(&mut self);
}

impl Succeeds for Command {
    #[track_caller]
    fn success(&mut self) {
        let status = self.status().unwrap();
        assert!(status.success(), "{self:?}: {status}");
    }
}

fn newest_postgresql() -> Option<PathBuf> {
    let parents = [("/usr/lib/postgresql", "", "bin"), ("/usr", "pgsql-", "bin")];
    let found = parents.iter().flat_map(|(parent, prefix, bin)| {
        let entries = std::fs::read_dir(parent).into_iter().flatten().flatten();
        entries.filter_map(move |entry| {
            let version: u32 = entry.file_name().to_str()?.strip_prefix(prefix)?.parse().ok()?;
            Some((version, entry.path().join(bin)))
                .filter(|(version, bin)| *version >= 12 && bin.join("initdb").exists())
        })
    });
    found.max().map(|(_, bindir)| bindir)
}

#[track_caller]
fn eventually(what: &str, mut is_so: impl FnMut() -> bool) {
    let began = Instant::now();
    while !is_so() {
        assert!(began.elapsed() < Duration::from_secs(30), "waited in vain for {what}");
        std::thread::sleep(Duration::from_millis(10));
    }
}

#[test]
fn every_action_may_be_repeated() {
    let Some(instance) = Instance::new() else { return };
    let twice = |action: &str, then: OcfExitCode| {
        for _ in 0..2 {
            instance.agent(action).expect(Success);
            instance.probe(then);
        }
    };
    instance.probe(NotRunning);
    twice("start", Success);
    assert_eq!(instance.sql("SELECT pg_is_in_recovery()"), "t");
    twice("promote", RunningPromoted);
    assert_eq!(instance.sql("SELECT pg_is_in_recovery()"), "f");
    twice("demote", Success);
    assert_eq!(instance.sql("SELECT pg_is_in_recovery()"), "t");
    twice("stop", NotRunning);
    assert_eq!(instance.processes(), 0);
    instance.agent("monitor").meta("interval", "15000").expect(NotRunning);
}

#[test]
fn a_recurring_monitor_says_the_same_as_a_probe() {
    let Some(instance) = Instance::new() else { return };
    let monitor = || instance.agent("monitor").meta("interval", "15000").run().code;
    instance.start();
    assert_eq!(monitor(), Success as i32);
    instance.promote();
    assert_eq!(monitor(), RunningPromoted as i32);
    instance.agent("stop").expect(Success);
    assert_eq!(monitor(), NotRunning as i32);
}

#[test]
fn a_crashed_primary_is_stopped_and_comes_back_as_a_standby() {
    let Some(instance) = Instance::new() else { return };
    instance.promote();
    instance.sql("CREATE TABLE kept AS SELECT 1 AS one");
    instance.crash();
    // A probe expects nothing. Where Pacemaker does expect a primary, it must hear that it failed.
    instance.probe(NotRunning);
    let failed = instance.agent("monitor").meta("interval", "15000").expect(FailedPromoted);
    assert!(failed.reason().contains("it crashed"), "{failed:?}");
    for _ in 0..2 {
        let ended = instance.agent("stop").run();
        assert_eq!(ended.code, Success as i32, "{ended:?}");
    }
    instance.start();
    instance.probe(Success);
    assert_eq!(instance.sql("SELECT pg_is_in_recovery(), one FROM kept"), "t|1");
    instance.promote();
    assert_eq!(instance.sql("SELECT count(*) FROM kept"), "1");
}

#[test]
fn a_crashed_standby_is_no_failed_primary() {
    let Some(instance) = Instance::new() else { return };
    instance.start();
    instance.crash();
    instance.agent("monitor").meta("interval", "16000").expect(NotRunning);
    assert_eq!(instance.agent("stop").run().code, Success as i32);
    instance.start();
    instance.probe(Success);
}

#[test]
fn stop_ends_what_runs_whatever_the_parameters_say() {
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

#[test]
fn a_frozen_postmaster_is_stopped_in_time() {
    let Some(instance) = Instance::new() else { return };
    instance.promote();
    let postmaster = instance.postmaster().unwrap();
    kill(postmaster, Signal::SIGSTOP).unwrap();
    let stat = format!("/proc/{postmaster}/stat");
    eventually("it to freeze", || std::fs::read_to_string(&stat).unwrap().contains(") T "));
    let ended = instance.agent("monitor").expect(GenericError);
    assert!(ended.reason().contains("kill -CONT"), "{ended:?}");
    let began = Instant::now();
    let ended = instance.agent("stop").meta("timeout", "20000").run();
    assert_eq!(ended.code, Success as i32, "{ended:?}");
    assert!(began.elapsed() < Duration::from_secs(17), "{:?}", began.elapsed());
    assert_eq!(instance.processes(), 0);
}

/// A client that holds a lock, and a shutdown that must not wait for it.
#[test]
fn stop_does_not_wait_for_clients() {
    let Some(instance) = Instance::new() else { return };
    instance.promote();
    let mut client = instance.as_user("psql");
    client.args(["--no-psqlrc", "--dbname=postgres", "--command", "SELECT pg_sleep(600)", "--host"]);
    let mut client = client.arg(instance.directory.path()).stderr(Stdio::null()).spawn().unwrap();
    let asleep = "SELECT count(*) FROM pg_stat_activity WHERE wait_event = 'PgSleep'";
    eventually("the client", || instance.sql(asleep) == "1");
    let began = Instant::now();
    instance.agent("stop").expect(Success);
    assert!(began.elapsed() < Duration::from_secs(10), "{:?}", began.elapsed());
    client.wait().unwrap();
}

#[test]
fn validation_looks_at_the_node_on_request() {
    let Some(instance) = Instance::new() else { return };
    let validate = || instance.agent("validate-all").env("OCF_CHECK_LEVEL", "10");
    validate().expect(Success);
    let missing = validate().parameter("bindir", "/nonexistent").expect(NotInstalled);
    assert!(missing.reason().contains("looked in /nonexistent"), "{missing:?}");
    let template = instance.data().join("recovery.conf.pcmk");
    std::fs::write(&template, "").unwrap();
    let obsolete = validate().expect(BadArguments);
    assert!(obsolete.reason().contains("recovery.conf.pcmk must not exist"), "{obsolete:?}");
    assert_eq!(instance.agent("start").run().code, BadArguments as i32);
    std::fs::remove_file(template).unwrap();
    std::fs::write(instance.data().join("PG_VERSION"), "11\n").unwrap();
    validate().parameter("bindir", &instance.bindir).expect(NotInstalled);
}

/// PAF creates and chowns standby.signal as root, so whoever owns the data directory can point it anywhere.
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

/// libpq's variables are for people at a terminal; Pacemaker may have inherited some.
#[test]
fn the_callers_environment_does_not_change_what_is_seen() {
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
