//! Record after record, page after page, segment after segment.

use std::io::SeekFrom;

use super::geometry::Geometry;
use super::page::{Format, Head};
use super::record::{Assembly, Kind, Record};
use super::segments::{SegmentFile, Segments, read_page};
use super::{WalError, Why};
use crate::location::{Lsn, Timeline};
use crate::postgres::history::TimelineHistory;

/// `keep_going` is asked each time that this much was read.
const ASK_EVERY: u64 = 1 << 20;
/// Records start at multiples of this (`MAXIMUM_ALIGNOF`).
const ALIGNMENT: u64 = 8;

/// What comes next in WAL.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Next {
    /// A valid record.
    Record(Record),
    /// The end of what is valid.
    End {
        /// Where a record should start.
        at: Lsn,
        /// What is wrong there.
        why: Why,
    },
}

/// Why there is no next record.
enum Halt {
    End(Why),
    Fail(WalError),
}

impl From<Why> for Halt {
    fn from(why: Why) -> Halt {
        Halt::End(why)
    }
}

/// What a record's bytes turned out to be.
enum Assembled {
    Record(Record),
    /// Never written to its end: on this page another begins in its place.
    OverwrittenAt(Lsn),
}

/// Reads records, each once, in order.
pub struct WalReader<'a> {
    segments: &'a dyn Segments,
    geometry: Geometry,
    history: &'a TimelineHistory,
    keep_going: &'a mut dyn FnMut() -> bool,
    /// Known from the first page on.
    format: Option<Format>,
    segment: Option<Segment>,
    page: Page,
    /// Where the next record should start.
    at: Lsn,
    /// Where the last record starts.
    prev: Option<Lsn>,
    /// The timeline of the last page: later ones are never older.
    page_timeline: Timeline,
    read_since_asked: u64,
    ended: Option<Why>,
}

/// The segment being read.
struct Segment {
    timeline: Timeline,
    number: u64,
    file: Box<dyn SegmentFile>,
    /// The page that the file is positioned at.
    next_page: Lsn,
}

/// The page being read.
struct Page {
    at: Lsn,
    head: Option<Head>,
    bytes: Vec<u8>,
}

impl<'a> WalReader<'a> {
    /// Starts at `start`; see [`super::find_end`] for what it may be. Reads nothing yet.
    ///
    /// # Errors
    ///
    /// [`WalError::NotABoundary`] if no record can start there.
    pub fn new(
        segments: &'a dyn Segments,
        geometry: Geometry,
        history: &'a TimelineHistory,
        start: Lsn,
        keep_going: &'a mut dyn FnMut() -> bool,
    ) -> Result<WalReader<'a>, WalError> {
        if start.0 == 0 || start.0 % ALIGNMENT != 0 {
            return Err(WalError::NotABoundary(start));
        }
        let bytes = vec![0; geometry.page_size() as usize];
        Ok(WalReader {
            segments,
            geometry,
            history,
            keep_going,
            format: None,
            segment: None,
            page: Page { at: Lsn(0), head: None, bytes },
            at: start,
            prev: None,
            page_timeline: Timeline(0),
            read_since_asked: 0,
            ended: None,
        })
    }

    /// The next record, or the end of WAL: then for ever.
    ///
    /// # Errors
    ///
    /// [`WalError`]: it cannot be determined.
    pub fn next_record(&mut self) -> Result<Next, WalError> {
        let next = match self.ended {
            Some(why) => Err(Halt::End(why)),
            None => self.advance(),
        };
        match next {
            Ok(record) => Ok(Next::Record(record)),
            Err(Halt::End(why)) => {
                self.ended = Some(why);
                Ok(Next::End { at: self.at, why })
            }
            Err(Halt::Fail(error)) => Err(error),
        }
    }

    /// Whether the byte before `at` is on disk, in a file of the timeline that the history says or of a later one.
    ///
    /// # Errors
    ///
    /// [`WalError`]: it cannot be determined.
    pub(super) fn holds(&mut self, at: Lsn) -> Result<bool, WalError> {
        let Some(byte) = at.0.checked_sub(1).map(Lsn) else { return Ok(false) };
        // After a switch the rest of a segment is zeros.
        let is_whole = self.geometry.segment_start(at) == at;
        let page = if is_whole { self.geometry.segment_start(byte) } else { self.geometry.page_start(byte) };
        match self.load(page) {
            Ok(_) => {
                let timeline = self.history.timeline_at(byte);
                Ok(self.segment.as_ref().is_some_and(|segment| segment.timeline >= timeline))
            }
            Err(Halt::End(_)) => Ok(false),
            Err(Halt::Fail(error)) => Err(error),
        }
    }

    /// Reads one record. Each lap of the loop begins on a later page.
    fn advance(&mut self) -> Result<Record, Halt> {
        let (mut from, mut lost) = (self.at, None);
        loop {
            match self.assemble(from)? {
                Assembled::OverwrittenAt(page) => {
                    lost = Some(from);
                    from = page;
                }
                Assembled::Record(record) => {
                    self.check_overwrite(&record, lost)?;
                    self.at = record.end;
                    self.prev = Some(record.start);
                    return Ok(record);
                }
            }
        }
    }

    /// A record that stands in for a lost one must name it. The first one read has nothing to be compared with.
    fn check_overwrite(&self, record: &Record, lost: Option<Lsn>) -> Result<(), Why> {
        match record.kind {
            Kind::Overwrite { lost: named } if self.prev.is_some() && lost != Some(named) => Err(Why::Overwrite(named)),
            _ => Ok(()),
        }
    }

    /// Puts the record at `from` together; `from` may also be the start of the page that it begins.
    fn assemble(&mut self, from: Lsn) -> Result<Assembled, Halt> {
        let page_size = u64::from(self.geometry.page_size());
        let mut page = self.geometry.page_start(from);
        let (mut head, format) = self.load(page)?;
        let mut offset = (from.0 - page.0) as usize;
        if offset == 0 {
            offset = head.len();
        }
        if offset < head.len() {
            return Err(Halt::Fail(WalError::NotABoundary(from)));
        }
        if offset == head.len() && head.continues() {
            return Err(Why::StrayContinuation.into());
        }
        let start = Lsn(page.0 + offset as u64);
        self.check_switch_point(start, start)?;
        let mut assembly = Assembly::begin(&self.page.bytes[offset..])?;
        let has_header = assembly.push(&self.page.bytes[offset..]);
        if has_header {
            assembly.check_header(start, self.prev, format)?;
        }
        while assembly.missing() > 0 {
            page = Lsn(page.0.checked_add(page_size).ok_or(Why::NoSegment)?);
            (head, _) = self.load(page)?;
            if head.overwrites() {
                return Ok(Assembled::OverwrittenAt(page));
            }
            if !head.continues() {
                return Err(Why::NoContinuation.into());
            }
            if head.remaining != assembly.missing() {
                return Err(Why::Continuation(head.remaining).into());
            }
            offset = head.len();
            let has_header = assembly.push(&self.page.bytes[offset..]);
            if has_header {
                assembly.check_header(start, self.prev, format)?;
            }
        }
        let on_last_page = if page <= start { u64::from(assembly.total) } else { u64::from(head.remaining) };
        let last_from = if page <= start { start.0 } else { page.0 + head.len() as u64 };
        let end = last_from.checked_add(on_last_page.next_multiple_of(ALIGNMENT)).map(Lsn).ok_or(Why::NoSegment)?;
        self.check_switch_point(start, end)?;
        let record = assembly.finish(start, end, self.history.timeline_at(start))?;
        Ok(Assembled::Record(self.skip_after_switch(record)))
    }

    /// What follows a switch in its segment is unused: the record is taken to reach to the segment's end.
    fn skip_after_switch(&self, mut record: Record) -> Record {
        if record.kind == Kind::Switch {
            let size = u64::from(self.geometry.segment_size());
            record.end = Lsn(record.end.0.checked_next_multiple_of(size).unwrap_or(record.end.0));
        }
        record
    }

    /// Refuses what the file at hand holds past the point where the history left its timeline.
    fn check_switch_point(&self, start: Lsn, end: Lsn) -> Result<(), Why> {
        let left = self.segment.as_ref().and_then(|segment| self.history.switch_point(segment.timeline));
        match left {
            Some(at) if start >= at || end > at => Err(Why::SwitchPoint(at)),
            _ => Ok(()),
        }
    }

    /// Makes the page at `at` the one at hand.
    fn load(&mut self, at: Lsn) -> Result<(Head, Format), Halt> {
        if let (Some(head), Some(format), true) = (self.page.head, self.format, self.page.at == at) {
            return Ok((head, format));
        }
        let number = self.geometry.segment_of(at);
        if self.segment.as_ref().is_none_or(|segment| segment.number != number) {
            self.open(number)?;
            // The first page shows whether the file is the segment of its name.
            self.read(self.geometry.segment_start(at))?;
        }
        if self.page.at != at || self.page.head.is_none() {
            self.read(at)?;
        }
        match (self.page.head, self.format) {
            (Some(head), Some(format)) => Ok((head, format)),
            _ => Err(Why::NoSegment.into()),
        }
    }

    /// Opens the segment of the newest timeline that has it, and that had begun by then; never an older timeline's than
    /// before (`XLogFileReadAnyTLI` of `xlogrecovery.c`).
    fn open(&mut self, number: u64) -> Result<(), Halt> {
        self.ask()?;
        let least = self.segment.take().map(|segment| segment.timeline);
        self.page.head = None;
        for timeline in self.history.timelines().rev() {
            let begin = self.history.begin(timeline).map_or(0, |begin| self.geometry.segment_of(begin));
            if begin > number || least.is_some_and(|least| timeline < least) {
                continue;
            }
            let failed = |error| self.io_error(timeline, number, error);
            if let Some(file) = self.segments.open(timeline, number).map_err(failed)? {
                let next_page = Lsn(number * u64::from(self.geometry.segment_size()));
                self.segment = Some(Segment { timeline, number, file, next_page });
                return Ok(());
            }
        }
        Err(Why::NoSegment.into())
    }

    /// Reads the page at `at` from the open segment.
    fn read(&mut self, at: Lsn) -> Result<(), Halt> {
        let page_size = u64::from(self.geometry.page_size());
        self.read_since_asked += page_size;
        if self.read_since_asked >= ASK_EVERY {
            self.ask()?;
        }
        self.page.head = None;
        let Some(segment) = self.segment.as_mut() else { return Err(Why::NoSegment.into()) };
        let (timeline, number) = (segment.timeline, segment.number);
        let offset = at.0 - self.geometry.segment_start(at).0;
        let moved = if segment.next_page == at { Ok(0) } else { segment.file.seek(SeekFrom::Start(offset)) };
        let whole = moved.and_then(|_| read_page(segment.file.as_mut(), &mut self.page.bytes));
        segment.next_page = Lsn(at.0.saturating_add(page_size));
        if !whole.map_err(|error| self.io_error(timeline, number, error))? {
            return Err(Why::ShortFile.into());
        }
        let head = self.judge(at)?;
        if head.timeline > timeline || head.timeline < self.page_timeline {
            return Err(Why::PageTimeline(head.timeline).into());
        }
        self.page_timeline = head.timeline;
        self.page.at = at;
        self.page.head = Some(head);
        Ok(())
    }

    /// Judges the head of the page that was just read. The first of all holds the version.
    fn judge(&mut self, at: Lsn) -> Result<Head, Halt> {
        let magic = Head::magic(&self.page.bytes);
        let format = match self.format.or(Format::of_magic(magic)) {
            Some(format) => format,
            None if magic == 0 => return Err(Why::PageMagic(0).into()),
            None => return Err(Halt::Fail(WalError::UnknownMagic(magic))),
        };
        self.format = Some(format);
        Ok(Head::read(&self.page.bytes, at, format, &self.geometry)?)
    }

    fn ask(&mut self) -> Result<(), Why> {
        self.read_since_asked = 0;
        if (self.keep_going)() { Ok(()) } else { Err(Why::Interrupted) }
    }

    fn io_error(&self, timeline: Timeline, number: u64, error: std::io::Error) -> Halt {
        Halt::Fail(WalError::Io { name: self.geometry.segment_name(timeline, number), error })
    }
}
