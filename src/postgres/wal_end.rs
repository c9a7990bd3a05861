//! Where the WAL of one data directory ends, and on which timeline. The caller acts as the PostgreSQL user.

mod followed;
mod progress;
mod reading;
#[cfg(test)]
mod tests;

use std::fs;

use super::PostgresError;
use super::control::ControlData;
use super::history::{self, TimelineHistory};
use super::layout::{self, DataDirectory};
use super::wal::{Geometry, WalDirectory};
use crate::location::{Lsn, Timeline};
use crate::vote::Extent;
use followed::Histories;
pub use progress::{BadProgress, Progress};
use reading::OnDisk;

/// What a running server says of its WAL; nothing where it cannot be asked.
#[derive(Debug, Clone, Copy, Default)]
pub struct Positions {
    /// Received from a primary and flushed.
    pub received: Option<Lsn>,
    /// Replayed.
    pub replayed: Option<Lsn>,
}

/// The end of valid WAL, as far as it was read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct End {
    /// The timeline that the furthest known position is on, and those before it.
    pub history: TimelineHistory,
    /// The position after the last valid record that was read.
    pub lsn: Lsn,
    /// Whether WAL ends there.
    pub extent: Extent,
    /// What the server says it has received, where that is on this history.
    pub received: Option<Lsn>,
    /// Where the next reading can go on, if much was read.
    pub progress: Option<Progress>,
}

/// Finds the end of the valid WAL on disk, of an instance whose server has reported these `positions`.
///
/// The timeline in pg_control is that of the last checkpoint or restart point and stays behind for minutes after a
/// promotion. So WAL is read along the newest timeline whose history is there, as recovery with
/// `recovery_target_timeline = latest` does (`src/backend/access/transam/xlogrecovery.c`), unless that does not lead to what
/// was replayed. What was replayed or read before, as was `noted`, is not read again.
pub fn on_disk(
    data: &DataDirectory,
    control: &ControlData,
    positions: Positions,
    noted: Option<&Progress>,
    keep_going: &mut dyn FnMut() -> bool,
) -> End {
    let histories = Histories::of(data, control);
    let Some(geometry) = Geometry::of(control) else {
        return End::unread(&histories, control, "impossible segment size".to_owned());
    };
    let segments = WalDirectory::new(data.file("pg_wal"), geometry);
    OnDisk { segments: &segments, geometry, control }.end(&histories, positions, noted, keep_going)
}

impl End {
    /// Of WAL that nothing was read of.
    fn unread(histories: &Histories, control: &ControlData, why: String) -> End {
        let (history, extent) = (histories.of_checkpoint().clone(), Extent::Unread(why));
        End { history, lsn: control.checkpoint, extent, received: None, progress: None }
    }
}

/// What is in the history file of a timeline that another node has taken. It leads to nothing that we have, so a running
/// standby does not follow it ("is not a child of database system timeline", `xlogrecovery.c`).
const TAKEN: &str = "# This timeline was taken by another node (pgsqlms).\n";

/// Makes the next promotion of an instance on `timeline` begin the timeline `next`.
///
/// PostgreSQL begins the first timeline above its own that has no history file (`findNewestTimeLine`,
/// `src/backend/access/transam/timeline.c`), so those in between, which others have taken, get one. There is nothing to
/// write in the usual case, that no other node has taken the next one.
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

/// The newest timeline of which there is a history file; the first, which has none, where there is no other.
///
/// # Errors
///
/// When `pg_wal` cannot be read.
pub fn newest_timeline(data: &DataDirectory) -> Result<Timeline, PostgresError> {
    let path = data.file("pg_wal");
    let entries = fs::read_dir(&path).map_err(|source| PostgresError::File { doing: "read", path, source })?;
    let timelines = entries.filter_map(|entry| history::timeline_of_file(entry.ok()?.file_name().to_str()?));
    Ok(timelines.max().unwrap_or(Timeline(1)))
}

/// The timeline along which a standby has to recover, where the newest in `pg_wal` does not lead on from its data; none where
/// PostgreSQL finds it by itself.
///
/// A diverged standby that a primary has sent its history is in that state. With `recovery_target_timeline = latest` PostgreSQL
/// ends at once (`requested timeline is not a child of this server's history`), or waits for ever for the WAL of its last
/// checkpoint on the wrong timeline (`InitWalRecovery`, `src/backend/access/transam/xlogrecovery.c`).
///
/// # Errors
///
/// When `pg_wal` cannot be read.
pub fn own_timeline(data: &DataDirectory, control: &ControlData) -> Result<Option<Timeline>, PostgresError> {
    let histories = Histories::of(data, control);
    // Of a backup its label decides; and what cannot be read may be the history that leads on.
    if data.has("backup_label") || histories.trouble.is_some() {
        return Ok(None);
    }
    let own = histories.newest().timeline();
    Ok((newest_timeline(data)? > own).then_some(own))
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
