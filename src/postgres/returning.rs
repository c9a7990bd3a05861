//! What the agent asks of an instance that has left the cluster's history and is to come back: by a rewind, or by a copy of the
//! primary.

use std::path::PathBuf;

use super::PostgresError;
use crate::clock::Deadline;
use crate::rules::primary_wal::PrimaryWal;
use crate::rules::rebuild::{Job, Order, Sites};
use crate::rules::rejoin::{Divergence, Notes};
use crate::vote::Vote;

/// An instance that comes back. One that never has to needs nothing of this.
pub trait Returning {
    /// What is noted about rewinding it; nothing of one that is never rewound.
    ///
    /// # Errors
    ///
    /// When that cannot be read: then it must not be launched.
    fn notes(&mut self) -> Result<Notes, PostgresError> {
        Ok(Notes::default())
    }

    /// Notes this.
    ///
    /// # Errors
    ///
    /// When it cannot be written.
    fn note(&mut self, _notes: &Notes) -> Result<(), PostgresError> {
        Ok(())
    }

    /// The reason why it cannot be rewound from any source, if there is one.
    fn obstacle(&mut self) -> Option<String> {
        None
    }

    /// The reason why it cannot be rewound until an operator helps, as far as that is seen before pg_rewind is asked.
    ///
    /// # Errors
    ///
    /// When that cannot be seen.
    fn hindrance(&mut self, _divergence: &Divergence) -> Result<Option<String>, PostgresError> {
        Ok(None)
    }

    /// The reason why the WAL since its divergence cannot be kept, if so: there is no room, or no place.
    ///
    /// # Errors
    ///
    /// When that cannot be seen.
    fn lacks_room(&mut self, _divergence: &Divergence) -> Result<Option<String>, PostgresError> {
        Ok(None)
    }

    /// What it holds since it diverged: a list of transactions for people.
    ///
    /// # Errors
    ///
    /// When its WAL cannot be read.
    fn at_stake(&mut self, _divergence: &Divergence) -> Result<String, PostgresError> {
        Ok(String::new())
    }

    /// Rewinds it to where it has diverged, or goes on with a rewind that was interrupted; what is noted then. It must not run.
    ///
    /// # Errors
    ///
    /// When nothing can be noted. What went wrong with the rewind itself is in the notes.
    fn rewind(&mut self, _divergence: Option<&Divergence>, _until: Deadline) -> Result<Notes, PostgresError> {
        Ok(Notes::default())
    }

    /// What is ordered about rebuilding it; nothing of one that is never rebuilt.
    ///
    /// # Errors
    ///
    /// When that cannot be read.
    fn order(&mut self) -> Result<Order, PostgresError> {
        Ok(Order::default())
    }

    /// Orders this.
    ///
    /// # Errors
    ///
    /// When it cannot be written.
    fn put_order(&mut self, _order: &Order) -> Result<(), PostgresError> {
        Ok(())
    }

    /// Which directories of a rebuild are there.
    ///
    /// # Errors
    ///
    /// When that cannot be seen.
    fn sites(&mut self) -> Result<Sites, PostgresError> {
        Ok(Sites { data: true, copy: false, old: false })
    }

    /// What a rebuild would be like.
    ///
    /// # Errors
    ///
    /// When that cannot be seen.
    fn outlook(&mut self) -> Result<Outlook, PostgresError> {
        Ok(Outlook::default())
    }

    /// Copies the primary beside the data directory, with this node's configuration, and reports the progress; returns how far the
    /// copy's WAL reaches. It may run.
    ///
    /// # Errors
    ///
    /// What went wrong.
    fn copy(&mut self, _on_line: &mut dyn FnMut(&str)) -> Result<Vote, PostgresError> {
        Err(PostgresError::NoPostmaster)
    }

    /// The state of a rebuild that is in progress.
    ///
    /// # Errors
    ///
    /// When that cannot be seen.
    fn job(&mut self) -> Result<Job, PostgresError> {
        Ok(Job::default())
    }

    /// Makes sure that no other process rebuilds it while this process lives.
    ///
    /// # Errors
    ///
    /// When another process does.
    fn claim_job(&mut self) -> Result<(), PostgresError> {
        Ok(())
    }

    /// Starts `pgsqlms rebuild` and leaves it running, without a hand and in a session of its own.
    ///
    /// # Errors
    ///
    /// When it cannot be started.
    fn leave_rebuilding(&mut self) -> Result<(), PostgresError> {
        Err(PostgresError::NoPostmaster)
    }

    /// Whether the primary still has the WAL that this node needs next: the primary itself is asked, for a few seconds at most.
    ///
    /// # Errors
    ///
    /// When the position that this node needs, or the primary's address, cannot be determined.
    fn primary_wal(&mut self) -> Result<PrimaryWal, PostgresError> {
        Ok(PrimaryWal::default())
    }

    /// Whether WAL may come from an archive.
    ///
    /// # Errors
    ///
    /// When it does not say.
    fn has_archive(&mut self) -> Result<bool, PostgresError> {
        Ok(true)
    }

    /// Keeps what it holds since it diverged outside the data directory; where.
    ///
    /// # Errors
    ///
    /// When not all of it is kept.
    fn keep(&mut self, _divergence: &Divergence) -> Result<PathBuf, PostgresError> {
        Err(PostgresError::NoPostmaster)
    }

    /// Renames a directory, or removes one.
    ///
    /// # Errors
    ///
    /// When that is refused.
    fn change_place(&mut self, _change: Place) -> Result<(), PostgresError> {
        Ok(())
    }
}

/// What becomes of a directory of a rebuild.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Place {
    /// The data directory gets another name.
    Aside,
    /// The copy gets the data directory's name.
    Into,
    /// The old data gets its name back.
    Back,
    /// The old data is removed.
    DropOld,
    /// The copy is removed, and what is left of one.
    DropCopy,
}

/// What a rebuild would be like.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Outlook {
    /// Where the primary would be copied from, without secrets; or why that is not known.
    pub source: String,
    /// Where the copy would be made.
    pub beside: PathBuf,
    /// Where the old data would be meanwhile.
    pub old: PathBuf,
    /// The bytes that are free there.
    pub free: u64,
    /// The bytes that the data directory takes.
    pub size: u64,
    /// The process that copies into that place now.
    pub copying: Option<i32>,
    /// What makes it impossible.
    pub obstacle: Option<String>,
}
