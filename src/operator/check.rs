//! check: whether a proxy may send clients to the instance of this node. It asks the instance alone, never the cluster.

pub mod http;

use std::ffi::OsString;
use std::io::{Read, Write};
use std::rc::Rc;
use std::time::Duration;

use clap::{Args, Parser, ValueEnum};

use crate::accounts::Lookup;
use crate::clock::{Clock, Deadline, SystemClock};
use crate::env::Environment;
use crate::exit::OcfExitCode;
use crate::failure::Failure;
use crate::pacemaker::tools::Tools;
use crate::parameters::Config;
use crate::postgres::Postgres;
use crate::postgres::instance::Instance;
use crate::privileges::SystemUser;
use crate::rules::check::{self, Health, MaxLag};
use crate::rules::status::{self, Role};
use crate::rules::synchronous::waiting::Waiting;

use super::{Needs, subject};

/// Within how long the instance must have answered.
const PATIENCE: Duration = Duration::from_secs(1);

/// After this many seconds the kernel ends the check, also while it waits for a client, or for a disk that hangs.
const LONGEST_LIFE: u32 = 3;

/// So many seconds a client may take to ask.
const LONGEST_REQUEST: u32 = 1;

/// Answers a proxy whether to send clients to this node.
///
/// One line on standard output, and 0 for yes or 1 for no. Parameters that are not given are as for the agent.
#[derive(Debug, Clone, Parser)]
#[command(name = "pgsqlms check", no_binary_name = true, args_override_self = true)]
pub struct Check {
    /// What the clients want. With --http, the request's path may say it instead.
    #[arg(long, required_unless_present = "http")]
    role: Option<Wanted>,
    /// How far a replica may be behind: bytes (16777216, 16MB) or seconds (10s); no limit if not given.
    #[arg(long)]
    max_lag: Option<MaxLag>,
    /// Answer an HTTP/1 request on standard input: 200 or 503. The exit code is 0.
    #[arg(long, conflicts_with = "agent")]
    http: bool,
    /// Answer HAProxy's agent-check: up, or down and why. The exit code is 0.
    #[arg(long)]
    agent: bool,
    /// The resource whose parameters count, where no data directory is given. Not needed where this agent has only one.
    #[arg(long)]
    resource: Option<String>,
    #[command(flatten)]
    parameters: Parameters,
}

/// The agent's parameters by which the instance is found.
#[derive(Debug, Clone, Args)]
pub struct Parameters {
    /// The data directory. If not given, the cluster is asked for it.
    #[arg(long)]
    pgdata: Option<OsString>,
    /// Where the data is, if not in pgdata.
    #[arg(long)]
    datadir: Option<OsString>,
    /// The account that runs PostgreSQL.
    #[arg(long)]
    system_user: Option<OsString>,
    /// Socket directory or address of the instance.
    #[arg(long)]
    pghost: Option<OsString>,
    /// Port of the instance.
    #[arg(long)]
    pgport: Option<OsString>,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum Wanted {
    Primary,
    Replica,
}

impl From<Wanted> for Role {
    fn from(wanted: Wanted) -> Self {
        match wanted {
            Wanted::Primary => Role::Primary,
            Wanted::Replica => Role::Standby,
        }
    }
}

/// Answers; the exit code.
pub fn run(check: &Check, environment: &Environment) -> OcfExitCode {
    nix::unistd::alarm::set(LONGEST_LIFE);
    let _ = nix::unistd::chdir("/");
    let role = check.role.map(Role::from);
    let (text, code) = match (role, check.http, check.agent) {
        (_, true, _) => (answer_request(check, role, environment), OcfExitCode::Success),
        (Some(role), _, agent) => {
            let health = health(check, role, environment);
            let code = if agent || health.is_up() { OcfExitCode::Success } else { OcfExitCode::GenericError };
            (line(&health, agent), code)
        }
        (None, ..) => return OcfExitCode::BadArguments,
    };
    // A client that is gone does not hear the answer.
    let _ = std::io::stdout().write_all(text.as_bytes()).and_then(|()| std::io::stdout().flush());
    code
}

/// HAProxy takes what follows the sharp for a description. A server's message may have several lines.
fn line(health: &Health, agent: bool) -> String {
    match (&health.clone().on_one_line(), agent) {
        (Health::Up(_), true) => "up\n".to_owned(),
        (Health::Down(why), true) => format!("down # {why}\n"),
        (Health::Up(why), false) => format!("up: {why}\n"),
        (Health::Down(why), false) => format!("down: {why}\n"),
    }
}

fn answer_request(check: &Check, role: Option<Role>, environment: &Environment) -> String {
    // A slow client must not keep others from asking.
    nix::unistd::alarm::set(LONGEST_REQUEST);
    let mut request = Vec::new();
    let mut part = [0; 1024];
    let mut client = std::io::stdin().lock();
    while !http::is_whole(&request) && request.len() < http::LONGEST_REQUEST {
        match client.read(&mut part) {
            Ok(0) | Err(_) => break,
            Ok(length) => request.extend_from_slice(&part[..length]),
        }
    }
    nix::unistd::alarm::set(LONGEST_LIFE);
    let asked = http::read(&request);
    match asked.map(|asked| (asked.role.or(role), asked.head_only)) {
        Ok((Some(role), head_only)) => http::answer(&health(check, role, environment).on_one_line(), head_only),
        Ok((None, _)) => http::refusal((404, "Not Found")),
        Err(refused) => http::refusal(refused),
    }
}

/// Looks at the instance as the PostgreSQL user. What cannot be looked at is down.
fn health(check: &Check, role: Role, environment: &Environment) -> Health {
    let environment = match check.parameters.complete(check.resource.as_deref(), environment) {
        Ok(environment) => environment,
        Err(why) => return Health::Down(why),
    };
    let (config, bad_parameters) = Config::read(&environment);
    if let Some(bad) = bad_parameters.first() {
        return Health::Down(bad.to_string());
    }
    let user = SystemUser::find(&config.system_user, Lookup::Once);
    let looked = user.and_then(|user| user.act(|| look(config, role, check.max_lag)));
    looked.unwrap_or_else(|error| Health::Down(error.to_string()))
}

fn look(config: Config, role: Role, max_lag: Option<MaxLag>) -> Health {
    let runtime = match tokio::runtime::Builder::new_current_thread().enable_all().build() {
        Ok(runtime) => Rc::new(runtime),
        Err(error) => return Health::Down(error.to_string()),
    };
    let clock: Rc<dyn Clock> = Rc::new(SystemClock::start());
    let mut instance = Instance::new(config, "", runtime, clock, Deadline::within(PATIENCE));
    let status = status::status(&instance.evidence());
    let following =
        if role == Role::Standby && status.runs_as(Role::Standby) { instance.following().ok() } else { None };
    let waiting = match role == Role::Primary && status.runs_as(Role::Primary) {
        true => instance.waiting().unwrap_or_default(),
        false => Waiting::default(),
    };
    check::health(role, max_lag, &status, following.as_ref(), waiting)
}

impl Parameters {
    /// The environment with all parameters. Those of the cluster's resource count where the data directory is not given.
    ///
    /// # Errors
    ///
    /// When no parameter or resource says where the data is: the default is most often another place.
    pub fn complete(&self, resource: Option<&str>, environment: &Environment) -> Result<Environment, String> {
        let own = self.over(environment);
        if own.get("OCF_RESKEY_pgdata").is_some() {
            return Ok(own);
        }
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        let runtime = Rc::new(runtime.map_err(|error| error.to_string())?);
        let clock: Rc<dyn Clock> = Rc::new(SystemClock::start());
        let tools = Tools::new(runtime, clock, Deadline::within(PATIENCE));
        match subject::find(resource, Needs::Resource, environment, &tools) {
            Ok((_, found)) => Ok(self.over(&found)),
            Err(failure @ Failure::Pacemaker(_)) => {
                log::debug!("{failure}");
                Err("where the data is, is not known: say --pgdata, or run this as root while Pacemaker runs"
                    .to_owned())
            }
            Err(failure) => Err(failure.to_string()),
        }
    }

    /// The environment with what the command line says instead.
    pub fn over(&self, environment: &Environment) -> Environment {
        let Parameters { pgdata, datadir, system_user, pghost, pgport } = self;
        let given = [
            ("pgdata", pgdata),
            ("datadir", datadir),
            ("system_user", system_user),
            ("pghost", pghost),
            ("pgport", pgport),
        ];
        given.into_iter().fold(environment.clone(), |environment, (name, value)| match value {
            Some(value) => environment.with(&format!("OCF_RESKEY_{name}"), value),
            None => environment,
        })
    }
}
