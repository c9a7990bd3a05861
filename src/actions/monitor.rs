//! monitor: what the instance is; and, on the primary, what every node is worth as the next one.
//!
//! It changes nothing on a standby, and no trouble with the cluster changes what it says about PostgreSQL.

use std::collections::{BTreeMap, BTreeSet};

use crate::agent::{Agent, Outcome};
use crate::exit::OcfExitCode;
use crate::failure::Failure;
use crate::node::NodeName;
use crate::pacemaker::{Attribute, PacemakerError, Reach};
use crate::rules::scores::{self, Replica, Standing};
use crate::rules::status::{self, Asked, Role, Status};
use crate::score::Score;

/// Tells what the instance is doing.
///
/// # Errors
///
/// Never: whatever is wrong is an answer.
pub fn run(agent: &mut Agent) -> Result<Outcome, Failure> {
    let status = status::status(&agent.postgres.evidence());
    let code = status.exit_code(agent.request.asked);
    if code == OcfExitCode::RunningPromoted && agent.request.asked == Asked::Recurring {
        if let Err(error) = publish_scores(agent) {
            log::warn!("the promotion scores could not be brought up to date: {error}");
        }
    }
    // A probe that finds nothing is no news (OCF's Dummy agent does the same).
    let quiet = status.is_well() && !(code == OcfExitCode::NotRunning && agent.request.asked == Asked::Recurring);
    let reason = (!quiet).then(|| status.to_string());
    if let (Status::Crashed(_), Asked::Probe, Some(reason)) = (&status, agent.request.asked, &reason) {
        log::warn!("{reason}");
    }
    Ok(Outcome { code, reason })
}

/// Writes the scores that have changed.
fn publish_scores(agent: &mut Agent) -> Result<(), Failure> {
    let replication = agent.postgres.replication()?;
    let before = known_scores(agent)?;
    let members = members(agent, &before, &replication.replicas)?;
    let wanted = scores::scores(&Standing {
        me: &agent.request.me,
        members: &members,
        replicas: &replication.replicas,
        current: replication.current,
        max_lag: agent.request.config.maxlag,
        scores: &before,
    });
    for (node, score) in scores::changes(&wanted, &before) {
        let was = before.get(&node).map_or("none".to_owned(), Score::to_string);
        log::info!("promotion score of {node}: {score} (was {was})");
        let name = agent.attribute(Attribute::Score);
        agent.pacemaker.set_attribute(&name, &node, &score.to_string(), Reach::Scheduler)?;
    }
    Ok(())
}

/// The scores as they are. What is no number counts as 0, as it does for Pacemaker.
///
/// # Errors
///
/// When the cluster does not answer.
pub fn known_scores(agent: &mut Agent) -> Result<BTreeMap<NodeName, Score>, Failure> {
    let name = agent.attribute(Attribute::Score);
    let values = agent.pacemaker.attributes(&name)?;
    Ok(values.into_iter().map(|(node, value)| (node, value.parse().unwrap_or(Score(0)))).collect())
}

/// The nodes to rank: those that have a score. Only a connection under an unknown name makes it worth asking Pacemaker
/// who is a member: it may be a new node's, or a stranger's.
fn members(
    agent: &mut Agent,
    scores: &BTreeMap<NodeName, Score>,
    replicas: &[Replica],
) -> Result<BTreeSet<NodeName>, PacemakerError> {
    let mut members: BTreeSet<NodeName> = scores.keys().cloned().collect();
    members.insert(agent.request.me.clone());
    let is_known = |replica: &Replica| members.contains(&NodeName::new(replica.name.as_str()));
    if !replicas.iter().all(is_known) {
        members.extend(agent.pacemaker.members()?);
    }
    Ok(members)
}

/// Whether the instance now runs in `role`.
pub fn runs_as(agent: &mut Agent, role: Role) -> bool {
    status::status(&agent.postgres.evidence()).runs_as(role)
}
