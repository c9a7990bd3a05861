//! The record of promotions that the cluster keeps, whichever nodes come and go.

use std::fmt;
use std::str::FromStr;

use crate::location::{Lsn, Timeline};
use crate::node::NodeName;

/// The most promotions that are kept.
pub const MAX_PROMOTIONS: usize = 8;

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
    /// Whether its history counts: a standby has joined it, or it was written to for a while. A primary that dies before
    /// that has nothing that an asynchronous cluster could not have lost anyway.
    pub kept: bool,
    /// Where its WAL ended when that primary was last shut down cleanly.
    pub end: Option<Lsn>,
}

impl Record {
    /// The last promotion.
    pub fn last(&self) -> Option<&Promotion> {
        self.0.first()
    }

    /// This record with one more promotion. The same promotion again replaces what was known of it.
    #[must_use]
    pub fn with(&self, promotion: Promotion) -> Self {
        let same = |known: &&Promotion| known.timeline == promotion.timeline && known.switch == promotion.switch;
        let others = self.0.iter().filter(|known| !same(known)).cloned();
        Self(std::iter::once(promotion.clone()).chain(others).take(MAX_PROMOTIONS).collect())
    }
}

/// Text that is no record of promotions.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is not a record of promotions such as 2@0/3000060 srv1 1763850000")]
pub struct BadRecord(pub String);

/// `5@0/5000060 srv2 1763850000 kept end=0/6000028; 4@0/3000060 srv1 1763840000 kept`.
impl fmt::Display for Record {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (number, promotion) in self.0.iter().enumerate() {
            let Promotion { timeline, switch, node, time, kept, end } = promotion;
            write!(f, "{}{timeline}@{switch} {node} {time}", if number == 0 { "" } else { "; " })?;
            if *kept {
                f.write_str(" kept")?;
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
        kept: false,
        end: None,
    };
    for word in words {
        match word.split_once('=') {
            None if word == "kept" => promotion.kept = true,
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
        let text = "5@0/5000060 srv2 1763850000 kept end=0/6000028; 4@0/3000060 srv1 1763840000";
        let record: Record = text.parse().unwrap();
        assert_eq!(record.0.len(), 2);
        assert_eq!(record.last().map(|last| (last.timeline, last.kept)), Some((Timeline(5), true)));
        assert_eq!(record.to_string(), text);
    }

    #[test]
    fn it_stays_short_and_holds_each_promotion_once() {
        let one = |number: u32| Promotion {
            timeline: Timeline(number),
            switch: Lsn(u64::from(number)),
            node: NodeName::new("srv1"),
            time: 0,
            kept: false,
            end: None,
        };
        let record = (2..20).fold(Record::default(), |record, number| record.with(one(number)));
        assert_eq!(record.0.len(), MAX_PROMOTIONS);
        let kept = record.with(Promotion { kept: true, ..one(19) });
        assert_eq!((kept.0.len(), kept.0[0].kept, kept.0[1].timeline), (MAX_PROMOTIONS, true, Timeline(18)));
    }

    #[test]
    fn nonsense_is_no_record() {
        for bad in ["", "5", "5@x srv1 0", "5@0/1", "5@0/1 srv1 now", "5@0/1 srv1 0 end=x"] {
            assert!(bad.parse::<Record>().is_err(), "{bad:?}");
        }
    }
}
