//! Primaries that people have made beside the primary: named at once, gone soon, and no danger to it.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use pgsqlms::exit::OcfExitCode;
use pgsqlms::pacemaker::Attribute;

use super::is_stray;
use crate::fakes::pacemaker::Weather;
use crate::fakes::{Ended, OTHER_SYSTEM, RESOURCE, State};
use crate::simulation::people::primary;
use crate::simulation::scheduler::Scheduler;

/// How many monitors such a primary may see.
const MONITORS: u32 = 4;

/// Words in the reason of a node that has left the line.
pub const NAMES: [&str; 5] =
    ["diverged", "promoted outside an election", "as a primary on the timeline of", "another database", OTHER_SYSTEM];

/// The primaries that people have made, with the monitors that each has seen, and when something was disturbed last before.
#[derive(Debug, Default)]
pub struct Strays(BTreeMap<usize, (u32, u64)>);

impl Strays {
    /// Judges a monitor that began then, after it.
    pub fn monitored(&mut self, state: &mut State, node: usize, began: Duration, ended: &Ended) {
        let began_before = state.nodes[node].postgres.since >= began;
        let beside = primary(state).filter(|_| is_stray(state, node) && !began_before);
        let is_fair = state.information.weather == Weather::Fair && state.now >= state.nodes[node].refuses_until;
        let (Some(beside), true) = (beside, is_fair) else {
            self.0.remove(&node);
            return;
        };
        let (count, since) = self.0.entry(node).or_insert((0, state.disturbances));
        if *since != state.disturbances {
            (*count, *since) = (0, state.disturbances);
        }
        *count += 1;
        let (name, primary) = (state.nodes[node].name.clone(), state.nodes[beside].name.clone());
        if *count > MONITORS {
            state.violated(format!("{name} goes on as a primary beside {primary}"));
        }
        if let Ended::Answered(Ok(outcome)) = ended {
            let reason = outcome.reason.as_deref().unwrap_or_default();
            let runs = matches!(outcome.code, OcfExitCode::RunningPromoted | OcfExitCode::DegradedPromoted);
            if runs && !NAMES.iter().any(|words| reason.contains(words)) {
                state.violated(format!("{name} is a primary beside {primary}, and is not named: {reason:?}"));
            }
        }
    }
}

/// Judges a transition that demotes `nodes` and promotes others.
pub fn demoted(scheduler: &Scheduler, demoted: &BTreeSet<usize>, promoted: &BTreeSet<usize>) {
    let state = &mut *scheduler.state();
    let Some(primary) = primary(state).filter(|primary| demoted.contains(primary)) else { return };
    // Where scores do not arrive, Pacemaker decides by those that did.
    let score = state.information.transient(&state.nodes[primary].name, &Attribute::Score.of(RESOURCE));
    let is_lost = state.information.is_late() || score != Some("1001");
    let meant = scheduler.seen[primary].failed || scheduler.wish.is_some() || state.nodes[primary].banned || is_lost;
    let for_whom = promoted.iter().find(|node| is_stray(state, **node)).copied();
    if let Some(stray) = for_whom.filter(|_| !meant && !scheduler.resting.contains(&primary)) {
        let (name, stray) = (&state.nodes[primary].name, &state.nodes[stray].name);
        let what = format!("{name} loses its role to {stray}, which a person has promoted");
        state.violated(what);
    }
}
