//! What a primary keeps up to date in the cluster's record of promotions.

use std::collections::BTreeMap;

use crate::location::{Lsn, SystemId, Timeline};
use crate::node::NodeName;
use crate::postgres::history::TimelineHistory;
use crate::record::{Promotion, Record, Stage};
use crate::rules::lineage;
use crate::score::Score;
use crate::vote::Vote;

/// For how long a promotion may be without a standby before it counts all the same, in seconds.
const TRIAL: u64 = 30;

/// A position is noted at most so often, in seconds: each note is sent to the whole cluster.
const NOTE_EVERY: u64 = 300;

/// And only when the primary has written so much since, in bytes: a default segment of WAL.
const NOTE_STEP: u64 = 16 << 20;

/// What a primary knows of its own promotion.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reign {
    /// The primary.
    pub node: NodeName,
    /// Its timeline.
    pub timeline: Timeline,
    /// How that came about.
    pub history: TimelineHistory,
    /// Its database.
    pub system: Option<SystemId>,
    /// Where it writes now.
    pub current: Lsn,
    /// Whether a standby of the cluster streams from it.
    pub followed: bool,
    /// Now, in seconds since 1970.
    pub now: u64,
}

/// The record as it should be; none if it is so already.
///
/// A promotion is recorded at once, and counts once a standby has joined it or it has been written to for a while. The
/// end of a former clean shutdown is forgotten: it is written to again. Now and then the position is noted, so that a copy of
/// older data is not taken for this primary.
pub fn record(reign: &Reign, known: &Record) -> Option<Record> {
    let Reign { node, timeline, history, system, current, followed, now } = reign;
    let switch = match history.begin(*timeline) {
        Some(switch) => switch,
        // No promotion begins the first timeline: it is there from its first byte on.
        None if *timeline == Timeline(1) => Lsn(0),
        None => return None,
    };
    let ours = known.last().filter(|last| last.timeline == *timeline && last.switch == switch && last.node == *node);
    let time = ours.map_or(*now, |ours| ours.time);
    let kept = *followed || ours.is_some_and(|ours| ours.stage == Stage::Kept || *now >= ours.time + TRIAL);
    let noted = ours.and_then(|ours| ours.known);
    let is_due = match noted {
        Some((lsn, when)) => *now >= when + NOTE_EVERY && current.bytes_after(lsn) >= NOTE_STEP,
        None => kept && *now >= time + NOTE_EVERY,
    };
    let promotion = Promotion {
        stage: if kept { Stage::Kept } else { Stage::Done },
        history: Some(history.shortened()),
        known: if is_due { Some((*current, *now)) } else { noted },
        system: *system,
        ..Promotion::of(node.clone(), *timeline, switch, time)
    };
    (ours != Some(&promotion)).then(|| known.with(promotion))
}

/// What the node that has won an election with `ours` is about to do: it begins the first timeline after those that are
/// `taken`: by the record, by any vote, and by the history files that it has.
pub fn intention(node: &NodeName, ours: &Vote, known: &Record, taken: Timeline, now: u64) -> Promotion {
    let taken = known.newest_timeline().unwrap_or(taken).max(ours.timeline()).max(taken);
    let timeline = Timeline(taken.0 + 1);
    // A beginning of a record that it has received is written over.
    let switch = lineage::end_of_records(ours);
    Promotion {
        stage: Stage::Intended,
        history: ours.history.child(timeline, switch),
        system: ours.system,
        ..Promotion::of(node.clone(), timeline, switch, now)
    }
}

/// Whether the primary is so new that its standbys may not have found it yet. No node is promoted to the first timeline.
pub fn is_new(timeline: Timeline, known: &Record) -> bool {
    timeline > Timeline(1)
        && known
            .last()
            .is_none_or(|last| last.timeline < timeline || (last.timeline == timeline && last.stage < Stage::Kept))
}

/// Whether a primary on `timeline` that a probe finds running makes itself Pacemaker's choice: its score was lost with its
/// node's daemons while it ran on, and no other node has taken its place.
pub fn claims_its_role(
    node: &NodeName,
    timeline: Timeline,
    scores: &BTreeMap<NodeName, Score>,
    known: &Record,
) -> bool {
    let unchallenged = scores.values().all(|score| *score < Score::PRIMARY);
    let is_ours = |newest: &Promotion| newest.node == *node && newest.timeline == timeline;
    !scores.contains_key(node) && unchallenged && known.0.first().is_none_or(is_ours)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rules::table;

    /// srv1's timeline, whether it is followed, the time; the record before → after, `-` for unchanged.
    fn recorded((timeline, followed, now, known): (u32, bool, u64, &str)) -> String {
        let known = if known.is_empty() { Record::default() } else { known.parse().unwrap() };
        let mut known: Record = known;
        for ours in known.0.iter_mut().filter(|ours| ours.switch == Lsn(0x100)) {
            ours.history = format!("1@0/100,{}", ours.timeline).parse().ok();
        }
        let reign = Reign {
            node: NodeName::new("srv1"),
            system: None,
            current: Lsn(0x400),
            timeline: Timeline(timeline),
            history: if timeline > 1 { format!("1@0/100,{timeline}").parse().unwrap() } else { "1".parse().unwrap() },
            followed,
            now,
        };
        let history = format!(" history={}", reign.history);
        record(&reign, &known).map_or("-".to_owned(), |record| record.to_string().replace(&history, ""))
    }

    table! { recorded;
        never_promoted: (1, true, 500, "") => "1@0/0 srv1 500 kept";
        just_promoted: (2, false, 500, "") => "2@0/100 srv1 500";
        still_alone: (2, false, 529, "2@0/100 srv1 500") => "-";
        a_standby_has_joined: (2, true, 501, "2@0/100 srv1 500") => "2@0/100 srv1 500 kept";
        alone_for_long: (2, false, 530, "2@0/100 srv1 500") => "2@0/100 srv1 500 kept";
        alone_again: (2, false, 700, "2@0/100 srv1 500 kept") => "-";
        a_position_is_noted: (2, false, 800, "2@0/100 srv1 500 kept") => "2@0/100 srv1 500 kept known=0/400@800";
        not_again_so_soon: (2, false, 2000, "2@0/100 srv1 500 kept known=0/3FF@800") => "-";
        of_another_node_of_one_timeline: (2, true, 500, "2@0/100 srv2 400 kept") => "2@0/100 srv1 500 kept";
        promoted_again: (3, false, 900, "2@0/50 srv2 500 kept") => "3@0/100 srv1 900; 2@0/50 srv2 500 kept";
        started_after_a_clean_end: (2, true, 700, "2@0/100 srv1 500 kept end=0/200") => "2@0/100 srv1 500 kept";
        as_it_was_intended: (2, false, 501, "2@0/100 srv1 500 intended") => "2@0/100 srv1 501";
        a_namesake_of_another_beginning: (2, false, 900, "2@0/90 srv2 500") => "2@0/100 srv1 900; 2@0/90 srv2 500";
    }

    #[test]
    fn the_next_timeline_is_one_that_no_node_has_taken() {
        let next = |vote: &str, known: &str, taken: u32| {
            let known = if known.is_empty() { Record::default() } else { known.parse().unwrap() };
            let intention = intention(&NodeName::new("srv1"), &vote.parse().unwrap(), &known, Timeline(taken), 5);
            Record(vec![intention]).to_string()
        };
        assert_eq!(next("1#256", "", 1), "2@0/100 srv1 5 intended history=1@0/100,2");
        assert_eq!(next("3#256", "2@0/90 srv2 0", 1), "4@0/100 srv1 5 intended history=3@0/100,4");
        assert_eq!(next("2#256", "3@0/100 srv2 0; 2@0/90 srv2 0", 1), "4@0/100 srv1 5 intended history=2@0/100,4");
        assert_eq!(next("2#256", "3@0/100 srv2 0 intended", 1), "4@0/100 srv1 5 intended history=2@0/100,4");
        assert_eq!(next("2#256", "2@0/90 srv2 0", 6), "7@0/100 srv1 5 intended history=2@0/100,7");
    }

    #[test]
    fn a_primary_is_new_until_its_promotion_counts() {
        let known: Record = "2@0/100 srv1 500".parse().unwrap();
        assert!(is_new(Timeline(2), &known) && is_new(Timeline(3), &known) && is_new(Timeline(2), &Record::default()));
        assert!(!is_new(Timeline(1), &Record::default()));
        assert!(!is_new(Timeline(2), &"2@0/100 srv1 500 kept".parse().unwrap()));
    }

    /// srv1 is found; scores and the record → whether it claims its role.
    fn claims((scores, record): (&str, &str)) -> bool {
        let score = |word: &str| {
            let (node, score) = word.split_once('=').unwrap();
            (NodeName::new(node), score.parse().unwrap())
        };
        let record = if record.is_empty() { Record::default() } else { record.parse().unwrap() };
        claims_its_role(&NodeName::new("srv1"), Timeline(2), &scores.split_whitespace().map(score).collect(), &record)
    }

    table! { claims;
        its_score_is_lost: ("srv2=1000 srv3=990", "2@0/100 srv1 0") => true;
        the_first_primary: ("srv2=1000", "") => true;
        no_node_has_a_score: ("", "2@0/100 srv1 0") => true;
        it_has_a_score: ("srv1=-1 srv2=1000", "2@0/100 srv1 0") => false;
        it_was_promoted_by_hand: ("srv2=1000", "3@0/200 srv1 0") => false;
        another_is_the_primary: ("srv2=1001", "2@0/100 srv1 0") => false;
        another_was_promoted_later: ("srv2=1000", "3@0/200 srv2 0; 2@0/100 srv1 0") => false;
        another_is_being_promoted: ("", "3@0/200 srv2 0 intended; 2@0/100 srv1 0") => false;
    }
}
