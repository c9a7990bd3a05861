//! Where the WAL of one data directory ends, and on which timeline. The caller acts as the PostgreSQL user.

use std::fs;

use super::PostgresError;
use super::control::ControlData;
use super::history::{self, TimelineHistory};
use super::layout::DataDirectory;
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
