//! validate-all, and the same checks for the actions that bring an instance up. Nothing else is kept from working by a
//! wrong parameter: PAF's most frequent outages come from a stop that was.

use crate::agent::{Agent, Outcome};
use crate::failure::Failure;
use crate::parameters::Follow;
use crate::rules::names;
use crate::rules::setup::{self, Unfit};

/// From this level on, `validate-all` may look at the node it runs on (OCF 1.1, `OCF_CHECK_LEVEL`).
const LOCAL: u32 = 10;

/// Checks the parameters, and from level 10 on the node.
///
/// # Errors
///
/// The first thing that is wrong.
pub fn run(agent: &mut Agent) -> Result<Outcome, Failure> {
    if agent.request.check_level >= LOCAL {
        check_node(agent)?;
        let reason = setup::oom_warning(agent.pacemaker.oom_policy().as_deref()).map(str::to_owned);
        return Ok(Outcome { reason, ..Outcome::SUCCESS });
    }
    check_parameters(agent)?;
    Ok(Outcome::SUCCESS)
}

/// Checks the parameters, on any node.
///
/// # Errors
///
/// The first thing that is wrong.
pub fn check_parameters(agent: &Agent) -> Result<(), Failure> {
    if let Some(bad) = agent.request.bad_parameters.first() {
        return Err(bad.clone().into());
    }
    Ok(setup::check_meta(&agent.request.meta)?)
}

/// Checks what was passed, and this node.
///
/// # Errors
///
/// The first thing that is wrong.
pub fn check_node(agent: &mut Agent) -> Result<(), Failure> {
    check_parameters(agent)?;
    let node = agent.postgres.setup()?;
    setup::check_node(&node)?;
    setup::check_follow(&node, agent.request.config.follow, agent.request.config.slots)?;
    check_name(agent)
}

/// Checks by which name the primary would know this node. What cannot be read speaks against nothing, and outside a cluster any
/// name will do.
fn check_name(agent: &mut Agent) -> Result<(), Failure> {
    // The agent gives it this node's.
    if agent.request.config.follow == Follow::Node || !agent.pacemaker.is_running() {
        return Ok(());
    }
    let Some(name) = agent.postgres.known_as() else { return Ok(()) };
    match agent.pacemaker.cib() {
        Ok(cib) => Ok(names::check(name, &agent.request.me, &cib.nodes).map_err(Unfit::Name)?),
        Err(error) => {
            log::debug!("{error}");
            Ok(())
        }
    }
}
