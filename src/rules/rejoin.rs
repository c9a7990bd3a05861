//! What becomes of a node that has left the cluster's history.

mod notes;

use std::fmt;

use crate::location::{Lsn, Timeline};
use crate::node::NodeName;
use crate::parameters::Rejoin;
use crate::record::Record;
use crate::rules::lineage::{self, Standing};
use crate::rules::promotion;
use crate::rules::status::Phase;
use crate::score::Score;
use crate::vote::Vote;

pub use notes::{MOST_ATTEMPTS, Notes, Stage};

/// Where a node left the cluster's history, and what it wrote since.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Divergence {
    /// The timeline that it does not lead on from.
    pub timeline: Timeline,
    /// Where that timeline begins.
    pub switch: Lsn,
    /// The node that began it.
    pub node: NodeName,
    /// Where the ways part, as far as known.
    pub at: Option<Lsn>,
    /// Where this node's WAL ends.
    pub end: Lsn,
    /// It was promoted outside an election.
    pub by_hand: bool,
}

/// How `node`, which votes so, has diverged, if it has.
pub fn divergence(node: &NodeName, vote: &Vote, record: &Record) -> Option<Divergence> {
    let proven = record.proven_by([(node, vote)]);
    let Standing::Diverged { from, at } = lineage::standing(vote, &proven) else { return None };
    Some(Divergence {
        timeline: from.timeline,
        switch: from.switch,
        node: from.node.clone(),
        at,
        end: vote.lsn(),
        by_hand: promotion::leaves(vote, &from).is_some(),
    })
}

impl Divergence {
    /// How much this node holds that the cluster has gone on without, as far as known.
    pub fn bytes(&self) -> Option<u64> {
        self.at.map(|at| self.end.bytes_after(at))
    }
}

/// `diverged from timeline 2 (srv2) at 0/3000060 by 4096 bytes of WAL`, after `was promoted outside an election and` where
/// that is so.
impl fmt::Display for Divergence {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.by_hand {
            f.write_str("was promoted outside an election and ")?;
        }
        write!(f, "diverged from timeline {} ({})", self.timeline, self.node)?;
        match (self.at, self.bytes()) {
            (Some(at), Some(bytes)) => write!(f, " at {at} by {bytes} bytes of WAL"),
            _ => Ok(()),
        }
    }
}

/// Whether `me`, which has diverged, is yet to say that it must never be promoted. Not where an operator has ordered that.
pub fn steps_back(me: &NodeName, ordered: Option<&NodeName>, score: Option<Score>) -> bool {
    ordered != Some(me) && score != Some(Score::NEVER)
}

/// What an instance that is about to be launched is to go through first.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum BeforeLaunch {
    /// Nothing.
    AsItIs,
    /// It is rewound.
    Rewind,
    /// It is not launched, because it is half rewound: neither what it was nor what it should be.
    Refuse(Half),
}

/// Why an instance that is half rewound stays so.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Half {
    /// There is no primary to go on with.
    NoPrimary,
    /// It has been tried often enough; this is what went wrong the last time.
    GaveUp(String),
}

/// What is to be done before this instance is launched as a standby.
///
/// A rewind that has begun is finished under any policy, and in any state of the data directory: nothing
/// else makes a database of it again.
pub fn before_launch(
    policy: Rejoin,
    notes: &Notes,
    divergence: Option<&Divergence>,
    obstacle: Option<&str>,
    has_primary: bool,
) -> BeforeLaunch {
    if notes.stage == Stage::Rewinding {
        return match (has_primary, notes.attempts < MOST_ATTEMPTS) {
            (true, true) => BeforeLaunch::Rewind,
            (false, true) => BeforeLaunch::Refuse(Half::NoPrimary),
            (_, false) => BeforeLaunch::Refuse(Half::GaveUp(notes.why.clone())),
        };
    }
    let wanted = |divergence| matches!(readiness(policy, notes, divergence), Readiness::Ready | Readiness::Exhausted);
    match divergence {
        Some(divergence) if has_primary && obstacle.is_none() && wanted(divergence) => BeforeLaunch::Rewind,
        _ => BeforeLaunch::AsItIs,
    }
}

/// What the monitor makes of a standby that has diverged.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Diverged {
    /// This is reported.
    Report(String),
    /// It is restarted, so that start rewinds it.
    Restart(String),
    /// It gets a copy of the primary.
    Rebuild,
}

/// What the monitor of `node` says about its running standby that has diverged; `obstacle` is what makes a rewind impossible.
pub fn while_running(
    policy: Rejoin,
    notes: &Notes,
    divergence: &Divergence,
    obstacle: Option<&str>,
    resource: &str,
) -> Diverged {
    match (readiness(policy, notes, divergence), policy, obstacle) {
        (Readiness::NotAsked, Rejoin::None, _) => {
            let rebuild = "stop the resource here, then rebuild this node by pg_rewind or pg_basebackup";
            Diverged::Report(format!("{rebuild}: it {divergence}"))
        }
        (Readiness::Ready, _, None) => Diverged::Restart(format!("restarts to be rewound: it {divergence}")),
        (_, Rejoin::Rebuild, _) => Diverged::Rebuild,
        _ => Diverged::Report(advice(notes, divergence, obstacle, resource)),
    }
}

/// What brings a node back that has diverged, what hindered it so far, and how it has diverged: the first counts most.
pub fn advice(notes: &Notes, divergence: &Divergence, obstacle: Option<&str>, resource: &str) -> String {
    let known = notes.about == Some((divergence.timeline, divergence.switch));
    let hopeless = (known && notes.stage == Stage::Hopeless).then_some(notes.why.as_str());
    if let Some(obstacle) = obstacle.or(hopeless) {
        return format!("run `pgsqlms rebuild --resource {resource}` here, {obstacle}: it {divergence}");
    }
    let why = match notes.stage {
        _ if !known => String::new(),
        Stage::Rewound => " once more".to_owned(),
        _ if notes.why.is_empty() => String::new(),
        Stage::Blocked => {
            return format!("not rewound, {}; then `pgsqlms rejoin --resource {resource}`: it {divergence}", notes.why);
        }
        _ => format!(" ({})", notes.why),
    };
    format!("run `pgsqlms rejoin --resource {resource}` here{why}: it {divergence}")
}

/// Whether a node may be rewound for a divergence.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Readiness {
    Ready,
    NotAsked,
    /// It was, and has diverged from the same promotion again.
    Rewound,
    Blocked,
    /// Started in vain too often: a start that happens anyway may try once more.
    Exhausted,
}

fn readiness(policy: Rejoin, notes: &Notes, divergence: &Divergence) -> Readiness {
    let known = notes.about == Some((divergence.timeline, divergence.switch));
    match notes.stage {
        Stage::Ordered if known && notes.attempts >= MOST_ATTEMPTS => Readiness::Exhausted,
        Stage::Ordered if known => Readiness::Ready,
        Stage::Rewound if known => Readiness::Rewound,
        Stage::Blocked | Stage::Hopeless if known => Readiness::Blocked,
        _ if policy != Rejoin::Rewind => Readiness::NotAsked,
        _ if known && notes.attempts >= MOST_ATTEMPTS => Readiness::Exhausted,
        Stage::Nothing | Stage::Ordered | Stage::Rewound | Stage::Blocked | Stage::Hopeless | Stage::Rewinding => {
            Readiness::Ready
        }
    }
}

impl Half {
    /// The exit reason about it.
    pub fn message(&self, resource: &str) -> String {
        let half = "it is half rewound";
        match self {
            Half::NoPrimary => format!("{half} and there is no primary to go on with: clean up when there is one"),
            Half::GaveUp(why) => {
                format!("{half}: run `pgsqlms rejoin --resource {resource} --yes`, or `rebuild`; {why}")
            }
        }
    }
}

/// How far an ordered rewind is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Progress {
    /// Pacemaker has not restarted the instance yet.
    Waiting,
    /// The data directory is being rewritten.
    Rewinding,
    /// That is over.
    Starting,
    /// It follows the primary.
    Done,
    /// It was tried, and this went wrong.
    Failed(String),
}

/// How far the rewind is of an instance with these notes, in this phase.
pub fn progress(notes: &Notes, phase: Option<Phase>, follows: bool) -> Progress {
    match notes.stage {
        _ if follows => Progress::Done,
        Stage::Blocked | Stage::Hopeless => Progress::Failed(notes.why.clone()),
        Stage::Nothing | Stage::Ordered
            if !notes.why.is_empty() && (notes.attempts >= MOST_ATTEMPTS || phase.is_none()) =>
        {
            Progress::Failed(notes.why.clone())
        }
        Stage::Rewinding if notes.attempts >= MOST_ATTEMPTS && phase.is_none() => Progress::Failed(notes.why.clone()),
        Stage::Nothing | Stage::Ordered => Progress::Waiting,
        Stage::Rewinding => Progress::Rewinding,
        Stage::Rewound => Progress::Starting,
    }
}

impl fmt::Display for Progress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Progress::Waiting => f.write_str(
                "Waiting for Pacemaker to restart PostgreSQL here (not in maintenance mode, and there must be a primary) ...",
            ),
            Progress::Rewinding => f.write_str("Rewinding ..."),
            Progress::Starting => f.write_str("Rewound. Waiting for it to follow the primary ..."),
            Progress::Done => f.write_str("It follows the primary."),
            Progress::Failed(why) => write!(f, "It went wrong: {why}"),
        }
    }
}

#[cfg(test)]
mod tests;
