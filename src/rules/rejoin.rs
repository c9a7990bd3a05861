//! What becomes of a node that has left the cluster's history.

mod notes;

use std::fmt;

use crate::location::{Lsn, Timeline};
use crate::node::NodeName;
use crate::parameters::Rejoin;
use crate::record::Record;
use crate::rules::lineage::{self, Standing};
use crate::rules::status::Phase;
use crate::vote::Vote;

pub use notes::{Notes, Stage};

/// So often the agent tries by itself to rewind a node for one promotion, whatever hinders it.
pub const MOST_ATTEMPTS: u32 = 3;

/// Where a node left the cluster's history, and what it wrote since.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Divergence {
    /// The timeline that it does not lead on from.
    pub timeline: Timeline,
    /// Where that timeline begins.
    pub switch: Lsn,
    /// Who began it.
    pub node: NodeName,
    /// Where the ways part, as far as known.
    pub at: Option<Lsn>,
    /// Where this node's WAL ends.
    pub end: Lsn,
}

/// How the node with this vote has diverged, if it has.
pub fn divergence(vote: &Vote, record: &Record) -> Option<Divergence> {
    let Standing::Strayed { from, at } = lineage::standing(vote, &record.proven_by([vote])) else { return None };
    let fork = || vote.history.fork(from.history.as_ref()?)?.at;
    Some(Divergence {
        timeline: from.timeline,
        switch: from.switch,
        node: from.node.clone(),
        at: at.or_else(fork),
        end: vote.lsn(),
    })
}

impl Divergence {
    /// How much this node holds that the cluster has gone on without, as far as known.
    pub fn bytes(&self) -> Option<u64> {
        self.at.map(|at| self.end.bytes_after(at))
    }
}

/// `diverged from timeline 2 (srv2) at 0/3000060 by 4096 bytes of WAL`.
impl fmt::Display for Divergence {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "diverged from timeline {} ({})", self.timeline, self.node)?;
        match (self.at, self.bytes()) {
            (Some(at), Some(bytes)) => write!(f, " at {at} by {bytes} bytes of WAL"),
            _ => Ok(()),
        }
    }
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
    /// There is nobody to go on with.
    NoPrimary,
    /// It has been tried often enough; this is what went wrong the last time.
    GaveUp(String),
}

/// What is to be done before this instance is launched as a standby.
///
/// A rewind that has begun is finished whatever the policy says by now, and whatever the data directory looks like: nothing
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
    /// A person is told.
    Report(String),
    /// It is restarted, so that start rewinds it.
    Restart(String),
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
        _ => Diverged::Report(advice(notes, divergence, obstacle, resource)),
    }
}

/// What brings a node back that has diverged, what hindered it so far, and how it has diverged: the first counts most.
pub fn advice(notes: &Notes, divergence: &Divergence, obstacle: Option<&str>, resource: &str) -> String {
    if let Some(obstacle) = obstacle {
        return format!("run `pgsqlms rebuild --resource {resource}` here, {obstacle}: it {divergence}");
    }
    let known = notes.about == Some((divergence.timeline, divergence.switch));
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
        Stage::Blocked if known => Readiness::Blocked,
        _ if policy != Rejoin::Rewind => Readiness::NotAsked,
        _ if known && notes.attempts >= MOST_ATTEMPTS => Readiness::Exhausted,
        Stage::Nothing | Stage::Ordered | Stage::Rewound | Stage::Blocked | Stage::Rewinding => Readiness::Ready,
    }
}

impl fmt::Display for Half {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let half = "it is half rewound";
        match self {
            Half::NoPrimary => write!(f, "{half} and there is no primary to go on with: clean up when there is one"),
            Half::GaveUp(why) => write!(f, "{half}: run `pgsqlms rejoin --yes`, or `pgsqlms rebuild --yes`; {why}"),
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
        Stage::Blocked => Progress::Failed(notes.why.clone()),
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
mod tests {
    use super::*;
    use crate::rules::table;

    const SINCE: &str = "stage=nothing\nabout=2@0/100\nattempts=1";
    const SPENT: &str = "stage=nothing\nabout=2@0/100\nattempts=3\nwhy=no connection";
    const ORDERED: &str = "stage=ordered\nabout=2@0/100";
    const ORDERED_BEFORE: &str = "stage=ordered\nabout=1@0/80";
    const ORDERED_SPENT: &str = "stage=ordered\nabout=2@0/100\nattempts=3\nwhy=no connection";
    const HALF: &str = "stage=rewinding\nabout=2@0/100\nattempts=1\nevidence=/e";
    const HALF_SPENT: &str = "stage=rewinding\nabout=2@0/100\nattempts=3\nevidence=/e\nwhy=the source was gone";
    const ONCE: &str = "stage=rewound\nabout=2@0/100\nattempts=1\nevidence=/e";
    const ONCE_FOR_ANOTHER: &str = "stage=rewound\nabout=1@0/80\nattempts=1\nevidence=/e";
    const BLOCKED: &str = "stage=blocked\nabout=2@0/100\nattempts=1\nwhy=no space";

    fn diverged() -> Divergence {
        Divergence {
            timeline: Timeline(2),
            switch: Lsn(0x100),
            node: NodeName::new("srv2"),
            at: Some(Lsn(0x100)),
            end: Lsn(0x180),
        }
    }

    /// Policy, notes, whether it has diverged, whether there is a primary → what start does.
    fn starts((policy, notes, strayed, primary): (Rejoin, &str, bool, bool)) -> &'static str {
        let divergence = strayed.then(diverged);
        begins(before_launch(policy, &notes.parse().unwrap(), divergence.as_ref(), None, primary))
    }

    /// Notes → what start does where a rewind would not be begun.
    fn starts_with_an_obstacle(notes: &str) -> &'static str {
        let obstacle = Some("it has a backup_label");
        begins(before_launch(Rejoin::Rewind, &notes.parse().unwrap(), Some(&diverged()), obstacle, true))
    }

    table! { starts_with_an_obstacle;
        what_is_impossible_is_not_begun: "" => "as it is";
        half_rewound_has_a_backup_label: HALF => "rewind";
    }

    fn begins(verdict: BeforeLaunch) -> &'static str {
        match verdict {
            BeforeLaunch::AsItIs => "as it is",
            BeforeLaunch::Rewind => "rewind",
            BeforeLaunch::Refuse(_) => "refuse",
        }
    }

    table! { starts;
        a_node_on_the_history_is_left_alone: (Rejoin::Rewind, "", false, true) => "as it is";
        a_strayed_node_is_rewound_if_that_is_wanted: (Rejoin::Rewind, "", true, true) => "rewind";
        nobody_asked_to_rewind: (Rejoin::Report, "", true, true) => "as it is";
        nobody_wants_it: (Rejoin::None, "", true, true) => "as it is";
        without_a_primary_there_is_no_source: (Rejoin::Rewind, "", true, false) => "as it is";
        an_operator_asked: (Rejoin::Report, ORDERED, true, true) => "rewind";
        an_order_is_for_one_promotion: (Rejoin::Report, ORDERED_BEFORE, true, true) => "as it is";
        an_order_for_a_node_that_follows_is_void: (Rejoin::Report, ORDERED, false, true) => "as it is";
        once_for_one_promotion: (Rejoin::Rewind, ONCE, true, true) => "as it is";
        another_promotion_is_another_matter: (Rejoin::Rewind, ONCE_FOR_ANOTHER, true, true) => "rewind";
        what_cannot_be_done_is_not_tried_again: (Rejoin::Rewind, BLOCKED, true, true) => "as it is";
        it_is_tried_again: (Rejoin::Rewind, SINCE, true, true) => "rewind";
        a_start_that_happens_anyway_may_try: (Rejoin::Rewind, SPENT, true, true) => "rewind";
        half_rewound_goes_on: (Rejoin::Rewind, HALF, true, true) => "rewind";
        half_rewound_goes_on_although_it_looks_well: (Rejoin::Rewind, HALF, false, true) => "rewind";
        half_rewound_goes_on_whatever_is_wanted_now: (Rejoin::None, HALF, false, true) => "rewind";
        half_rewound_is_never_launched: (Rejoin::Rewind, HALF, false, false) => "refuse";
        half_rewound_too_often: (Rejoin::Rewind, HALF_SPENT, true, true) => "refuse";
    }

    /// Policy, notes, obstacle → what the monitor says.
    fn says((policy, notes, obstacle): (Rejoin, &str, Option<&str>)) -> String {
        match while_running(policy, &notes.parse().unwrap(), &diverged(), obstacle, "pgsqld") {
            Diverged::Report(reason) => reason,
            Diverged::Restart(reason) => format!("RESTART: {reason}"),
        }
    }

    const STRAYED: &str = "it diverged from timeline 2 (srv2) at 0/100 by 128 bytes of WAL";
    const RESTART: &str =
        "RESTART: restarts to be rewound: it diverged from timeline 2 (srv2) at 0/100 by 128 bytes of WAL";

    fn report(more: &str) -> String {
        format!("run `pgsqlms rejoin --resource pgsqld` here{more}: {STRAYED}")
    }

    table! { says;
        a_report_names_the_command: (Rejoin::Report, "", None) => report("");
        wanted_is_done: (Rejoin::Rewind, "", None) => RESTART;
        ordered_is_done: (Rejoin::Report, ORDERED, None) => RESTART;
        ordered_is_done_whatever_the_policy: (Rejoin::None, ORDERED, None) => RESTART;
        tried_in_vain_is_tried_again: (Rejoin::Rewind, SINCE, None) => RESTART;
        but_not_for_ever: (Rejoin::Rewind, SPENT, None) => report(" (no connection)");
        nor_for_an_operator: (Rejoin::Report, ORDERED_SPENT, None) => report(" (no connection)");
        once_is_enough: (Rejoin::Rewind, ONCE, None) => report(" once more");
        what_was_about_another_promotion_is_not_told: (Rejoin::Report, ONCE_FOR_ANOTHER, None) => report("");
        impossible_is_said: (Rejoin::Rewind, BLOCKED, None) =>
            format!("not rewound, no space; then `pgsqlms rejoin --resource pgsqld`: {STRAYED}");
        an_obstacle_is_said_at_once: (Rejoin::Rewind, ORDERED, Some("no checksums")) =>
            format!("run `pgsqlms rebuild --resource pgsqld` here, no checksums: {STRAYED}");
        as_with_paf: (Rejoin::None, "", None) =>
            format!("stop the resource here, then rebuild this node by pg_rewind or pg_basebackup: {STRAYED}");
    }

    /// Notes, whether it runs, whether it follows → how far it is.
    fn is_at((notes, runs, follows): (&str, bool, bool)) -> Progress {
        progress(&notes.parse().unwrap(), runs.then_some(Phase::Ready), follows)
    }

    table! { is_at;
        ordered_and_not_begun: (ORDERED, true, false) => Progress::Waiting;
        restarted_in_vain: (ORDERED_SPENT, true, false) => Progress::Failed("no connection".to_owned());
        it_does_not_run_after_that: ("stage=ordered\nwhy=no connection", false, false) =>
            Progress::Failed("no connection".to_owned());
        half_way: (HALF, true, false) => Progress::Rewinding;
        half_way_for_the_last_time: (HALF_SPENT, true, false) => Progress::Rewinding;
        half_way_for_ever: (HALF_SPENT, false, false) => Progress::Failed("the source was gone".to_owned());
        not_possible: (BLOCKED, true, false) => Progress::Failed("no space".to_owned());
        rewound_and_on_its_way: (ONCE, true, false) => Progress::Starting;
        there: (ONCE, true, true) => Progress::Done;
    }

    /// Vote, record → the divergence.
    fn diverges((vote, record): (&str, &str)) -> Option<String> {
        divergence(&vote.parse().unwrap(), &record.parse().unwrap()).map(|divergence| divergence.to_string())
    }

    table! { diverges;
        what_nobody_else_has_is_at_stake: ("1#512 history=1", "2@0/100 srv2 0 history=1@0/100,2") =>
            Some("diverged from timeline 2 (srv2) at 0/100 by 256 bytes of WAL".to_owned());
        who_can_follow_has_not: ("1#256 history=1", "2@0/100 srv2 0 history=1@0/100,2") => None;
        two_timelines_of_one_number: ("2#512 history=1@0/80,2", "2@0/100 srv2 0 history=1@0/100,2") =>
            Some("diverged from timeline 2 (srv2) at 0/80 by 384 bytes of WAL".to_owned());
        a_later_timeline_of_its_own: ("3#512 history=1@0/80,3", "2@0/100 srv2 0 history=1@0/100,2") =>
            Some("diverged from timeline 2 (srv2) at 0/80 by 384 bytes of WAL".to_owned());
    }
}
