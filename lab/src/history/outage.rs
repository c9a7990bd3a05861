//! How long clients could not write: the gaps between acknowledged commits.

use std::fmt;
use std::time::Duration;

use serde::ser::{Serialize, SerializeStruct, Serializer};

use super::event::{Mark, MarkKind, Moment};

/// A time without an acknowledged commit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Outage {
    /// The last acknowledgement before it.
    pub from: Moment,
    /// The first acknowledgement after it, or the end of the history.
    pub until: Moment,
    /// Whether a commit was acknowledged afterwards.
    pub over: bool,
}

impl Outage {
    /// How long it lasted.
    pub fn lasted(&self) -> Duration {
        self.until.since(self.from)
    }
}

/// Its length, and whether it is over: `1.93 s`.
impl fmt::Display for Outage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:.2} s", self.lasted().as_secs_f64())?;
        if self.over { Ok(()) } else { f.write_str(", not over when the writer stopped") }
    }
}

impl Serialize for Outage {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut outage = serializer.serialize_struct("Outage", 4)?;
        outage.serialize_field("seconds", &self.lasted().as_secs_f64())?;
        outage.serialize_field("from_us", &self.from)?;
        outage.serialize_field("until_us", &self.until)?;
        outage.serialize_field("over", &self.over)?;
        outage.end()
    }
}

/// Commits are acknowledged every few milliseconds: an outage that begins this shortly before a mark is that mark's.
const SHORTLY: Duration = Duration::from_millis(200);

/// The effect of one mark on writers.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct FaultOutage {
    /// The mark.
    pub mark: Mark,
    /// The longest outage that touches the time from this mark to the next, if there is any; one that goes beyond the next
    /// mark and began only shortly before it is not this mark's.
    pub outage: Option<Outage>,
}

/// When clients could not write.
#[derive(Debug, Clone, Default, PartialEq, Eq, serde::Serialize)]
pub struct Outages {
    /// The longest, if there is any.
    #[serde(rename = "outage")]
    pub longest: Option<Outage>,
    /// By mark. A fault's end is not a cause, so it has no entry and does not end its fault's time.
    #[serde(rename = "outages")]
    pub by_mark: Vec<FaultOutage>,
}

/// Finds the outages in a history that ends at `end`; `failing` means that attempts failed after the last
/// acknowledgement.
///
/// The time before the first acknowledgement is not an outage, nor is the time after the last one if nothing failed
/// then.
pub fn outages(acks: &[Moment], failing: bool, marks: &[Mark], end: Moment) -> Outages {
    let mut acks = acks.to_vec();
    acks.sort_unstable();
    let mut gaps = between(&acks);
    let last = acks.last().filter(|_| failing);
    gaps.extend(last.map(|last| Outage { from: *last, until: end.max(*last), over: false }));
    let causes: Vec<&Mark> = marks.iter().filter(|mark| mark.kind != MarkKind::End).collect();
    let by_mark = causes.iter().enumerate().map(|(index, mark)| {
        let next = causes.get(index + 1);
        let touches = |gap: &&Outage| gap.until > mark.at && gap.from < next.map_or(end, |next| next.at);
        let touching = gaps.iter().filter(touches).filter(|gap| !next.is_some_and(|next| belongs_to(gap, next)));
        FaultOutage { mark: (*mark).clone(), outage: longest(touching) }
    });
    Outages { longest: longest(gaps.iter()), by_mark: by_mark.collect() }
}

/// Whether an outage is the doing of a mark that it goes beyond.
fn belongs_to(gap: &Outage, mark: &Mark) -> bool {
    gap.until > mark.at && mark.at.since(gap.from) <= SHORTLY && mark.at >= gap.from
}

fn between(acks: &[Moment]) -> Vec<Outage> {
    acks.windows(2).map(|pair| Outage { from: pair[0], until: pair[1], over: true }).collect()
}

fn longest<'a>(gaps: impl Iterator<Item = &'a Outage>) -> Option<Outage> {
    gaps.copied().max_by_key(Outage::lasted)
}
