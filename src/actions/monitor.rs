//! monitor: what the instance is; and, on the primary, what every node is worth as the next one.
//!
//! It changes nothing on a standby, and no trouble with the cluster changes what it says about PostgreSQL.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use crate::agent::{Agent, Outcome};
use crate::exit::OcfExitCode;
use crate::failure::Failure;
use crate::node::NodeName;
use crate::pacemaker::{Attribute, PacemakerError, Reach};
use crate::postgres::Upstream;
use crate::rules::scores::{self, Replica, Standing};
use crate::rules::status::{self, Asked, Role, Status};
use crate::score::Score;

use super::candidate;

/// Tells what the instance is doing.
///
/// # Errors
///
/// Never: whatever is wrong is an answer.
pub fn run(agent: &mut Agent) -> Result<Outcome, Failure> {
    let status = status::status(&agent.postgres.evidence());
    let code = status.exit_code(agent.request.asked);
    let chore = match (code, agent.request.asked) {
        (OcfExitCode::RunningPromoted, Asked::Recurring) => publish_scores(agent),
        (OcfExitCode::Success, Asked::Recurring) => look_for_a_primary(agent),
        _ => Ok(()),
    };
    if let Err(error) = chore {
        log::warn!("{error}");
    }
    // A probe that finds nothing is no news (OCF's Dummy agent does the same).
    let quiet = status.is_well() && !(code == OcfExitCode::NotRunning && agent.request.asked == Asked::Recurring);
    let reason = (!quiet).then(|| status.to_string());
    if let (Status::Crashed(_), Asked::Probe, Some(reason)) = (&status, agent.request.asked, &reason) {
        log::warn!("{reason}");
    }
    Ok(Outcome { code, reason })
}

/// A standby that nobody sends WAL to sees that there is somebody to promote.
fn look_for_a_primary(agent: &mut Agent) -> Result<(), Failure> {
    if agent.postgres.upstream()? == Upstream::Streaming {
        return Ok(());
    }
    let members = agent.pacemaker.members()?;
    candidate::find(agent, &members, Duration::ZERO)
}

/// Writes the scores that have changed.
fn publish_scores(agent: &mut Agent) -> Result<(), Failure> {
    let replication = agent.postgres.replication()?;
    let before = candidate::scores(agent)?;
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
