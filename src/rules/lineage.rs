//! Whether a node's WAL belongs to the history that the cluster went on with: the line of the last recorded promotion.
//!
//! Only promotions that are on record make history. A timeline that leaves the line without having been announced there is
//! diverged, also with a higher number: an operator has promoted that node by hand, or an old primary went on.

use std::fmt;

use crate::location::{Lsn, SystemId, Timeline};
use crate::node::NodeName;
use crate::postgres::history::{Fork, Lineage, TimelineHistory};
use crate::record::{Promotion, Record};
use crate::vote::{Reach, Vote};

/// How a node's WAL relates to the last recorded promotion.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Standing {
    /// It is on that promotion's timeline, or there was no promotion.
    Current,
    /// It has missed that promotion and can follow it: its WAL ends on the way there.
    Behind(Promotion),
    /// It is on that timeline, and ends before the WAL of the primary did when that was shut down cleanly.
    Short {
        /// Where that WAL ended.
        end: Lsn,
        /// Its node.
        node: NodeName,
    },
    /// It has left the line: it can neither be promoted nor follow without being rewound or rebuilt.
    Diverged {
        /// The promotion whose line it has left.
        from: Promotion,
        /// Where the two histories part, as far as known.
        at: Option<Lsn>,
    },
}

/// Another database than the one on record. Positions in the two have nothing to do with each other.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Foreign {
    /// The node's database.
    pub own: SystemId,
    /// That of the record.
    pub recorded: SystemId,
}

/// Whether `vote` is about another database than `record`, as far as both say which.
pub fn foreign(vote: &Vote, record: &Record) -> Option<Foreign> {
    let (own, recorded) = (vote.system?, record.system()?);
    (own != recorded).then_some(Foreign { own, recorded })
}

impl Foreign {
    /// The exit reason on the node that has it, if another node is the primary or not.
    pub fn message(&self, resource: &str, has_primary: bool) -> String {
        let Foreign { own, recorded } = self;
        let what = match has_primary {
            true => format!("another database than the cluster's: run `pgsqlms rebuild --resource {resource}` here"),
            false => "another database than on record; if that is intended, run pgsqlms forget-history".to_owned(),
        };
        format!("{what} (system identifier {own}, not {recorded})")
    }
}

/// How `vote`, which is about the same database, relates to `record`.
///
/// A timeline's number proves nothing: two isolated nodes can both have made themselves timeline 5, and a standby that was
/// promoted by hand has a later one than the primary. What counts is that the node's own history went the way of the last
/// recorded promotion (Patroni #1251), and goes no other way from there.
pub fn standing(vote: &Vote, record: &Record) -> Standing {
    let Some(last) = record.last() else { return Standing::Current };
    let place = match &last.history {
        Some(line) => on_line(vote, line),
        None => beside(vote, last),
    };
    match place {
        Place::Parted(at) => Standing::Diverged { from: last.clone(), at },
        Place::Before => Standing::Behind(last.clone()),
        Place::OnIt => match last.end {
            Some(end) if vote.timeline() == last.timeline && vote.lsn() < end => {
                Standing::Short { end, node: last.node.clone() }
            }
            _ => Standing::Current,
        },
    }
}

/// Where a node's WAL ends, seen from a line of timelines.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Place {
    /// On the line's last timeline, or so far beyond that nothing is known.
    OnIt,
    /// On the way there.
    Before,
    /// Elsewhere: the two part there.
    Parted(Option<Lsn>),
}

/// Where the histories of `vote` and of the line part is computed from both.
fn on_line(vote: &Vote, line: &TimelineHistory) -> Place {
    let own = &vote.history;
    let Some(Fork { timeline, at }) = own.fork(line) else { return without_common_timeline(own, line) };
    let own_has_left = own.timeline() != timeline;
    match at {
        None => Place::OnIt,
        Some(at) if own_has_left || end_of_records(vote) > at => Place::Parted(Some(at)),
        Some(_) => Place::Before,
    }
}

/// A history that is shortened, or that does not know how it began, cannot speak against the line.
fn without_common_timeline(own: &TimelineHistory, line: &TimelineHistory) -> Place {
    let begins_unknown = own.switches().is_empty() && own.timeline() > Timeline(1);
    if own.timeline() == line.timeline() && begins_unknown {
        return Place::OnIt;
    }
    let older = line.lineage(own.timeline(), Lsn(0)) == Lineage::Forgotten;
    let newer = own.lineage(line.timeline(), Lsn(0)) == Lineage::Forgotten;
    match (older, newer) {
        (true, _) => Place::Before,
        (_, true) => Place::OnIt,
        _ => Place::Parted(None),
    }
}

/// The same where the record does not say how the promotion's timeline came about.
fn beside(vote: &Vote, last: &Promotion) -> Place {
    let own = &vote.history;
    if own.timeline() < last.timeline {
        let is_past = end_of_records(vote) > last.switch;
        return if is_past { Place::Parted(Some(last.switch)) } else { Place::Before };
    }
    let is_there = own.timeline() == last.timeline;
    match own.begin(last.timeline) {
        Some(begin) if begin != last.switch => Place::Parted(Some(begin.min(last.switch))),
        _ if is_there => Place::OnIt,
        _ if own.lineage(last.timeline, last.switch) == Lineage::Forgotten => Place::OnIt,
        // It has been on the line, and left it unannounced.
        Some(_) => Place::Parted(own.switch_point(last.timeline)),
        // The first timeline has no beginning.
        None => Place::Parted(own.switch_point(last.timeline)),
    }
}

/// Where the last whole record ends. When a primary dies, a standby may have received the beginning of one more: the promoted
/// node writes over it, and no node has replayed it.
pub fn end_of_records(vote: &Vote) -> Lsn {
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
            Standing::Diverged { from: Promotion { timeline, node, .. }, at } => {
                write!(f, "diverged from timeline {timeline} ({node})")?;
                at.map_or(Ok(()), |at| write!(f, " at {at}"))
            }
        }
    }
}

impl Standing {
    /// Whether it has left the line.
    pub fn is_diverged(&self) -> bool {
        matches!(self, Standing::Diverged { .. })
    }

    /// The node that was promoted last, and so holds what this one lacks.
    pub fn holder(&self) -> Option<&NodeName> {
        match self {
            Standing::Current => None,
            Standing::Behind(promotion) => Some(&promotion.node),
            Standing::Short { node, .. } => Some(node),
            Standing::Diverged { from, .. } => Some(&from.node),
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
        assert!(matches!(whole, Standing::Diverged { .. }), "{whole:?}");
        let unread = stands("1#264 received=0/108 replayed=0/100 history=1");
        assert!(matches!(unread, Standing::Diverged { .. }), "{unread:?}");
    }

    fn is_foreign((vote, record): (&str, &str)) -> bool {
        foreign(&vote.parse().unwrap(), &record.parse().unwrap()).is_some()
    }

    table! { is_foreign;
        the_same_database: ("1#1 system=7", "2@0/100 srv1 0 system=7") => false;
        another_database: ("1#1 system=8", "2@0/100 srv1 0 system=7") => true;
        the_last_promotion_does_not_say_and_the_one_before_does: ("1#1 system=8", "3@0/200 srv2 0; 2@0/100 srv1 0 system=7") => true;
        an_older_agent_votes: ("1#1", "2@0/100 srv1 0 system=7") => false;
        an_older_agent_has_recorded: ("1#1 system=7", "2@0/100 srv1 0") => false;
    }

    #[test]
    fn another_database_is_named_with_what_helps() {
        let foreign = Foreign { own: SystemId(u64::MAX), recorded: SystemId(u64::MAX - 1) };
        for (has_primary, command) in
            [(true, "`pgsqlms rebuild --resource pgsqld` here"), (false, "pgsqlms forget-history")]
        {
            let message = foreign.message("pgsqld", has_primary);
            assert!(message.starts_with("another database") && message.find(command).unwrap() < 80, "{message}");
        }
    }

    /// A vote's timeline, end and history; the record → where the two part.
    fn parts((position, history, record): (&str, &str, &str)) -> Option<u64> {
        let (timeline, lsn) = position.split_once('#').unwrap();
        let lsn = u64::from_str_radix(lsn, 16).unwrap();
        let vote: Vote = format!("{timeline}#{lsn} history={history}").parse().unwrap();
        match standing(&vote, &record.parse().unwrap()) {
            Standing::Diverged { at, .. } => at.map(|at| at.0),
            other => panic!("{other:?}"),
        }
    }

    // Computed from both histories: a node that had missed two promotions reported that nothing is at stake.
    table! { parts;
        missed_two_and_wrote_on_before_both: ("1#180", "1", "3@0/200 srv2 0 history=1@0/100,2@0/200,3") => Some(0x100);
        left_before_the_last_one: ("3#180", "1@0/100,2@0/150,3", "4@0/200 srv2 0 history=1@0/100,2@0/200,4") => Some(0x150);
        left_after_the_last_one_had: ("3#280", "1@0/100,2@0/250,3", "4@0/200 srv2 0 history=1@0/100,2@0/200,4") => Some(0x200);
        promoted_by_hand: ("3#304", "1@0/100,2@0/300,3", "2@0/100 srv1 0 history=1@0/100,2") => Some(0x300);
        a_namesake: ("2#500", "1@0/90,2", "2@0/100 srv1 0 history=1@0/100,2") => Some(0x90);
        without_a_recorded_history: ("2#180", "1@0/100,2", "4@0/150 srv3 0") => Some(0x150);
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
            Standing::Diverged { .. } => "diverged",
        }
    }

    table! { stands;
        no_promotion_yet: ("1#100", "1", "") => "current";
        on_the_recorded_timeline: ("2#500", "1@0/100,2", "2@0/100 srv1 0") => "current";
        promoted_further_and_not_recorded: ("3#500", "1@0/100,2@0/300,3", "2@0/100 srv1 0") => "diverged";
        promoted_by_hand_beside_the_primary: ("3#304", "1@0/100,2@0/300,3", "2@0/100 srv1 0 kept history=1@0/100,2") => "diverged";
        promoted_by_hand_from_the_first_timeline: ("2#304", "1@0/300,2", "1@0/0 srv1 0 kept history=1") => "diverged";
        on_the_first_timeline_as_recorded: ("1#304", "1", "1@0/0 srv1 0 kept history=1") => "current";
        the_record_is_of_the_first_timeline_only: ("2#304", "1@0/300,2", "1@0/0 srv1 0 kept") => "diverged";
        // PAF #180, #195.
        missed_the_promotion: ("1#90", "1", "2@0/100 srv1 0") => "behind";
        at_the_switch_point: ("1#100", "1", "2@0/100 srv1 0") => "behind";
        wrote_on_after_it: ("1#108", "1", "2@0/100 srv1 0") => "diverged";
        missed_two: ("1#90", "1", "3@0/200 srv2 0 history=1@0/100,2@0/200,3; 2@0/100 srv1 0") => "behind";
        went_past_the_first_of_two: ("1#150", "1", "3@0/200 srv2 0 history=1@0/100,2@0/200,3") => "diverged";
        missed_the_second: ("2#200", "1@0/100,2", "3@0/200 srv2 0; 2@0/100 srv1 0") => "behind";
        on_a_branch_that_was_abandoned: ("3#140", "1@0/100,2@0/120,3", "4@0/150 srv3 0 history=1@0/100,2@0/150,4") => "diverged";
        before_the_branch: ("2#140", "1@0/100,2", "4@0/150 srv3 0 history=1@0/100,2@0/150,4") => "behind";
        past_the_branch: ("2#180", "1@0/100,2", "4@0/150 srv3 0 history=1@0/100,2@0/150,4") => "diverged";
        older_than_all_that_is_remembered: ("2#140", "1@0/100,2", "9@0/900 srv3 0 history=..,8@0/900,9") => "behind";
        history_not_recorded: ("2#180", "1@0/100,2", "4@0/150 srv3 0") => "diverged";
        // Patroni #1251.
        same_number_from_another_point: ("2#500", "1@0/90,2", "2@0/100 srv1 0") => "diverged";
        a_later_number_by_another_way: ("3#500", "1@0/90,3", "2@0/100 srv1 0") => "diverged";
        a_later_number_by_a_namesake: ("3#500", "1@0/90,2@0/95,3", "2@0/100 srv1 0") => "diverged";
        a_shortened_history: ("9#500", "..,8@0/400,9", "2@0/100 srv1 0") => "current";
        no_history_file: ("2#500", "2", "2@0/100 srv1 0") => "current";
        all_of_a_clean_shutdown: ("2#500", "1@0/100,2", "2@0/100 srv1 0 kept end=0/500") => "current";
        lacks_the_shutdown_checkpoint: ("2#488", "1@0/100,2", "2@0/100 srv1 0 kept end=0/500") => "short";
        promoted_by_hand_before_a_clean_end: ("3#400", "1@0/100,2@0/380,3", "2@0/100 srv1 0 end=0/500") => "diverged";
        given_up_and_later_in_number: ("5#400", "1@0/100,2@0/120,5", "4@0/150 srv3 0 history=1@0/100,2@0/150,4; 5@0/120 srv1 0") => "diverged";
        an_ancestor_that_the_record_does_not_list: ("1#90", "1", "9@0/900 srv3 0 history=1@0/100,2@0/200,9") => "behind";
        past_an_ancestor_that_the_record_does_not_list: ("1#150", "1", "9@0/900 srv3 0 history=1@0/100,2@0/200,9") => "diverged";
    }
}
