//! How positions map to segments and pages.

use crate::location::{Lsn, Timeline};
use crate::postgres::control::ControlData;

/// The sizes of one cluster's WAL, and its system identifier.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Geometry {
    segment_size: u32,
    page_size: u32,
    system_identifier: u64,
}

impl Geometry {
    /// None unless both are powers of two, pages are of 1 to 64 KB and a segment is at least two pages long.
    pub fn new(segment_size: u32, page_size: u32, system_identifier: u64) -> Option<Geometry> {
        let page_fits = page_size.is_power_of_two() && (1 << 10..=1 << 16).contains(&page_size);
        let fits = page_fits && segment_size.is_power_of_two() && (2 * page_size..=1 << 30).contains(&segment_size);
        fits.then_some(Geometry { segment_size, page_size, system_identifier })
    }

    /// What `pg_control` says of it.
    pub fn of(control: &ControlData) -> Option<Geometry> {
        Geometry::new(control.wal_segment_size, control.wal_block_size, control.system_identifier)
    }

    /// Bytes per segment.
    pub fn segment_size(&self) -> u32 {
        self.segment_size
    }

    /// Bytes per page.
    pub fn page_size(&self) -> u32 {
        self.page_size
    }

    /// The cluster that this WAL belongs to.
    pub fn system_identifier(&self) -> u64 {
        self.system_identifier
    }

    /// The number of the segment that `lsn` is in.
    pub fn segment_of(&self, lsn: Lsn) -> u64 {
        lsn.0 / u64::from(self.segment_size)
    }

    /// Where the segment that `lsn` is in begins.
    pub fn segment_start(&self, lsn: Lsn) -> Lsn {
        Lsn(lsn.0 & !u64::from(self.segment_size - 1))
    }

    /// Where the page that `lsn` is in begins.
    pub fn page_start(&self, lsn: Lsn) -> Lsn {
        Lsn(lsn.0 & !u64::from(self.page_size - 1))
    }

    /// The name of a segment's file in `pg_wal`: `000000010000000000000003`.
    pub fn segment_name(&self, timeline: Timeline, number: u64) -> String {
        segment_name(timeline, number, self.segment_size)
    }
}

/// The name of a segment's file in `pg_wal` (`XLogFileName` of `xlog_internal.h`).
pub fn segment_name(timeline: Timeline, number: u64, segment_size: u32) -> String {
    let per_id = (1_u64 << 32) / u64::from(segment_size.max(1));
    format!("{:08X}{:08X}{:08X}", timeline.0, number / per_id, number % per_id)
}
