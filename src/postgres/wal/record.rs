//! Records: their header (`XLogRecord` of `xlogrecord.h`) and the few kinds that decisions need (`pg_control.h`).

use super::Why;
use super::page::{Format, bytes_at};
use crate::location::{Lsn, Timeline};

/// Bytes of a record's header.
pub(super) const HEADER_LEN: usize = 24;
/// The checksum covers what follows the header, then the header up to here.
const CRC_AT: usize = 20;
/// Bytes of a record that are kept for decoding; a checkpoint needs 114.
const KEPT: usize = 128;

/// A valid record.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Record {
    /// Where it starts.
    pub start: Lsn,
    /// Where the next one starts, or the page does that the next one is on.
    pub end: Lsn,
    /// Where the record before it starts, as its header says.
    pub prev: Lsn,
    /// Its timeline.
    pub timeline: Timeline,
    /// The number of its resource manager.
    pub manager: u8,
    /// Its flags; the upper half belongs to the resource manager.
    pub info: u8,
    /// Its length in bytes, without page heads and padding.
    pub len: u32,
    /// Its checksum.
    pub crc: u32,
    /// What it is.
    pub kind: Kind,
}

/// What a record is, as far as it matters here.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Kind {
    /// `XLOG_CHECKPOINT_SHUTDOWN`: a primary stopped cleanly, or ended its recovery.
    ShutdownCheckpoint(Checkpoint),
    /// `XLOG_CHECKPOINT_ONLINE`.
    OnlineCheckpoint(Checkpoint),
    /// `XLOG_SWITCH`: the rest of the segment is unused.
    Switch,
    /// `XLOG_END_OF_RECOVERY`: a standby was promoted.
    EndOfRecovery {
        /// The timeline that begins here.
        timeline: Timeline,
        /// The one that was left.
        prev_timeline: Timeline,
    },
    /// `XLOG_OVERWRITE_CONTRECORD`: stands in for a record that was never written to its end.
    Overwrite {
        /// Where that one starts.
        lost: Lsn,
    },
    /// Anything else.
    Other,
}

/// The body of a checkpoint's record (`CheckPoint` of `pg_control.h`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Checkpoint {
    /// Where replay must start.
    pub redo: Lsn,
    /// The timeline it was made on.
    pub timeline: Timeline,
    /// The timeline before that one if it begins a timeline, else the same.
    pub prev_timeline: Timeline,
}

/// A record being put together from the pages it is on. Of its bytes, only the first are kept.
#[derive(Debug)]
pub(super) struct Assembly {
    /// Its length, as its header says.
    pub(super) total: u32,
    /// How many bytes of it were met.
    pub(super) got: u32,
    head: Vec<u8>,
    crc: u32,
}

impl Assembly {
    /// Begins with the record's bytes on its first page, at least 8 of them.
    pub(super) fn begin(first: &[u8]) -> Result<Assembly, Why> {
        let total = u32::from_ne_bytes(bytes_at(first, 0));
        if total < HEADER_LEN as u32 {
            return Err(Why::RecordLength(total));
        }
        Ok(Assembly { total, got: 0, head: Vec::with_capacity(KEPT), crc: 0 })
    }

    /// How many bytes are still to come.
    pub(super) fn missing(&self) -> u32 {
        self.total.saturating_sub(self.got)
    }

    /// Takes as much of `bytes` as belongs to the record; true if that completed its header.
    pub(super) fn push(&mut self, bytes: &[u8]) -> bool {
        let missing = usize::try_from(self.missing()).unwrap_or(usize::MAX);
        let bytes = &bytes[..bytes.len().min(missing)];
        let met = usize::try_from(self.got).unwrap_or(usize::MAX);
        let of_header = HEADER_LEN.saturating_sub(met).min(bytes.len());
        self.crc = crc32c::crc32c_append(self.crc, &bytes[of_header..]);
        let kept = bytes.len().min(KEPT.saturating_sub(self.head.len()));
        self.head.extend_from_slice(&bytes[..kept]);
        self.got += bytes.len() as u32;
        met < HEADER_LEN && met + bytes.len() >= HEADER_LEN
    }

    /// The record that its header says comes before it.
    pub(super) fn prev(&self) -> Lsn {
        Lsn(u64::from_ne_bytes(bytes_at(&self.head, 8)))
    }

    fn manager(&self) -> u8 {
        u8::from_ne_bytes(bytes_at(&self.head, 17))
    }

    /// Judges the header of the record at `start`; `prev` is the record before it, where that is known.
    pub(super) fn check_header(&self, start: Lsn, prev: Option<Lsn>, format: Format) -> Result<(), Why> {
        if !format.has_manager(self.manager()) {
            return Err(Why::ResourceManager(self.manager()));
        }
        let linked = prev.map_or(self.prev() < start, |prev| self.prev() == prev);
        if linked { Ok(()) } else { Err(Why::PrevLink(self.prev())) }
    }

    /// Judges the whole record by its checksum, and says what it is.
    pub(super) fn finish(&self, start: Lsn, end: Lsn, timeline: Timeline) -> Result<Record, Why> {
        let header = self.head.get(..CRC_AT).unwrap_or_default();
        let crc = u32::from_ne_bytes(bytes_at(&self.head, CRC_AT));
        if crc32c::crc32c_append(self.crc, header) != crc {
            return Err(Why::Crc);
        }
        let info = u8::from_ne_bytes(bytes_at(&self.head, 16));
        let kind = kind(self.manager(), info, self.head.get(HEADER_LEN..).unwrap_or_default());
        let (prev, manager) = (self.prev(), self.manager());
        Ok(Record { start, end, prev, timeline, manager, info, len: self.total, crc, kind })
    }
}

/// `XLOG` is resource manager 0; `body` is what follows the header.
fn kind(manager: u8, info: u8, body: &[u8]) -> Kind {
    let data = main_data(body);
    let lsn = |at| Lsn(u64::from_ne_bytes(bytes_at(data, at)));
    let timeline = |at| Timeline(u32::from_ne_bytes(bytes_at(data, at)));
    let checkpoint = || Checkpoint { redo: lsn(0), timeline: timeline(8), prev_timeline: timeline(12) };
    match (manager, info & 0xF0) {
        (0, 0x00) if data.len() >= 80 => Kind::ShutdownCheckpoint(checkpoint()),
        (0, 0x10) if data.len() >= 80 => Kind::OnlineCheckpoint(checkpoint()),
        (0, 0x40) => Kind::Switch,
        (0, 0x90) if data.len() >= 16 => Kind::EndOfRecovery { timeline: timeline(8), prev_timeline: timeline(12) },
        (0, 0xD0) if data.len() >= 16 => Kind::Overwrite { lost: lsn(0) },
        _ => Kind::Other,
    }
}

/// The main data of a record without block references, in its short form; empty for any other.
fn main_data(body: &[u8]) -> &[u8] {
    const SHORT: u8 = 255;
    match body {
        [SHORT, len, data @ ..] => data.get(..usize::from(*len)).unwrap_or_default(),
        _ => &[],
    }
}
