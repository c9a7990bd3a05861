//! Reading across promotions.

use super::*;

/// Timeline 1, promoted to 2 in the middle of a segment; an old primary wrote on on timeline 1 too.
fn promoted() -> (Builder, Lsn, Lsn) {
    let mut wal = Builder::new();
    wal.filler(5000);
    let mut fork = wal.clone();
    let at = wal.promote(2);
    wal.xlog(0x90, &[0, 0, 0, 0, 0, 0, 0, 0, 2, 0, 0, 0, 1, 0, 0, 0]);
    wal.filler(9000);
    fork.filler(700);
    wal.files.extend(fork.files.iter().filter(|(key, _)| key.0 == 1).map(|(key, file)| (*key, file.clone())));
    (wal, at, Lsn(fork.at))
}

#[test]
fn are_followed_through_a_promotion() {
    let (wal, at, _) = promoted();
    let found = wal.end_on(&format!("1@{at},2"), BEGIN).unwrap();
    assert_eq!((found.end, found.timeline, found.records), (Lsn(wal.at), Timeline(2), 3));
    let found = wal.end_on(&format!("1@{at},2"), at).unwrap();
    assert_eq!((found.end, found.timeline, found.records), (Lsn(wal.at), Timeline(2), 2));
}

#[test]
fn end_of_recovery_names_both() {
    let (mut wal, at, _) = promoted();
    wal.files.remove(&(2, 2));
    let found = wal.end_on(&format!("1@{at},2"), BEGIN).unwrap();
    let kind = Kind::EndOfRecovery { timeline: Timeline(2), prev_timeline: Timeline(1) };
    assert_eq!(found.last.map(|record| (record.start, record.timeline, record.kind)), Some((at, Timeline(2), kind)));
}

#[test]
fn without_the_new_ones_file_wal_ends_at_the_switch_point() {
    let (mut wal, at, fork_end) = promoted();
    assert_eq!(wal.end_on("1", BEGIN).unwrap().end, fork_end, "on its own history the fork counts");
    wal.files.retain(|key, _| key.0 == 1);
    let found = wal.end_on(&format!("1@{at},2"), BEGIN).unwrap();
    assert_eq!((found.end, found.timeline, found.why), (at, Timeline(1), Why::SwitchPoint(at)));
}

#[test]
fn what_is_past_the_switch_point_is_not_even_looked_at() {
    let mut wal = Builder::new();
    let last = wal.filler(500);
    wal.files.get_mut(&(1, 1)).unwrap()[(last.end.0 - BEGIN.0) as usize..].fill(0x55);
    let found = wal.end_on(&format!("1@{},2", last.end), BEGIN).unwrap();
    assert_eq!((found.end, found.why), (last.end, Why::SwitchPoint(last.end)));
}

#[test]
fn record_across_a_switch_point_is_not_on_the_history() {
    let (mut wal, at, _) = promoted();
    wal.files.retain(|key, _| key.0 == 1);
    let early = Lsn(at.0 - 8);
    let found = wal.end_on(&format!("1@{early},2"), BEGIN).unwrap();
    assert_eq!((found.end, found.last, found.why), (BEGIN, None, Why::SwitchPoint(early)));
}

#[test]
fn promotion_at_a_segments_end_starts_with_a_new_file() {
    let mut wal = Builder::new();
    let last = wal.switch();
    let mut old = wal.clone();
    let at = wal.promote(2);
    assert_eq!(at, last.end);
    wal.filler(100);
    old.filler(100);
    wal.files.extend(old.files);
    let found = wal.end_on(&format!("1@{at},2"), BEGIN).unwrap();
    assert_eq!((found.end, found.timeline, found.records), (Lsn(wal.at), Timeline(2), 2));
    wal.files.remove(&(2, 2));
    let found = wal.end_on(&format!("1@{at},2"), BEGIN).unwrap();
    assert_eq!((found.end, found.timeline, found.why), (at, Timeline(1), Why::SwitchPoint(at)));
}

#[test]
fn file_of_a_timeline_that_had_not_begun_is_not_read() {
    let (mut wal, at, fork_end) = promoted();
    let stray = wal.files[&(2, 2)].clone();
    wal.files.retain(|key, _| key.0 == 1);
    wal.files.insert((2, 1), stray);
    let later = Lsn(at.0 + u64::from(SEGMENT));
    assert_eq!(wal.end_on(&format!("1@{later},2"), BEGIN).unwrap().end, fork_end);
}

#[test]
fn never_go_back() {
    let (mut wal, at, _) = promoted();
    let mut back = Builder::at(Lsn(2 * BEGIN.0));
    back.filler(100);
    wal.files.remove(&(2, 2));
    wal.files.insert((1, 2), back.files[&(1, 2)].clone());
    let found = wal.end_on(&format!("1@{at},2"), BEGIN).unwrap();
    assert_eq!(found.why, Why::NoSegment, "once on timeline 2, timeline 1's files are the past");
    wal.files.insert((2, 2), back.files[&(1, 2)].clone());
    let found = wal.end_on(&format!("1@{at},2"), BEGIN).unwrap();
    assert_eq!(found.why, Why::PageTimeline(Timeline(1)));
}
