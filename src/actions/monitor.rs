//! monitor: what the instance is; and, on the primary, what every node is worth as the next one.
//!
//! It changes nothing on a standby, and no trouble with the cluster changes what it says about PostgreSQL.

use crate::agent::{Agent, Outcome};
use crate::exit::OcfExitCode;
use crate::failure::Failure;
use crate::notification::Transition;
use crate::parameters::Rejoin;
use crate::postgres::{About, Upstream};
use crate::rules::logged::{self, Logged, Say};
use crate::rules::primary_wal::PrimaryWal;
use crate::rules::shown::{self, Note, Reported};
use crate::rules::status::{self, Asked, Role, Status};
use crate::rules::{crash, leftovers};
use crate::score::Score;

use super::election::{self, Search};
use super::{fitness, follow, primary, rebuild, rejoin, score, slots, unelected};

/// Reports the state of the instance.
///
/// # Errors
///
/// Never: each fault is an answer.
pub fn run(agent: &mut Agent) -> Result<Outcome, Failure> {
    let found = look(agent)?;
    log_change(agent, &found);
    Ok(if agent.request.asked == Asked::Recurring { report(agent, found) } else { found })
}

/// Logs what was found: always, if the monitor is not a recurring one.
fn log_change(agent: &mut Agent, found: &Outcome) {
    let reason = found.reason.as_deref();
    let level = if found.code == OcfExitCode::Success { log::Level::Info } else { log::Level::Warn };
    let is_recurring = agent.request.asked == Asked::Recurring;
    let noted = if is_recurring { agent.postgres.passing_note(About::Logged) } else { None };
    let before = noted.and_then(|text| Logged::read(&text));
    let (say, logged) = logged::due(before.clone(), found.code as u8, reason, agent.clock.unix_time());
    match say {
        Say::Nothing => {}
        Say::It => log::log!(level, "{}", reason.unwrap_or_default()),
        Say::Over(what) => log::info!("over: {what}"),
    }
    if is_recurring && logged != before {
        agent.postgres.pass_on(About::Logged, logged.map(|logged| logged.to_string()).as_deref());
    }
}

/// Holds a new reason back for once, where Pacemaker would not take note of it, and the note of that can be kept.
fn report(agent: &mut Agent, found: Outcome) -> Outcome {
    let noted = agent.postgres.passing_note(About::Reported).and_then(|text| Note::read(&text));
    let Reported { code, reason, note } = shown::reported(found.code, found.reason.as_deref(), noted.as_ref());
    let text = note.as_ref().map(Note::to_string);
    if note != noted && !agent.postgres.pass_on(About::Reported, text.as_deref()) {
        return found;
    }
    if let (None, Some(held_back)) = (&reason, &found.reason) {
        log::info!("Pacemaker takes note of it with the next monitor: {held_back}");
    }
    Outcome { code, reason }
}

fn look(agent: &mut Agent) -> Result<Outcome, Failure> {
    let status = status::status(&agent.postgres.evidence());
    let code = status.exit_code(agent.request.asked);
    let trouble = match (code, agent.request.asked) {
        (OcfExitCode::RunningPromoted, Asked::Recurring) => {
            agent.postgres.pass_on(About::Score, None);
            primary::publish(agent).map(|trouble| trouble.map(as_primary))
        }
        (OcfExitCode::RunningPromoted, Asked::Probe) => primary::claim_role(agent).map(|()| None),
        (OcfExitCode::Success, Asked::Recurring) => look_for_a_primary(agent),
        (OcfExitCode::Degraded, Asked::Recurring) => match status.admits_no_session() {
            true => without_session(agent, &status),
            false => score::set_noted(agent).and_then(|()| election::read_on(agent)).map(|()| None),
        },
        (_, Asked::Recurring) if status.is_a_crashed_primary() => after_a_crash(agent).map(|()| None),
        _ => Ok(None),
    };
    match trouble {
        Ok(None) => {}
        Ok(Some(trouble)) => return Ok(trouble),
        Err(error) => log::warn!("{error}"),
    }
    if let Some(left) =
        leftovers::reason(agent.postgres.leftovers()).filter(|_| agent.request.asked == Asked::Recurring)
    {
        match code {
            OcfExitCode::RunningPromoted => return Ok(as_primary(left)),
            OcfExitCode::Success => return Ok(degraded(left)),
            _ => {}
        }
    }
    // A probe that finds nothing is not logged as news (OCF's Dummy agent does the same).
    let quiet = status.is_well() && !(code == OcfExitCode::NotRunning && agent.request.asked == Asked::Recurring);
    let reason = (!quiet).then(|| status.to_string());
    Ok(Outcome { code, reason })
}

/// A standby without a WAL sender checks that there is a promotion candidate, and whether it can follow the last primary.
/// Returns the reason for the operator, if any.
fn look_for_a_primary(agent: &mut Agent) -> Result<Option<Outcome>, Failure> {
    unelected::withdraw_question(agent);
    let upstream = agent.postgres.upstream()?;
    // Of a node that was lost, the connection lives on until wal_receiver_timeout.
    let streams = upstream == Upstream::Streaming && agent.postgres.passing_note(About::PrimaryLost).is_none();
    let cut_off = agent.postgres.cut_off(upstream != Upstream::Disconnected);
    let (trouble, unfit) = look_at_links(agent, streams).unwrap_or_else(|error| {
        log::warn!("{error}");
        (None, None)
    });
    if streams {
        agent.postgres.pass_on(About::Candidates, None);
        // The server that it streams from has given it its score.
        agent.postgres.pass_on(About::Score, None);
        agent.postgres.pass_on(About::Promotion, None);
        let what_follows = [rebuild::finish(agent), agent.postgres.vouch().map_err(Failure::from)];
        for error in what_follows.into_iter().filter_map(Result::err) {
            log::warn!("{error}");
        }
        return Ok(trouble.or(unfit).map(degraded));
    }
    if let Err(error) = score::set_noted(agent) {
        log::warn!("{error}");
    }
    if let Some(restart) = rebuild_while_running(agent) {
        return Ok(Some(restart));
    }
    let found = search(agent);
    // Only now, so that no election waits for that; and not while there is no primary to ask.
    let wal = match (&cut_off, &found) {
        (Some(_), Ok(Found { outcome: None, has_primary: true })) => ask_primary(agent),
        _ => PrimaryWal::default(),
    };
    let resource = &agent.request.instance;
    let cut_off = cut_off.map(|cut_off| cut_off.reason(&wal, resource));
    let trouble = trouble.or(cut_off).or(unfit).map(degraded);
    match found {
        Ok(Found { outcome: None, .. }) if agent.request.config.rejoin == Rejoin::Rebuild => {
            Ok(rebuild::without_wal(agent, &wal)?.map(degraded).or(trouble))
        }
        Ok(Found { outcome, .. }) => Ok(outcome.or(trouble)),
        Err(error) if trouble.is_some() => {
            log::warn!("{error}");
            Ok(trouble)
        }
        Err(error) => Err(error),
    }
}

/// Whether the primary has the WAL that this standby needs next, as it says itself.
fn ask_primary(agent: &mut Agent) -> PrimaryWal {
    let wal = agent.postgres.primary_wal().unwrap_or_else(|error| PrimaryWal::Unknown(error.to_string()));
    if let PrimaryWal::Unknown(why) = &wal {
        log::info!("whether the primary has the WAL that this node needs is not known: {why}");
    }
    wal
}

/// A standby that lets no session in looks for a node to promote all the same, and for whether it can follow the primary:
/// what keeps sessions out may last until it does, such as a lock that it replays.
fn without_session(agent: &mut Agent, status: &Status) -> Result<Option<Outcome>, Failure> {
    fitness::without_session(agent);
    unelected::withdraw_question(agent);
    let streams =
        status::streams(&agent.postgres.titles()) && agent.postgres.passing_note(About::PrimaryLost).is_none();
    score::set_noted(agent)?;
    election::read_on(agent)?;
    if streams {
        return Ok(None);
    }
    if let Err(error) = slots::go_without(agent) {
        log::warn!("{error}");
    }
    if let Some(restart) = rebuild_while_running(agent) {
        return Ok(Some(restart));
    }
    Ok(match search(agent)?.outcome {
        Some(Outcome { code: OcfExitCode::Degraded, reason: Some(reason) }) => {
            Some(degraded(format!("{reason}; {status}")))
        }
        outcome => outcome,
    })
}

/// Has it restarted if a copy of the primary waits to take the place of its data.
fn rebuild_while_running(agent: &mut Agent) -> Option<Outcome> {
    rebuild::while_running(agent).unwrap_or_else(|error| {
        log::warn!("{error}");
        None
    })
}

/// What a person should know about how this standby follows, and about what would make its promotion fail.
fn look_at_links(agent: &mut Agent, streams: bool) -> Result<(Option<String>, Option<String>), Failure> {
    let links = agent.postgres.links()?;
    let unfit = fitness::look_after(agent, &links);
    // Pacemaker's list of the other instances is that of the time when the monitor was first scheduled.
    Ok((follow::look_after(agent, &links, streams, &Transition::default())?, unfit))
}

/// It runs as a standby, and this is what a person should know.
fn degraded(reason: String) -> Outcome {
    Outcome { code: OcfExitCode::Degraded, reason: Some(reason) }
}

/// It runs as the primary, and this is what a person should know.
fn as_primary(reason: String) -> Outcome {
    Outcome { code: OcfExitCode::DegradedPromoted, reason: Some(reason) }
}

/// The result of a search for a promotion candidate.
struct Found {
    /// The reason why no node, or not this standby, is promoted.
    outcome: Option<Outcome>,
    /// There is a primary.
    has_primary: bool,
}

/// Makes sure that there is a promotion candidate.
fn search(agent: &mut Agent) -> Result<Found, Failure> {
    let members = agent.pacemaker.members()?;
    Ok(match election::find_candidate(agent, &members)? {
        Search::Refused(refusal) => {
            Found { outcome: Some(degraded(format!("no primary: {refusal}"))), has_primary: false }
        }
        Search::NotNeeded { facts, has_primary: true } => {
            agent.postgres.pass_on(About::PrimaryLost, None);
            follow::has_primary(agent);
            Found { outcome: rejoin::while_running(agent, &facts)?, has_primary: true }
        }
        // Before there is one, nothing has gone on without this node; to look would mean to read its WAL each time.
        Search::NotNeeded { has_primary: false, .. } | Search::Done => Found { outcome: None, has_primary: false },
    })
}

/// Lets Pacemaker prefer a standby to the crashed primary, if that is wanted and there is one.
///
/// # Errors
///
/// When the cluster does not answer.
pub fn after_a_crash(agent: &mut Agent) -> Result<(), Failure> {
    let cib = agent.pacemaker.cib()?;
    let scores = election::scores(agent, &cib);
    let me = agent.request.me.clone();
    if crash::gives_up(agent.request.config.on_crash, &me, &scores) {
        log::info!("the primary crashed: a standby is to be promoted (on_crash=failover)");
        score::set(agent, &me, Score::CANDIDATE)?;
    }
    Ok(())
}

/// Whether the instance now runs in `role`.
pub fn runs_as(agent: &mut Agent, role: Role) -> bool {
    status::status(&agent.postgres.evidence()).runs_as(role)
}
