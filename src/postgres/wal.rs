//! The write-ahead log on disk: where its valid part ends, and which record is the last.
//!
//! A standby that was restarted without its primary does not know what it holds: `pg_last_wal_receive_lsn()` answers
//! the start of a segment or nothing, `pg_last_wal_replay_lsn()` may be kept back by `recovery_min_apply_delay`. The
//! truth is what PostgreSQL would replay: record after record, until one is not valid. This reads WAL by the rules of
//! `src/backend/access/transam/xlogreader.c` and picks segment files by those of `xlogrecovery.c`, for PostgreSQL 12 to
//! 18; any other is [`WalError::UnknownMagic`]. It never writes, holds one page at a time, and asks `keep_going` at every
//! segment and every megabyte.

mod geometry;
mod page;
mod reader;
mod record;
mod segments;

#[cfg(test)]
pub(super) mod builder;
#[cfg(test)]
mod tests;

use std::io;

use crate::location::{Lsn, Timeline};
use crate::postgres::history::TimelineHistory;

pub use geometry::{Geometry, segment_name};
pub use reader::{Next, WalReader};
pub use record::{Checkpoint, Kind, Record};
pub use segments::{SegmentFile, Segments, WalDirectory};

/// Where valid WAL ends.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WalEnd {
    /// The position after the last valid record, as `pg_last_wal_replay_lsn()` would give it after replaying all.
    ///
    /// Without a `last` record this is just where reading began.
    pub end: Lsn,
    /// The timeline of the last byte before `end`.
    pub timeline: Timeline,
    /// The last valid record; none if there was none.
    pub last: Option<Record>,
    /// How many valid records were read.
    pub records: u64,
    /// The position of the first invalid record.
    pub stopped_at: Lsn,
    /// What it was.
    pub why: Why,
}

impl WalEnd {
    /// Whether this is the end. If not, `keep_going` said no, and there is at least as much WAL as this.
    pub fn is_exact(&self) -> bool {
        self.why != Why::Interrupted
    }
}

/// Finds the end of valid WAL, reading from `start` along `history`.
///
/// `start` must be where a record starts: the redo position of `pg_control`, a checkpoint's, that of a record that was read
/// earlier. What an instance has replayed is the end of one: see [`record_at`]. A received or flushed position is neither: it
/// may be within a record. `history` is that of the timeline which the instance follows: WAL past the point where an older
/// timeline of it was left does not count.
///
/// # Errors
///
/// [`Broken`]: what the end is could not be found out. Not for damaged WAL: that is where it ends.
pub fn find_end(
    segments: &dyn Segments,
    geometry: Geometry,
    history: &TimelineHistory,
    start: Lsn,
    keep_going: &mut dyn FnMut() -> bool,
) -> Result<WalEnd, Broken> {
    let (mut last, mut records): (Option<Record>, u64) = (None, 0);
    let mut reader =
        WalReader::new(segments, geometry, history, start, keep_going).map_err(|error| Broken { last: None, error })?;
    loop {
        match reader.next_record() {
            Err(error) => return Err(Broken { last, error }),
            Ok(Next::Record(record)) => {
                last = Some(record);
                records += 1;
            }
            Ok(Next::End { at, why }) => {
                let end = last.as_ref().map_or(start, |record| record.end);
                let timeline = history.timeline_at(Lsn(end.0.saturating_sub(1)));
                return Ok(WalEnd { end, timeline, last, records, stopped_at: at, why });
            }
        }
    }
}

/// The valid record that starts at `at`, if there is one; see [`find_end`] for the rest.
///
/// Where one has only ended before `at`, as where an instance has replayed up to there, what follows may be what the file
/// held before it was recycled: valid in itself, and linked to another place.
///
/// # Errors
///
/// [`WalError`]: it could not be found out.
pub fn record_at(
    segments: &dyn Segments,
    geometry: Geometry,
    history: &TimelineHistory,
    at: Lsn,
) -> Result<Option<Record>, WalError> {
    match WalReader::new(segments, geometry, history, at, &mut || true)?.next_record()? {
        Next::Record(record) => Ok(Some(record)),
        Next::End { .. } => Ok(None),
    }
}

/// Whether the byte before `at` is on disk, on the timeline that `history` says.
///
/// An instance that has replayed up to `at` and follows `history` has it: what was replayed since the last checkpoint stays
/// in `pg_wal`.
///
/// # Errors
///
/// [`WalError`]: it could not be found out.
pub fn holds(
    segments: &dyn Segments,
    geometry: Geometry,
    history: &TimelineHistory,
    at: Lsn,
) -> Result<bool, WalError> {
    let page = geometry.page_start(Lsn(at.0.saturating_sub(1)));
    WalReader::new(segments, geometry, history, page, &mut || true)?.holds(at)
}

/// Why reading stopped: what was found where the next record should be.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Why {
    /// `keep_going` said no.
    #[error("reading was interrupted")]
    Interrupted,
    /// No file for this segment.
    #[error("there is no such segment")]
    NoSegment,
    /// The file ends within this page.
    #[error("the segment's file ends here")]
    ShortFile,
    /// A page of zeros or garbage.
    #[error("page with magic number {0:04X}")]
    PageMagic(u16),
    /// Flags that PostgreSQL does not know, or lacks here.
    #[error("page with flags {0:04X}")]
    PageFlags(u16),
    /// A page of another place, left from before the file was recycled.
    #[error("page that belongs to {0}")]
    PageAddress(Lsn),
    /// A page of another cluster.
    #[error("page of the system {0}")]
    PageSystem(u64),
    /// A page of a cluster with other sizes of segments or pages.
    #[error("page of a system with other sizes")]
    PageSizes,
    /// A page of a timeline that is younger than its file, or older than the page before it.
    #[error("page of timeline {0}")]
    PageTimeline(Timeline),
    /// Less than a record's header: 0 where nothing was written yet.
    #[error("record length {0}")]
    RecordLength(u32),
    /// No resource manager has this number.
    #[error("record of resource manager {0}")]
    ResourceManager(u8),
    /// Not linked to the record before it: left from before the file was recycled.
    #[error("record linked to {0}")]
    PrevLink(Lsn),
    /// Damaged, or not written to its end.
    #[error("record with a wrong checksum")]
    Crc,
    /// The page that should hold the rest of the record does not.
    #[error("record without its continuation")]
    NoContinuation,
    /// The rest of a record, of this length, that does not fit its beginning.
    #[error("continuation of {0} bytes")]
    Continuation(u32),
    /// The rest of a record where one should begin.
    #[error("continuation of another record")]
    StrayContinuation,
    /// Says that it replaces the unfinished record at this position, which is another than the unfinished one before it.
    #[error("record in place of the one at {0}")]
    Overwrite(Lsn),
    /// WAL of a timeline that was left at this position.
    #[error("the timeline was left at {0}")]
    SwitchPoint(Lsn),
}

/// Why nothing could be found out about WAL.
#[derive(Debug, thiserror::Error)]
pub enum WalError {
    /// Not a position at which a record can begin.
    #[error("{0} is not where a record can begin")]
    NotABoundary(Lsn),
    /// WAL of a version that is not known here: ask `pg_waldump`.
    #[error("the magic number of the WAL, {0:04X}, is not known here")]
    UnknownMagic(u16),
    /// A segment is there but cannot be read.
    #[error("segment {name}: {error}")]
    Io {
        /// The segment's file name.
        name: String,
        /// What the system said.
        #[source]
        error: io::Error,
    },
}

/// Reading failed on the way.
#[derive(Debug, thiserror::Error)]
#[error("{error}")]
pub struct Broken {
    /// The last record before.
    pub last: Option<Record>,
    /// How.
    pub error: WalError,
}
