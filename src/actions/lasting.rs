//! What is worth a word only once it has lasted: how long, by the notes of the monitors.

use std::time::Duration;

use crate::agent::Agent;
use crate::node::NodeName;
use crate::postgres::About;
use crate::rules::cut_off::Break;

/// For how long it has been so, as far as the monitors before have noted, which this one does, too; none where that cannot be
/// noted. If it is over, for how long it was.
pub fn lasts(agent: &mut Agent, about: About, is_so: bool) -> Option<Duration> {
    let noted = agent.postgres.passing_note(about).and_then(|text| Break::read(&text));
    if !is_so {
        if noted.is_some() {
            agent.postgres.pass_on(about, None);
        }
        return noted.map(Break::lasted);
    }
    let seen = Break::seen(noted, agent.clock.uptime());
    agent.postgres.pass_on(about, Some(&seen.to_string())).then(|| seen.lasted())
}

/// For how long a node is waited for that reads its WAL and may hold more: what a start may take.
const START_PATIENCE: u64 = 60;

/// Whether a node that has not read all its WAL was waited for long enough, by this node.
pub fn waited_long_enough(agent: &mut Agent, node: &NodeName) -> bool {
    let now = agent.clock.unix_time();
    let noted = agent.postgres.passing_note(About::Wait).unwrap_or_default();
    let since = noted.split_once(' ').filter(|(_, known)| *known == node.as_str());
    match since.and_then(|(since, _)| since.parse::<u64>().ok()) {
        Some(since) => now.saturating_sub(since) >= START_PATIENCE,
        None => {
            agent.postgres.pass_on(About::Wait, Some(&format!("{now} {node}")));
            false
        }
    }
}
