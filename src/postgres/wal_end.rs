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
///
/// One that does not lead through the minimum recovery point is none that this instance has followed: PostgreSQL refuses to
/// start along it. A standby that has diverged has such a history, once the new primary has told it.
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
        .filter(|history| {
            let consistent = control.min_recovery_timeline.filter(|_| control.min_recovery_point > Lsn(0));
            consistent.is_none_or(|timeline| history.contains(timeline, control.min_recovery_point))
        })
        .collect();
    histories.push(data.history(control.timeline)?);
    Ok(histories)
}

/// What is in the history file of a timeline that another node has taken. It leads to nothing that we have, so a running
/// standby does not follow it ("is not a child of database system timeline", `xlogrecovery.c`).
const TAKEN: &str = "# This timeline was taken by another node (pgsqlms).\n";

/// Makes the next promotion of an instance on `timeline` begin the timeline `next`.
///
/// PostgreSQL begins the first timeline above its own that has no history file (`findNewestTimeLine`,
/// `src/backend/access/transam/timeline.c`), so those in between, which others have taken, get one. There is nothing to
/// write in the usual case, that nobody else has taken the next one.
///
/// # Errors
///
/// When a file cannot be written.
pub fn take_timelines(data: &DataDirectory, timeline: Timeline, next: Timeline) -> Result<(), PostgresError> {
    for number in timeline.0 + 1..next.0 {
        let path = data.file("pg_wal").join(history::file_name(Timeline(number)));
        if path.symlink_metadata().is_err() {
            layout::replace(&path, TAKEN)?;
        }
    }
    Ok(())
}

/// Forgets that the newest timelines were taken by others: left by a promotion that did not happen, they would keep the
/// server from starting. Those before a timeline that leads on have to stay.
///
/// # Errors
///
/// When `pg_wal` cannot be read or a file not be removed.
pub fn forget_taken(data: &DataDirectory) -> Result<(), PostgresError> {
    let directory = data.file("pg_wal");
    let failed = |doing, path: &std::path::Path| {
        let path = path.to_owned();
        move |source| PostgresError::File { doing, path, source }
    };
    let entries = fs::read_dir(&directory).map_err(failed("read", &directory))?;
    let mut timelines: Vec<Timeline> =
        entries.filter_map(|entry| history::timeline_of_file(entry.ok()?.file_name().to_str()?)).collect();
    timelines.sort_unstable_by(|a, b| b.cmp(a));
    for timeline in timelines {
        let path = directory.join(history::file_name(timeline));
        if fs::read(&path).map_err(failed("read", &path))? != TAKEN.as_bytes() {
            break;
        }
        fs::remove_file(&path).map_err(failed("remove", &path))?;
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
    fn taken_timelines_are_skipped_and_forgotten() {
        let here = tempfile::tempdir().unwrap();
        let wal = here.path().join("pg_wal");
        fs::create_dir(&wal).unwrap();
        let data = DataDirectory::new(here.path());
        let files = || fs::read_dir(&wal).unwrap().count();
        take_timelines(&data, Timeline(2), Timeline(3)).unwrap();
        assert_eq!(files(), 0, "nobody has taken the next");
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
}
