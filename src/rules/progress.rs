//! Whether recovery goes on: what takes long is judged by its progress, not by the time that it has had.

use std::time::Duration;

/// So long recovery may seem to stand still: one record may be a whole table to drop.
const STILL: Duration = Duration::from_secs(10);

/// How often it is looked at.
const INTERVAL: Duration = Duration::from_secs(1);

/// How far recovery has come.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mark {
    /// The WAL file that is replayed, if the startup process shows one.
    pub file: Option<String>,
    /// The processor time that it has used, in the kernel's ticks.
    pub work: u64,
}

/// What was seen of a recovery.
#[derive(Debug, Clone, Default)]
pub struct Progress {
    last: Option<Mark>,
    looked: Option<Duration>,
    moved: Option<Duration>,
}

impl Progress {
    /// Whether it is time to look again.
    pub fn is_due(&self, now: Duration) -> bool {
        self.looked.is_none_or(|looked| now.saturating_sub(looked) >= INTERVAL)
    }

    /// Takes note of what was seen `now`.
    pub fn note(&mut self, mark: Option<Mark>, now: Duration) {
        self.looked = Some(now);
        if self.last.is_some() && mark.is_some() && self.last != mark {
            self.moved = Some(now);
        }
        self.last = mark.or(self.last.take());
    }

    /// Whether it goes on `now`.
    pub fn goes_on(&self, now: Duration) -> bool {
        self.moved.is_some_and(|moved| now.saturating_sub(moved) <= STILL)
    }
}

impl std::fmt::Display for Progress {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self.last.as_ref().and_then(|mark| mark.file.as_deref()) {
            Some(file) => write!(f, "at WAL file {file}"),
            None => f.write_str("before the first WAL file"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rules::table;

    /// What was seen each second, `-` for nothing, and how long ago that was → whether it goes on, and where it is.
    fn seen((marks, ago): (&str, u64)) -> (bool, String) {
        let mut progress = Progress::default();
        let mut now = Duration::ZERO;
        for word in marks.split_whitespace() {
            now += INTERVAL;
            assert!(progress.is_due(now));
            let mark = word.split_once('/').map(|(file, work)| Mark {
                file: (!file.is_empty()).then(|| file.to_owned()),
                work: work.parse().unwrap(),
            });
            progress.note(mark, now);
            assert!(!progress.is_due(now));
        }
        (progress.goes_on(now + Duration::from_secs(ago)), progress.to_string())
    }

    table! { seen;
        nothing_seen: ("- -", 0) => (false, "before the first WAL file".to_owned());
        seen_once: ("A/5", 0) => (false, "at WAL file A".to_owned());
        another_file: ("A/5 B/5", 0) => (true, "at WAL file B".to_owned());
        the_same_file_and_busy: ("A/5 A/9", 10) => (true, "at WAL file A".to_owned());
        still_for_too_long: ("A/5 A/9", 11) => (false, "at WAL file A".to_owned());
        stands_still: ("A/5 A/5 A/5", 0) => (false, "at WAL file A".to_owned());
        syncing_before_recovery: ("/5 /9", 0) => (true, "before the first WAL file".to_owned());
        not_seen_at_last: ("A/5 B/6 -", 0) => (true, "at WAL file B".to_owned());
    }
}
