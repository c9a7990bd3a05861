//! Timeline histories: which timelines led to this one, and where each was left.
//!
//! PostgreSQL keeps them in `pg_wal/0000000A.history` (`src/backend/access/transam/timeline.c`) and every promotion
//! adds a line. All decisions about divergence rest on them: a higher timeline number alone proves nothing. Reads text
//! only; never touches the file system.

mod published;

use std::fmt;

use crate::location::{Lsn, Timeline};

pub use published::{BadPublished, MAX_PUBLISHED};

/// A longer history file than this is not read: PostgreSQL would need 60,000 promotions to write it.
pub const MAX_FILE_LEN: usize = 4 << 20;

/// One timeline that was left for the next.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Switch {
    /// The timeline that was left.
    pub timeline: Timeline,
    /// Where: WAL from here on belongs to the next timeline.
    pub at: Lsn,
    /// Why, in PostgreSQL's words: "no recovery target specified". Empty where only the switch itself is known.
    pub reason: String,
}

/// How a timeline came about.
///
/// Switches are in order: timelines rise, and switch points never fall.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TimelineHistory {
    timeline: Timeline,
    switches: Vec<Switch>,
    is_whole: bool,
}

/// How a position relates to a history.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Lineage {
    /// On it: what was written up to there is a part of it.
    Ancestor,
    /// On a timeline of it, but past the point where it was left: diverged.
    PastSwitch(Lsn),
    /// On a timeline that is not part of it: diverged, or not known there yet.
    Stranger,
    /// On a timeline that is older than what a shortened history remembers.
    Forgotten,
}

/// What two histories have in common.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Fork {
    /// The last timeline that both have.
    pub timeline: Timeline,
    /// Where the first of them left it; none if both are still on it.
    pub at: Option<Lsn>,
}

impl TimelineHistory {
    /// The history of a timeline without parents: timeline 1 has no history file.
    pub fn first(timeline: Timeline) -> TimelineHistory {
        TimelineHistory { timeline, switches: Vec::new(), is_whole: true }
    }

    /// The history of a timeline of which no more than its number is known.
    pub fn forgotten(timeline: Timeline) -> TimelineHistory {
        TimelineHistory { is_whole: false, ..TimelineHistory::first(timeline) }
    }

    /// Reads the contents of `timeline`'s history file.
    ///
    /// As PostgreSQL does: one switch per line, its reason after it, blank lines and `#` comments skipped. More
    /// strictly than PostgreSQL, switch points must not fall either.
    ///
    /// # Errors
    ///
    /// [`HistoryError`], naming the line.
    pub fn parse(timeline: Timeline, contents: &[u8]) -> Result<TimelineHistory, HistoryError> {
        if contents.len() > MAX_FILE_LEN {
            return Err(HistoryError::TooLong(contents.len()));
        }
        let mut history = TimelineHistory::first(timeline);
        for (number, line) in (1..).zip(contents.split(|byte| *byte == b'\n')) {
            let line = line.trim_ascii();
            if line.is_empty() || line.starts_with(b"#") {
                continue;
            }
            let switch = switch_of(line).ok_or(HistoryError::BadLine(number))?;
            if !history.push(switch) {
                return Err(HistoryError::OutOfOrder(number));
            }
        }
        Ok(history)
    }

    /// The history of `timeline`, begun at the end `at` of this one; none if that cannot be.
    pub fn child(&self, timeline: Timeline, at: Lsn) -> Option<TimelineHistory> {
        let mut child = TimelineHistory { timeline, ..self.clone() };
        let switch = Switch { timeline: self.timeline, at, reason: String::new() };
        child.push(switch).then(|| child.shortened())
    }

    /// Adds a switch, unless it is out of order.
    fn push(&mut self, switch: Switch) -> bool {
        let in_order = match self.switches.last() {
            Some(last) => last.timeline < switch.timeline && last.at <= switch.at,
            None => switch.timeline.0 > 0,
        };
        let fits = in_order && switch.timeline < self.timeline;
        if fits {
            self.switches.push(switch);
        }
        fits
    }

    /// The timeline whose history this is.
    pub fn timeline(&self) -> Timeline {
        self.timeline
    }

    /// The timelines before it, oldest first.
    pub fn switches(&self) -> &[Switch] {
        &self.switches
    }

    /// Whether it goes back to the beginning. A published one may be shortened.
    pub fn is_whole(&self) -> bool {
        self.is_whole
    }

    /// Where `timeline` was left on the way here; none for this timeline itself and for strangers.
    pub fn switch_point(&self, timeline: Timeline) -> Option<Lsn> {
        self.switches.iter().find(|switch| switch.timeline == timeline).map(|switch| switch.at)
    }

    /// Where `timeline` begins on the way here: where its parent was left. None for the oldest known, and for strangers.
    pub fn begin(&self, timeline: Timeline) -> Option<Lsn> {
        let parents = match self.switches.iter().position(|switch| switch.timeline == timeline) {
            Some(index) => index,
            None if timeline == self.timeline => self.switches.len(),
            None => return None,
        };
        self.switches[..parents].last().map(|parent| parent.at)
    }

    /// All its timelines, oldest first, ending with itself.
    pub fn timelines(&self) -> impl DoubleEndedIterator<Item = Timeline> {
        self.switches.iter().map(|switch| switch.timeline).chain([self.timeline])
    }

    /// The history of `timeline`, which must be one of this history's; otherwise this history itself.
    pub fn up_to(&self, timeline: Timeline) -> TimelineHistory {
        match self.switches.iter().position(|switch| switch.timeline == timeline) {
            Some(index) => TimelineHistory { timeline, switches: self.switches[..index].to_vec(), ..*self },
            None => self.clone(),
        }
    }

    /// The timeline that the byte of WAL at `lsn` belongs to.
    pub fn timeline_at(&self, lsn: Lsn) -> Timeline {
        self.switches.iter().find(|switch| lsn < switch.at).map_or(self.timeline, |switch| switch.timeline)
    }

    /// How an instance whose WAL ends at `lsn` on `timeline` relates to this history.
    ///
    /// A WAL end exactly at the switch point is on it: nothing was written past it.
    pub fn lineage(&self, timeline: Timeline, lsn: Lsn) -> Lineage {
        if timeline == self.timeline {
            return Lineage::Ancestor;
        }
        match self.switch_point(timeline) {
            Some(at) if lsn <= at => Lineage::Ancestor,
            Some(at) => Lineage::PastSwitch(at),
            None if self.forgot(timeline) => Lineage::Forgotten,
            None => Lineage::Stranger,
        }
    }

    /// Whether an instance whose WAL ends at `lsn` on `timeline` can follow this history as it is.
    pub fn contains(&self, timeline: Timeline, lsn: Lsn) -> bool {
        self.lineage(timeline, lsn) == Lineage::Ancestor
    }

    fn forgot(&self, timeline: Timeline) -> bool {
        timeline < self.oldest_remembered()
    }

    /// The last that this and `other` have in common; none if that is nothing (or forgotten).
    ///
    /// Timelines with the same number are the same only if they began at the same point: two isolated nodes can both
    /// have made themselves timeline 2. That two began at one point does not prove that they are the same.
    pub fn fork(&self, other: &TimelineHistory) -> Option<Fork> {
        let newest_shared = self.timelines().rev().find(|timeline| {
            other.timelines().any(|theirs| theirs == *timeline) && self.same_way_to(other, *timeline)
        })?;
        let left = [self.switch_point(newest_shared), other.switch_point(newest_shared)];
        Some(Fork { timeline: newest_shared, at: left.into_iter().flatten().min() })
    }

    /// Whether both came to `timeline` by the same switches, as far back as both remember.
    fn same_way_to(&self, other: &TimelineHistory, timeline: Timeline) -> bool {
        let memory = self.oldest_remembered().max(other.oldest_remembered())..timeline;
        let way = |switch: &&Switch| memory.contains(&switch.timeline);
        let step = |switch: &Switch| (switch.timeline, switch.at);
        self.switches.iter().filter(way).map(step).eq(other.switches.iter().filter(way).map(step))
    }

    fn oldest_remembered(&self) -> Timeline {
        if self.is_whole { Timeline(0) } else { self.timelines().next().unwrap_or(self.timeline) }
    }
}

impl fmt::Display for Switch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}@{}", self.timeline, self.at)
    }
}

/// Why a history file could not be read. Lines count from 1.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum HistoryError {
    /// Too long to be one.
    #[error("the timeline history is {0} bytes long: too long")]
    TooLong(usize),
    /// Not "timeline, switch point, reason".
    #[error("line {0} of the timeline history is not a timeline switch")]
    BadLine(u32),
    /// A timeline or a switch point before that of the line above, or a timeline not before the file's own.
    #[error("line {0} of the timeline history is out of order")]
    OutOfOrder(u32),
}

/// The name of `timeline`'s history file in `pg_wal`. Timeline 1 has none.
pub fn file_name(timeline: Timeline) -> String {
    format!("{:08X}.history", timeline.0)
}

/// The timeline of a history file, by its name.
pub fn timeline_of_file(name: &str) -> Option<Timeline> {
    let digits = name.strip_suffix(".history").filter(|digits| digits.len() == 8)?;
    let upper = digits.bytes().all(|byte| byte.is_ascii_digit() || (b'A'..=b'F').contains(&byte));
    upper.then(|| u32::from_str_radix(digits, 16).ok()).flatten().map(Timeline)
}

/// `1<tab>0/3000060<tab>no recovery target specified`.
fn switch_of(line: &[u8]) -> Option<Switch> {
    let line = String::from_utf8_lossy(line);
    let (timeline, rest) = line.split_once(|c: char| c.is_ascii_whitespace())?;
    let rest = rest.trim_ascii_start();
    let (at, reason) = rest.split_once(|c: char| c.is_ascii_whitespace()).unwrap_or((rest, ""));
    Some(Switch { timeline: number(timeline)?, at: at.parse().ok()?, reason: reason.trim_ascii().to_owned() })
}

/// A timeline, in decimal digits only.
fn number(text: &str) -> Option<Timeline> {
    let digits = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    digits.then(|| text.parse().ok()).flatten().map(Timeline)
}

#[cfg(test)]
mod tests;
