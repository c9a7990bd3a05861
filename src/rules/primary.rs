//! What a primary keeps up to date in the cluster's record of promotions.

use std::collections::BTreeMap;

use crate::location::{Lsn, Timeline};
use crate::node::NodeName;
use crate::postgres::history::TimelineHistory;
use crate::record::{Promotion, Record, Stage};
use crate::score::Score;
use crate::vote::Vote;

/// For how long a promotion may be without a standby before it counts all the same, in seconds.
const TRIAL: u64 = 30;

/// What a primary knows of its own promotion.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reign {
    /// The primary.
    pub node: NodeName,
    /// Its timeline.
    pub timeline: Timeline,
    /// How that came about.
    pub history: TimelineHistory,
    /// Whether a standby of the cluster streams from it.
    pub followed: bool,
    /// Now, in seconds since 1970.
    pub now: u64,
}

/// The record as it should be; none if it is so already.
///
/// A promotion is recorded at once, and counts once a standby has joined it or it has been written to for a while. The
/// end of a former clean shutdown is forgotten: it is written to again.
pub fn record(reign: &Reign, known: &Record) -> Option<Record> {
    let Reign { node, timeline, history, followed, now } = reign;
    // Nobody was promoted to a timeline without a beginning.
    let switch = history.begin(*timeline)?;
    let ours = known.last().filter(|last| last.timeline == *timeline && last.switch == switch);
    let time = ours.map_or(*now, |ours| ours.time);
    let kept = *followed || ours.is_some_and(|ours| ours.stage == Stage::Kept || *now >= ours.time + TRIAL);
    let stage = if kept { Stage::Kept } else { Stage::Done };
    let history = Some(history.shortened());
    let promotion = Promotion { timeline: *timeline, switch, node: node.clone(), time, stage, history, end: None };
    (ours != Some(&promotion)).then(|| known.with(promotion))
}

/// What the node that has won an election with `ours` is about to do: it begins the first timeline that nobody has taken.
pub fn intention(node: &NodeName, ours: &Vote, known: &Record, now: u64) -> Promotion {
    let taken = known.newest_timeline().max(Some(ours.timeline())).unwrap_or(ours.timeline());
    let timeline = Timeline(taken.0 + 1);
    Promotion {
        timeline,
        switch: ours.lsn(),
        node: node.clone(),
        time: now,
        stage: Stage::Intended,
        history: ours.history.child(timeline, ours.lsn()),
        end: None,
    }
}

/// The record after the primary was shut down cleanly, with its WAL ending at `end` on `timeline`; none if that promotion
/// is not recorded.
pub fn shut_down(known: &Record, timeline: Timeline, end: Lsn) -> Option<Record> {
    let last = known.last().filter(|last| last.timeline == timeline && last.end != Some(end))?;
    Some(known.with(Promotion { end: Some(end), ..last.clone() }))
}

/// Whether the primary is so new that its standbys may not have found it yet. Nobody is promoted to the first timeline.
pub fn is_new(timeline: Timeline, known: &Record) -> bool {
    timeline > Timeline(1)
        && known
            .last()
            .is_none_or(|last| last.timeline < timeline || (last.timeline == timeline && last.stage < Stage::Kept))
}

/// Whether a primary that a probe finds running makes itself Pacemaker's choice: its score was lost with its node's daemons
/// while it ran on, and nobody has taken its place.
pub fn claims_its_role(node: &NodeName, scores: &BTreeMap<NodeName, Score>, known: &Record) -> bool {
    let unchallenged = scores.values().all(|score| *score < Score::PRIMARY);
    !scores.contains_key(node) && unchallenged && known.0.first().is_none_or(|newest| newest.node == *node)
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
            timeline: Timeline(timeline),
            history: if timeline > 1 { format!("1@0/100,{timeline}").parse().unwrap() } else { "1".parse().unwrap() },
            followed,
            now,
        };
        let history = format!(" history={}", reign.history);
        record(&reign, &known).map_or("-".to_owned(), |record| record.to_string().replace(&history, ""))
    }

    table! { recorded;
        never_promoted: (1, true, 500, "") => "-";
        just_promoted: (2, false, 500, "") => "2@0/100 srv1 500";
        still_alone: (2, false, 529, "2@0/100 srv1 500") => "-";
        a_standby_has_joined: (2, true, 501, "2@0/100 srv1 500") => "2@0/100 srv1 500 kept";
        alone_for_long: (2, false, 530, "2@0/100 srv1 500") => "2@0/100 srv1 500 kept";
        alone_again: (2, false, 900, "2@0/100 srv1 500 kept") => "-";
        promoted_again: (3, false, 900, "2@0/50 srv2 500 kept") => "3@0/100 srv1 900; 2@0/50 srv2 500 kept";
        started_after_a_clean_end: (2, true, 900, "2@0/100 srv1 500 kept end=0/200") => "2@0/100 srv1 500 kept";
        as_it_was_intended: (2, false, 501, "2@0/100 srv1 500 intended") => "2@0/100 srv1 501";
        a_namesake_of_another_beginning: (2, false, 900, "2@0/90 srv2 500") => "2@0/100 srv1 900; 2@0/90 srv2 500";
    }

    #[test]
    fn the_next_timeline_is_one_that_nobody_has_taken() {
        let next = |vote: &str, known: &str| {
            let known = if known.is_empty() { Record::default() } else { known.parse().unwrap() };
            let intention = intention(&NodeName::new("srv1"), &vote.parse().unwrap(), &known, 5);
            Record(vec![intention]).to_string()
        };
        assert_eq!(next("1#256", ""), "2@0/100 srv1 5 intended history=1@0/100,2");
        assert_eq!(next("3#256", "2@0/90 srv2 0"), "4@0/100 srv1 5 intended history=3@0/100,4");
        assert_eq!(next("2#256", "3@0/100 srv2 0; 2@0/90 srv2 0"), "4@0/100 srv1 5 intended history=2@0/100,4");
        assert_eq!(next("2#256", "3@0/100 srv2 0 intended"), "4@0/100 srv1 5 intended history=2@0/100,4");
    }

    #[test]
    fn a_clean_shutdown_is_recorded_once() {
        let known: Record = "2@0/100 srv1 500 kept".parse().unwrap();
        let ended = shut_down(&known, Timeline(2), Lsn(0x200)).unwrap();
        assert_eq!(ended.to_string(), "2@0/100 srv1 500 kept end=0/200");
        assert_eq!(shut_down(&ended, Timeline(2), Lsn(0x200)), None);
        assert_eq!(shut_down(&known, Timeline(3), Lsn(0x200)), None);
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
        claims_its_role(&NodeName::new("srv1"), &scores.split_whitespace().map(score).collect(), &record)
    }

    table! { claims;
        its_score_is_lost: ("srv2=1000 srv3=990", "2@0/100 srv1 0") => true;
        the_first_primary: ("srv2=1000", "") => true;
        nobody_has_a_score: ("", "2@0/100 srv1 0") => true;
        it_has_a_score: ("srv1=-1 srv2=1000", "2@0/100 srv1 0") => false;
        another_is_the_primary: ("srv2=1001", "2@0/100 srv1 0") => false;
        another_was_promoted_later: ("srv2=1000", "3@0/200 srv2 0; 2@0/100 srv1 0") => false;
        another_is_being_promoted: ("", "3@0/200 srv2 0 intended; 2@0/100 srv1 0") => false;
    }
}
