//! Timeline histories: files, and their published form.
#![no_main]

use libfuzzer_sys::fuzz_target;
use pgsqlms::location::{Lsn, Timeline};
use pgsqlms::postgres::history::{Lineage, TimelineHistory, timeline_of_file};

fn check(history: &TimelineHistory) {
    let published = history.to_string();
    assert!(published.len() <= 600);
    assert_eq!(published.parse(), Ok(history.shortened()), "{published}");
    assert_eq!(history.fork(history).map(|fork| (fork.timeline, fork.at)), Some((history.timeline(), None)));
    for switch in history.switches() {
        assert_eq!(history.lineage(switch.timeline, switch.at), Lineage::Ancestor);
        if switch.at.0 < u64::MAX {
            assert_eq!(history.lineage(switch.timeline, Lsn(switch.at.0 + 1)), Lineage::PastSwitch(switch.at));
        }
        assert_ne!(history.timeline_at(switch.at), switch.timeline);
    }
}

fuzz_target!(|bytes: &[u8]| {
    let text = String::from_utf8_lossy(bytes);
    let _ = timeline_of_file(&text);
    let (first, second) = text.split_once(';').unwrap_or((&text, "1"));
    let file = TimelineHistory::parse(Timeline(u32::MAX), first.as_bytes());
    let published: Result<TimelineHistory, _> = second.parse();
    let other: Result<TimelineHistory, _> = first.parse();
    for history in [file.as_ref().ok(), published.as_ref().ok(), other.as_ref().ok()].into_iter().flatten() {
        check(history);
    }
    if let (Ok(left), Ok(right)) = (&other, &published) {
        assert_eq!(left.fork(right), right.fork(left));
    }
});
