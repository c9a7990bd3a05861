//! From where to where WAL is read, and along which history.

use super::*;

#[test]
fn all_of_it_is_read_from_the_checkpoint_if_nothing_else_is_known() {
    let (wal, records) = much(3);
    let end = read(&wal, &["1"], Positions::default(), None, &mut || true);
    assert_eq!((end.lsn, &end.extent), (records.last().unwrap().end, &Extent::Exact));
    assert_eq!(end.history, TimelineHistory::first(Timeline(1)));
}

#[test]
fn what_was_replayed_is_not_read_again() {
    let (mut wal, records) = much(3);
    let end = records.last().unwrap().end;
    // Nothing of it is there any more but the last two records.
    wal.files.remove(&(1, 1));
    let from = records[records.len() - 3].end;
    let found = read(&wal, &["1"], replayed(from), None, &mut || true);
    assert_eq!((found.lsn, found.extent), (end, Extent::Exact));
    for record in &records[records.len() - 2..] {
        let found = read(&wal, &["1"], replayed(record.end), None, &mut || true);
        assert_eq!((found.lsn, found.extent), (end, Extent::Exact), "from {}", record.end);
    }
}

#[test]
fn reading_that_is_interrupted_says_so() {
    let (wal, records) = much(3);
    let mut segments = 0;
    let found = read(&wal, &["1"], Positions::default(), None, &mut || {
        segments += 1;
        segments < 3
    });
    let met = records.iter().rfind(|record| record.last_byte.0 <= BEGIN.0 + 2 * u64::from(SEGMENT)).unwrap();
    assert_eq!((found.lsn, found.extent), (met.end, Extent::AtLeast));
    let found = read(&wal, &["1"], replayed(records[4].end), None, &mut || false);
    assert_eq!((found.lsn, found.extent), (records[4].end, Extent::AtLeast));
}

/// A standby writes WAL as it comes: behind what it has received, the page still holds what the file held before it was
/// recycled. Where records are all of one size, one begins there, and it is whole.
#[test]
fn what_a_recycled_file_held_before_is_not_read_behind_what_was_replayed() {
    let mut old = Builder::new();
    for _ in 0..6 {
        old.filler(104);
    }
    let mut wal = Builder::at(Lsn(2 * BEGIN.0));
    wal.prev = old.prev;
    let replayed_up_to = [(); 3].map(|()| wal.filler(104))[2].end;
    let bytes = old.files[&(1, 1)].clone();
    let from = (replayed_up_to.0 - 2 * BEGIN.0) as usize;
    wal.files.get_mut(&(1, 2)).unwrap()[from..].copy_from_slice(&bytes[from..]);
    wal.files.insert((1, 1), bytes);
    let end = read(&wal, &["1"], replayed(replayed_up_to), None, &mut || true);
    assert_eq!((end.lsn, end.extent), (replayed_up_to, Extent::Exact));
}

/// Timeline 1, left for 2 at the position returned, and written on after that on both.
fn promoted() -> (Builder, Lsn, Lsn, Lsn) {
    let (mut wal, _) = much(2);
    let mut fork = wal.clone();
    let at = wal.promote(2);
    wal.xlog(0x90, &[0, 0, 0, 0, 0, 0, 0, 0, 2, 0, 0, 0, 1, 0, 0, 0]);
    wal.filler(9000);
    fork.filler(7000);
    wal.files.extend(fork.files.iter().filter(|(key, _)| key.0 == 1).map(|(key, file)| (*key, file.clone())));
    (wal.clone(), at, Lsn(wal.at), Lsn(fork.at))
}

/// The scan was cut off before the switch point, and the vote said "1#...", beyond it: diverged.
#[test]
fn what_was_replayed_on_the_new_timeline_is_on_it_however_little_is_read() {
    let (wal, at, end, _) = promoted();
    let found = read(&wal, &[&format!("1@{at},2"), "1"], replayed(end), None, &mut || false);
    assert_eq!((found.history.to_string(), found.lsn), (format!("1@{at},2"), end));
    let received = Positions { received: Some(Lsn(end.0 - 3)), replayed: Some(at) };
    let found = read(&wal, &[&format!("1@{at},2"), "1"], received, None, &mut || false);
    assert_eq!((found.history.to_string(), found.received), (format!("1@{at},2"), received.received));
}

#[test]
fn a_segment_that_was_left_early_is_on_its_timeline() {
    let (mut wal, at, ..) = promoted();
    let end = wal.switch().end;
    let found = read(&wal, &[&format!("1@{at},2"), "1"], replayed(end), None, &mut || true);
    assert_eq!((found.history.to_string(), found.lsn), (format!("1@{at},2"), end));
    assert_eq!(found.extent, Extent::Exact);
}

#[test]
fn up_to_the_switch_point_it_is_the_old_timeline() {
    let (wal, at, ..) = promoted();
    let found = read(&wal, &[&format!("1@{at},2"), "1"], replayed(at), None, &mut || false);
    assert_eq!((found.history.to_string(), found.lsn, found.extent), ("1".to_owned(), at, Extent::AtLeast));
}

#[test]
fn what_was_replayed_beyond_the_switch_point_of_another_history_is_on_the_old_timeline() {
    let (mut wal, at, _, end) = promoted();
    wal.files.retain(|key, _| key.0 == 1);
    for asked in [0, 100] {
        let mut left = asked;
        let mut keep_going = || {
            left -= 1;
            left >= 0
        };
        let found = read(&wal, &[&format!("1@{at},2"), "1"], replayed(end), None, &mut keep_going);
        assert_eq!((found.history.to_string(), found.lsn), ("1".to_owned(), end));
    }
}

/// Its own history was left before, and the instance has not replayed further: it will follow the new one.
#[test]
fn what_was_received_beyond_the_switch_point_of_the_followed_history_does_not_count() {
    let (mut wal, at, _, end) = promoted();
    wal.files.retain(|key, _| key.0 == 1);
    let positions = Positions { received: Some(end), replayed: Some(first_record()) };
    let found = read(&wal, &[&format!("1@{at},2"), "1"], positions, None, &mut || true);
    assert_eq!((found.history.to_string(), found.lsn, found.received), ("1".to_owned(), at, None));
    let found = read(&wal, &["1"], positions, None, &mut || true);
    assert_eq!((found.lsn, found.received), (end, Some(end)));
}

#[test]
fn a_replayed_position_that_is_nowhere_on_disk_is_no_answer() {
    let (mut wal, at, end, _) = promoted();
    wal.files.retain(|key, _| key.1 < 3);
    let found =
        read(&wal, &[&format!("1@{at},2"), "1"], replayed(Lsn(end.0 + 4 * u64::from(SEGMENT))), None, &mut || true);
    assert_eq!(found.extent, Extent::Unread("the WAL that was replayed is not in pg_wal".to_owned()));
}

#[test]
fn a_segment_that_cannot_be_read_is_where_reading_ends_and_not_where_wal_does() {
    let (wal, records) = much(3);
    let number = BEGIN.0 / u64::from(SEGMENT) + 2;
    let met = records.iter().rfind(|record| record.last_byte.0 <= number * u64::from(SEGMENT)).unwrap();
    let damaged = Damaged { wal, number };
    let broken =
        Extent::Unread(format!("segment {}: Input/output error", geometry().segment_name(Timeline(1), number)));
    let found = read(&damaged, &["1"], Positions::default(), None, &mut || true);
    assert_eq!((found.lsn, &found.extent), (met.end, &broken));
    // Where the server has replayed more than can be read, that counts.
    let further = records.last().unwrap().end;
    let found = read(&damaged, &["1"], replayed(further), None, &mut || true);
    assert_eq!((found.lsn, found.extent), (further, Extent::Exact));
    let within = Lsn(number * u64::from(SEGMENT) + u64::from(PAGE));
    let inside = records.iter().find(|record| record.end > within).unwrap();
    let found = read(&damaged, &["1"], replayed(inside.end), None, &mut || true);
    assert_eq!((found.lsn, found.extent), (inside.end, broken));
}

#[test]
fn of_an_unknown_version_no_more_is_known_than_pg_control_says() {
    let mut wal = Builder::new();
    wal.magic = 0xD119;
    wal.filler(100);
    let end = read(&wal, &["1"], Positions::default(), None, &mut || true);
    let Extent::Unread(why) = end.extent else { panic!("{end:?}") };
    assert_eq!((end.lsn, why.as_str()), (first_record(), "the magic number of the WAL, D119, is not known here"));
}

/// A data directory with these history files.
fn with_histories(files: &[(u32, &str)]) -> (tempfile::TempDir, DataDirectory) {
    let here = tempfile::tempdir().unwrap();
    fs::create_dir(here.path().join("pg_wal")).unwrap();
    for (timeline, text) in files {
        fs::write(here.path().join("pg_wal").join(history::file_name(Timeline(*timeline))), text).unwrap();
    }
    let data = DataDirectory::new(here.path());
    (here, data)
}

#[test]
fn histories_that_do_not_lead_on_from_the_last_checkpoint_are_not_followed() {
    let (_here, data) = with_histories(&[(2, "1\t0/5000\n"), (3, "1\t0/9000\n"), (4, "")]);
    let followed = |control: &ControlData| -> Vec<String> {
        let histories = Histories::of(&data, control);
        assert_eq!(histories.trouble, None);
        histories.followable.iter().map(TimelineHistory::to_string).collect()
    };
    assert_eq!(followed(&control(Lsn(0x4000), 1)), ["1@0/9000,3", "1@0/5000,2", "1"]);
    assert_eq!(followed(&control(Lsn(0x6000), 1)), ["1@0/9000,3", "1"]);
    let later = ControlData { checkpoint: Lsn(0x6000), ..control(Lsn(0x4000), 1) };
    assert_eq!(followed(&later), ["1@0/9000,3", "1"], "PostgreSQL looks where the checkpoint is, too");
    let consistent = ControlData {
        min_recovery_point: Lsn(0x8000),
        min_recovery_timeline: Some(Timeline(1)),
        ..control(Lsn(0x4000), 1)
    };
    assert_eq!(followed(&consistent), ["1@0/9000,3", "1"]);
    assert_eq!(followed(&control(Lsn(0x6000), 2)), ["1@0/5000,2"]);
}

#[test]
fn a_history_that_cannot_be_read_leaves_the_end_open() {
    let (_here, data) = with_histories(&[(2, "1\t0/5000\n"), (3, "garbage\n")]);
    let control_of = |timeline| control(Lsn(0x6000), timeline);
    let end = |timeline| on_disk(&data, &control_of(timeline), Positions::default(), None, &mut || true);
    let why = "00000003.history: line 1 of the timeline history is not a timeline switch";
    assert_eq!((end(2).extent, end(2).history.to_string()), (Extent::Unread(why.to_owned()), "1@0/5000,2".to_owned()));
    assert_eq!((end(3).extent, end(3).history.to_string()), (Extent::Unread(why.to_owned()), "..,3".to_owned()));
    let (here, data) = with_histories(&[]);
    fs::remove_dir(here.path().join("pg_wal")).unwrap();
    let end = on_disk(&data, &control_of(1), Positions::default(), None, &mut || true);
    assert_eq!(end.extent, Extent::Unread("pg_wal: No such file or directory (os error 2)".to_owned()));
}
