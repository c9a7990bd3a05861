//! The record of promotions that the cluster keeps, whichever nodes come and go.

use std::fmt;
use std::str::FromStr;

use crate::location::{Lsn, SystemId, Timeline};
use crate::node::NodeName;
use crate::postgres::history::TimelineHistory;
use crate::vote::Vote;

/// The most promotions that are kept.
pub const MAX_PROMOTIONS: usize = 8;

/// The most promotions whose history is kept: the last, and intended ones before it.
const MAX_HISTORIES: usize = 3;

/// The last promotions, newest first.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Record(pub Vec<Promotion>);

/// One promotion.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Promotion {
    /// The timeline it began.
    pub timeline: Timeline,
    /// Where that timeline left the one before it.
    pub switch: Lsn,
    /// The promoted node.
    pub node: NodeName,
    /// When, in seconds since 1970 by that node's clock: for people.
    pub time: u64,
    /// How far it has come.
    pub stage: Stage,
    /// How its timeline came about; kept for the newest promotions only.
    pub history: Option<TimelineHistory>,
    /// Where its WAL ended when that primary was last shut down cleanly.
    pub end: Option<Lsn>,
    /// A position that the primary's WAL had reached, and when that was noted, in seconds since 1970.
    pub known: Option<(Lsn, u64)>,
    /// The database.
    pub system: Option<SystemId>,
}

impl Promotion {
    /// A promotion of `node` of which nothing else is known.
    pub fn of(node: NodeName, timeline: Timeline, switch: Lsn, time: u64) -> Self {
        let (stage, history, end, known, system) = (Stage::Done, None, None, None, None);
        Self { timeline, switch, node, time, stage, history, end, known, system }
    }

    /// The furthest position that the primary's WAL is known to have reached on this timeline.
    pub fn reached(&self) -> Lsn {
        let known = self.known.map(|(lsn, _)| lsn);
        [Some(self.switch), known, self.end].into_iter().flatten().max().unwrap_or(self.switch)
    }
}

/// How far a promotion has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Stage {
    /// It was about to happen. Its number is taken, whether it has happened or not: two timelines of one number that leave
    /// their parent at one point could not be distinguished, not even by PostgreSQL.
    Intended,
    /// It has happened. A primary that dies now has nothing that an asynchronous cluster could not have lost anyway.
    Done,
    /// Its history counts: a standby has joined it, or it was written to for a while.
    Kept,
}

impl Record {
    /// The last promotion that is known to have happened.
    pub fn last(&self) -> Option<&Promotion> {
        self.0.iter().find(|promotion| promotion.stage > Stage::Intended)
    }

    /// This record as it was before the last promotion that has happened.
    #[must_use]
    pub fn before_last(&self) -> Self {
        let last = self.0.iter().position(|promotion| promotion.stage > Stage::Intended);
        Self(last.map_or_else(Vec::new, |last| self.0[last + 1..].to_vec()))
    }

    /// To which timeline the last promotion led, and where that one begins.
    pub fn last_switch(&self) -> Option<(Timeline, Lsn)> {
        self.last().map(|last| (last.timeline, last.switch))
    }

    /// The highest timeline that was ever taken.
    pub fn newest_timeline(&self) -> Option<Timeline> {
        self.0.iter().map(|promotion| promotion.timeline).max()
    }

    /// The database that this record is about, as far as it says.
    pub fn system(&self) -> Option<SystemId> {
        self.0.iter().find_map(|promotion| promotion.system)
    }

    /// This record with what the histories of `votes` prove: an intended promotion that one of them went through has
    /// happened.
    ///
    /// An announcement counts for its own node and parent only; where that node has taken a later number, or has received more
    /// before it was promoted, that is what counts. Another node that has the announced timeline from the announced point has
    /// it from that node, unless that one votes and has it not.
    #[must_use]
    pub fn proven_by<'a>(&self, votes: impl IntoIterator<Item = (&'a NodeName, &'a Vote)> + Clone) -> Self {
        let prove = |promotion: &Promotion| -> Option<Promotion> {
            let mut own = votes.clone().into_iter().filter(|(node, _)| **node == promotion.node);
            if let Some((_, vote)) = own.next() {
                let (timeline, switch) = begun(promotion, &vote.history)?;
                let history = promotion.history.as_ref().map(|_| vote.history.up_to(timeline).shortened());
                return Some(Promotion { stage: Stage::Done, timeline, switch, history, ..promotion.clone() });
            }
            let announced = (promotion.timeline, promotion.switch);
            let mut others = votes.clone().into_iter();
            let is_there = others.any(|(_, vote)| begun(promotion, &vote.history) == Some(announced));
            is_there.then(|| Promotion { stage: Stage::Done, ..promotion.clone() })
        };
        let promotions = self.0.iter().map(|promotion| match promotion.stage {
            Stage::Intended => prove(promotion).unwrap_or_else(|| promotion.clone()),
            Stage::Done | Stage::Kept => promotion.clone(),
        });
        Self(promotions.collect())
    }

    /// The later of this record and `other`, which is of the same database: of two copies the one that has seen more.
    #[must_use]
    pub fn or_later(self, other: Self) -> Self {
        let age = |record: &Self| {
            let stages: Vec<(Timeline, Stage)> = record.0.iter().map(|it| (it.timeline, it.stage)).collect();
            (record.newest_timeline(), record.0.iter().map(|it| it.time).max(), stages)
        };
        if age(&other) > age(&self) { other } else { self }
    }

    /// This record with one more promotion. The same promotion again replaces what was known of it, as it replaces the
    /// intention of its timeline.
    #[must_use]
    pub fn with(&self, promotion: Promotion) -> Self {
        let same = |known: &&Promotion| {
            known.timeline == promotion.timeline && (known.switch == promotion.switch || known.stage == Stage::Intended)
        };
        let others = self.0.iter().filter(|known| !same(known)).cloned();
        let all = std::iter::once(promotion.clone()).chain(others).take(MAX_PROMOTIONS).enumerate();
        let shortened = all.map(|(number, promotion)| match number {
            0..MAX_HISTORIES => promotion,
            _ => Promotion { history: None, ..promotion },
        });
        Self(shortened.collect())
    }
}

/// Which timeline `history` has begun by `promotion`, and where, if it leads on from the announced parent. PostgreSQL takes a
/// later number than was announced where it finds a history file of that number, which may also be in the archive; and it may
/// have replayed more before than was known, also of a later parent.
fn begun(promotion: &Promotion, history: &TimelineHistory) -> Option<(Timeline, Lsn)> {
    let announced = promotion.history.as_ref().and_then(|history| history.timelines().rev().nth(1));
    let Some(parent) = announced else {
        return history.begin(promotion.timeline).map(|begin| (promotion.timeline, begin));
    };
    history.switch_point(parent)?;
    let timeline = history.timelines().find(|timeline| *timeline >= promotion.timeline)?;
    Some((timeline, history.begin(timeline)?))
}

/// Text that is not a record of promotions.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is not a record of promotions such as 2@0/3000060 srv1 1763850000")]
pub struct BadRecord(pub String);

/// `5@0/5000060 srv2 1763850000 kept history=4@0/5000060,5; 4@0/3000060 srv1 1763840000 kept end=0/5000028`; each
/// promotion may also say ` known=0/5000100@1763850300 system=7300000000000000001`.
impl fmt::Display for Record {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (number, promotion) in self.0.iter().enumerate() {
            let Promotion { timeline, switch, node, time, stage, history, end, known, system } = promotion;
            write!(f, "{}{timeline}@{switch} {node} {time}", if number == 0 { "" } else { "; " })?;
            f.write_str(match stage {
                Stage::Intended => " intended",
                Stage::Done => "",
                Stage::Kept => " kept",
            })?;
            if let Some(history) = history {
                write!(f, " history={history}")?;
            }
            if let Some(end) = end {
                write!(f, " end={end}")?;
            }
            if let Some((known, when)) = known {
                write!(f, " known={known}@{when}")?;
            }
            if let Some(system) = system {
                write!(f, " system={system}")?;
            }
        }
        Ok(())
    }
}

impl FromStr for Record {
    type Err = BadRecord;

    fn from_str(text: &str) -> Result<Self, BadRecord> {
        let promotions: Option<Vec<Promotion>> = text.split(';').take(MAX_PROMOTIONS).map(promotion).collect();
        promotions.map(Self).ok_or_else(|| BadRecord(text.chars().take(200).collect()))
    }
}

fn promotion(text: &str) -> Option<Promotion> {
    let mut words = text.split_whitespace();
    let (timeline, switch) = words.next()?.split_once('@')?;
    let (timeline, switch) = (Timeline(timeline.parse().ok()?), switch.parse().ok()?);
    let mut promotion = Promotion::of(NodeName::new(words.next()?), timeline, switch, words.next()?.parse().ok()?);
    if promotion.timeline.0 == 0 {
        return None;
    }
    for word in words {
        match word.split_once('=') {
            None if word == "kept" => promotion.stage = Stage::Kept,
            None if word == "intended" => promotion.stage = Stage::Intended,
            Some(("history", history)) => promotion.history = Some(history.parse().ok()?),
            Some(("end", end)) => promotion.end = Some(end.parse().ok()?),
            Some(("known", known)) => {
                let (known, when) = known.split_once('@')?;
                promotion.known = Some((known.parse().ok()?, when.parse().ok()?));
            }
            Some(("system", system)) => promotion.system = Some(system.parse().ok()?),
            // A newer agent may say more.
            _ => {}
        }
    }
    Some(promotion)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_record_is_read_as_it_was_written() {
        let text = "5@0/5000060 srv2 1763850000 kept history=4@0/5000060,5 end=0/6000028; 4@0/3000060 srv1 1763840000";
        let record: Record = text.parse().unwrap();
        assert_eq!(record.0.len(), 2);
        assert_eq!(record.last().map(|last| (last.timeline, last.stage)), Some((Timeline(5), Stage::Kept)));
        assert_eq!(record.to_string(), text);
    }

    #[test]
    fn it_stays_short_and_holds_each_promotion_once() {
        let one = |number: u32| Promotion {
            history: Some(TimelineHistory::first(Timeline(number))),
            ..Promotion::of(NodeName::new("srv1"), Timeline(number), Lsn(u64::from(number)), 0)
        };
        let record = (2..20).fold(Record::default(), |record, number| record.with(one(number)));
        assert_eq!(record.0.len(), MAX_PROMOTIONS);
        assert_eq!(record.0.iter().filter(|promotion| promotion.history.is_some()).count(), MAX_HISTORIES);
        let kept = record.with(Promotion { stage: Stage::Kept, ..one(19) });
        assert_eq!((kept.0.len(), kept.0[0].stage, kept.0[1].timeline), (MAX_PROMOTIONS, Stage::Kept, Timeline(18)));
    }

    #[test]
    fn an_intended_promotion_has_happened_if_a_node_went_through_it() {
        let record: Record = "4@0/200 srv2 1 intended; 3@0/100 srv1 0 kept".parse().unwrap();
        assert_eq!(record.last().map(|last| last.timeline), Some(Timeline(3)));
        assert_eq!(record.newest_timeline(), Some(Timeline(4)));
        let last = |votes: &[(&str, &str)]| proven(&record, votes).last().map(|last| last.timeline);
        assert_eq!(last(&[("srv3", "3#512 history=2@0/100,3")]), Some(Timeline(3)));
        assert_eq!(last(&[("srv3", "4#600 history=3@0/1F0,4")]), Some(Timeline(3)), "another point");
        assert_eq!(last(&[("srv3", "4#600 history=3@0/200,4")]), Some(Timeline(4)));
        assert_eq!(last(&[("srv3", "5#700 history=3@0/200,4@0/280,5")]), Some(Timeline(4)));
    }

    fn proven(record: &Record, votes: &[(&str, &str)]) -> Record {
        let votes: Vec<(NodeName, Vote)> =
            votes.iter().map(|(node, vote)| (NodeName::new(*node), vote.parse().unwrap())).collect();
        record.proven_by(votes.iter().map(|(node, vote)| (node, vote)))
    }

    #[test]
    fn an_announcement_counts_for_its_own_node_and_parent_only() {
        let record: Record = "4@0/200 srv2 1 intended history=2@0/100,3@0/200,4; 3@0/100 srv1 0 kept".parse().unwrap();
        let last = |votes: &[(&str, &str)]| proven(&record, votes).last().map(|last| (last.timeline, last.switch));
        let by_hand = ("srv3", "4#600 history=2@0/100,3@0/200,4");
        assert_eq!(last(&[by_hand]), Some((Timeline(4), Lsn(0x200))));
        let not_promoted = ("srv2", "3#512 history=2@0/100,3");
        assert_eq!(last(&[by_hand, not_promoted]), Some((Timeline(3), Lsn(0x100))), "srv2 was not promoted");
        let from_two = ("srv2", "4#600 history=2@0/200,4");
        assert_eq!(last(&[from_two]), Some((Timeline(3), Lsn(0x100))), "from another parent");
        let later = ("srv2", "4#600 history=2@0/100,3@0/210,4");
        assert_eq!(last(&[later]), Some((Timeline(4), Lsn(0x210))), "it received some more before it was promoted");
        let number = ("srv2", "6#600 history=2@0/100,3@0/200,6");
        assert_eq!(last(&[number]), Some((Timeline(6), Lsn(0x200))), "the number was taken");
        let another = ("srv3", "6#600 history=2@0/100,3@0/200,6");
        assert_eq!(last(&[another]), Some((Timeline(3), Lsn(0x100))), "by another node");
        let parent: Record = "4@0/100 srv2 1 intended history=2@0/100,4; 2@0/80 srv1 0 kept".parse().unwrap();
        let replayed_more = proven(&parent, &[("srv2", "4#600 history=2@0/100,3@0/200,4")]);
        assert_eq!(replayed_more.last().map(|last| last.switch), Some(Lsn(0x200)));
        let history = proven(&record, &[later]).last().unwrap().history.clone().unwrap();
        assert_eq!(history.to_string(), "2@0/100,3@0/210,4");
    }

    #[test]
    fn the_later_of_two_copies_counts() {
        let later = |one: &str, other: &str| {
            let read = |text: &str| if text.is_empty() { Record::default() } else { text.parse().unwrap() };
            read(one).or_later(read(other)).to_string()
        };
        let (old, new) = ("2@0/100 srv1 5 kept", "3@0/200 srv2 9; 2@0/100 srv1 5 kept");
        assert_eq!(later(old, new), new);
        assert_eq!(later(new, old), new);
        assert_eq!(later("", old), old);
        assert_eq!(later("3@0/200 srv2 9 intended", "3@0/200 srv2 9 kept"), "3@0/200 srv2 9 kept");
    }

    #[test]
    fn what_is_known_of_a_primary_is_read_as_it_was_written() {
        let text = "5@0/500 srv2 9 kept known=0/700@1763850300 system=7300000000000000001";
        let record: Record = text.parse().unwrap();
        assert_eq!((record.to_string().as_str(), record.0[0].reached()), (text, Lsn(0x700)));
        assert_eq!(record.system(), Some(SystemId(7_300_000_000_000_000_001)));
        assert!("5@0/500 srv2 9 known=0/700".parse::<Record>().is_err());
    }

    #[test]
    fn what_has_happened_replaces_the_intention() {
        let record: Record = "4@0/200 srv2 1 intended; 3@0/100 srv1 0 kept".parse().unwrap();
        let done = Promotion { stage: Stage::Done, switch: Lsn(0x210), ..record.0[0].clone() };
        assert_eq!(record.with(done).to_string(), "4@0/210 srv2 1; 3@0/100 srv1 0 kept");
    }

    #[test]
    fn a_word_of_a_newer_agent_says_nothing() {
        let record: Record = "5@0/1 srv1 0 novel more=so".parse().unwrap();
        assert_eq!(record.to_string(), "5@0/1 srv1 0");
    }

    #[test]
    fn nonsense_is_no_record() {
        for bad in ["", "5", "0@0/1 srv1 0", "5@x srv1 0", "5@0/1", "5@0/1 srv1 now", "5@0/1 srv1 0 end=x"] {
            assert!(bad.parse::<Record>().is_err(), "{bad:?}");
        }
    }
}
