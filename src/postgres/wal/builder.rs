//! Writes valid WAL into memory, for tests: small pages, small segments, and any damage that a test needs.

use std::collections::BTreeMap;
use std::io::{self, Cursor};

use super::*;

pub(in crate::postgres) const PAGE: u32 = 1024;
pub(in crate::postgres) const SEGMENT: u32 = 8 * PAGE;
pub(in crate::postgres) const SYSTEM: u64 = 7_711_127_338_044_415_405;
/// PostgreSQL 15.
pub(in crate::postgres) const MAGIC: u16 = 0xD110;
/// The first segment's beginning; its first record is behind the long page head.
pub(in crate::postgres) const BEGIN: Lsn = Lsn(SEGMENT as u64);

pub(in crate::postgres) fn geometry() -> Geometry {
    Geometry::new(SEGMENT, PAGE, SYSTEM).unwrap()
}

/// A record that was written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::postgres) struct Written {
    pub(in crate::postgres) start: Lsn,
    /// The position after its last byte.
    pub(in crate::postgres) last_byte: Lsn,
    /// The same, aligned.
    pub(in crate::postgres) end: Lsn,
}

/// Segments by timeline and number.
#[derive(Debug, Clone)]
pub(in crate::postgres) struct Builder {
    pub(in crate::postgres) files: BTreeMap<(u32, u64), Vec<u8>>,
    pub(in crate::postgres) timeline: u32,
    pub(in crate::postgres) magic: u16,
    pub(in crate::postgres) at: u64,
    pub(in crate::postgres) prev: u64,
}

impl Segments for Builder {
    fn open(&self, timeline: Timeline, number: u64) -> io::Result<Option<Box<dyn SegmentFile>>> {
        Ok(self.files.get(&(timeline.0, number)).map(|bytes| Box::new(Cursor::new(bytes.clone())) as _))
    }
}

impl Builder {
    pub(in crate::postgres) fn new() -> Builder {
        Builder::at(BEGIN)
    }

    pub(in crate::postgres) fn at(begin: Lsn) -> Builder {
        Builder { files: BTreeMap::new(), timeline: 1, magic: MAGIC, at: begin.0, prev: 0 }
    }

    /// The byte at `lsn` in the file of `timeline`.
    pub(in crate::postgres) fn byte(&mut self, timeline: u32, lsn: Lsn) -> &mut u8 {
        let segment = u64::from(SEGMENT);
        &mut self.files.get_mut(&(timeline, lsn.0 / segment)).unwrap()[(lsn.0 % segment) as usize]
    }

    fn put(&mut self, bytes: &[u8]) {
        for (lsn, byte) in (self.at..).zip(bytes) {
            let key = (self.timeline, lsn / u64::from(SEGMENT));
            self.files.entry(key).or_insert_with(|| vec![0; SEGMENT as usize]);
            *self.byte(self.timeline, Lsn(lsn)) = *byte;
        }
        self.at += bytes.len() as u64;
    }

    /// Begins a page if it is time.
    pub(in crate::postgres) fn page_head(&mut self, flags: u16, remaining: u32) {
        if self.at % u64::from(PAGE) != 0 {
            return;
        }
        let long = self.at % u64::from(SEGMENT) == 0;
        let mut head = Vec::new();
        head.extend(self.magic.to_ne_bytes());
        head.extend((flags | if long { 2 } else { 0 }).to_ne_bytes());
        head.extend(self.timeline.to_ne_bytes());
        head.extend(self.at.to_ne_bytes());
        head.extend(u64::from(remaining).to_le_bytes());
        if long {
            head.extend(SYSTEM.to_ne_bytes());
            head.extend(SEGMENT.to_ne_bytes());
            head.extend(PAGE.to_ne_bytes());
        }
        self.put(&head);
    }

    /// Appends a record.
    pub(in crate::postgres) fn record(&mut self, manager: u8, info: u8, body: &[u8]) -> Written {
        self.partial(manager, info, body, u32::MAX)
    }

    /// Appends the first `pages` pages of a record.
    pub(in crate::postgres) fn partial(&mut self, manager: u8, info: u8, body: &[u8], pages: u32) -> Written {
        self.page_head(0, 0);
        let start = self.at;
        let mut record = Vec::new();
        record.extend((24 + body.len() as u32).to_ne_bytes());
        record.extend(700_u32.to_ne_bytes());
        record.extend(self.prev.to_ne_bytes());
        record.extend([info, manager, 0, 0]);
        let crc = crc32c::crc32c_append(crc32c::crc32c(body), &record);
        record.extend(crc.to_ne_bytes());
        record.extend(body);
        let mut rest = record.as_slice();
        for _ in 0..pages {
            let (now, later) = rest.split_at(rest.len().min((u64::from(PAGE) - self.at % u64::from(PAGE)) as usize));
            self.put(now);
            rest = later;
            if rest.is_empty() {
                break;
            }
            if pages == u32::MAX {
                self.page_head(1, rest.len() as u32);
            }
        }
        let last_byte = Lsn(self.at);
        self.at = self.at.next_multiple_of(8);
        if pages == u32::MAX {
            self.prev = start;
        }
        Written { start: Lsn(start), last_byte, end: Lsn(self.at) }
    }

    /// Appends a heap record of `len` bytes in all, the last of which is one that no test damages by writing the same.
    pub(in crate::postgres) fn filler(&mut self, len: usize) -> Written {
        let body: Vec<u8> = (25..=len).map(|n| if n == len { 0xA7 } else { (n % 251) as u8 }).collect();
        self.record(10, 0, &body)
    }

    /// Appends a record that leaves just `left` bytes of its page.
    pub(in crate::postgres) fn fill_page_but(&mut self, left: u64) -> Written {
        self.page_head(0, 0);
        let free = u64::from(PAGE) - self.at % u64::from(PAGE);
        self.filler((free - left) as usize)
    }

    /// Appends a record of the XLOG resource manager.
    pub(in crate::postgres) fn xlog(&mut self, info: u8, data: &[u8]) -> Written {
        let mut body = vec![255, data.len() as u8];
        body.extend(data);
        self.record(0, info, &body)
    }

    /// Appends a checkpoint's record: `info` 0 for a shutdown checkpoint.
    pub(in crate::postgres) fn checkpoint(&mut self, info: u8) -> Written {
        self.page_head(0, 0);
        let mut data = vec![0xA7; 88];
        data[..8].copy_from_slice(&self.at.to_ne_bytes());
        data[8..12].copy_from_slice(&self.timeline.to_ne_bytes());
        data[12..16].copy_from_slice(&self.timeline.to_ne_bytes());
        self.xlog(info, &data)
    }

    /// Appends a switch, and goes to the next segment.
    pub(in crate::postgres) fn switch(&mut self) -> Written {
        let written = self.record(0, 0x40, &[]);
        self.at = self.at.next_multiple_of(u64::from(SEGMENT));
        Written { end: Lsn(self.at), ..written }
    }

    /// Promotes: the segment at hand is copied to the new timeline up to here, which goes on in the copy.
    pub(in crate::postgres) fn promote(&mut self, timeline: u32) -> Lsn {
        let number = self.at / u64::from(SEGMENT);
        if let Some(old) = self.files.get(&(self.timeline, number)) {
            let mut new = old.clone();
            new[(self.at % u64::from(SEGMENT)) as usize..].fill(0);
            self.files.insert((timeline, number), new);
        }
        self.timeline = timeline;
        Lsn(self.at)
    }

    /// Reads all from `start` along `history`.
    pub(in crate::postgres) fn end_on(&self, history: &str, start: Lsn) -> Result<WalEnd, Broken> {
        find_end(self, geometry(), &history.parse().unwrap(), start, &mut || true)
    }

    /// Reads all of timeline 1.
    pub(in crate::postgres) fn end(&self) -> WalEnd {
        self.end_on("1", BEGIN).unwrap()
    }
}
