//! Where the WAL of one data directory ends, and on which timeline. The caller acts as the PostgreSQL user.

use std::fs;

use super::PostgresError;
use super::control::ControlData;
use super::history::{self, TimelineHistory};
use super::layout::{self, DataDirectory};
use super::wal::{self, Geometry, WalDirectory};
use crate::location::{Lsn, Timeline};

/// The end of valid WAL.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct End {
    /// The timeline it is on, and those before it.
    pub history: TimelineHistory,
    /// The position after the last valid record.
    pub lsn: Lsn,
}

/// Finds the end of the valid WAL on disk, of an instance that has `replayed` up to there, if it could say.
///
/// The timeline in pg_control is that of the last checkpoint or restart point and stays behind for minutes after a
/// promotion. So WAL is read from that checkpoint on, along the newest timeline whose history is there, as recovery with
/// `recovery_target_timeline = latest` does (`src/backend/access/transam/xlogrecovery.c`). A history that does not lead to
/// what was replayed is not the one this instance follows.
///
/// # Errors
///
/// When WAL cannot be read, or is of an unknown format.
pub fn on_disk(
    data: &DataDirectory,
    control: &ControlData,
    replayed: Option<Lsn>,
    keep_going: &mut dyn FnMut() -> bool,
) -> Result<End, PostgresError> {
    let directory = data.file("pg_wal");
    let not_understood = |why: String| PostgresError::Content { path: directory.clone(), why };
    let geometry = Geometry::of(control).ok_or_else(|| not_understood("impossible segment size".to_owned()))?;
    let segments = WalDirectory::new(&directory, geometry);
    let mut furthest: Option<End> = None;
    for history in followable(data, control)? {
        let found = wal::find_end(&segments, geometry, &history, control.redo, keep_going)
            .map_err(|error| not_understood(error.to_string()))?;
        let end = End { history: history.up_to(found.timeline), lsn: found.end };
        let leads_there = replayed.is_none_or(|replayed| replayed <= end.lsn) || !found.is_exact();
        if leads_there {
            return Ok(end);
        }
        furthest = furthest.filter(|known| known.lsn >= end.lsn).or(Some(end));
    }
    furthest.ok_or_else(|| not_understood("no timeline leads on from the last checkpoint".to_owned()))
}

/// The histories that lead on from the last checkpoint, newest first; the last is that of the checkpoint's own timeline.
fn followable(data: &DataDirectory, control: &ControlData) -> Result<Vec<TimelineHistory>, PostgresError> {
    let mut newer: Vec<Timeline> = fs::read_dir(data.file("pg_wal"))
        .map_err(|source| PostgresError::File { doing: "read", path: data.file("pg_wal"), source })?
        .filter_map(|entry| history::timeline_of_file(entry.ok()?.file_name().to_str()?))
        .filter(|timeline| *timeline > control.timeline)
        .collect();
    newer.sort_unstable_by(|a, b| b.cmp(a));
    let mut histories: Vec<TimelineHistory> = newer
        .into_iter()
        .filter_map(|timeline| data.history(timeline).map_err(|error| log::warn!("{error}")).ok())
        .filter(|history| history.contains(control.timeline, control.redo))
        .collect();
    histories.push(data.history(control.timeline)?);
    Ok(histories)
}

/// Makes the next promotion, at `at` on the timeline of `history`, begin the timeline `next`.
///
/// PostgreSQL begins the first timeline above its own that has no history file (`findNewestTimeLine`,
/// `src/backend/access/transam/timeline.c`). Those in between were taken by others: each gets a file that leaves our own
/// timeline at the end of our WAL, so that nothing changes for whoever follows us, and whoever is on that timeline is
/// seen to have left. There is nothing to write in the usual case, that nobody else has taken the next one.
///
/// # Errors
///
/// When a file cannot be written.
pub fn take_timelines(
    data: &DataDirectory,
    history: &TimelineHistory,
    at: Lsn,
    next: Timeline,
) -> Result<(), PostgresError> {
    let mut lines: String = history
        .switches()
        .iter()
        .map(|switch| format!("{}\t{}\t{}\n", switch.timeline, switch.at, switch.reason))
        .collect();
    lines.push_str(&format!("{}\t{at}\ttaken by another node\n", history.timeline()));
    for number in history.timeline().0 + 1..next.0 {
        let path = data.file("pg_wal").join(history::file_name(Timeline(number)));
        if path.symlink_metadata().is_err() {
            layout::replace(&path, &lines)?;
        }
    }
    Ok(())
}

impl DataDirectory {
    /// The history of `timeline`: its file, which the first timeline does not have.
    ///
    /// # Errors
    ///
    /// When the file cannot be read or understood.
    pub fn history(&self, timeline: Timeline) -> Result<TimelineHistory, PostgresError> {
        let path = self.file("pg_wal").join(history::file_name(timeline));
        let contents = match fs::read(&path) {
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(TimelineHistory::first(timeline)),
            read => read.map_err(|source| PostgresError::File { doing: "read", path: path.clone(), source })?,
        };
        TimelineHistory::parse(timeline, &contents)
            .map_err(|error| PostgresError::Content { path, why: error.to_string() })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn taken_timelines_are_skipped_and_ours_go_on() {
        let here = tempfile::tempdir().unwrap();
        fs::create_dir(here.path().join("pg_wal")).unwrap();
        let data = DataDirectory::new(here.path());
        let ours: TimelineHistory = "1@0/1000,2".parse().unwrap();
        take_timelines(&data, &ours, Lsn(0x2000), Timeline(3)).unwrap();
        assert_eq!(fs::read_dir(here.path().join("pg_wal")).unwrap().count(), 0, "nobody has taken the next");
        take_timelines(&data, &ours, Lsn(0x2000), Timeline(5)).unwrap();
        for taken in [3, 4] {
            let history = data.history(Timeline(taken)).unwrap();
            assert_eq!(history.to_string(), format!("1@0/1000,2@0/2000,{taken}"));
        }
        assert_eq!(fs::read_dir(here.path().join("pg_wal")).unwrap().count(), 2);
    }
}
