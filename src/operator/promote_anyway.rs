//! promote-anyway: an operator overrules a refused election.

use std::collections::BTreeSet;

use clap::Args;

use crate::actions::{self, election, score};
use crate::agent::Agent;
use crate::env;
use crate::failure::Failure;
use crate::node::NodeName;
use crate::pacemaker::Property;
use crate::rules::office;
use crate::rules::promotion::{self, Facts, Refusal};
use crate::score::Score;

use super::Which;

/// Promotes a node although the agent refuses to, accepting the loss of what it does not hold.
#[derive(Debug, Clone, Args)]
pub struct PromoteAnyway {
    /// The resource.
    #[command(flatten)]
    pub which: Which,
    /// The node to promote; this one if not given.
    #[arg(long)]
    pub node: Option<String>,
    /// Do it. Without this, only what would be lost is printed.
    #[arg(long)]
    pub yes: bool,
}

/// Prints the loss that the promotion would mean and, if that is accepted, orders it; returns the text to print.
///
/// The order is a cluster property: the election obeys it for some minutes, and the new primary removes it.
///
/// # Errors
///
/// When it is refused, or the cluster does not answer.
pub fn run(agent: &mut Agent, command: &PromoteAnyway) -> Result<String, Failure> {
    let node = command.node.as_ref().map_or_else(|| agent.request.me.clone(), NodeName::new);
    let cib = agent.pacemaker.cib()?;
    if !cib.nodes.contains(&node) {
        return Err(Failure::NoSuchNode(node));
    }
    let online: BTreeSet<NodeName> = agent.pacemaker.members()?;
    let mut facts = election::circumstances(agent, &cib)?;
    let scores = election::scores(agent, &cib);
    let stopped = election::presence(agent, &online, &scores)?.stopped;
    let running = online.difference(&stopped).cloned().collect();
    election::read_votes(agent, &running, &mut facts)?;
    actions::stopped::count(agent, &cib, &running, &mut facts)?;
    let voted = facts.votes.iter().filter(|(_, vote)| vote.is_some()).map(|(node, _)| node.clone());
    let are_none = voted.chain(facts.foreign.keys().cloned()).chain(stopped).collect();
    let primary = office::primary(&online, &scores, &are_none);
    let is_quorate = agent.pacemaker.is_quorate()?;
    let account = promotion::account(&facts, &node);
    let refused = promotion::refused(&facts, &node, &online, primary.as_ref(), is_quorate);
    if let Some(refusal) = hopeless(&facts, &node) {
        return Err(Failure::NotPromotable(Box::new(refusal)));
    }
    if let Some(refused) = refused {
        let account = if command.yes { String::new() } else { account };
        return Err(Failure::NotOrdered { refused, account });
    }
    if !command.yes {
        return Ok(format!(
            "{account}\nNothing has been done. To promote {node} all the same, run this again with --yes."
        ));
    }
    order(agent, &node, &account)?;
    Ok(format!(
        "{account}\nThe promotion of {node} is ordered, and {} minutes from now no longer: watch it with `crm_mon`.",
        promotion::LASTS / 60
    ))
}

/// The time goes first: alone it orders nothing, and an order without one would count for ever.
fn order(agent: &mut Agent, node: &NodeName, account: &str) -> Result<(), Failure> {
    let instance = &agent.request.instance;
    let by = format!("by {} on {}", env::person(), agent.request.me);
    log::warn!("the promotion of {node} is ordered {by}: {}", account.replace('\n', " "));
    let at = format!("{} {by}", agent.clock.unix_time());
    agent.pacemaker.set_property(&Property::OrderedAt.of(instance), Some(&at))?;
    agent.pacemaker.set_property(&Property::Order.of(instance), Some(node.as_str()))?;
    agent.pacemaker.clean_up(instance)?;
    score::set(agent, node, Score::CANDIDATE)
}

/// What no order of an operator overcomes.
fn hopeless(facts: &Facts, node: &NodeName) -> Option<Refusal> {
    let bar = facts.barred.get(node).filter(|bar| bar.is_final())?;
    Some(Refusal::AllBarred([(node.clone(), *bar)].into()))
}
