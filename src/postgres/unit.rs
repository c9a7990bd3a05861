//! PostgreSQL in a unit of its own, where systemd is PID 1.
//!
//! The unit has its own control group: what happens to Pacemaker's does not reach PostgreSQL. And systemd sees at once that the
//! postmaster has ended: the unit's `ExecStopPost` is this program, called by [`ENDED`]. It never stops PostgreSQL, unless the machine
//! is shut down without Pacemaker having done so.

use std::convert::Infallible;
use std::ffi::{OsStr, OsString};
use std::path::{Path, PathBuf};
use std::time::Duration;

use tokio::runtime::Runtime;

use super::oom::Protection;
use super::server_log::ServerLog;
use super::{PostgresError, environment, processes};
use crate::accounts::Lookup;
use crate::clock::{Clock, Deadline};
use crate::command::{CommandError, Invocation};
use crate::env;
use crate::privileges::SystemUser;
use crate::rules::unit;

/// How the unit calls this program to become PostgreSQL: then come the user, `pgdata`, the data directory, and the server
/// with its arguments.
pub const SERVE: &str = "serve";

/// How the unit calls this program when PostgreSQL has ended.
pub const ENDED: &str = "ended";

/// The variable with the resource's name, for [`ENDED`].
pub const RESOURCE: &str = "OCF_RESOURCE_INSTANCE";

/// How long systemd may take for each answer.
const PATIENCE: Duration = Duration::from_secs(5);

/// How long the end of the unit before is waited for.
const SOON: Duration = Duration::from_secs(3);

/// How often that is looked for.
const PAUSE: Duration = Duration::from_millis(20);

/// The name of this program.
const NAME: &str = "pgsqlms";

/// The settings that are the same for each unit. Pacemaker's own unit has no limit to its processes. SIGINT is the fast shutdown. Nothing is killed:
/// a shutdown may have to send much WAL. systemd of its own leaves a server alone from which the kernel takes one process.
/// Where the machine is shut down, Pacemaker comes first (`After=resource-agents-deps.target` is in its unit). To be before
/// Pacemaker's unit itself would have a start wait for the end of a stop of Pacemaker that goes on.
const SETTINGS: [&str; 13] = [
    "Type=exec",
    "KillMode=mixed",
    "KillSignal=SIGINT",
    "SendSIGKILL=no",
    "TimeoutStopSec=infinity",
    "OOMPolicy=continue",
    "TasksMax=infinity",
    "IgnoreSIGPIPE=no",
    "UMask=0077",
    "Before=resource-agents-deps.target",
    "Wants=resource-agents-deps.target",
    "After=network.target",
    "After=remote-fs.target",
];

/// The unit for PostgreSQL of one resource.
#[derive(Debug, Clone)]
pub struct Unit {
    name: String,
    resource: String,
    program: PathBuf,
}

/// A server that was started in its unit.
#[derive(Debug)]
pub struct Served {
    unit: Unit,
    /// Its number, as systemd knows it.
    pid: i32,
}

impl Unit {
    /// The unit for `resource`; nothing where there is no systemd to start it (sd_booted(3)) or no Pacemaker to report its end to, or where
    /// this process is not root, or is another program that has the agent in it.
    pub fn of(resource: &str) -> Option<Self> {
        let is_useful = Path::new("/run/systemd/system").is_dir()
            && nix::unistd::geteuid().is_root()
            && processes::runs("pacemakerd");
        let (name, program) = (unit::name(resource)?, if is_useful { ourselves()? } else { return None });
        Some(Self { name, resource: resource.to_owned(), program })
    }

    /// Starts the server, which is a program with its arguments, for this data directory, and does not wait for it.
    ///
    /// # Errors
    ///
    /// When systemd does not do it.
    pub fn start(
        self,
        server: &Invocation,
        user: &SystemUser,
        (pgdata, datadir): (&Path, &Path),
        (runtime, clock, deadline): (&Runtime, &dyn Clock, Deadline),
    ) -> Result<Served, CommandError> {
        let before: [&OsStr; 4] = [SERVE.as_ref(), user.name().as_ref(), pgdata.as_ref(), datadir.as_ref()];
        let words = before.into_iter().chain(server.words());
        let run = words.fold(self.run().arg("--").arg(&self.program), |run, word| run.arg(plain(word)));
        let until = deadline.or_after(clock, SOON);
        while let Err(error) = run.run(runtime, PATIENCE.min(deadline.left(clock))) {
            // One that has failed stays, so that people see why. One that is about to end is waited for.
            if !self.is_loaded(runtime) || until.has_passed(clock) {
                return Err(error);
            }
            let _ = Invocation::new("systemctl").arg("reset-failed").arg(&self.name).run(runtime, PATIENCE);
            clock.sleep(PAUSE);
        }
        let pid = self.show(runtime, "MainPID").and_then(|pid| pid.parse().ok()).unwrap_or(0);
        Ok(Served { unit: self, pid })
    }

    /// systemd-run, up to the command.
    fn run(&self) -> Invocation {
        let run = Invocation::new("systemd-run").arg("--quiet").arg("--no-ask-password").option("unit", &self.name);
        let run = run.option("description", format!("PostgreSQL of the cluster's resource {}", self.resource));
        let limits = unit::limits(&std::fs::read_to_string("/proc/self/limits").unwrap_or_default());
        let program = unit::quoted(&self.program.to_string_lossy());
        let settings = SETTINGS.iter().map(|setting| (*setting).to_owned()).chain(limits);
        let run = settings
            .chain([format!("ExecStopPost={program} {ENDED}")])
            .fold(run, |run, setting| run.option("property", setting));
        let variables = env::passed_on().chain([(RESOURCE.into(), self.resource.clone().into())]);
        variables.fold(run, |run, (mut variable, value)| {
            variable.push("=");
            variable.push(value);
            run.option("setenv", variable)
        })
    }

    /// Whether systemd knows the unit.
    fn is_loaded(&self, runtime: &Runtime) -> bool {
        self.show(runtime, "LoadState").is_some_and(|state| state == "loaded")
    }

    fn show(&self, runtime: &Runtime, property: &str) -> Option<String> {
        let show = Invocation::new("systemctl").arg("show").option("property", property).arg("--value");
        let shown = show.arg(&self.name).run(runtime, PATIENCE).map_err(|error| log::debug!("{error}")).ok()?;
        Some(shown.trim().to_owned())
    }
}

impl Served {
    /// The unit's name.
    pub fn name(&self) -> &str {
        &self.unit.name
    }

    /// Whether it goes on.
    pub fn lives(&self) -> bool {
        processes::lives(self.pid)
    }

    /// The signal that has ended it.
    pub fn signal(&self, runtime: &Runtime) -> Option<i32> {
        // `CLD_KILLED` and `CLD_DUMPED`.
        let code = self.unit.show(runtime, "ExecMainCode")?;
        let is_signal = ["2", "3"].contains(&code.as_str());
        self.unit.show(runtime, "ExecMainStatus")?.parse().ok().filter(|_| is_signal)
    }
}

/// Becomes the server. Everything of PostgreSQL's is done as its user.
///
/// # Errors
///
/// When it does not.
pub fn serve(words: &[OsString]) -> Result<Infallible, PostgresError> {
    let [user, pgdata, datadir, program, arguments @ ..] = words else {
        return Err(PostgresError::NoPostmaster);
    };
    let (pgdata, datadir) = (Path::new(pgdata), Path::new(datadir));
    let user = SystemUser::find(&user.to_string_lossy(), Lookup::Once)?;
    let server = arguments.iter().fold(Invocation::new(program), |server, word| server.arg(word));
    let _protection = Protection::begin();
    user.act(|| {
        let (_, log) = ServerLog::open(datadir)?;
        Err(environment::of_server(server, &user, pgdata, datadir).take_our_place(log, datadir).into())
    })?
}

/// Where this program is, for systemd to call. After an update of the agent there is another file of the same name.
fn ourselves() -> Option<PathBuf> {
    let path = std::fs::read_link("/proc/self/exe").ok()?;
    let path = PathBuf::from(path.to_str()?.trim_end_matches(" (deleted)"));
    (path.file_name()? == NAME && path.is_file()).then_some(path)
}

/// An argument of which systemd takes nothing for a variable.
fn plain(word: &OsStr) -> OsString {
    match word.to_str() {
        Some(text) => unit::without_variables(text).into(),
        None => word.to_owned(),
    }
}
