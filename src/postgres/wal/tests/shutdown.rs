//! The old primary's shutdown checkpoint.

use super::*;

fn look(wal: &Builder, history: &str, checkpoint: Lsn, timeline: u32) -> ShutdownCheckpoint {
    let history = history.parse().unwrap();
    find_shutdown_checkpoint(wal, geometry(), &history, checkpoint, Timeline(timeline), &mut || true).unwrap()
}

#[test]
fn checkpoint_is_the_last_record() {
    let (mut wal, _) = mixed();
    let checkpoint = wal.checkpoint(0);
    assert_eq!(look(&wal, "1", checkpoint.start, 1), ShutdownCheckpoint::Last { end: checkpoint.end });
}

#[test]
fn checkpoint_is_on_two_pages() {
    let mut wal = Builder::new();
    wal.fill_page_but(16);
    let checkpoint = wal.checkpoint(0);
    assert_eq!(look(&wal, "1", checkpoint.start, 1), ShutdownCheckpoint::Last { end: checkpoint.end });
}

#[test]
fn checkpoint_is_followed_by_another_record() {
    let mut wal = Builder::new();
    let checkpoint = wal.checkpoint(0);
    let next = wal.filler(50);
    let ShutdownCheckpoint::Followed(record) = look(&wal, "1", checkpoint.start, 1) else { panic!() };
    assert_eq!(record.start, next.start);
}

#[test]
fn checkpoint_did_not_arrive() {
    let (wal, _) = mixed();
    assert_eq!(look(&wal, "1", Lsn(wal.at), 1), ShutdownCheckpoint::Missing(Why::RecordLength(0)));
}

#[test]
fn checkpoint_arrived_in_part() {
    let mut wal = Builder::new();
    let checkpoint = wal.checkpoint(0);
    *wal.byte(1, Lsn(checkpoint.last_byte.0 - 1)) ^= 1;
    assert_eq!(look(&wal, "1", checkpoint.start, 1), ShutdownCheckpoint::Missing(Why::Crc));
}

#[test]
fn another_record_is_in_its_place() {
    let mut wal = Builder::new();
    let online = wal.checkpoint(0x10);
    let ShutdownCheckpoint::Different(found) = look(&wal, "1", online.start, 1) else { panic!() };
    assert!(matches!(found.kind, Kind::OnlineCheckpoint(_)));
}

#[test]
fn redo_elsewhere_shows_that_something_was_written_meanwhile() {
    let mut wal = Builder::new();
    wal.filler(50);
    let mut data = vec![0; 88];
    data[8] = 1;
    let odd = wal.xlog(0, &data);
    assert!(matches!(look(&wal, "1", odd.start, 1), ShutdownCheckpoint::Different(_)));
}

#[test]
fn checkpoint_of_another_timeline_is_another() {
    let mut wal = Builder::new();
    let checkpoint = wal.checkpoint(0);
    assert!(matches!(look(&wal, "1", checkpoint.start, 2), ShutdownCheckpoint::Different(_)));
}

#[test]
fn interruption_is_no_answer() {
    let mut wal = Builder::new();
    wal.fill_page_but(u64::from(PAGE) / 2);
    for _ in 0..7 {
        wal.fill_page_but(0);
    }
    wal.filler(500);
    wal.fill_page_but(120);
    let checkpoint = wal.checkpoint(0);
    assert_eq!(checkpoint.end.0 % u64::from(SEGMENT), 0, "so that its successor would be in the next segment");
    let history = TimelineHistory::first(Timeline(1));
    let asked_at_most = |mut most: u32| {
        let mut keep_going = move || {
            most -= 1;
            most > 0
        };
        find_shutdown_checkpoint(&wal, geometry(), &history, checkpoint.start, Timeline(1), &mut keep_going).unwrap()
    };
    assert_eq!(asked_at_most(1), ShutdownCheckpoint::Unknown);
    assert_eq!(asked_at_most(2), ShutdownCheckpoint::Unknown);
    assert_eq!(asked_at_most(3), ShutdownCheckpoint::Last { end: checkpoint.end });
}
