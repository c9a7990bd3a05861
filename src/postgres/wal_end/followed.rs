//! Which history an instance follows: those that its files leave open.

use std::fs;

use super::super::PostgresError;
use super::super::control::ControlData;
use super::super::history::{self, TimelineHistory};
use super::super::layout::DataDirectory;
use crate::location::{Lsn, Timeline};

/// The histories that an instance may follow.
#[derive(Debug, Clone)]
pub(super) struct Histories {
    /// Newest first; the last is that of the last checkpoint's own timeline.
    pub(super) followable: Vec<TimelineHistory>,
    checkpoint: TimelineHistory,
    /// Why there may be more of them.
    pub(super) trouble: Option<String>,
}

impl Histories {
    /// These, which lead on from the last checkpoint, and that of the checkpoint's own timeline.
    pub(super) fn new(newer: Vec<TimelineHistory>, checkpoint: TimelineHistory) -> Histories {
        let followable = newer.into_iter().chain([checkpoint.clone()]).collect();
        Histories { followable, checkpoint, trouble: None }
    }

    /// Those in a data directory.
    ///
    /// PostgreSQL follows none that does not lead through its last checkpoint and its minimum recovery point: it refuses to
    /// start along it. A standby that has diverged has such a history, once the new primary has sent it.
    pub(super) fn of(data: &DataDirectory, control: &ControlData) -> Histories {
        let mut trouble = None;
        let mut read = |timeline| {
            let read = data.history(timeline);
            read.map_err(|error| trouble = Some(in_short(&error, &history::file_name(timeline)))).ok()
        };
        let checkpoint = read(control.timeline).unwrap_or_else(|| TimelineHistory::forgotten(control.timeline));
        let (timelines, unlisted) = match newer(data, control.timeline) {
            Ok(timelines) => (timelines, None),
            Err(error) => (Vec::new(), Some(in_short(&error, "pg_wal"))),
        };
        let newer: Vec<TimelineHistory> = timelines.into_iter().filter_map(read).collect();
        let newer = newer.into_iter().filter(|history| leads_on(history, control)).collect();
        Histories { trouble: trouble.or(unlisted), ..Histories::new(newer, checkpoint) }
    }

    /// What PostgreSQL follows if it leads to what was replayed.
    pub(super) fn newest(&self) -> &TimelineHistory {
        self.followable.first().unwrap_or(&self.checkpoint)
    }

    /// That of the last checkpoint's timeline.
    pub(super) fn of_checkpoint(&self) -> &TimelineHistory {
        &self.checkpoint
    }
}

/// The timelines that have a history file, of those after `timeline`, newest first.
fn newer(data: &DataDirectory, timeline: Timeline) -> Result<Vec<Timeline>, PostgresError> {
    let path = data.file("pg_wal");
    let entries = fs::read_dir(&path).map_err(|source| PostgresError::File { doing: "read", path, source })?;
    let mut newer: Vec<Timeline> = entries
        .filter_map(|entry| history::timeline_of_file(entry.ok()?.file_name().to_str()?))
        .filter(|found| *found > timeline)
        .collect();
    newer.sort_unstable_by(|a, b| b.cmp(a));
    Ok(newer)
}

fn leads_on(history: &TimelineHistory, control: &ControlData) -> bool {
    let consistent = control.min_recovery_timeline.filter(|_| control.min_recovery_point > Lsn(0));
    [control.redo, control.checkpoint].iter().all(|at| history.contains(control.timeline, *at))
        && consistent.is_none_or(|timeline| history.contains(timeline, control.min_recovery_point))
}

/// An error about the file of this name, in few words.
pub(super) fn in_short(error: &PostgresError, name: &str) -> String {
    match error {
        PostgresError::File { source, .. } => format!("{name}: {source}"),
        PostgresError::Content { why, .. } => format!("{name}: {why}"),
        error => error.to_string(),
    }
}
