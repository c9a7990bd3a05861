//! How far WAL was read, for the next reader.

use std::fmt;
use std::str::FromStr;

use super::super::control::ControlData;
use super::super::history::TimelineHistory;
use super::super::wal::Record;
use crate::location::{Lsn, SystemId};

/// The last record that was read of some WAL which was valid up to there.
///
/// It lies about other WAL: of another instance in the same place, or of this one after it was rewound, rebuilt or reset.
/// So it has to fit the instance, and the record has to be there still.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Progress {
    /// The database.
    pub system: SystemId,
    /// Where replay was to start then.
    pub redo: Lsn,
    /// The timeline that the record is on, and those before it.
    pub history: TimelineHistory,
    /// Where the record starts.
    pub last: Lsn,
    /// Where it ends.
    pub end: Lsn,
    /// Its checksum.
    pub crc: u32,
}

impl Progress {
    /// After reading up to `last` along a history, `history` of it up to that record's timeline.
    pub(super) fn at(last: &Record, history: &TimelineHistory, control: &ControlData) -> Progress {
        Progress {
            system: SystemId(control.system_identifier),
            redo: control.redo,
            history: history.shortened(),
            last: last.start,
            end: last.end,
            crc: last.crc,
        }
    }

    /// Whether this may be about an instance that has this pg_control and follows `history`.
    pub(super) fn fits(&self, control: &ControlData, history: &TimelineHistory) -> bool {
        let timeline = self.history.timeline();
        self.system.0 == control.system_identifier
            && self.redo <= control.redo
            && control.redo <= self.last
            && history.contains(timeline, self.end)
            && history.up_to(timeline).shortened() == self.history
    }

    /// Whether this is the record.
    pub(super) fn is(&self, record: &Record) -> bool {
        (self.last, self.end, self.crc) == (record.start, record.end, record.crc)
    }
}

/// Text that says nothing about progress.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} does not say how far WAL was read")]
pub struct BadProgress(pub String);

/// `7300000000000000001 0/2000028 1@0/3000060,2 0/4FFFF80 0/5000000 89ABCDEF`: the system identifier, the redo position, the
/// history, the last record's start, end and checksum. The latter is of fixed length, so that what was cut off is not read.
impl fmt::Display for Progress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Progress { system, redo, history, last, end, crc } = self;
        write!(f, "{system} {redo} {history} {last} {end} {crc:08X}")
    }
}

impl FromStr for Progress {
    type Err = BadProgress;

    fn from_str(text: &str) -> Result<Self, BadProgress> {
        read(text).ok_or_else(|| BadProgress(text.chars().take(200).collect()))
    }
}

fn read(text: &str) -> Option<Progress> {
    let words: Vec<&str> = text.split(' ').collect();
    let [system, redo, history, last, end, crc] = words.try_into().ok()?;
    let is_checksum = crc.len() == 8 && crc.bytes().all(|byte| byte.is_ascii_hexdigit());
    let progress = Progress {
        system: system.parse().ok()?,
        redo: redo.parse().ok()?,
        history: history.parse().ok()?,
        last: last.parse().ok()?,
        end: end.parse().ok()?,
        crc: u32::from_str_radix(crc, 16).ok().filter(|_| is_checksum)?,
    };
    (progress.redo <= progress.last && progress.last < progress.end).then_some(progress)
}
