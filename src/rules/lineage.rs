//! Whether what a node holds belongs to the history that the cluster went on with.

use std::fmt;

use crate::location::Lsn;
use crate::node::NodeName;
use crate::postgres::history::Lineage;
use crate::record::{Promotion, Record};
use crate::vote::{Reach, Vote};

/// How a node's WAL relates to the last recorded promotion.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Standing {
    /// It leads on from that promotion, or there was none.
    Current,
    /// It has missed that promotion and can follow it.
    Behind(Promotion),
    /// It is on that timeline, and ends before the WAL of the primary did when that was shut down cleanly.
    Short {
        /// Where that WAL ended.
        end: Lsn,
        /// Whose it is.
        node: NodeName,
    },
    /// It has left the cluster's history: it can neither be promoted nor follow without being rewound or rebuilt.
    Strayed {
        /// The promotion that it does not lead on from.
        from: Promotion,
        /// Where the ways part, as far as known.
        at: Option<Lsn>,
    },
}

/// How `vote` relates to `record`.
///
/// A timeline's number proves nothing: two isolated nodes can both have made themselves timeline 5. What counts is that
/// the node's own history went through the recorded timeline, and entered it where the promotion did (Patroni #1251).
pub fn standing(vote: &Vote, record: &Record) -> Standing {
    let Some(last) = record.last() else { return Standing::Current };
    if vote.timeline() < last.timeline {
        return missed(vote, last);
    }
    let strayed = |at| Standing::Strayed { from: last.clone(), at };
    match vote.history.begin(last.timeline) {
        Some(begin) if begin == last.switch => {}
        Some(begin) => return strayed(Some(begin.min(last.switch))),
        // A history that is shortened, or that does not know how it began, cannot speak against it.
        None if vote.history.lineage(last.timeline, last.switch) == Lineage::Forgotten => {}
        None if vote.timeline() == last.timeline => {}
        None => return strayed(None),
    }
    match last.end {
        Some(end) if vote.timeline() == last.timeline && vote.lsn() < end => {
            Standing::Short { end, node: last.node.clone() }
        }
        _ => Standing::Current,
    }
}

/// On a timeline before the last one: still on the way there, or gone elsewhere.
fn missed(vote: &Vote, last: &Promotion) -> Standing {
    let strayed = |at| Standing::Strayed { from: last.clone(), at: Some(at) };
    let end = end_of_records(vote);
    match last.history.as_ref().map(|history| history.lineage(vote.timeline(), end)) {
        Some(Lineage::PastSwitch(at)) => strayed(at),
        Some(Lineage::Stranger) => strayed(last.switch),
        // Recorded without its history: what is beyond its switch point is not on it, whatever came before.
        None if end > last.switch => strayed(last.switch),
        Some(Lineage::Ancestor | Lineage::Forgotten) | None => Standing::Behind(last.clone()),
    }
}

/// Where the last whole record ends. When a primary dies, a standby may have received the beginning of one more: whoever is
/// promoted writes over it, and nobody has replayed it.
fn end_of_records(vote: &Vote) -> Lsn {
    let Reach { replayed, on_disk, .. } = vote.reach;
    on_disk.map_or(vote.lsn(), |on_disk| replayed.map_or(on_disk, |replayed| replayed.max(on_disk)))
}

impl fmt::Display for Standing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Standing::Current => f.write_str("is on the cluster's history"),
            Standing::Behind(Promotion { timeline, node, .. }) => {
                write!(f, "missed the promotion of {node} to timeline {timeline}")
            }
            Standing::Short { end, node } => write!(f, "lacks the end of {node}'s WAL, up to {end}"),
            Standing::Strayed { from: Promotion { timeline, node, .. }, at } => {
                write!(f, "diverged from timeline {timeline} ({node})")?;
                at.map_or(Ok(()), |at| write!(f, " at {at}"))
            }
        }
    }
}

impl Standing {
    /// The node that holds what this one lacks.
    pub fn holder(&self) -> String {
        match self {
            Standing::Current => "it".to_owned(),
            Standing::Behind(promotion) => promotion.node.to_string(),
            Standing::Short { node, .. } => node.to_string(),
            Standing::Strayed { from, .. } => from.node.to_string(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rules::table;

    #[test]
    fn the_beginning_of_a_record_is_no_history() {
        let stands = |vote: &str| standing(&vote.parse().unwrap(), &"2@0/100 srv1 0".parse().unwrap());
        let begun = stands("1#264 received=0/108 replayed=0/100 disk=0/100 history=1");
        assert!(matches!(begun, Standing::Behind(_)), "{begun:?}");
        let whole = stands("1#264 received=0/108 replayed=0/100 disk=0/108 history=1");
        assert!(matches!(whole, Standing::Strayed { .. }), "{whole:?}");
        let unread = stands("1#264 received=0/108 replayed=0/100 history=1");
        assert!(matches!(unread, Standing::Strayed { .. }), "{unread:?}");
    }

    /// Timeline, end and history of a vote; the record → the standing's name.
    fn stands((position, history, record): (&str, &str, &str)) -> &'static str {
        let (timeline, lsn) = position.split_once('#').unwrap();
        let lsn = Lsn(u64::from_str_radix(lsn, 16).unwrap());
        let vote: Vote = format!("{timeline}#{} history={history}", lsn.0).parse().unwrap();
        let record = if record.is_empty() { Record::default() } else { record.parse().unwrap() };
        match standing(&vote, &record) {
            Standing::Current => "current",
            Standing::Behind(_) => "behind",
            Standing::Short { .. } => "short",
            Standing::Strayed { .. } => "strayed",
        }
    }

    table! { stands;
        no_promotion_yet: ("1#100", "1", "") => "current";
        on_the_recorded_timeline: ("2#500", "1@0/100,2", "2@0/100 srv1 0") => "current";
        promoted_further_and_not_recorded: ("3#500", "1@0/100,2@0/300,3", "2@0/100 srv1 0") => "current";
        // PAF #180, #195.
        missed_the_promotion: ("1#90", "1", "2@0/100 srv1 0") => "behind";
        at_the_switch_point: ("1#100", "1", "2@0/100 srv1 0") => "behind";
        wrote_on_after_it: ("1#108", "1", "2@0/100 srv1 0") => "strayed";
        missed_two: ("1#90", "1", "3@0/200 srv2 0 history=1@0/100,2@0/200,3; 2@0/100 srv1 0") => "behind";
        went_past_the_first_of_two: ("1#150", "1", "3@0/200 srv2 0 history=1@0/100,2@0/200,3") => "strayed";
        missed_the_second: ("2#200", "1@0/100,2", "3@0/200 srv2 0; 2@0/100 srv1 0") => "behind";
        on_a_branch_that_was_abandoned: ("3#140", "1@0/100,2@0/120,3", "4@0/150 srv3 0 history=1@0/100,2@0/150,4") => "strayed";
        before_the_branch: ("2#140", "1@0/100,2", "4@0/150 srv3 0 history=1@0/100,2@0/150,4") => "behind";
        past_the_branch: ("2#180", "1@0/100,2", "4@0/150 srv3 0 history=1@0/100,2@0/150,4") => "strayed";
        older_than_all_that_is_remembered: ("2#140", "1@0/100,2", "9@0/900 srv3 0 history=..,8@0/900,9") => "behind";
        history_not_recorded: ("2#180", "1@0/100,2", "4@0/150 srv3 0") => "strayed";
        // Patroni #1251.
        same_number_from_another_point: ("2#500", "1@0/90,2", "2@0/100 srv1 0") => "strayed";
        a_later_number_by_another_way: ("3#500", "1@0/90,3", "2@0/100 srv1 0") => "strayed";
        a_later_number_by_a_namesake: ("3#500", "1@0/90,2@0/95,3", "2@0/100 srv1 0") => "strayed";
        a_shortened_history: ("9#500", "..,8@0/400,9", "2@0/100 srv1 0") => "current";
        no_history_file: ("2#500", "2", "2@0/100 srv1 0") => "current";
        all_of_a_clean_shutdown: ("2#500", "1@0/100,2", "2@0/100 srv1 0 kept end=0/500") => "current";
        lacks_the_shutdown_checkpoint: ("2#488", "1@0/100,2", "2@0/100 srv1 0 kept end=0/500") => "short";
        an_end_before_a_later_promotion: ("3#400", "1@0/100,2@0/380,3", "2@0/100 srv1 0 end=0/500") => "current";
    }
}
