//! Candidates that Pacemaker does not promote do not keep the others waiting: facts for [`crate::rules::candidates`].

use std::collections::{BTreeMap, BTreeSet};

use crate::agent::Agent;
use crate::node::NodeName;
use crate::postgres::About;
use crate::rules::bars::Bar;
use crate::rules::candidates::Candidates;
use crate::rules::cold_start;
use crate::rules::promotion::Facts;
use crate::score::Score;

/// Bars those of `voters` that may be promoted and that Pacemaker does not promote. It is asked only when that has lasted.
pub fn bar(agent: &mut Agent, scores: &BTreeMap<NodeName, Score>, voters: &BTreeSet<NodeName>, facts: &mut Facts) {
    let promotable = cold_start::promotable(scores, &facts.barred, voters).cloned().collect();
    let noted = noted(agent);
    let mut candidates = noted.seen(&promotable, agent.clock.uptime());
    if candidates.is_due() {
        let roles = agent.pacemaker.roles(&agent.request.instance).map_err(|error| log::warn!("{error}")).ok();
        candidates = candidates.judged(roles.as_ref());
    }
    if candidates != noted {
        let text = (!candidates.is_empty()).then(|| candidates.to_string());
        agent.postgres.pass_on(About::Candidates, text.as_deref());
    }
    insert(facts, candidates.not_promoted());
}

/// Bars those that Pacemaker has not promoted although their scores are better than that of this node, which it promotes now.
pub fn bar_for_us(agent: &mut Agent, scores: &BTreeMap<NodeName, Score>, facts: &mut Facts) {
    let noted = noted(agent);
    if !noted.is_empty() {
        let promotable = scores.keys().filter(|node| !facts.barred.contains_key(*node)).cloned().collect();
        insert(facts, noted.seen(&promotable, agent.clock.uptime()).behind(&agent.request.me, scores));
    }
}

fn noted(agent: &mut Agent) -> Candidates {
    agent.postgres.passing_note(About::Candidates).map_or(Candidates::default(), |text| Candidates::read(&text))
}

fn insert(facts: &mut Facts, not_promoted: BTreeSet<NodeName>) {
    for node in not_promoted {
        log::info!("{node}: {}", Bar::NotPromoted);
        facts.barred.entry(node).or_insert(Bar::NotPromoted);
    }
}
