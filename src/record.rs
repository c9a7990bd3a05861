//! The record of promotions that the cluster keeps, whichever nodes come and go.

use std::fmt;
use std::str::FromStr;

use crate::location::{Lsn, Timeline};
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
    /// Who was promoted.
    pub node: NodeName,
    /// When, in seconds since 1970 by that node's clock: for people.
    pub time: u64,
    /// How far it has come.
    pub stage: Stage,
    /// How its timeline came about; kept for the newest promotions only.
    pub history: Option<TimelineHistory>,
    /// Where its WAL ended when that primary was last shut down cleanly.
    pub end: Option<Lsn>,
}

/// How far a promotion has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Stage {
    /// It was about to happen. Its number is taken, whether it has happened or not: two timelines of one number that leave
    /// their parent at one point could not be told apart, not even by PostgreSQL.
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

    /// To which timeline the last promotion led, and where that one begins.
    pub fn last_switch(&self) -> Option<(Timeline, Lsn)> {
        self.last().map(|last| (last.timeline, last.switch))
    }

    /// The highest timeline that was ever taken.
    pub fn newest_timeline(&self) -> Option<Timeline> {
        self.0.iter().map(|promotion| promotion.timeline).max()
    }

    /// This record with what the histories of `votes` prove: an intended promotion that one of them went through has
    /// happened.
    #[must_use]
    pub fn proven_by<'a>(&self, votes: impl IntoIterator<Item = &'a Vote> + Clone) -> Self {
        let went_through = |promotion: &Promotion| {
            votes.clone().into_iter().any(|vote| vote.history.begin(promotion.timeline) == Some(promotion.switch))
        };
        let promotions = self.0.iter().cloned().map(|mut promotion| {
            if promotion.stage == Stage::Intended && went_through(&promotion) {
                promotion.stage = Stage::Done;
            }
            promotion
        });
        Self(promotions.collect())
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

/// Text that is no record of promotions.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is not a record of promotions such as 2@0/3000060 srv1 1763850000")]
pub struct BadRecord(pub String);

/// `5@0/5000060 srv2 1763850000 kept history=4@0/5000060,5; 4@0/3000060 srv1 1763840000 kept end=0/5000028`.
impl fmt::Display for Record {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (number, promotion) in self.0.iter().enumerate() {
            let Promotion { timeline, switch, node, time, stage, history, end } = promotion;
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
    let mut promotion = Promotion {
        timeline: Timeline(timeline.parse().ok()?),
        switch: switch.parse().ok()?,
        node: NodeName::new(words.next()?),
        time: words.next()?.parse().ok()?,
        stage: Stage::Done,
        history: None,
        end: None,
    };
    if promotion.timeline.0 == 0 {
        return None;
    }
    for word in words {
        match word.split_once('=') {
            None if word == "kept" => promotion.stage = Stage::Kept,
            None if word == "intended" => promotion.stage = Stage::Intended,
            Some(("history", history)) => promotion.history = Some(history.parse().ok()?),
            Some(("end", end)) => promotion.end = Some(end.parse().ok()?),
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
            timeline: Timeline(number),
            switch: Lsn(u64::from(number)),
            node: NodeName::new("srv1"),
            time: 0,
            stage: Stage::Done,
            history: Some(TimelineHistory::first(Timeline(number))),
            end: None,
        };
        let record = (2..20).fold(Record::default(), |record, number| record.with(one(number)));
        assert_eq!(record.0.len(), MAX_PROMOTIONS);
        assert_eq!(record.0.iter().filter(|promotion| promotion.history.is_some()).count(), MAX_HISTORIES);
        let kept = record.with(Promotion { stage: Stage::Kept, ..one(19) });
        assert_eq!((kept.0.len(), kept.0[0].stage, kept.0[1].timeline), (MAX_PROMOTIONS, Stage::Kept, Timeline(18)));
    }

    #[test]
    fn an_intended_promotion_has_happened_if_somebody_went_through_it() {
        let record: Record = "4@0/200 srv2 1 intended; 3@0/100 srv1 0 kept".parse().unwrap();
        assert_eq!(record.last().map(|last| last.timeline), Some(Timeline(3)));
        assert_eq!(record.newest_timeline(), Some(Timeline(4)));
        let vote = |text: &str| -> Vote { text.parse().unwrap() };
        let last = |votes: &[Vote]| record.proven_by(votes).last().map(|last| last.timeline);
        assert_eq!(last(&[vote("3#512 history=2@0/100,3")]), Some(Timeline(3)));
        assert_eq!(last(&[vote("4#600 history=3@0/1F0,4")]), Some(Timeline(3)));
        assert_eq!(last(&[vote("4#600 history=3@0/200,4")]), Some(Timeline(4)));
        assert_eq!(last(&[vote("5#700 history=3@0/200,4@0/280,5")]), Some(Timeline(4)));
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
