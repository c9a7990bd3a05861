//! What was read once is not read again.

use super::*;
use crate::location::SystemId;

/// Large enough that each reading is noted.
const PER_VOTE: u64 = 1 << 20;

/// WAL of some megabytes in records of 4 KB, and the note of a reading that was interrupted in its midst.
fn interrupted() -> (Builder, Vec<Written>, Progress) {
    let mut wal = Builder::new();
    let records: Vec<Written> = (0..1000).map(|_| wal.filler(4000)).collect();
    let noted = part(&wal, None).progress.unwrap();
    assert!(noted.end > records[200].end && noted.end < records[800].end);
    (wal, records, noted)
}

/// Reads a bit more than a megabyte.
fn part(wal: &Builder, noted: Option<&Progress>) -> End {
    let mut segments = PER_VOTE / u64::from(SEGMENT) + 4;
    read(wal, &["1"], Positions::default(), noted, &mut || {
        segments -= 1;
        segments > 0
    })
}

#[test]
fn votes_that_are_interrupted_come_to_the_end() {
    let (wal, records, _) = interrupted();
    let (mut noted, mut met) = (None, Vec::new());
    loop {
        let end = part(&wal, noted.as_ref());
        met.push(end.lsn);
        match end.extent {
            Extent::AtLeast => noted = Some(end.progress.expect("it read more than a megabyte")),
            extent => break assert_eq!((extent, end.lsn), (Extent::Exact, records[999].end)),
        }
    }
    assert!(met.len() > 2 && met.is_sorted_by(|a, b| a < b), "{met:?}");
    let mut asked = 0;
    let end = read(&wal, &["1"], Positions::default(), noted.as_ref(), &mut || {
        asked += 1;
        true
    });
    assert_eq!((end.lsn, end.extent), (records[999].end, Extent::Exact));
    assert!(asked < 300, "it began at the beginning");
}

#[test]
fn after_an_exact_reading_nothing_is_read_again() {
    let (mut wal, records, _) = interrupted();
    let noted = read(&wal, &["1"], Positions::default(), None, &mut || true).progress.unwrap();
    wal.files.retain(|(_, number), _| *number >= records[999].start.0 / u64::from(SEGMENT));
    let end = read(&wal, &["1"], Positions::default(), Some(&noted), &mut || true);
    assert_eq!((end.lsn, end.extent, end.progress), (records[999].end, Extent::Exact, None));
}

#[test]
fn a_note_behind_what_was_replayed_is_not_needed() {
    let (mut wal, records, noted) = interrupted();
    wal.files.retain(|(_, number), _| *number >= records[900].start.0 / u64::from(SEGMENT));
    let end = read(&wal, &["1"], replayed(records[950].end), Some(&noted), &mut || true);
    assert_eq!((end.lsn, end.extent), (records[999].end, Extent::Exact));
}

/// A reader that believes one of these takes that position for the end of the WAL, although no WAL before it was read.
#[test]
fn a_note_that_does_not_fit_is_not_believed() {
    let (wal, _, noted) = interrupted();
    let believed = |noted: &Progress, published: &str, redo: Lsn| {
        let mut segments = 2;
        let control = control(redo, 1);
        let end = OnDisk { segments: &wal, geometry: geometry(), control: &control }.end(
            &histories(&[published]),
            Positions::default(),
            Some(noted),
            &mut || {
                segments -= 1;
                segments > 0
            },
        );
        end.lsn >= noted.end
    };
    let redo = first_record();
    assert!(believed(&noted, "1", redo));
    assert!(believed(&noted, &format!("1@{},2", noted.end), redo), "it was promoted after that");
    let other = |change: fn(&mut Progress)| {
        let mut other = noted.clone();
        change(&mut other);
        other
    };
    assert!(believed(&other(|noted| noted.redo = Lsn(noted.redo.0 - 8)), "1", redo), "a restart point was made since");
    for (what, wrong) in [
        ("another database", other(|noted| noted.system = SystemId(1))),
        ("an older pg_control", other(|noted| noted.redo = Lsn(noted.redo.0 + 8))),
        ("another record", other(|noted| noted.crc ^= 1)),
        ("another end", other(|noted| noted.end = Lsn(noted.end.0 + 8))),
        ("no record", other(|noted| noted.last = Lsn(noted.last.0 + 8))),
        ("another timeline", other(|noted| noted.history = TimelineHistory::first(Timeline(2)))),
        ("another history", other(|noted| noted.history = "..,1".parse().unwrap())),
    ] {
        assert!(!believed(&wrong, "1", redo), "{what}");
    }
    assert!(!believed(&noted, &format!("1@{},2", noted.last), redo), "the timeline was left before");
}

#[test]
fn a_note_of_what_is_behind_the_checkpoint_is_not_believed() {
    let (_, records, noted) = interrupted();
    let after = records.iter().find(|record| record.start > noted.last).unwrap().start;
    assert!(noted.fits(&control(noted.last, 1), &noted.history));
    assert!(!noted.fits(&control(after, 1), &noted.history));
}

#[test]
fn a_note_is_read_as_it_was_written() {
    let text = "7300000000000000001 0/2000028 1@0/3000060,2 0/4FFFF80 0/5000000 09ABCDEF";
    let noted: Progress = text.parse().unwrap();
    assert_eq!((noted.crc, noted.to_string().as_str()), (0x09AB_CDEF, text));
    for length in 0..text.len() {
        assert!(text[..length].parse::<Progress>().is_err(), "{length} bytes of it");
    }
    for bad in [
        "7300000000000000001 0/2000028 1@0/3000060,2 0/4FFFF80 0/5000000 09ABCDEF 1",
        "7300000000000000001 0/2000028 1@0/3000060,2 0/5000000 0/4FFFF80 09ABCDEF",
        "7300000000000000001 0/5000000 1@0/3000060,2 0/4FFFF80 0/5000000 09ABCDEF",
        "7300000000000000001 0/2000028 1@0/3000060,2 0/4FFFF80 0/5000000 +9ABCDEF",
        "x 0/2000028 1@0/3000060,2 0/4FFFF80 0/5000000 09ABCDEF",
    ] {
        assert!(bad.parse::<Progress>().is_err(), "{bad}");
    }
}
