//! Two real instances whose histories have parted, and a cluster that consists of its tools' answers.

use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use tempfile::TempDir;

use crate::run::{AGENT, Test, is_root, skip};
use crate::throwaway::scripts::executable;
use crate::throwaway::{Instance, Succeeds, eventually};

/// `old` was the primary, `new` is; `old` wrote a table `stray` that `new` lacks, and does not run.
pub(crate) struct Pair {
    pub(crate) old: Instance,
    pub(crate) new: Instance,
    cluster: TempDir,
    /// The system identifier of both.
    system: String,
}

/// How an action ended.
#[derive(Debug)]
pub(crate) struct Ended {
    pub(crate) code: i32,
    pub(crate) reason: String,
    pub(crate) log: String,
}

impl Pair {
    /// Nothing, said loudly, where that is not possible. `prepare` changes the primary before it is ever started.
    pub(crate) fn new(prepare: impl FnOnce(&Instance)) -> Option<Self> {
        // The checkpoint that both have in common is not the last one, and WAL from before it is of no use for recovery.
        Self::parted(prepare, "CHECKPOINT")
    }

    /// The old primary runs `afterwards` between its own writes.
    pub(crate) fn parted(prepare: impl FnOnce(&Instance), afterwards: &str) -> Option<Self> {
        if !is_root() {
            skip("not run as root");
            return None;
        }
        let old = Instance::new()?;
        let new = Instance::empty()?;
        let follow =
            |from: &Instance| format!("primary_conninfo = 'host={} user=postgres'\n", from.directory.path().display());
        old.configure(&format!("wal_log_hints = on\nwal_keep_size = 64\n{}", follow(&new)));
        prepare(&old);
        old.run_by_hand();
        old.sql("CREATE TABLE kept AS SELECT generate_series(1, 5000) AS number");
        let mut copy = old.as_user("pg_basebackup");
        copy.arg("--host").arg(old.directory.path()).args(["--checkpoint=fast", "--pgdata"]).arg(new.data());
        copy.arg(format!("--waldir={}", new.directory.path().join("wal").display()));
        for (from, to) in tablespaces(&old, &new) {
            copy.arg(format!("--tablespace-mapping={}={}", from.display(), to.display()));
        }
        copy.success();
        let socket = format!("unix_socket_directories = '{}'\n", new.directory.path().display());
        new.configure(&format!("{socket}{}", follow(&old)));
        std::fs::write(new.data().join("standby.signal"), "").unwrap();
        new.run_by_hand();
        let cluster = TempDir::with_prefix_in("pgsqlms.", "/var/tmp").unwrap();
        std::fs::set_permissions(cluster.path(), std::fs::Permissions::from_mode(0o755)).unwrap();
        let system = new.sql("SELECT system_identifier FROM pg_control_system()");
        let pair = Self { old, new, cluster, system };
        pair.part(afterwards);
        pair.describe();
        Some(pair)
    }

    fn part(&self, afterwards: &str) {
        self.old.sql("INSERT INTO kept SELECT generate_series(5001, 6000)");
        let at = self.old.sql("SELECT pg_current_wal_lsn()");
        let caught_up = format!("SELECT pg_last_wal_replay_lsn() >= '{at}'");
        eventually("the standby to catch up", || self.new.sql(&caught_up) == "t");
        self.new.as_user("pg_ctl").arg("promote").arg("--pgdata").arg(self.new.data()).success();
        self.new.sql("CHECKPOINT");
        self.old.sql("CREATE TABLE stray AS SELECT generate_series(1, 20000) AS number");
        self.old.sql("UPDATE kept SET number = -number");
        self.old.sql(afterwards);
        self.old.sql("INSERT INTO stray SELECT generate_series(1, 20000)");
        self.new.sql("UPDATE kept SET number = number + 1 WHERE number % 7 = 0");
        self.new.sql("CREATE TABLE since AS SELECT generate_series(1, 20000) AS number");
        self.old.crash();
    }

    /// Answers of Pacemaker's tools.
    fn describe(&self) {
        self.set_cluster("srv2", &[("pgdata", &self.old.data())]);
    }

    /// Sets the answers of the tools: the promoted node, and parameters of the resource besides the usual ones.
    pub(crate) fn set_cluster(&self, promoted: &str, parameters: &[(&str, &Path)]) {
        let history = std::fs::read_to_string(self.new.data().join("pg_wal/00000002.history")).unwrap();
        let switch = history.split_whitespace().nth(1).unwrap();
        let usual = [("system_user", Path::new(&self.old.user.name)), ("evidence_dir", &self.evidence())];
        let parameter = |(name, value): &(&str, &Path)| {
            format!(r#"<nvpair id="{name}" name="{name}" value="{}"/>"#, value.display())
        };
        let parameters: String = usual.iter().chain(parameters).map(parameter).collect();
        let system = &self.system;
        let cib = format!(
            r#"<x><primitive id="pgsql-test" class="ocf" provider="rust" type="pgsqlms"><instance_attributes id="a">{parameters}</instance_attributes></primitive>
              <cluster_property_set id="pgsqlms"><nvpair id="p" name="pgsqlms-pgsql-test-promotions"
              value="2@{switch} {promoted} 0 kept history=1@{switch},2 system={system}"/></cluster_property_set>
              <nodes><node id="1" uname="srv1"/><node id="2" uname="srv2"/></nodes><transient_attributes id="2">
              <instance_attributes id="s"><nvpair id="m" name="master-pgsql-test" value="1001"/></instance_attributes>
              </transient_attributes></x>"#
        );
        let place = self.cluster.path();
        std::fs::write(place.join("cib.xml"), cib).unwrap();
        let log = format!("echo \"$(basename $0) $*\" >>{}/calls", place.display());
        self.tool("cibadmin", &format!("cat {}/cib.xml", place.display()));
        self.tool("crm_node", "echo srv1 srv2");
        let query = "case $* in *--query*) echo '<pacemaker-result/>' ;; esac";
        self.tool("attrd_updater", &format!("{log}; {query}"));
        self.tool("crm_attribute", &log);
        self.tool("crm_resource", &log);
    }

    fn tool(&self, name: &str, script: &str) {
        executable(&self.cluster.path().join("sbin").join(name), script);
    }

    pub(crate) fn evidence(&self) -> PathBuf {
        self.old.directory.path().join("evidence")
    }

    /// The calls of Pacemaker's tools so far.
    pub(crate) fn calls(&self) -> String {
        std::fs::read_to_string(self.cluster.path().join("calls")).unwrap_or_default()
    }

    /// The agent's files about the old primary.
    pub(crate) fn notes(&self) -> String {
        std::fs::read_to_string(self.evidence().join("pgsql-test/rewind")).unwrap_or_default()
    }

    /// The directory with the dropped commits.
    pub(crate) fn dropped(&self) -> PathBuf {
        let notes = self.notes();
        let line = notes.lines().find_map(|line| line.strip_prefix("evidence=").map(PathBuf::from));
        line.filter(|place| place.is_dir()).unwrap_or_else(|| panic!("no evidence: {notes}"))
    }

    /// An action on the old primary's node, while the new one is the primary.
    pub(crate) fn action(&self, action: &str) -> Test {
        let test = self.old.agent(action).parameter("evidence_dir", self.evidence());
        test.meta("notify_promoted_uname", "srv2").meta("notify_start_uname", "srv1").meta("interval", "0")
    }

    /// Runs it as if there were a cluster. The process is the agent's own in the end.
    pub(crate) fn inside(&self, test: Test) -> Command {
        let given = test.command();
        let mut inside = Command::new("unshare");
        inside.args(["--mount", "--propagation", "private", "/bin/sh", "-c"]);
        inside.arg(format!("mount --bind {}/sbin /usr/sbin && exec \"$0\" \"$@\"", self.cluster.path().display()));
        inside.arg(AGENT).args(given.get_args()).env_clear().stdin(Stdio::null()).current_dir("/");
        inside.envs(given.get_envs().filter_map(|(name, value)| Some((name, value?))));
        inside
    }

    /// Runs it as if there were a cluster.
    #[track_caller]
    pub(crate) fn run(&self, test: Test) -> Ended {
        let log = self.log();
        let _ = std::fs::remove_file(&log);
        let output = self.inside(test.env("HA_LOGFILE", &log)).output().unwrap();
        let stderr = String::from_utf8_lossy(&output.stderr).into_owned();
        let reason =
            stderr.lines().find_map(|line| line.strip_prefix("ocf-exit-reason:")).unwrap_or_default().to_owned();
        let log = std::fs::read_to_string(&log).unwrap_or_default();
        assert!(!log.contains("this is a bug"), "{log}");
        Ended { code: output.status.code().unwrap_or(-1), reason, log: log + &stderr }
    }

    /// Where actions log.
    pub(crate) fn log(&self) -> PathBuf {
        self.cluster.path().join("log")
    }

    /// The primary removes WAL that the other one has not received.
    pub(crate) fn loses_wal(&self) {
        self.new.sql("ALTER SYSTEM SET wal_keep_size = 0");
        self.new.sql("SELECT pg_reload_conf()");
        for _ in 0..6 {
            self.new.sql("SELECT pg_switch_wal()");
            self.new.sql("CHECKPOINT");
        }
    }

    /// Both hold the same, and the old primary follows.
    #[track_caller]
    pub(crate) fn is_whole(&self) {
        let receives = "SELECT status || received_tli FROM pg_stat_wal_receiver";
        eventually("the old primary to follow", || self.old.sql(receives) == "streaming2");
        let at = self.new.sql("SELECT pg_current_wal_lsn()");
        eventually("it to catch up", || self.old.sql(&format!("SELECT pg_last_wal_replay_lsn() >= '{at}'")) == "t");
        for table in ["kept", "since"] {
            let sum = format!(
                "SELECT count(*), sum(number), md5(string_agg(number::text, ' ' ORDER BY number)) FROM {table}"
            );
            assert_eq!(self.old.sql(&sum), self.new.sql(&sum), "{table}");
        }
        assert_eq!(self.old.sql("SELECT to_regclass('stray') IS NULL"), "t");
        assert!(self.old.data().join("standby.signal").exists());
        // Every page that a table has is one that PostgreSQL can read, and every tuple is in the index.
        let catalog = "SELECT count(*) FROM pg_class c, pg_attribute a WHERE a.attrelid = c.oid";
        assert_eq!(self.old.sql(catalog), self.new.sql(catalog));
    }

    /// PostgreSQL's programs, but this one is a script; `$real` is the real program.
    pub(crate) fn programs_with(&self, name: &str, script: &str) -> PathBuf {
        self.old.programs_with(name, script)
    }
}

/// The tablespaces of one instance, and where another one has them.
fn tablespaces(from: &Instance, to: &Instance) -> Vec<(PathBuf, PathBuf)> {
    let links = std::fs::read_dir(from.data().join("pg_tblspc")).unwrap().flatten();
    let target = |link: std::fs::DirEntry| std::fs::read_link(link.path()).unwrap();
    let name = |path: &PathBuf| to.directory.path().join(path.file_name().unwrap());
    links.map(target).map(|path| (path.clone(), name(&path))).collect()
}
