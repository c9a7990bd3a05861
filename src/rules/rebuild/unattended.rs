//! `rejoin=rebuild`: a node that cannot follow gets a copy of the primary without a hand.

use std::time::Duration;

use super::{MOST_RESTARTS, Order, Stage};
use crate::location::{Lsn, Timeline};

/// Maximum number of unattended copies for one promotion, also if they fail for different reasons.
pub const MOST_TRIES: u32 = 3;

/// So long after one that failed, the next is begun. One that was killed is begun anew at once.
pub const PAUSE: Duration = Duration::from_secs(60);

/// What can be seen of a rebuild from outside.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Job {
    /// A process is at work on it.
    pub at_work: bool,
    /// How much has been copied.
    pub percent: Option<u64>,
    /// What is wrong with the place.
    pub obstacle: Option<String>,
}

/// What decides about a node that cannot follow.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Plight<'a> {
    /// What is noted about rebuilding it.
    pub order: &'a Order,
    /// The last promotion.
    pub last: (Timeline, Lsn),
    /// What can be seen.
    pub job: &'a Job,
    /// Another node is the primary.
    pub has_primary: bool,
    /// In seconds since 1970.
    pub now: u64,
    /// Why it cannot follow, for a person.
    pub why: &'a str,
    /// The resource.
    pub resource: &'a str,
}

/// What becomes of a node that cannot follow.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Unattended {
    /// The primary is copied, and this is reported.
    Begin(String),
    /// This is reported.
    Report(String),
}

/// What becomes of it now.
pub fn unattended(plight: &Plight) -> Unattended {
    let Plight { order, job, resource, why, .. } = plight;
    let command = format!("run `pgsqlms rebuild --resource {resource}` here");
    let is_known = order.about == Some(plight.last);
    Unattended::Report(match (order.stage, &job.obstacle) {
        (Stage::Nothing, _) if job.at_work => match job.percent {
            Some(percent) => format!("being rebuilt, {percent} % copied: {why}"),
            None => format!("being rebuilt, the copy begins: {why}"),
        },
        (Stage::Rebuilt, _) if job.at_work => format!("rebuilt, and not following yet: {why}"),
        (Stage::Copied, _) if is_known && order.attempts >= MOST_RESTARTS => {
            format!("{command}, its copy of the primary was not put in place: {why}")
        }
        (Stage::Copied, _) if is_known => format!("its copy of the primary waits for one to follow: {why}"),
        (_, Some(obstacle)) => format!("not rebuilt, {obstacle}: {why}"),
        _ if is_known && order.tries >= MOST_TRIES => {
            let last = if order.why.is_empty() { "the copy was interrupted" } else { &order.why };
            format!("{command}, {last}: {why}")
        }
        _ if !plight.has_primary => format!("not rebuilt, there is no primary to copy: {why}"),
        _ if is_known && !order.why.is_empty() && pauses(order, plight.now) => {
            format!("not rebuilt yet, {}: {why}", order.why)
        }
        _ => return Unattended::Begin(format!("being rebuilt, `journalctl -t pgsqlms` here shows how far: {why}")),
    })
}

/// A clock that was set back makes it due.
fn pauses(order: &Order, now: u64) -> bool {
    order.tried <= now && now - order.tried < PAUSE.as_secs()
}

/// Whether old data is left over of a rebuild that no process watches, on a node that follows.
pub fn left_over(order: &Order, job: &Job) -> bool {
    order.stage == Stage::Rebuilt && order.unattended && !job.at_work
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rules::table;

    const NONE: Job = Job { at_work: false, percent: None, obstacle: None };
    const BUSY: Job = Job { at_work: true, percent: Some(43), obstacle: None };
    const BEGUN: Job = Job { at_work: true, percent: None, obstacle: None };
    const KILLED: &str = "about=2@0/100\nunattended=true\ntries=2\ntried=1000";
    const FAILED: &str = "about=2@0/100\nunattended=true\ntries=2\ntried=1000\nwhy=no room";
    const SPENT: &str = "about=2@0/100\nunattended=true\ntries=3\ntried=1000\nwhy=no room";
    const KILLED_OFTEN: &str = "about=2@0/100\nunattended=true\ntries=3\ntried=1000";
    const SPENT_BEFORE: &str = "about=1@0/80\nunattended=true\ntries=3\ntried=1000\nwhy=no room";
    const COPIED: &str = "stage=copied\nabout=2@0/100\nend=0/180\nunattended=true\ntries=1";
    const COPIED_BEFORE: &str = "stage=copied\nabout=1@0/80\nend=0/180";
    const IN_VAIN: &str = "stage=copied\nabout=2@0/100\nend=0/180\nattempts=3";
    const REBUILT: &str = "stage=rebuilt\nabout=2@0/100\nunattended=true\ntries=1";

    /// What is noted, what is seen, whether there is a primary, when → what follows.
    fn verdict((order, job, has_primary, now): (&str, Job, bool, u64)) -> String {
        let (order, last) = (order.parse().unwrap(), (Timeline(2), Lsn(0x100)));
        let plight =
            Plight { order: &order, last, job: &job, has_primary, now, why: "it diverged", resource: "pgsqld" };
        match unattended(&plight) {
            Unattended::Begin(reason) => {
                assert!(reason.ends_with(": it diverged"), "{reason}");
                "BEGIN".to_owned()
            }
            Unattended::Report(reason) => reason.strip_suffix(": it diverged").unwrap().to_owned(),
        }
    }

    fn blocked() -> Job {
        Job { obstacle: Some("old data is in the way".to_owned()), ..NONE }
    }

    table! { verdict;
        a_node_that_cannot_follow_is_rebuilt: ("", NONE, true, 0) => "BEGIN";
        its_progress_is_reported: (KILLED, BUSY, true, 0) => "being rebuilt, 43 % copied";
        also_what_a_person_has_begun: ("", BEGUN, true, 0) => "being rebuilt, the copy begins";
        also_when_the_primary_goes_meanwhile: (KILLED, BUSY, false, 0) => "being rebuilt, 43 % copied";
        never_two_at_once: (FAILED, BUSY, true, 9000) => "being rebuilt, 43 % copied";
        one_that_was_killed_is_begun_anew: (KILLED, NONE, true, 1001) => "BEGIN";
        one_that_failed_is_not_at_once: (FAILED, NONE, true, 1059) => "not rebuilt yet, no room";
        but_after_a_while: (FAILED, NONE, true, 1060) => "BEGIN";
        a_clock_that_was_set_back_does_not_matter: (FAILED, NONE, true, 999) => "BEGIN";
        not_for_ever: (SPENT, NONE, true, 9000) => "run `pgsqlms rebuild --resource pgsqld` here, no room";
        nor_if_killed_for_ever: (KILLED_OFTEN, NONE, true, 9000) =>
            "run `pgsqlms rebuild --resource pgsqld` here, the copy was interrupted";
        another_promotion_is_another_matter: (SPENT_BEFORE, NONE, true, 1001) => "BEGIN";
        there_must_be_a_primary: ("", NONE, false, 0) => "not rebuilt, there is no primary to copy";
        and_a_place: ("", blocked(), true, 0) => "not rebuilt, old data is in the way";
        a_copy_is_used_and_not_made_again: (COPIED, NONE, true, 0) => "its copy of the primary waits for one to follow";
        also_if_an_operator_made_it: (COPIED, BUSY, false, 0) => "its copy of the primary waits for one to follow";
        a_copy_of_before_is_of_no_use: (COPIED_BEFORE, NONE, true, 0) => "BEGIN";
        a_copy_that_was_not_used: (IN_VAIN, NONE, true, 0) =>
            "run `pgsqlms rebuild --resource pgsqld` here, its copy of the primary was not put in place";
        a_copy_that_does_not_follow: (REBUILT, BUSY, true, 0) => "rebuilt, and not following yet";
        nor_is_its_old_data_replaced: (REBUILT, blocked(), true, 0) => "not rebuilt, old data is in the way";
    }

    fn is_left((order, at_work): (&str, bool)) -> bool {
        left_over(&order.parse().unwrap(), &Job { at_work, ..NONE })
    }

    table! { is_left;
        unwatched: (REBUILT, false) => true;
        watched: (REBUILT, true) => false;
        what_an_operator_may_want_to_keep: ("stage=rebuilt\nabout=2@0/100", false) => false;
        what_is_not_there_yet: (COPIED, false) => false;
        nothing: ("", false) => false;
    }
}
