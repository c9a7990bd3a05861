//! From the process's arguments and environment to its exit code.

mod unit;

use std::ffi::OsString;
use std::io::Write;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::process::ExitCode;
use std::rc::Rc;
use std::time::Duration;

use clap::{CommandFactory, FromArgMatches, Parser};

use crate::accounts::{self, Lookup};
use crate::action::{Action, Asked};
use crate::agent::{Agent, Outcome, Request};
use crate::clock::{Clock, Deadline, SystemClock};
use crate::command;
use crate::env::Environment;
use crate::exit::{CommandExitCode, OcfExitCode};
use crate::failure::Failure;
use crate::hooks;
use crate::logging;
use crate::node::NodeName;
use crate::notification::{Notification, Transition};
use crate::operator::{self, Command};
use crate::pacemaker::PacemakerError;
use crate::pacemaker::tools::Tools;
use crate::parameters::Config;
use crate::postgres::instance::Instance;
use crate::postgres::{self, storage};
use crate::rules::server_words;
use crate::rules::setup::Meta;
use crate::rules::status;

/// Pacemaker resource agent for PostgreSQL streaming replication.
///
/// Pacemaker calls it with one action and its parameters in OCF_RESKEY_* environment variables.
#[derive(Debug, Parser)]
#[command(name = "pgsqlms", version)]
struct Arguments {
    /// start, stop, monitor, promote, demote, notify, reload, reload-agent, validate-all, meta-data or methods; or a
    /// command for a person.
    action: String,
    /// OCF says to ignore them.
    #[arg(hide = true, trailing_var_arg = true, allow_hyphen_values = true)]
    rest: Vec<String>,
}

/// Does what the command line asks; the exit code.
///
/// Neither clap's code for a usage error leaves here nor Rust's for a panic.
pub fn run(arguments: impl IntoIterator<Item = OsString>, environment: &Environment) -> ExitCode {
    let arguments: Vec<OsString> = arguments.into_iter().collect();
    match arguments.get(1).and_then(|name| name.to_str()) {
        Some(operator::SWITCHOVER) => change(arguments, environment, operator::switchover::run).into(),
        Some(operator::RESTART) => change(arguments, environment, operator::restart::run).into(),
        _ => act(arguments, environment).into(),
    }
}

/// Carries out an action, or a command that ends with a code of OCF's.
fn act(arguments: Vec<OsString>, environment: &Environment) -> OcfExitCode {
    match arguments.get(1).and_then(|name| name.to_str()) {
        Some(operator::CHECK) => return answer(arguments, environment, operator::check::run),
        Some(operator::STATUS) if instance_name(environment).is_none() => {
            return answer(arguments, environment, operator::status::run);
        }
        Some(operator::METRICS) => return answer(arguments, environment, operator::metrics::run),
        Some(operator::WHY) => return answer(arguments, environment, operator::why::run),
        Some(operator::DOCTOR) => return answer(arguments, environment, operator::doctor::run),
        Some(hooks::RUN) => return run_hooks(&arguments[2..], environment),
        Some(storage::TRY) => return tried(storage::attempt(&arguments[2..])),
        Some(command::ACCOMPANY) => return accompany(&arguments[2..]),
        Some(accounts::ASK) => return ask_for_account(&arguments[2..]),
        Some(postgres::unit::SERVE) => return unit::serve(&arguments[2..], environment),
        Some(postgres::unit::ENDED) => return unit::ended(environment),
        Some(name) if Command::is_named(name) => return obey(arguments, environment),
        _ => {}
    }
    let arguments = Arguments::command().after_help(Command::list()).try_get_matches_from(arguments);
    let arguments = match arguments.and_then(|matches| Arguments::from_arg_matches(&matches)) {
        Ok(arguments) => arguments,
        Err(usage) => return show(&usage),
    };
    match Asked::named(&arguments.action) {
        Ok(Asked::Printout(printout)) => match printout.write(std::io::stdout().lock()) {
            Ok(()) => OcfExitCode::Success,
            Err(_) => OcfExitCode::GenericError,
        },
        Ok(Asked::Action(action)) => carry_out(action, environment),
        Err(failure) => {
            logging::report_reason(&failure.to_string());
            failure.exit_code()
        }
    }
}

/// Shows how the program is called; an error unless that was asked for.
fn show(usage: &clap::Error) -> OcfExitCode {
    let _ = usage.print();
    if !usage.use_stderr() {
        return OcfExitCode::Success;
    }
    logging::report_reason("the agent was called in a way that it does not understand: see pgsqlms --help");
    OcfExitCode::Unimplemented
}

/// The exit code of an attempt, for the process that waits for its end.
fn tried(attempt: std::io::Result<()>) -> OcfExitCode {
    match attempt {
        Ok(()) => OcfExitCode::Success,
        Err(error) => {
            let _ = writeln!(std::io::stderr(), "{error}");
            OcfExitCode::GenericError
        }
    }
}

/// Runs a program that is not to outlive the process that started us.
fn accompany(words: &[OsString]) -> OcfExitCode {
    match command::accompany(words) {
        Ok(status) if status.success() => OcfExitCode::Success,
        Ok(_) => OcfExitCode::GenericError,
        Err(error) => {
            let _ = writeln!(std::io::stderr(), "pgsqlms: {error}");
            OcfExitCode::GenericError
        }
    }
}

/// Asks the name service for an account, which may take for ever.
fn ask_for_account(words: &[OsString]) -> OcfExitCode {
    let printed = words.first().and_then(|name| name.to_str()).map(accounts::print);
    match printed {
        Some(Ok(())) => OcfExitCode::Success,
        Some(Err(_)) | None => OcfExitCode::GenericError,
    }
}

/// Runs hooks after the notification is over that they belong to.
fn run_hooks(words: &[OsString], environment: &Environment) -> OcfExitCode {
    logging::begin(environment, &words.first().map(|name| name.to_string_lossy()).unwrap_or_default());
    match hooks::run_by_itself(words, environment) {
        Some(()) => OcfExitCode::Success,
        None => OcfExitCode::Unimplemented,
    }
}

/// Answers a question by a command that changes nothing.
fn answer<Asked: Parser>(
    arguments: Vec<OsString>,
    environment: &Environment,
    run: fn(&Asked, &Environment) -> OcfExitCode,
) -> OcfExitCode {
    match Asked::try_parse_from(arguments.into_iter().skip(2)) {
        Ok(asked) => run(&asked, environment),
        Err(usage) => show(&usage),
    }
}

/// Carries out a command that shows its progress, and has exit codes of its own.
fn change<T: Parser>(
    arguments: Vec<OsString>,
    environment: &Environment,
    run: impl FnOnce(&T, &Environment) -> CommandExitCode,
) -> CommandExitCode {
    match T::try_parse_from(arguments.into_iter().skip(2)) {
        Ok(asked) => run(&asked, environment),
        Err(usage) => {
            let _ = usage.print();
            if usage.use_stderr() { CommandExitCode::Usage } else { CommandExitCode::Done }
        }
    }
}

/// Carries out a command for a person.
fn obey(arguments: Vec<OsString>, environment: &Environment) -> OcfExitCode {
    let command = match Command::try_parse_from(arguments) {
        Ok(command) => command,
        Err(usage) => return show(&usage),
    };
    logging::begin(environment, command.resource().unwrap_or_default());
    if command.is_unattended() {
        // Pacemaker's end for an action that takes too long is not ours.
        let _ = nix::unistd::setsid();
        nix::sys::stat::umask(nix::sys::stat::Mode::from_bits_truncate(0o077));
    }
    let clock: Rc<dyn Clock> = Rc::new(SystemClock::start());
    let deadline = Deadline::within(command.timeout());
    let carried_out = subject(&command, environment, &clock, deadline).and_then(|(resource, environment)| {
        with_agent(&environment, resource, Lookup::Anew, (clock, deadline), |agent| command.run(agent))
    });
    match carried_out {
        Ok(text) => {
            let _ = writeln!(std::io::stdout(), "{text}");
            OcfExitCode::Success
        }
        Err(failure) => {
            let _ = writeln!(std::io::stderr(), "pgsqlms: {failure}{}", needs_root(&failure));
            failure.exit_code()
        }
    }
}

/// The resource that a command is about, and its parameters.
fn subject(
    command: &Command,
    environment: &Environment,
    clock: &Rc<dyn Clock>,
    deadline: Deadline,
) -> Result<(String, Environment), Failure> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(Failure::NoRuntime)?;
    let tools = Tools::new(Rc::new(runtime), Rc::clone(clock), deadline);
    operator::subject::find(command.resource(), command.needs(), environment, &tools)
}

/// A hint, for callers other than root, about a failure of the cluster's tools.
fn needs_root(failure: &Failure) -> &'static str {
    let is_cluster = matches!(failure, Failure::Pacemaker(PacemakerError::Tool(_)));
    if is_cluster && !nix::unistd::geteuid().is_root() {
        "; this needs root, or membership in the group haclient"
    } else {
        ""
    }
}

fn carry_out(action: Action, environment: &Environment) -> OcfExitCode {
    let named = instance_name(environment);
    let instance = named.clone().unwrap_or_else(|| "default".to_owned());
    logging::begin(environment, &instance);
    // The standby.signal and all other files that we create are for the PostgreSQL user only.
    nix::sys::stat::umask(nix::sys::stat::Mode::from_bits_truncate(0o077));
    // The caller's directory may be gone, or unreadable for the PostgreSQL user.
    let _ = nix::unistd::chdir("/");
    std::panic::set_hook(Box::new(|panic| log::error!("this is a bug in pgsqlms: {panic}")));
    let clock: Rc<dyn Clock> = Rc::new(SystemClock::start());
    let timeout = environment.milliseconds("OCF_RESKEY_CRM_meta_timeout").filter(|timeout| !timeout.is_zero());
    let deadline = Deadline::within(timeout.unwrap_or(Duration::from_secs(action.usual_timeout())));
    let refused = if named.is_none() { action.refused_by_hand() } else { None };
    let ended = catch_unwind(AssertUnwindSafe(|| match refused {
        Some(refused) => Err(refused),
        None => {
            let time = (Rc::clone(&clock), deadline);
            with_agent(environment, instance, action.lookup(), time, |agent| action.run(agent))
        }
    }));
    // A monitor knows what was logged before.
    let is_logged = action == Action::Monitor && matches!(ended, Ok(Ok(_)));
    let (code, reason) = match ended {
        Ok(Ok(Outcome { code, reason })) => (code, reason),
        Ok(Err(failure)) => (failure.exit_code(), Some(server_words::with_remedy(failure.to_string()))),
        Err(_) => (OcfExitCode::GenericError, Some("this is a bug in pgsqlms: see the system log".to_owned())),
    };
    if let Some(reason) = &reason {
        if !is_logged {
            log::log!(if code == OcfExitCode::Success { log::Level::Info } else { log::Level::Warn }, "{reason}");
        }
        logging::report_reason(reason);
    }
    log::debug!("{action:?}: {code:?} after {:.0} ms", clock.now().as_secs_f64() * 1e3);
    code
}

/// Does `work` in time with an agent for the resource `instance`, with the real PostgreSQL and the real cluster.
fn with_agent<T>(
    environment: &Environment,
    instance: String,
    lookup: Lookup,
    (clock, deadline): (Rc<dyn Clock>, Deadline),
    work: impl FnOnce(&mut Agent) -> Result<T, Failure>,
) -> Result<T, Failure> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(Failure::NoRuntime)?;
    let runtime = Rc::new(runtime);
    let mut tools = Tools::new(Rc::clone(&runtime), Rc::clone(&clock), deadline);
    let me = node_name(environment, &tools);
    let (config, bad_parameters) = Config::read(environment);
    let postgres = Instance::new(config.clone(), &instance, Rc::clone(&runtime), Rc::clone(&clock), deadline);
    let mut postgres = postgres.looking_up(lookup);
    let request = Request {
        me,
        instance,
        config,
        bad_parameters,
        meta: meta(environment),
        asked: asked(environment),
        check_level: environment.text("OCF_CHECK_LEVEL").and_then(|level| level.parse().ok()).unwrap_or(0),
        transition: Transition::read(environment),
        notification: Notification::read(environment),
        deadline,
    };
    let clock = clock.as_ref();
    let ended =
        work(&mut Agent { request: &request, postgres: &mut postgres, pacemaker: &mut tools, clock, is_quiet: false });
    drop((postgres, tools));
    // A name server that does not answer is not waited for.
    if let Ok(runtime) = Rc::try_unwrap(runtime) {
        runtime.shutdown_background();
    }
    ended
}

/// The resource's name, if the caller is Pacemaker or a tool that knows one. An anonymous clone's instances share it; the
/// number that some tools append is left out.
fn instance_name(environment: &Environment) -> Option<String> {
    let name = environment.get("OCF_RESOURCE_INSTANCE")?.to_string_lossy();
    let name = name.split(':').next().unwrap_or_default().trim();
    (!name.is_empty()).then(|| name.to_owned())
}

/// The node's name: as Pacemaker passed it, as its tool says, or as the machine is called where there is no cluster.
fn node_name(environment: &Environment, tools: &Tools) -> NodeName {
    let passed = ["OCF_RESKEY_CRM_meta_on_node", "OCF_RESKEY_CRM_meta_physical_host"];
    let passed = passed.iter().find_map(|name| environment.text(name)).map(NodeName::new);
    let asked = || tools.node_name().map_err(|error| log::debug!("{error}")).ok();
    passed.or_else(asked).unwrap_or_else(|| {
        let machine = nix::sys::utsname::uname().map(|uname| uname.nodename().to_string_lossy().into_owned());
        NodeName::new(machine.unwrap_or_default())
    })
}

fn meta(environment: &Environment) -> Meta {
    let notify = "OCF_RESKEY_CRM_meta_notify";
    Meta {
        feature_set: environment.text("OCF_RESKEY_crm_feature_set").map(str::to_owned),
        notify: environment.text(notify).map(|_| environment.says_yes(notify)),
        promoted_max: environment
            .text_of_any(&["OCF_RESKEY_CRM_meta_promoted_max", "OCF_RESKEY_CRM_meta_master_max"])
            .map(|most| most.chars().take(20).collect()),
        clone_max: environment.text("OCF_RESKEY_CRM_meta_clone_max").and_then(|most| most.parse().ok()),
    }
}

/// A monitor without an interval is a probe.
fn asked(environment: &Environment) -> status::Asked {
    if instance_name(environment).is_none() {
        return status::Asked::ByHand;
    }
    match environment.milliseconds("OCF_RESKEY_CRM_meta_interval") {
        Some(interval) if !interval.is_zero() => status::Asked::Recurring,
        _ => status::Asked::Probe,
    }
}
