//! The head of a page (`XLogPageHeaderData`, `XLogLongPageHeaderData` of `xlog_internal.h`).

use super::Why;
use super::geometry::Geometry;
use crate::location::{Lsn, Timeline};

/// The page begins with the rest of a record.
const CONTINUES: u16 = 0x1;
/// The head has the long form: always so on the first page of a segment.
const LONG: u16 = 0x2;
/// The page begins with a record in place of one whose rest was lost.
const OVERWRITES: u16 = 0x8;
/// All flags there are. The remaining one (4) is about backups.
const FLAGS: u16 = 0xF;

const SHORT_LEN: usize = 24;
const LONG_LEN: usize = 40;

/// What each version writes (`XLOG_PAGE_MAGIC`), and the highest number of a resource manager in it.
///
/// From PostgreSQL 15 on, extensions may bring resource managers numbered from 128 on.
const FORMATS: [Format; 7] = [
    Format { magic: 0xD101, has_custom_managers: false },
    Format { magic: 0xD106, has_custom_managers: false },
    Format { magic: 0xD10D, has_custom_managers: false },
    Format { magic: 0xD110, has_custom_managers: true },
    Format { magic: 0xD113, has_custom_managers: true },
    Format { magic: 0xD116, has_custom_managers: true },
    Format { magic: 0xD118, has_custom_managers: true },
];

/// The last of PostgreSQL's own resource managers (logical messages), from PostgreSQL 12 to 18 (`rmgrlist.h`).
const LAST_MANAGER: u8 = 21;
const FIRST_CUSTOM_MANAGER: u8 = 128;

/// The WAL of one major version.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Format {
    magic: u16,
    has_custom_managers: bool,
}

impl Format {
    /// The version that writes this magic number, if known here.
    pub(super) fn of_magic(magic: u16) -> Option<Format> {
        FORMATS.into_iter().find(|format| format.magic == magic)
    }

    /// Whether a resource manager can have this number.
    pub(super) fn has_manager(self, number: u8) -> bool {
        number <= LAST_MANAGER || (self.has_custom_managers && number >= FIRST_CUSTOM_MANAGER)
    }
}

/// The `N` bytes at `at`; zeros where there are none.
pub(super) fn bytes_at<const N: usize>(bytes: &[u8], at: usize) -> [u8; N] {
    bytes.get(at..).and_then(|rest| rest.first_chunk()).copied().unwrap_or([0; N])
}

/// The head of a page that was found to be valid.
#[derive(Debug, Clone, Copy)]
pub(super) struct Head {
    flags: u16,
    /// The timeline that was being written when the page was begun.
    pub(super) timeline: Timeline,
    /// How much of the record that continues here remains, on this page and later ones.
    pub(super) remaining: u32,
}

impl Head {
    /// The magic number at the start of a page.
    pub(super) fn magic(page: &[u8]) -> u16 {
        u16::from_ne_bytes(bytes_at(page, 0))
    }

    /// Reads the head of the page at `at`, as far as it can be judged without its neighbours.
    pub(super) fn read(page: &[u8], at: Lsn, format: Format, geometry: &Geometry) -> Result<Head, Why> {
        let magic = Head::magic(page);
        if magic != format.magic {
            return Err(Why::PageMagic(magic));
        }
        let flags = u16::from_ne_bytes(bytes_at(page, 2));
        let begins_segment = geometry.segment_start(at) == at;
        if flags & !FLAGS != 0 || (begins_segment && flags & LONG == 0) {
            return Err(Why::PageFlags(flags));
        }
        if flags & LONG != 0 {
            check_long(page, geometry)?;
        }
        let address = Lsn(u64::from_ne_bytes(bytes_at(page, 8)));
        if address != at {
            return Err(Why::PageAddress(address));
        }
        let timeline = Timeline(u32::from_ne_bytes(bytes_at(page, 4)));
        Ok(Head { flags, timeline, remaining: u32::from_ne_bytes(bytes_at(page, 16)) })
    }

    /// Its length: records, or the rest of one, begin behind it.
    pub(super) fn len(&self) -> usize {
        if self.flags & LONG != 0 { LONG_LEN } else { SHORT_LEN }
    }

    /// Whether the page begins with the rest of a record.
    pub(super) fn continues(&self) -> bool {
        self.flags & CONTINUES != 0
    }

    /// Whether the page begins with a record in place of one whose rest was lost.
    pub(super) fn overwrites(&self) -> bool {
        self.flags & OVERWRITES != 0
    }
}

fn check_long(page: &[u8], geometry: &Geometry) -> Result<(), Why> {
    let system = u64::from_ne_bytes(bytes_at(page, 24));
    if system != geometry.system_identifier() {
        return Err(Why::PageSystem(system));
    }
    let sizes = [bytes_at(page, 32), bytes_at(page, 36)].map(u32::from_ne_bytes);
    if sizes == [geometry.segment_size(), geometry.page_size()] { Ok(()) } else { Err(Why::PageSizes) }
}
