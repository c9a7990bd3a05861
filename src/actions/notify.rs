//! notify: this instance's part in the actions of the others. Pacemaker ignores how it ends, so failures are logged.

use std::time::Duration;

use crate::agent::{Agent, Outcome};
use crate::failure::Failure;
use crate::hooks;
use crate::notification::Transition;
use crate::postgres::About;
use crate::rules::status::{Phase, Role};
use crate::rules::steps::{self, Part};

use super::election::{self, Search};
use super::{follow, monitor, stopped};

/// How long the end of the new primary's first checkpoint is waited for.
const CHECKPOINT_PATIENCE: Duration = Duration::from_millis(200);

/// Plays this instance's part.
///
/// # Errors
///
/// When the part could not be played; the others do without.
pub fn run(agent: &mut Agent) -> Result<Outcome, Failure> {
    let Some(notification) = &agent.request.notification else {
        log::debug!("a notification of a kind that means nothing to this agent");
        return Ok(Outcome::SUCCESS);
    };
    let played = match steps::part(notification, &agent.request.me) {
        Part::None => Ok(()),
        Part::Vote => election::vote(agent),
        Part::Forget => after_promotion(agent),
        Part::FindCandidate => find_candidate(agent, &notification.transition),
        Part::NoteStopped => stopped::look(agent),
        // Nothing that reaches the CIB: Pacemaker would stop and compute its transition again.
        Part::NotePrimaryLost => {
            agent.postgres.pass_on(About::PrimaryLost, Some(""));
            Ok(())
        }
    };
    hooks::after_action(agent);
    played.map(|()| Outcome::SUCCESS)
}

/// The promotion is over: standbys turn to the new primary, and the vote is void. The first monitor of the new primary publishes
/// its state to the cluster, in the same transition: the address may be waiting for this notification.
fn after_promotion(agent: &mut Agent) -> Result<(), Failure> {
    agent.postgres.pass_on(About::PrimaryLost, None);
    let (me, transition) = (&agent.request.me, &agent.request.transition);
    if !transition.promote.contains(me) {
        match follow::primary_of(agent, transition) {
            Ok(trouble) => trouble.iter().for_each(|trouble| log::warn!("{trouble}")),
            Err(error) => log::warn!("{error}"),
        }
    }
    election::withdraw(agent)?;
    if transition.promote.contains(me) && monitor::runs_as(agent, Role::Primary) {
        // Until the first checkpoint on the new timeline, which PostgreSQL takes its time for, pg_control names the old
        // one, and a node that has diverged cannot be rewound. The server goes on with it when we do not wait.
        if let Err(error) = agent.postgres.checkpoint(CHECKPOINT_PATIENCE) {
            log::debug!("{error}");
        }
    }
    Ok(())
}

fn find_candidate(agent: &mut Agent, transition: &Transition) -> Result<(), Failure> {
    if agent.postgres.phase() == Some(Phase::Starting) {
        // Its monitor does it when it has recovered: before, it cannot be promoted. Its vote says so to the others.
        return election::read_on(agent);
    }
    if let Search::Refused(refusal) = election::find_candidate(agent, &transition.voters())? {
        log::warn!("no primary: {refusal}");
    }
    Ok(())
}
