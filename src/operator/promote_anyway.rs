//! promote-anyway: an operator overrules a refused election.

use std::collections::BTreeSet;

use clap::Args;

use crate::actions::election;
use crate::agent::Agent;
use crate::failure::Failure;
use crate::node::NodeName;
use crate::pacemaker::Property;
use crate::rules::promotion::{self, Choice, Facts};
use crate::score::Score;
use crate::vote::Vote;

/// Promotes a node although the agent refuses to, accepting the loss of what it does not hold.
#[derive(Debug, Clone, Args)]
pub struct PromoteAnyway {
    /// The resource, as it is called in the cluster: that of the primitive, not of its clone.
    #[arg(long)]
    pub resource: String,
    /// The node to promote; this one if not given.
    #[arg(long)]
    pub node: Option<String>,
    /// Do it. Without this, only what would be lost is printed.
    #[arg(long)]
    pub yes: bool,
}

/// Tells what the promotion would lose and, if that is accepted, orders it; what to tell the operator.
///
/// The order is a cluster property: the election obeys it, and the new primary removes it.
///
/// # Errors
///
/// When the cluster does not answer.
pub fn run(agent: &mut Agent, command: &PromoteAnyway) -> Result<String, Failure> {
    let node = command.node.as_ref().map_or_else(|| agent.request.me.clone(), NodeName::new);
    let cib = agent.pacemaker.cib()?;
    if !cib.nodes.contains(&node) {
        return Err(Failure::NoSuchNode(node));
    }
    let members: BTreeSet<NodeName> = agent.pacemaker.members()?;
    let mut facts = election::circumstances(agent, &cib)?;
    election::read_votes(agent, &members, &mut facts)?;
    let told = loss(&facts, &node);
    if !command.yes {
        return Ok(format!(
            "{told}\nNothing has been done. To promote {node} all the same, run this again with --yes."
        ));
    }
    let order = Property::Order.of(&agent.request.instance);
    agent.pacemaker.set_property(&order, Some(node.as_str()))?;
    agent.pacemaker.clean_up(&agent.request.instance)?;
    election::set_score(agent, &node, Score::CANDIDATE)?;
    Ok(format!("{told}\nThe promotion of {node} is ordered: watch it with `crm_mon`."))
}

/// What is known of the node, and what speaks against promoting it.
fn loss(facts: &Facts, node: &NodeName) -> String {
    let vote = facts.votes.get(node).and_then(Option::as_ref);
    let reach = |vote: &Vote| format!("its WAL reaches {} on timeline {}", vote.lsn(), vote.timeline());
    let mut lines =
        vec![format!("{node}: {}", vote.map_or("it has not told how far its WAL reaches".to_owned(), reach))];
    let ordered = Facts { ordered: Some(node.clone()), ..facts.clone() };
    if let Choice::Node { warnings, .. } = promotion::choose(&ordered, None) {
        lines.extend(warnings.iter().map(|warning| format!("{node} would be {warning}.")));
    }
    if let (Some(last), Some(vote)) = (facts.record.last(), vote) {
        if vote.timeline() < last.timeline {
            let known = last.end.unwrap_or(last.switch).bytes_after(vote.lsn());
            lines.push(format!(
                "{} was promoted to timeline {} at {}: what was written on that timeline is lost, and {known} bytes of WAL \
                 before that.",
                last.node, last.timeline, last.switch
            ));
        }
    }
    lines.join("\n")
}
