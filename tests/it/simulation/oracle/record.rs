//! Writers of the record of promotions, and primaries that are adopted by a write.

use pgsqlms::pacemaker::Property;
use pgsqlms::record::{Promotion, Stage};

use super::{branch_of, is_better, is_free, is_stray, lost, record};
use crate::fakes::{RESOURCE, State};
use crate::simulation::people::primary;

/// Judges the entry of the agent on `writer` in the record. A primary that a person made is adopted by that.
pub fn recorded(state: &mut State, writer: usize) {
    let record = record(state);
    let counts = |last: &Promotion| last.stage == Stage::Kept && Some(last.timeline) >= state.overruled;
    if let Some(branch) = record.last().filter(|last| counts(last)).and_then(|last| branch_of(state, last)) {
        state.kept = Some(branch);
    }
    let end = state.nodes[writer].postgres.end;
    let timeline = state.wal.branch(end.branch).timeline;
    let is_own = record.last().is_some_and(|last| {
        last.timeline.0 == timeline && state.number(&last.node) == Some(writer) && is_stray(state, writer)
    });
    if !is_own {
        return;
    }
    let ordered = state.information.properties.get(&Property::Order.of(RESOURCE));
    let ordered = ordered.is_some_and(|node| *node == *state.nodes[writer].name.as_str());
    if ordered {
        state.acknowledged.clear();
    } else {
        let mut wrong = lost(state, end);
        wrong.extend(primary(state).map(|other| format!("{} is the primary", state.nodes[other].name)));
        // An agent that adopts a primary has asked all nodes.
        for node in (0..state.nodes.len()).filter(|node| *node != writer && is_free(state, *node)) {
            if is_better(state, node, writer, &record, state.calm_since.is_some()) {
                wrong.push(format!("it holds less than {}", state.nodes[node].name));
            }
        }
        for what in wrong {
            state.violated(format!(
                "{} was promoted by hand and writes the record, and {what}",
                state.nodes[writer].name
            ));
        }
    }
    state.line = end.branch;
    (state.forgotten, state.ended, state.handed_over) = (false, None, None);
}
