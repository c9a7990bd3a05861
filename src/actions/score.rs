//! The promotion score of a node, as Pacemaker sees it.

use crate::agent::Agent;
use crate::failure::Failure;
use crate::node::NodeName;
use crate::pacemaker::Attribute;
use crate::postgres::About;
use crate::score::Score;

/// Sets the promotion score of `node`, unless the CIB has it already. Where nothing may reach the CIB, the next monitor of this
/// node does so.
///
/// # Errors
///
/// When the cluster does not take it.
pub fn set(agent: &mut Agent, node: &NodeName, score: Score) -> Result<(), Failure> {
    if agent.is_quiet {
        if *node == agent.request.me {
            agent.postgres.pass_on(About::Score, Some(&score.to_string()));
        }
        return Ok(());
    }
    let (name, value) = (agent.attribute(Attribute::Score), score.to_string());
    if agent.pacemaker.attributes(&name).is_ok_and(|held| held.get(node) == Some(&value)) {
        log::info!("the promotion score of {node} is set and not in the CIB: having it written again");
        return Ok(agent.pacemaker.resend_attributes()?);
    }
    Ok(agent.set(Attribute::Score, node, &value)?)
}

/// Sets the score that this node could not be given when it was demoted.
///
/// # Errors
///
/// When the cluster does not take it.
pub fn set_noted(agent: &mut Agent) -> Result<(), Failure> {
    let noted = agent.postgres.passing_note(About::Score).and_then(|text| text.trim().parse().ok());
    if let Some(score) = noted {
        let me = agent.request.me.clone();
        set(agent, &me, score)?;
        agent.postgres.pass_on(About::Score, None);
    }
    Ok(())
}
