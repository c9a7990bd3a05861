//! The built binary as Pacemaker runs it: environment in; exit code, standard output, standard error and log out.

use std::collections::BTreeMap;
use std::ffi::{OsStr, OsString};
use std::io::Write;
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use pgsqlms::exit::OcfExitCode;
use tempfile::TempDir;

/// The agent.
pub(crate) const AGENT: &str = env!("CARGO_BIN_EXE_pgsqlms");

/// Every code that may reach Pacemaker. 6, "not configured", is not among them: it stops the resource on all nodes.
pub(crate) const CODES: [OcfExitCode; 11] = [
    OcfExitCode::Success,
    OcfExitCode::GenericError,
    OcfExitCode::BadArguments,
    OcfExitCode::Unimplemented,
    OcfExitCode::NoPermission,
    OcfExitCode::NotInstalled,
    OcfExitCode::NotRunning,
    OcfExitCode::RunningPromoted,
    OcfExitCode::FailedPromoted,
    OcfExitCode::Degraded,
    OcfExitCode::DegradedPromoted,
];

/// Says on the terminal, past libtest's capture, that something was not tested. `make test` forbids that.
pub(crate) fn skip(why: &str) {
    assert!(std::env::var_os("PGSQLMS_SKIP_NOTHING").is_none(), "{why}, and make test is to skip nothing");
    say_skipped(why);
}

/// Says the same where this release of the distribution lacks a requirement. `make test` allows that: the lab tests it on
/// a newer one.
pub(crate) fn say_skipped(why: &str) {
    let _ = writeln!(std::io::stderr(), "SKIPPED, NOT TESTED: {why}");
}

/// Whether the tests run as root, as the agent does in a cluster.
pub(crate) fn is_root() -> bool {
    nix::unistd::geteuid().is_root()
}

/// One run of the agent.
#[must_use]
#[derive(Debug, Clone)]
pub(crate) struct Test {
    arguments: Vec<OsString>,
    environment: BTreeMap<OsString, OsString>,
    redirections: String,
    /// Root sees no more of other users' processes than they do of its.
    blind: bool,
}

/// How a run ended.
#[derive(Debug)]
pub(crate) struct Ended {
    /// The exit code; there is always one.
    pub(crate) code: i32,
    /// Its standard output.
    pub(crate) stdout: String,
    /// Its standard error, with the exit reason.
    pub(crate) stderr: String,
    /// Its log.
    pub(crate) log: String,
}

impl Test {
    /// A run of the agent with `arguments`, in a small environment of its own.
    pub(crate) fn new<const N: usize>(arguments: [&str; N]) -> Self {
        let test = Self {
            arguments: arguments.into_iter().map(OsString::from).collect(),
            environment: BTreeMap::new(),
            redirections: String::new(),
            blind: false,
        };
        test.env("PATH", "/usr/sbin:/usr/bin:/sbin:/bin")
            .env("HA_LOGFACILITY", "none")
            .env("OCF_RESOURCE_INSTANCE", "pgsql-test")
            .env("OCF_RESKEY_CRM_meta_on_node", "srv1")
    }

    /// With one more argument.
    pub(crate) fn argument(mut self, argument: impl AsRef<OsStr>) -> Self {
        self.arguments.push(argument.as_ref().to_owned());
        self
    }

    /// With an environment variable.
    pub(crate) fn env(mut self, name: impl AsRef<OsStr>, value: impl AsRef<OsStr>) -> Self {
        self.environment.insert(name.as_ref().to_owned(), value.as_ref().to_owned());
        self
    }

    /// Without an environment variable.
    pub(crate) fn without(mut self, name: &str) -> Self {
        self.environment.remove(OsStr::new(name));
        self
    }

    /// With a parameter of the resource.
    pub(crate) fn parameter(self, name: &str, value: impl AsRef<OsStr>) -> Self {
        self.env(format!("OCF_RESKEY_{name}"), value)
    }

    /// With one of the values that Pacemaker adds.
    pub(crate) fn meta(self, name: &str, value: impl AsRef<OsStr>) -> Self {
        self.env(format!("OCF_RESKEY_CRM_meta_{name}"), value)
    }

    /// With redirections of a shell, such as `2>&-`.
    pub(crate) fn redirected(mut self, redirections: &str) -> Self {
        self.redirections = redirections.to_owned();
        self
    }

    /// Without the right to look at other users' processes, as in a container.
    pub(crate) fn without_ptrace(self) -> Self {
        Self { blind: true, ..self }
    }

    /// The command that runs it.
    pub(crate) fn command(&self) -> Command {
        let mut command = match self.redirections.as_str() {
            "" if self.blind => {
                let mut command = Command::new("/usr/bin/setpriv");
                command.args(["--bounding-set=-sys_ptrace", "--inh-caps=-sys_ptrace", "--", AGENT]);
                command
            }
            "" => Command::new(AGENT),
            redirections => {
                let mut shell = Command::new("/bin/sh");
                shell.arg("-c").arg(format!("exec \"$0\" \"$@\" {redirections}")).arg(AGENT);
                shell
            }
        };
        command.args(&self.arguments).env_clear().envs(&self.environment).stdin(Stdio::null()).current_dir("/");
        command
    }

    /// Runs it. For any request it ends with a code of OCF's list, without a panic, and what it says about an
    /// unusual end is one line.
    #[track_caller]
    pub(crate) fn run(self) -> Ended {
        let directory = TempDir::new().unwrap();
        let log = directory.path().join("log");
        let given = self.environment.contains_key(OsStr::new("HA_LOGFILE"));
        let test = if given { self } else { self.env("HA_LOGFILE", &log) };
        let output = test.command().output().unwrap();
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        let code = output.status.code();
        let ended = Ended {
            code: code.unwrap_or(-output.status.signal().unwrap_or_default()),
            stdout: text(&output.stdout),
            stderr: text(&output.stderr),
            log: std::fs::read(&log).map(|bytes| text(&bytes)).unwrap_or_default(),
        };
        assert!(CODES.iter().any(|code| *code as i32 == ended.code), "{test:?}: {ended:?}");
        assert!(!format!("{}{}", ended.stderr, ended.log).contains("panic"), "{test:?}: {ended:?}");
        assert!(ended.reasons().len() <= 1, "{test:?}: {ended:?}");
        ended
    }

    /// Runs it and expects this code; and for a failure, just an exit reason on standard error.
    #[track_caller]
    pub(crate) fn expect(self, code: OcfExitCode) -> Ended {
        let what = format!("{:?}", self.arguments);
        let ended = self.run();
        assert_eq!(ended.code, code as i32, "{what}: {ended:?}");
        let quiet = [OcfExitCode::Success, OcfExitCode::RunningPromoted, OcfExitCode::NotRunning].contains(&code);
        assert!(quiet || ended.reasons().len() == 1, "{what} says nothing: {ended:?}");
        assert_eq!(ended.stderr.lines().count(), ended.reasons().len(), "{what} says more: {ended:?}");
        ended
    }
}

impl Ended {
    /// The exit reasons: what `crm_mon` shows.
    pub(crate) fn reasons(&self) -> Vec<&str> {
        self.stderr.lines().filter_map(|line| line.strip_prefix("ocf-exit-reason:")).collect()
    }

    /// The only exit reason.
    #[track_caller]
    pub(crate) fn reason(&self) -> &str {
        let reasons = self.reasons();
        assert_eq!(reasons.len(), 1, "{self:?}");
        reasons[0]
    }
}

/// A file in the repository.
pub(crate) fn repository(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(path)
}
