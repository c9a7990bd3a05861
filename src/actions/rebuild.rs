//! A copy of the primary takes the place of the data directory: facts for [`crate::rules::rebuild`], and what follows.

use crate::agent::{Agent, Outcome};
use crate::exit::OcfExitCode;
use crate::failure::Failure;
use crate::notification::Transition;
use crate::parameters::Rejoin;
use crate::postgres::Place;
use crate::rules::primary_wal::{self, PrimaryWal};
use crate::rules::rebuild::{self, MOST_RESTARTS, Order, Plight, Stage, Standing, Step, Unattended};
use crate::rules::{lineage, rejoin};
use crate::vote::Vote;

use super::election;

/// More than there are steps.
const MOST_STEPS: u32 = 5;

/// Reading this node's WAL gets this share of the time that is left.
const READING: f64 = 0.3;

/// Gives an instance that does not run the copy that an operator has ordered, if there is one. It may be killed between any
/// two steps: the next start sees from what is there how far it came.
///
/// # Errors
///
/// When the data directory has been put aside and nothing takes its place: the next start goes on.
pub fn before_start(agent: &mut Agent) -> Result<(), Failure> {
    let order = agent.postgres.order()?;
    if order.stage != Stage::Copied || agent.postgres.phase().is_some() {
        return Ok(());
    }
    let has_primary = agent.request.transition.has_primary();
    let standing = standing(agent, &order, Some(has_primary));
    for _ in 0..MOST_STEPS {
        match rebuild::step(&order, agent.postgres.sites()?, standing) {
            Step::AsItIs => return Ok(()),
            Step::Aside => match agent.postgres.change_place(Place::Aside) {
                Ok(()) => log::warn!("the data directory is replaced by a copy of the primary"),
                Err(error) => return forget(agent, order, &error.to_string()),
            },
            Step::Into => agent.postgres.change_place(Place::Into)?,
            Step::Back => {
                agent.postgres.change_place(Place::Back)?;
                log::warn!("the old data is the data directory again");
            }
            Step::Done => return done(agent, order),
            Step::Forget(why) => return forget(agent, order, why),
        }
    }
    Ok(())
}

/// The notes about a rewind were about the old data.
fn done(agent: &mut Agent, order: Order) -> Result<(), Failure> {
    agent.postgres.note(&rejoin::Notes::default())?;
    agent.postgres.put_order(&Order { stage: Stage::Rebuilt, why: String::new(), ..order })?;
    if let Err(error) = agent.postgres.change_place(Place::DropCopy) {
        log::warn!("{error}");
    }
    log::info!("rebuilt: the copy of the primary is the data directory");
    Ok(())
}

fn forget(agent: &mut Agent, order: Order, why: &str) -> Result<(), Failure> {
    log::warn!("not rebuilt: {why}");
    Ok(agent.postgres.put_order(&Order { stage: Stage::Nothing, why: why.to_owned(), ..order })?)
}

/// Whether the copy may take its place, as far as can be determined; `has_primary` is whether there is a primary to follow, where
/// Pacemaker has passed that.
fn standing(agent: &mut Agent, order: &Order, has_primary: Option<bool>) -> Standing {
    let transition = agent.request.transition.clone();
    let (record, node) = match election::record_and_primary(agent, &transition) {
        Ok(found) => found,
        Err(error) => {
            log::warn!("{error}");
            return Standing::NotNow;
        }
    };
    let has_primary = has_primary.unwrap_or_else(|| node.is_some_and(|node| node != agent.request.me));
    // Data that is broken, or half rewound, has no end that counts.
    let is_half = agent.postgres.notes().is_ok_and(|notes| notes.stage == rejoin::Stage::Rewinding);
    let until = agent.request.deadline.share(agent.clock, READING);
    let vote = agent.postgres.vote(until).map_err(|error| log::debug!("{error}")).ok().filter(|_| !is_half);
    let me = &agent.request.me;
    // Nor has another database.
    let counts =
        |vote: &Vote| lineage::foreign(vote, &record).is_none() && rejoin::divergence(me, vote, &record).is_none();
    let own_end = vote.filter(counts).map(|vote| vote.lsn());
    rebuild::standing(order, record.last_switch(), has_primary, own_end)
}

/// Has a running standby that receives nothing restarted if a copy of the primary is to take the place of its data.
///
/// # Errors
///
/// When the state of the node cannot be determined.
pub fn while_running(agent: &mut Agent) -> Result<Option<Outcome>, Failure> {
    let order = agent.postgres.order()?;
    if order.stage != Stage::Copied || order.attempts >= MOST_RESTARTS {
        return Ok(None);
    }
    let standing = standing(agent, &order, None);
    match rebuild::step(&order, agent.postgres.sites()?, standing) {
        Step::Aside => {}
        Step::Forget(why) => return forget(agent, order, why).map(|()| None),
        _ => return Ok(None),
    }
    agent.postgres.put_order(&Order { attempts: order.attempts + 1, ..order })?;
    let reason = "restarts to be rebuilt: a copy of the primary takes the place of its data".to_owned();
    Ok(Some(Outcome { code: OcfExitCode::GenericError, reason: Some(reason) }))
}

/// Has the primary copied, with `rejoin=rebuild`, for a node that cannot follow, `why` so; what a person should know.
///
/// # Errors
///
/// When the next step cannot be determined, or a program cannot be started.
pub fn unattended(agent: &mut Agent, why: &str) -> Result<String, Failure> {
    // Pacemaker's list of the other instances is that of the time when the monitor was first scheduled.
    let (record, primary) = election::record_and_primary(agent, &Transition::default())?;
    let (order, job) = (agent.postgres.order()?, agent.postgres.job()?);
    let Some(last) = record.last_switch() else { return Ok(why.to_owned()) };
    let plight = Plight {
        order: &order,
        last,
        job: &job,
        has_primary: primary.is_some_and(|primary| primary != agent.request.me),
        now: agent.clock.unix_time(),
        why,
        resource: &agent.request.instance,
    };
    match rebuild::unattended(&plight) {
        Unattended::Report(reason) => Ok(reason),
        Unattended::Begin(reason) => {
            agent.postgres.leave_rebuilding()?;
            Ok(reason)
        }
    }
}

/// The same for a node that has not diverged, and for which the primary holds `wal`.
///
/// # Errors
///
/// See [`unattended`].
pub fn without_wal(agent: &mut Agent, wal: &PrimaryWal) -> Result<Option<String>, Failure> {
    if *wal != PrimaryWal::Removed || primary_wal::hindrance(wal, agent.postgres.has_archive()?).is_some() {
        return Ok(None);
    }
    unattended(agent, "the primary has removed WAL that it needs").map(Some)
}

/// Why a node that has not diverged is not copied over without a person, if so: the primary is asked once more, for the copy may
/// begin long after the monitor has asked.
///
/// # Errors
///
/// When this node cannot determine it.
pub fn hindrance(agent: &mut Agent) -> Result<Option<String>, Failure> {
    let wal = agent.postgres.primary_wal()?;
    Ok(primary_wal::hindrance(&wal, agent.postgres.has_archive()?))
}

/// Has the old data removed on a node that follows, if no process was left that watches the rebuild.
///
/// # Errors
///
/// When that is not known, or a program cannot be started.
pub fn finish(agent: &mut Agent) -> Result<(), Failure> {
    if agent.request.config.rejoin != Rejoin::Rebuild {
        return Ok(());
    }
    let order = agent.postgres.order()?;
    if order.stage == Stage::Rebuilt && rebuild::left_over(&order, &agent.postgres.job()?) {
        agent.postgres.leave_rebuilding()?;
    }
    Ok(())
}
