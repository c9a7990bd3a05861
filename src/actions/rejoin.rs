//! A node that has left the cluster's history comes back: facts for [`crate::rules::rejoin`], and what follows from them.

use crate::agent::{Agent, Outcome};
use crate::clock::Deadline;
use crate::exit::OcfExitCode;
use crate::failure::Failure;
use crate::hooks;
use crate::notification::Transition;
use crate::parameters::Rejoin;
use crate::rules;
use crate::rules::lineage::{self, Foreign};
use crate::rules::promotion::Facts;
use crate::rules::rejoin::{self, BeforeLaunch, Diverged, Divergence, Half, Notes, Stage};
use crate::score::Score;

use super::{election, follow, rebuild, score, start, unelected};

/// The rewind gets this share of the time that is left; the rest is for PostgreSQL to come up.
const SHARE: f64 = 0.8;

/// Reading this node's WAL gets this share. Where that is too little it is not known to have diverged.
const READING: f64 = 0.3;

/// Makes this instance, which does not run, one that may be launched as a standby.
///
/// # Errors
///
/// When it must not be launched: it is half rewound.
pub fn before_launch(agent: &mut Agent, deadline: Deadline) -> Result<(), Failure> {
    let notes = agent.postgres.notes()?;
    let asked = agent.request.config.rejoin == Rejoin::Rewind || notes.stage == Stage::Ordered;
    let divergence = if asked { divergence(agent) } else { None };
    let obstacle = if divergence.is_some() { agent.postgres.obstacle() } else { None };
    let has_primary = agent.request.transition.has_primary();
    let policy = agent.request.config.rejoin;
    match rejoin::before_launch(policy, &notes, divergence.as_ref(), obstacle.as_deref(), has_primary) {
        BeforeLaunch::AsItIs => Ok(()),
        BeforeLaunch::Refuse(half) => {
            step_back(agent);
            Err(Failure::HalfRewound(half.message(&agent.request.instance)))
        }
        BeforeLaunch::Rewind => rewind(agent, divergence.as_ref(), deadline),
    }
}

/// Why an instance that was launched has ended: one that has diverged does not start once it has met the new history.
pub fn why_it_died(agent: &mut Agent) -> Failure {
    let words = start::last_words(agent);
    // What it says depends on its language and on where it logs; its WAL does not.
    if agent.request.config.rejoin == Rejoin::None {
        return Failure::Died(words);
    }
    let Some(divergence) = divergence(agent) else { return Failure::Died(words) };
    step_back(agent);
    if agent.request.config.rejoin == Rejoin::Rebuild {
        match rebuild::unattended(agent, &format!("it {divergence}")) {
            Ok(advice) => return Failure::Strayed { advice, words },
            Err(error) => log::warn!("{error}"),
        }
    }
    let notes = agent.postgres.notes().unwrap_or_default();
    let obstacle = agent.postgres.obstacle();
    let advice = rejoin::advice(&notes, &divergence, obstacle.as_deref(), &agent.request.instance);
    Failure::Strayed { advice, words }
}

/// Sets a score with which Pacemaker never promotes this node, whichever constraint prefers it. Until it follows a primary, whose
/// monitor then ranks it, or makes itself the candidate where no other node is one, that is how it stays.
fn step_back(agent: &mut Agent) {
    let me = agent.request.me.clone();
    let done = agent.pacemaker.cib().map_err(Failure::from).and_then(|cib| {
        let ordered = election::circumstances(agent, &cib)?.ordered;
        let score = election::scores(agent, &cib).get(&me).copied();
        if !rejoin::steps_back(&me, ordered.as_ref(), score) {
            return Ok(());
        }
        log::info!(
            "this node has diverged, or has another database: it must not be promoted until it follows a primary"
        );
        score::set(agent, &me, Score::NEVER)
    });
    if let Err(error) = done {
        log::warn!("{error}");
    }
}

fn rewind(agent: &mut Agent, divergence: Option<&Divergence>, deadline: Deadline) -> Result<(), Failure> {
    step_back(agent);
    // It says where to rewind from.
    if let Err(error) = follow::prepare(agent) {
        log::warn!("{error}");
    }
    if let Some(divergence) = divergence {
        log::warn!("it {divergence}");
    }
    let until = deadline.share(agent.clock, SHARE);
    let notes = agent.postgres.rewind(divergence, until)?;
    match notes.stage {
        Stage::Rewound => Ok(()),
        Stage::Rewinding if notes.is_given_up() => {
            Err(Failure::HalfRewound(Half::GaveUp(notes.why).message(&agent.request.instance)))
        }
        Stage::Rewinding => Err(Failure::Rewind(notes.why)),
        Stage::Nothing | Stage::Ordered | Stage::Blocked | Stage::Hopeless => {
            log::warn!("not rewound: {}", notes.why);
            Ok(())
        }
    }
}

/// How this instance has diverged, if it has. If that cannot be determined, it is started as it is, and its monitor looks again.
fn divergence(agent: &mut Agent) -> Option<Divergence> {
    look(agent).map_err(|error| log::warn!("{error}")).ok().flatten()
}

/// How this instance has diverged, if it has.
///
/// # Errors
///
/// When the state of the node cannot be determined, or its database is another one.
pub fn look(agent: &mut Agent) -> Result<Option<Divergence>, Failure> {
    let vote = agent.postgres.vote(agent.request.deadline.share(agent.clock, READING))?;
    let cib = agent.pacemaker.cib()?;
    let facts = election::circumstances(agent, &cib)?;
    if let Some(foreign) = lineage::foreign(&vote, &facts.record) {
        return Err(Failure::OtherDatabase(foreign.message(&agent.request.instance, true)));
    }
    Ok(rejoin::divergence(&agent.request.me, &vote, &facts.record))
}

/// The same about one with another database than on record. It is not rebuilt without being asked: it may be the right one.
fn with_another_database(agent: &mut Agent, foreign: &Foreign) -> Result<Outcome, Failure> {
    step_back(agent);
    let cib = agent.pacemaker.cib()?;
    let mut facts = election::circumstances(agent, &cib)?;
    let primary = rules::follow::primary(&Transition::default(), &facts.record, &election::scores(agent, &cib));
    let primary = primary.filter(|primary| *primary != agent.request.me);
    // Its score may be that of its former life.
    election::read_votes(agent, &primary.iter().cloned().collect(), &mut facts)?;
    let has_primary = primary.is_some_and(|primary| !facts.foreign.contains_key(&primary));
    let reason = Some(foreign.message(&agent.request.instance, has_primary));
    Ok(Outcome { code: OcfExitCode::Degraded, reason })
}

/// What is to be said and done about a running standby that receives nothing although there is a primary.
///
/// # Errors
///
/// When the state of the node cannot be determined.
pub fn while_running(agent: &mut Agent, facts: &Facts) -> Result<Option<Outcome>, Failure> {
    if facts.ordered.as_ref() == Some(&agent.request.me) {
        log::info!("an operator has ordered its promotion");
        return Ok(None);
    }
    if let Some(primary) = agent.postgres.forked() {
        step_back(agent);
        let namesake = Failure::Namesake { advice: unelected::advice(agent, &primary)?, primary };
        return Ok(Some(Outcome { code: OcfExitCode::Degraded, reason: Some(namesake.to_string()) }));
    }
    let vote = agent.postgres.vote(agent.request.deadline.share(agent.clock, READING))?;
    if let Some(foreign) = lineage::foreign(&vote, &facts.record) {
        return with_another_database(agent, &foreign).map(Some);
    }
    let Some(divergence) = rejoin::divergence(&agent.request.me, &vote, &facts.record) else { return Ok(None) };
    step_back(agent);
    // How much is at stake may change; that alone is not a new divergence.
    hooks::after_divergence(agent, &format!("diverged from timeline {} ({})", divergence.timeline, divergence.node));
    let (notes, policy) = (agent.postgres.notes()?, agent.request.config.rejoin);
    let obstacle = agent.postgres.obstacle();
    let resource = &agent.request.instance;
    Ok(Some(match rejoin::while_running(policy, &notes, &divergence, obstacle.as_deref(), resource) {
        Diverged::Report(reason) => Outcome { code: OcfExitCode::Degraded, reason: Some(reason) },
        Diverged::Rebuild => {
            let reason = rebuild::unattended(agent, &format!("it {divergence}"))?;
            Outcome { code: OcfExitCode::Degraded, reason: Some(reason) }
        }
        Diverged::Restart(reason) => {
            let notes = notes.about(divergence.timeline, divergence.switch);
            agent.postgres.note(&Notes { attempts: notes.attempts + 1, ..notes })?;
            Outcome { code: OcfExitCode::GenericError, reason: Some(reason) }
        }
    }))
}
