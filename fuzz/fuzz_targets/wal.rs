//! WAL: the first byte of the input chooses the fields that are made right, the second where reading starts, the third the history;
//! the rest are pages, from the second segment of a timeline on.
#![no_main]

use std::io::{self, Cursor};

use libfuzzer_sys::fuzz_target;
use pgsqlms::location::{Lsn, Timeline};
use pgsqlms::postgres::history::TimelineHistory;
use pgsqlms::postgres::wal::{Geometry, SegmentFile, Segments, Why, find_end, holds, record_at};

const PAGE: usize = 8192;
const SEGMENT: usize = 2 * PAGE;
const SYSTEM: u64 = 1;
const HEAD: usize = 24;

/// The same bytes for every timeline that may have them.
struct Memory(Vec<u8>);

impl Segments for Memory {
    fn open(&self, timeline: Timeline, number: u64) -> io::Result<Option<Box<dyn SegmentFile>>> {
        let from = (number as usize).saturating_sub(1).saturating_mul(SEGMENT);
        let part = self.0.get(from..).filter(|part| !part.is_empty() && timeline.0 < 3);
        Ok(part.map(|part| Box::new(Cursor::new(part[..part.len().min(SEGMENT)].to_vec())) as _))
    }
}

/// Makes the pages belong to where they are, as far as their heads go.
fn repair_pages(bytes: &mut [u8]) {
    for (number, page) in bytes.chunks_exact_mut(PAGE).enumerate() {
        let at = (SEGMENT + number * PAGE) as u64;
        page[8..16].copy_from_slice(&at.to_ne_bytes());
        page[2] &= 0xF;
        page[3] = 0;
        if at % SEGMENT as u64 == 0 {
            page[2] |= 2;
        } else {
            page[2] &= !2;
        }
        if page[2] & 2 != 0 {
            page[24..32].copy_from_slice(&SYSTEM.to_ne_bytes());
            page[32..36].copy_from_slice(&(SEGMENT as u32).to_ne_bytes());
            page[36..40].copy_from_slice(&(PAGE as u32).to_ne_bytes());
        }
    }
}

/// Makes the links and checksums of records within a page right, so that the parser reaches their content.
fn repair_records(bytes: &mut [u8]) {
    let mut prev = 0_u64;
    for (number, page) in bytes.chunks_exact_mut(PAGE).enumerate() {
        let mut at = if page[2] & 2 != 0 { 40 } else { 24 };
        if page[2] & 1 != 0 {
            let rest = u32::from_ne_bytes([page[16], page[17], page[18], page[19]]) as usize;
            at += rest.next_multiple_of(8);
        }
        while at + HEAD <= PAGE {
            let len = u32::from_ne_bytes([page[at], page[at + 1], page[at + 2], page[at + 3]]) as usize;
            if len < HEAD || at + len > PAGE {
                break;
            }
            page[at + 8..at + 16].copy_from_slice(&prev.to_ne_bytes());
            let crc = crc32c::crc32c_append(crc32c::crc32c(&page[at + HEAD..at + len]), &page[at..at + 20]);
            page[at + 20..at + HEAD].copy_from_slice(&crc.to_ne_bytes());
            prev = (SEGMENT + number * PAGE + at) as u64;
            at += len.next_multiple_of(8);
        }
    }
}

fuzz_target!(|input: &[u8]| {
    let [options, start, history, bytes @ ..] = input else { return };
    let mut bytes = bytes.to_vec();
    if options & 1 != 0 {
        repair_pages(&mut bytes);
    }
    if options & 2 != 0 {
        repair_records(&mut bytes);
    }
    let geometry = Geometry::new(SEGMENT as u32, PAGE as u32, SYSTEM).unwrap();
    let switch = SEGMENT + usize::from(*history) * 8;
    let history: TimelineHistory = if history % 5 == 0 {
        TimelineHistory::first(Timeline(1))
    } else {
        format!("1@0/{switch:X},2").parse().unwrap()
    };
    let start = Lsn((SEGMENT + usize::from(*start) * 8 * usize::from(options >> 4)) as u64);
    let limit = (SEGMENT + bytes.len()).next_multiple_of(SEGMENT) as u64;
    let segments = Memory(bytes);
    let mut asked = 0;
    let mut keep_going = || {
        asked += 1;
        true
    };
    if let Ok(found) = find_end(&segments, geometry, &history, start, &mut keep_going) {
        assert!(found.end >= start && found.end.0 <= limit.max(start.0) && found.stopped_at == found.end);
        assert!(found.last.is_some() == (found.records > 0) && found.why != Why::Interrupted);
        if let Some(last) = &found.last {
            assert!(last.start >= start && last.start < last.end && last.end == found.end);
            assert_eq!(record_at(&segments, geometry, &history, last.start).unwrap().as_ref(), Some(last));
            assert!(holds(&segments, geometry, &history, last.end).unwrap());
        }
        if found.records > 0 {
            let again = find_end(&segments, geometry, &history, start, &mut || true);
            assert_eq!(again.unwrap(), found, "the same bytes, the same end");
        }
    }
    assert!(asked <= limit / SEGMENT as u64 + limit / (1 << 20) + 2);
});
