//! The two ways in which the unit of PostgreSQL calls this program.

use std::ffi::OsString;
use std::rc::Rc;
use std::time::Duration;

use super::{instance_name, with_agent};
use crate::accounts::Lookup;
use crate::actions;
use crate::clock::{Clock, Deadline, SystemClock};
use crate::env::Environment;
use crate::exit::OcfExitCode;
use crate::failure::Failure;
use crate::logging;
use crate::operator::{Needs, subject};
use crate::pacemaker::Pacemaker;
use crate::pacemaker::tools::Tools;
use crate::postgres::unit;
use crate::rules::ended::{End, Silence};

/// The next monitor finds the end anyway: it is reported soon or not at all.
const TIMEOUT: Duration = Duration::from_secs(10);

/// Becomes PostgreSQL.
pub(super) fn serve(words: &[OsString], environment: &Environment) -> OcfExitCode {
    logging::begin(environment, &instance_name(environment).unwrap_or_default());
    nix::sys::stat::umask(nix::sys::stat::Mode::from_bits_truncate(0o077));
    let Err(error) = unit::serve(words);
    log::error!("PostgreSQL is not started: {error}");
    OcfExitCode::GenericError
}

/// Reports to Pacemaker that PostgreSQL has ended, where that was not wanted.
pub(super) fn ended(environment: &Environment) -> OcfExitCode {
    let end = End::read(environment.text("EXIT_CODE"), environment.text("EXIT_STATUS"));
    let (Some(resource), Some(end)) = (instance_name(environment), end) else { return OcfExitCode::Unimplemented };
    logging::begin(environment, &resource);
    let _ = nix::unistd::chdir("/");
    match (report(resource, environment, &end), end) {
        (Ok(None), End::Unclean(how)) => log::warn!("PostgreSQL has ended, which is reported to Pacemaker: {how}"),
        (Ok(Some(silence)), End::Unclean(how)) => log::info!("PostgreSQL has ended: {how}; {silence}"),
        (Err(failure), End::Unclean(how)) => {
            log::warn!("PostgreSQL has ended, which the next monitor reports to Pacemaker: {how}; {failure}");
            return OcfExitCode::GenericError;
        }
        (_, End::Clean) => {}
    }
    OcfExitCode::Success
}

fn report(resource: String, environment: &Environment, end: &End) -> Result<Option<Silence>, Failure> {
    if *end == End::Clean {
        return Ok(Some(Silence::Clean));
    }
    let clock: Rc<dyn Clock> = Rc::new(SystemClock::start());
    let deadline = Deadline::within(TIMEOUT);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(Failure::NoRuntime)?;
    let mut tools = Tools::new(Rc::new(runtime), Rc::clone(&clock), deadline);
    // Its tools may wait for a daemon that is not there.
    if !tools.is_running() {
        return Ok(Some(Silence::NoPacemaker));
    }
    // The parameters may be others than when PostgreSQL was started.
    let (resource, environment) = subject::find(Some(&resource), Needs::Resource, environment, &tools)?;
    with_agent(&environment, resource, Lookup::Once, (clock, deadline), |agent| actions::ended::run(agent, end))
}
