//! The primary checks which node could follow it, and whether the names of its standbys differ.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::agent::Agent;
use crate::node::NodeName;
use crate::pacemaker::cib::Cib;
use crate::postgres::{About, Replication};
use crate::rules::fitness::Fitness;
use crate::rules::names;
use crate::rules::promotion::Facts;
use crate::rules::succession::{self, Situation};
use crate::vote::Vote;

use super::lasting::lasts;
use super::stopped;

/// What a person should know about that, once it has been so for a while. All that it takes is known already.
pub fn look(
    agent: &mut Agent,
    cib: &Cib,
    facts: &Facts,
    replication: &Replication,
    own: &Vote,
    fitness: &BTreeMap<NodeName, Fitness>,
) -> Vec<String> {
    if agent.request.meta.clone_max == Some(1) {
        return Vec::new();
    }
    let me = &agent.request.me;
    let hindrance = succession::hindrance(&Situation {
        me,
        own,
        facts,
        replicas: &replication.replicas,
        current: replication.current,
        max_lag: agent.request.config.maxlag,
        left: &stopped::known(agent, cib),
        fitness,
    });
    let confusion = names::confusion(me, &facts.members, &replication.replicas);
    let found = [(About::NoSuccessor, hindrance), (About::Names, confusion)];
    found.into_iter().filter_map(|(about, reason)| lasting(agent, about, reason)).collect()
}

/// The reason, if there has been one for long enough.
fn lasting(agent: &mut Agent, about: About, reason: Option<String>) -> Option<String> {
    let lasted = lasts(agent, about, reason.is_some())?;
    if let Some(reason) = reason.as_ref().filter(|_| lasted == Duration::ZERO) {
        log::info!("if it goes on like this: {reason}");
    }
    reason.filter(|_| lasted >= succession::PATIENCE)
}
