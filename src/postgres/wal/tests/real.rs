//! The heads of real segments, one per version: two messages, one of them on two pages, and a clean shutdown.
//!
//! Each lies beside the `pg_control` of the same moment. The end is what the server itself wrote on from.

use std::fs;

use super::*;
use crate::postgres::control::{ControlData, DbState};

macro_rules! fixture {
    ($control:literal, $wal:literal) => {
        (
            include_bytes!(concat!("../../../../tests/fixtures/postgres/pg_control-", $control, "-shut-down.bin"))
                .as_slice(),
            include_bytes!(concat!("../../../../tests/fixtures/postgres/wal-", $control, "-", $wal, ".bin")).as_slice(),
            $wal,
        )
    };
}

const ALL: [(&[u8], &[u8], &str); 7] = [
    fixture!("12", "000000010000000000000556"),
    fixture!("13", "000000010000000000000858"),
    fixture!("14", "000000010000000000000F94"),
    fixture!("15", "000000010000000000000C12"),
    fixture!("16", "0000000100000000000009D9"),
    fixture!("17", "0000000100000000000006F0"),
    fixture!("18", "000000010000000000000549"),
];

/// The rest of the segment does not matter, for these end before.
fn directory(wal: &[u8], name: &str) -> tempfile::TempDir {
    let directory = tempfile::tempdir().unwrap();
    fs::write(directory.path().join(name), wal).unwrap();
    directory
}

#[test]
fn every_version_is_read_to_its_shutdown_checkpoint() {
    for (control, wal, name) in ALL {
        let control = ControlData::parse(control).unwrap();
        assert_eq!(control.state, DbState::ShutDown);
        let geometry = Geometry::of(&control).unwrap();
        let pg_wal = directory(wal, name);
        let pg_wal = WalDirectory::new(pg_wal.path(), geometry);
        let history = TimelineHistory::first(control.timeline);
        let start = geometry.segment_start(control.redo);
        let found = find_end(&pg_wal, geometry, &history, start, &mut || true).unwrap();
        let end = Lsn(control.checkpoint.0 + 120);
        assert_eq!((found.end, found.why), (end, Why::RecordLength(0)), "{name}");
        let last = found.last.unwrap();
        let checkpoint = Checkpoint { redo: control.redo, timeline: Timeline(1), prev_timeline: Timeline(1) };
        assert_eq!((last.start, last.kind), (control.checkpoint, Kind::ShutdownCheckpoint(checkpoint)), "{name}");
    }
}

#[test]
fn standby_that_lacks_the_last_bytes_is_found_out() {
    for (control, wal, name) in ALL {
        let control = ControlData::parse(control).unwrap();
        let geometry = Geometry::of(&control).unwrap();
        let mut wal = wal.to_vec();
        wal[8320 + 100..].fill(0);
        let pg_wal = directory(&wal, name);
        let pg_wal = WalDirectory::new(pg_wal.path(), geometry);
        let history = TimelineHistory::first(control.timeline);
        let found = find_end(&pg_wal, geometry, &history, control.checkpoint, &mut || true).unwrap();
        assert_eq!((found.end, found.records, found.why), (control.checkpoint, 0, Why::Crc), "{name}");
    }
}

#[test]
fn segments_are_named_as_postgresql_names_them() {
    for (control, _, name) in ALL {
        let control = ControlData::parse(control).unwrap();
        let geometry = Geometry::of(&control).unwrap();
        assert_eq!(geometry.segment_name(Timeline(1), geometry.segment_of(control.redo)), name);
    }
    assert_eq!(segment_name(Timeline(0x1A), 0x1234_5678, 16 << 20), "0000001A0012345600000078");
    assert_eq!(segment_name(Timeline(1), 5, 1 << 30), "000000010000000100000001");
}

#[test]
fn only_regular_files_are_read_and_pipes_do_not_block() {
    let directory = tempfile::tempdir().unwrap();
    let pg_wal = WalDirectory::new(directory.path(), geometry());
    let path = directory.path().join("000000010000000000000001");
    assert!(pg_wal.open(Timeline(1), 1).unwrap().is_none());
    fs::create_dir(&path).unwrap();
    assert!(pg_wal.open(Timeline(1), 1).is_err());
    fs::remove_dir(&path).unwrap();
    nix::unistd::mkfifo(&path, nix::sys::stat::Mode::S_IRWXU).unwrap();
    assert!(pg_wal.open(Timeline(1), 1).is_err());
    fs::remove_file(&path).unwrap();
    fs::write(&path, [0; SEGMENT as usize]).unwrap();
    assert!(pg_wal.open(Timeline(1), 1).unwrap().is_some());
}

#[test]
fn sizes_that_no_cluster_has_are_refused() {
    assert!(Geometry::new(16 << 20, 8192, 1).is_some());
    for (segment, page) in
        [(0, 8192), (8192, 8192), (3 << 20, 8192), (1 << 31, 8192), (1 << 20, 512), (1 << 20, 1 << 17)]
    {
        assert_eq!(Geometry::new(segment, page, 1), None, "{segment} {page}");
    }
}
