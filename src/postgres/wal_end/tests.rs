mod notes;
mod reading;

use std::io;

use super::super::history::TimelineHistory;
use super::super::wal::builder::{BEGIN, Builder, PAGE, SEGMENT, SYSTEM, Written, geometry};
use super::super::wal::{SegmentFile, Segments};
use super::followed::Histories;
use super::*;

/// The pg_control of a standby whose last checkpoint was at `redo` on `timeline`.
fn control(redo: Lsn, timeline: u32) -> ControlData {
    let file = include_bytes!("../../../tests/fixtures/postgres/pg_control-15-shut-down.bin");
    ControlData {
        system_identifier: SYSTEM,
        redo,
        checkpoint: redo,
        timeline: Timeline(timeline),
        prev_timeline: Timeline(timeline),
        min_recovery_point: Lsn(0),
        min_recovery_timeline: None,
        ..ControlData::parse(file).unwrap()
    }
}

fn replayed(lsn: Lsn) -> Positions {
    Positions { received: None, replayed: Some(lsn) }
}

/// Newest first, the checkpoint's own last.
fn histories(published: &[&str]) -> Histories {
    let (checkpoint, newer) = published.split_last().unwrap();
    let newer = newer.iter().map(|history| history.parse().unwrap()).collect();
    Histories::new(newer, checkpoint.parse().unwrap())
}

/// Reads `segments` of an instance whose last checkpoint was at the beginning, on timeline 1.
fn read(
    segments: &dyn Segments,
    published: &[&str],
    positions: Positions,
    noted: Option<&Progress>,
    keep_going: &mut dyn FnMut() -> bool,
) -> End {
    let control = control(first_record(), 1);
    OnDisk { segments, geometry: geometry(), control: &control }.end(
        &histories(published),
        positions,
        noted,
        keep_going,
    )
}

/// The first record is behind the head of the first page.
fn first_record() -> Lsn {
    Lsn(BEGIN.0 + 40)
}

/// Segments, of which one cannot be read.
struct Damaged {
    wal: Builder,
    number: u64,
}

impl Segments for Damaged {
    fn open(&self, timeline: Timeline, number: u64) -> io::Result<Option<Box<dyn SegmentFile>>> {
        if number == self.number {
            return Err(io::Error::other("Input/output error"));
        }
        self.wal.open(timeline, number)
    }
}

/// WAL of `segments` segments and a bit, in records of all sorts of sizes; where they end.
fn much(segments: u64) -> (Builder, Vec<Written>) {
    let mut wal = Builder::new();
    let mut records = Vec::new();
    for size in [100, 333, 1999, 24, 5003].into_iter().cycle() {
        records.push(wal.filler(size));
        if wal.at > BEGIN.0 + segments * u64::from(SEGMENT) {
            return (wal, records);
        }
    }
    unreachable!()
}

#[test]
fn taken_timelines_are_skipped_and_forgotten() {
    let here = tempfile::tempdir().unwrap();
    let wal = here.path().join("pg_wal");
    fs::create_dir(&wal).unwrap();
    let data = DataDirectory::new(here.path());
    let files = || fs::read_dir(&wal).unwrap().count();
    take_timelines(&data, Timeline(2), Timeline(3)).unwrap();
    assert_eq!(files(), 0, "no node has taken the next");
    take_timelines(&data, Timeline(2), Timeline(5)).unwrap();
    assert_eq!(files(), 2);
    assert!(!data.history(Timeline(4)).unwrap().contains(Timeline(2), Lsn(0)));
    fs::write(wal.join("00000005.history"), "2\t0/2000\tpromoted\n").unwrap();
    forget_taken(&data).unwrap();
    assert_eq!(files(), 3, "timeline 5 cannot be found without those before it");
    fs::remove_file(wal.join("00000005.history")).unwrap();
    forget_taken(&data).unwrap();
    assert_eq!(files(), 0);
}
