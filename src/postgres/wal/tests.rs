mod lost_records;
mod real;
mod timelines;

use super::builder::*;
use super::*;

/// Records of all sorts of sizes: some end at a page's end, some leave 8 or 16 bytes of it so that the next one's header
/// is on two pages, some are on many pages, one is in three segments.
fn mixed() -> (Builder, Vec<Written>) {
    let mut wal = Builder::new();
    let mut records = vec![wal.filler(100), wal.fill_page_but(0), wal.filler(24), wal.fill_page_but(8), wal.filler(61)];
    records.extend([wal.fill_page_but(16), wal.filler(35), wal.filler(3333), wal.checkpoint(0x10), wal.filler(12_000)]);
    records.extend([wal.fill_page_but(24), wal.filler(24), wal.filler(27)]);
    (wal, records)
}

/// The end of the last record whose bytes are all before `lsn`.
fn end_before(records: &[Written], lsn: Lsn) -> Lsn {
    records.iter().take_while(|record| record.last_byte <= lsn).last().map_or(BEGIN, |record| record.end)
}

#[test]
fn end_is_after_the_last_record() {
    let (wal, records) = mixed();
    let found = wal.end();
    let last = records.last().unwrap();
    assert_eq!(found.end, last.end);
    assert_eq!(found.records, records.len() as u64);
    let record = found.last.unwrap();
    assert_eq!((record.start, record.end, record.len), (last.start, last.end, 27));
    assert_eq!((found.stopped_at, found.why), (last.end, Why::RecordLength(0)));
    assert_eq!(found.timeline, Timeline(1));
}

#[test]
fn every_record_is_a_place_to_start_from() {
    let (wal, records) = mixed();
    let end = wal.end().end;
    for (index, record) in records.iter().enumerate() {
        let found = wal.end_on("1", record.start).unwrap();
        assert_eq!((found.end, found.records), (end, (records.len() - index) as u64));
        let found = wal.end_on("1", record.end).unwrap();
        assert_eq!((found.end, found.records), (end, (records.len() - index - 1) as u64));
    }
}

#[test]
fn wherever_zeros_or_garbage_begin_wal_ends_before() {
    let (whole, records) = mixed();
    let end = whole.end().end;
    for fill in [0x00, 0xFF, 0x55] {
        let mut wal = whole.clone();
        for cut in (BEGIN.0..end.0).rev().map(Lsn) {
            *wal.byte(1, cut) = fill;
            let expected = end_before(&records, cut);
            match wal.end_on("1", BEGIN) {
                Ok(found) => assert_eq!(found.end, expected, "{fill} from {cut}"),
                Err(Broken { error: WalError::UnknownMagic(_), .. }) => {
                    assert!(cut.0 < BEGIN.0 + 2, "{fill} from {cut}")
                }
                Err(error) => panic!("{error}"),
            }
        }
    }
}

#[test]
fn every_flipped_bit_of_a_record_ends_wal_before_it() {
    let (mut wal, records) = mixed();
    let end = wal.end().end;
    for lsn in (BEGIN.0 + 40..end.0).map(Lsn) {
        let in_page = lsn.0 % u64::from(PAGE);
        let in_head = in_page < if lsn.0 % u64::from(SEGMENT) < u64::from(PAGE) { 40 } else { 24 };
        let holder = records.iter().position(|record| record.start <= lsn && lsn < record.last_byte);
        for bit in 0..8 {
            *wal.byte(1, lsn) ^= 1 << bit;
            let found = wal.end().end;
            *wal.byte(1, lsn) ^= 1 << bit;
            match holder {
                Some(index) if !in_head => {
                    assert_eq!(found, if index == 0 { BEGIN } else { records[index - 1].end }, "bit {bit} of {lsn}");
                }
                _ => assert!(found == end || found == end_before(&records, lsn), "bit {bit} of {lsn}"),
            }
        }
    }
}

#[test]
fn short_file_ends_wal_with_its_last_whole_page() {
    let (wal, records) = mixed();
    for len in (0..SEGMENT as usize).step_by(100) {
        let mut short = wal.clone();
        short.files.get_mut(&(1, 1)).unwrap().truncate(len);
        let found = short.end();
        let whole_pages = Lsn(BEGIN.0 + len as u64 / u64::from(PAGE) * u64::from(PAGE));
        assert_eq!((found.end, found.why), (end_before(&records, whole_pages), Why::ShortFile));
    }
}

#[test]
fn missing_segment_ends_wal() {
    let (mut wal, records) = mixed();
    wal.files.remove(&(1, 2));
    let found = wal.end();
    assert_eq!((found.end, found.why), (end_before(&records, Lsn(BEGIN.0 + u64::from(SEGMENT))), Why::NoSegment));
    let nothing = Builder::new().end();
    assert_eq!((nothing.end, nothing.last, nothing.why), (BEGIN, None, Why::NoSegment));
}

#[test]
fn what_a_recycled_file_held_before_is_not_read() {
    let (old, _) = mixed();
    let mut wal = Builder::new();
    let last = wal.fill_page_but(0);
    let recycled = old.files[&(1, 2)].clone();
    wal.files.get_mut(&(1, 1)).unwrap()[PAGE as usize..].copy_from_slice(&recycled[PAGE as usize..]);
    let found = wal.end();
    assert_eq!((found.end, found.why), (last.end, Why::PageAddress(Lsn(BEGIN.0 + u64::from(SEGMENT + PAGE)))));
}

#[test]
fn record_linked_to_another_than_the_one_before_is_old() {
    let mut wal = Builder::new();
    let (first, second) = (wal.filler(100), wal.filler(100));
    wal.prev = first.start.0;
    wal.filler(100);
    let found = wal.end();
    assert_eq!((found.end, found.why), (second.end, Why::PrevLink(first.start)));
    let mut wal = Builder::new();
    wal.prev = BEGIN.0 + 40;
    wal.filler(100);
    assert_eq!(wal.end().why, Why::PrevLink(Lsn(BEGIN.0 + 40)), "the first one's link must at least lead backwards");
}

#[test]
fn resource_managers_depend_on_the_version() {
    let why = |magic, manager| {
        let mut wal = Builder::new();
        wal.magic = magic;
        wal.record(manager, 0, &[]);
        wal.end().why
    };
    for magic in [0xD101, 0xD106, 0xD10D, 0xD110, 0xD113, 0xD116, 0xD118] {
        assert_eq!(why(magic, 21), Why::RecordLength(0), "{magic:X}");
        assert_eq!(why(magic, 22), Why::ResourceManager(22), "{magic:X}");
        assert_eq!(why(magic, 127), Why::ResourceManager(127), "{magic:X}");
        let custom = if magic < 0xD110 { Why::ResourceManager(128) } else { Why::RecordLength(0) };
        assert_eq!(why(magic, 128), custom, "{magic:X}");
    }
}

#[test]
fn unknown_version_is_an_error_and_another_one_later_is_the_end() {
    let mut wal = Builder::new();
    wal.magic = 0xD119;
    wal.filler(100);
    assert!(matches!(wal.end_on("1", BEGIN), Err(Broken { error: WalError::UnknownMagic(0xD119), last: None })));
    let mut wal = Builder::new();
    let last = wal.fill_page_but(0);
    wal.magic = 0xD118;
    wal.filler(100);
    assert_eq!((wal.end().end, wal.end().why), (last.end, Why::PageMagic(0xD118)));
    let mut zeros = Builder::new();
    zeros.filler(100);
    zeros.files.get_mut(&(1, 1)).unwrap().fill(0);
    assert_eq!((zeros.end().end, zeros.end().why), (BEGIN, Why::PageMagic(0)));
}

#[test]
fn page_heads_of_others_are_refused() {
    let why = |at: u64, xor: u8| {
        let (mut wal, _) = mixed();
        *wal.byte(1, Lsn(BEGIN.0 + at)) ^= xor;
        wal.end().why
    };
    assert_eq!(why(2, 2), Why::PageFlags(0), "a segment begins with a long head");
    assert_eq!(why(2, 0x10), Why::PageFlags(0x12));
    assert_eq!(why(4, 3), Why::PageTimeline(Timeline(2)), "younger than its file");
    assert_eq!(why(9, 1), Why::PageAddress(Lsn(BEGIN.0 ^ 0x100)));
    assert_eq!(why(24, 1), Why::PageSystem(SYSTEM ^ 1));
    assert_eq!(why(34, 1), Why::PageSizes);
    assert_eq!(why(38, 1), Why::PageSizes);
}

#[test]
fn first_page_of_the_segment_is_judged_wherever_reading_starts() {
    let (mut wal, records) = mixed();
    *wal.byte(1, Lsn(BEGIN.0 + 24)) ^= 1;
    let found = wal.end_on("1", records[5].start).unwrap();
    assert_eq!((found.last, found.why), (None, Why::PageSystem(SYSTEM ^ 1)));
}

#[test]
fn continuation_must_fit() {
    let page = Lsn(BEGIN.0 + u64::from(PAGE));
    let damaged = |at: u64, xor: u8| {
        let mut wal = Builder::new();
        let first = wal.filler(100);
        wal.filler(2000);
        *wal.byte(1, Lsn(page.0 + at)) ^= xor;
        assert_eq!(wal.end().end, first.end);
        wal.end().why
    };
    assert_eq!(damaged(2, 1), Why::NoContinuation);
    let Why::Continuation(length) = damaged(16, 1) else { panic!() };
    assert_ne!(length, 0);
    let mut wal = Builder::new();
    wal.filler(2000);
    let found = wal.end_on("1", page).unwrap();
    assert_eq!((found.last, found.why), (None, Why::StrayContinuation), "a page's start within a record");
}

#[test]
fn positions_that_no_record_can_have_are_errors() {
    let (wal, _) = mixed();
    for bad in [Lsn(0), Lsn(BEGIN.0 + 41), Lsn(BEGIN.0 + 8), Lsn(BEGIN.0 + u64::from(PAGE) + 16)] {
        assert!(
            matches!(wal.end_on("1", bad), Err(Broken { error: WalError::NotABoundary(lsn), .. }) if lsn == bad),
            "{bad}"
        );
    }
}

#[test]
fn after_a_switch_wal_goes_on_in_the_next_segment() {
    let mut wal = Builder::new();
    wal.filler(100);
    let switch = wal.switch();
    assert_eq!((wal.end().end, wal.end().why), (switch.end, Why::NoSegment));
    assert_eq!(wal.end().last.unwrap().kind, Kind::Switch);
    let next = wal.filler(100);
    assert_eq!((wal.end().end, wal.end().records), (next.end, 3));
}

#[test]
fn switch_that_ends_with_its_segment_skips_nothing() {
    let mut wal = Builder::new();
    for _ in 0..7 {
        wal.fill_page_but(0);
    }
    wal.fill_page_but(24);
    let switch = wal.switch();
    assert_eq!(switch.end, Lsn(BEGIN.0 + u64::from(SEGMENT)));
    let next = wal.filler(100);
    assert_eq!((wal.end().end, wal.end().records), (next.end, 10));
}

#[test]
fn reading_can_be_interrupted_and_then_returns_a_lower_bound() {
    let (wal, records) = mixed();
    let history = TimelineHistory::first(Timeline(1));
    let mut asked = 0;
    let exact = find_end(&wal, geometry(), &history, BEGIN, &mut || {
        asked += 1;
        true
    });
    assert!(exact.unwrap().is_exact());
    assert_eq!(asked, 3, "once per segment");
    let interrupted = find_end(&wal, geometry(), &history, BEGIN, &mut || {
        asked -= 1;
        asked > 1
    });
    let interrupted = interrupted.unwrap();
    assert!(!interrupted.is_exact());
    assert_eq!(interrupted.end, end_before(&records, Lsn(2 * BEGIN.0)));
}

#[test]
fn in_a_long_segment_the_caller_is_asked_every_megabyte() {
    let geometry = Geometry::new(1 << 22, PAGE, SYSTEM).unwrap();
    let mut file = Vec::new();
    for page in (1_u64 << 22..1 << 23).step_by(PAGE as usize) {
        let mut bytes = vec![0_u8; PAGE as usize];
        bytes[0..2].copy_from_slice(&MAGIC.to_ne_bytes());
        let first = page == 1 << 22;
        bytes[2..4].copy_from_slice(&if first { 2_u16 } else { 1 }.to_ne_bytes());
        bytes[4] = 1;
        bytes[8..16].copy_from_slice(&page.to_ne_bytes());
        let met = if first { 0 } else { 984 + ((page - (1 << 22)) / 1024 - 1) as u32 * 1000 };
        bytes[16..20].copy_from_slice(&if first { 0 } else { 5_000_000 - met }.to_ne_bytes());
        if first {
            bytes[24..32].copy_from_slice(&SYSTEM.to_ne_bytes());
            bytes[32..36].copy_from_slice(&(1_u32 << 22).to_ne_bytes());
            bytes[36..40].copy_from_slice(&PAGE.to_ne_bytes());
            bytes[40..44].copy_from_slice(&5_000_000_u32.to_ne_bytes());
        }
        file.extend(bytes);
    }
    let mut wal = Builder::new();
    wal.files.insert((1, 1), file);
    let mut asked = 0;
    let history = TimelineHistory::first(Timeline(1));
    let found = find_end(&wal, geometry, &history, Lsn(1 << 22), &mut || {
        asked += 1;
        true
    });
    assert_eq!(found.unwrap().why, Why::NoSegment);
    assert_eq!(asked, 6, "two segments, four megabytes");
}

#[test]
fn end_of_all_positions_is_no_trouble() {
    let last = Lsn(u64::MAX - u64::from(SEGMENT) + 1);
    let mut wal = Builder::at(last);
    wal.filler(100);
    assert_eq!(wal.end_on("1", last).unwrap().records, 1);
    for page in 1..8 {
        wal.at = last.0 + page * u64::from(PAGE);
        wal.page_head(0, 0);
    }
    let start = Lsn(wal.at);
    let mut body = vec![0; 1000];
    body[..4].copy_from_slice(&1000_u32.to_ne_bytes());
    body[17] = 10;
    let crc = crc32c::crc32c_append(crc32c::crc32c(&body[24..]), &body[..20]);
    body[20..24].copy_from_slice(&crc.to_ne_bytes());
    for (lsn, byte) in (start.0..=u64::MAX).zip(body) {
        *wal.byte(1, Lsn(lsn)) = byte;
    }
    assert_eq!(wal.end_on("1", start).unwrap().why, Why::NoSegment);
}

#[test]
fn what_cannot_be_read_is_an_error_and_not_the_end() {
    struct Broken;
    impl Segments for Broken {
        fn open(&self, _: Timeline, _: u64) -> io::Result<Option<Box<dyn SegmentFile>>> {
            Err(io::Error::other("bad disk"))
        }
    }
    let history = TimelineHistory::first(Timeline(1));
    let error = find_end(&Broken, geometry(), &history, BEGIN, &mut || true).unwrap_err();
    assert_eq!(error.to_string(), "segment 000000010000000000000001: bad disk");
}
