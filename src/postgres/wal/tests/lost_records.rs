//! Records whose rest was never written.

use super::*;

/// A record whose rest was lost, and what PostgreSQL puts in its place (`CreateOverwriteContrecordRecord`).
fn overwritten(named: impl Fn(Written) -> u64) -> (Builder, Written, Written) {
    let mut wal = Builder::new();
    let before = wal.filler(100);
    let lost = wal.partial(10, 0, &[7; 3000], 1);
    wal.page_head(8, 0);
    let mut data = named(lost).to_ne_bytes().to_vec();
    data.extend([0; 8]);
    wal.xlog(0xD0, &data);
    wal.filler(200);
    (wal, before, lost)
}

#[test]
fn are_passed_over_where_another_is_in_their_place() {
    let (wal, _, lost) = overwritten(|lost| lost.start.0);
    assert_eq!((wal.end().end, wal.end().records), (Lsn(wal.at), 3));
    let on_next_page = wal.end_on("1", lost.end).unwrap();
    assert_eq!(on_next_page.records, 2, "where the page begins there is a record, with nothing to compare it with");
}

#[test]
fn must_be_named() {
    let (wal, before, lost) = overwritten(|lost| lost.start.0 + 8);
    assert_eq!((wal.end().end, wal.end().why), (before.end, Why::Overwrite(Lsn(lost.start.0 + 8))));
}

#[test]
fn are_the_end_where_nothing_replaces_them() {
    let mut wal = Builder::new();
    let before = wal.filler(100);
    wal.partial(10, 0, &[7; 3000], 1);
    assert_eq!((wal.end().end, wal.end().why), (before.end, Why::PageMagic(0)));
}

#[test]
fn stand_in_without_a_lost_record_is_refused() {
    let mut wal = Builder::new();
    let before = wal.filler(100);
    wal.xlog(0xD0, &[1; 16]);
    assert_eq!((wal.end().end, wal.end().why), (before.end, Why::Overwrite(Lsn(0x0101_0101_0101_0101))));
}
