//! The votes that the nodes have cast, read and never written.

use crate::actions::election::STOPPED;
use crate::pacemaker::cib::Cib;
use crate::pacemaker::tools::Tools;
use crate::pacemaker::{Attribute, Pacemaker, PacemakerError, left_of};
use crate::rules::overview;
use crate::rules::promotion::Facts;
use crate::vote::Ballot;

/// Counts what the nodes have voted since the last promotion, and what those have left that were stopped.
///
/// # Errors
///
/// When the cluster does not answer.
pub(super) fn count(
    tools: &mut Tools,
    seen: &overview::Facts,
    cib: &Cib,
    facts: &mut Facts,
) -> Result<(), PacemakerError> {
    let Ok(cluster) = &seen.cluster else { return Ok(()) };
    let cast = tools.attributes(&Attribute::Vote.of(&seen.resource))?;
    let left = tools.attributes(&Attribute::Left.of(&seen.resource))?;
    for (node, member) in &cluster.nodes {
        let text = cast.get(node).filter(|text| member.is_online && *text != STOPPED);
        let ballot = text.and_then(|text| text.parse::<Ballot>().ok()).filter(|ballot| ballot.counts(&facts.record));
        match ballot {
            Some(ballot) => facts.count(node, ballot),
            None if member.is_online && member.role.is_some() => _ = facts.votes.entry(node.clone()).or_default(),
            None => {
                let text = left.get(node).or_else(|| cib.properties.get(&left_of(&seen.resource, node)));
                if let Some(ballot) = text.and_then(|text| text.parse().ok()) {
                    facts.count_stopped(node, ballot);
                }
            }
        }
    }
    Ok(())
}
