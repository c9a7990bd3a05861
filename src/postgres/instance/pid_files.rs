//! Files that a postmaster which is gone has left, and that keep a new one from starting.

use super::Instance;
use crate::postgres::processes::{self, Processes};

impl Instance {
    /// Removes what a dead postmaster has written to `postmaster.pid`. PostgreSQL, which sees the number only, would not start
    /// ("lock file already exists") where that is taken: by a dead process that is not reaped yet, or by another one since.
    /// And where the new postmaster happens to get that number, as it may after a power cut, what is there would be taken for
    /// its own word.
    pub(super) fn forget_dead_postmaster(&mut self) {
        let Some(file) = self.as_user(|data| Ok(data.pid_file())).ok().flatten() else { return };
        let Some(pid) = file.pid else { return };
        if self.is_in_use() {
            return;
        }
        log::info!("removing postmaster.pid: process {pid} is no longer this instance's postmaster");
        let removed = self.as_user(|data| data.remove_pid_files(&file));
        removed.unwrap_or_else(|error| log::warn!("{error}"));
    }

    /// Removes stale `postmaster.pid` and socket lock files of an instance that does not run. A rewind removes only the former,
    /// and then the owner of the lock file could not be determined any more.
    pub(super) fn forget_pid_files(&mut self) {
        if self.is_in_use() {
            return;
        }
        let removed = self.as_user(|data| data.pid_file().map_or(Ok(()), |file| data.remove_pid_files(&file)));
        removed.unwrap_or_else(|error| log::warn!("{error}"));
    }

    /// Whether any process uses the data directory, in a container perhaps.
    fn is_in_use(&mut self) -> bool {
        let Processes { postmaster, orphans, unclear } = self.processes();
        let is_ours = postmaster.is_some() || !orphans.is_empty() || unclear.is_some();
        is_ours || self.look(|data, _| processes::is_in_use_anywhere(data.path()))
    }
}
