//! How asking PostgreSQL can fail.

use std::path::PathBuf;
use std::time::Duration;

use crate::command::CommandError;
use crate::privileges::PrivilegeError;
use crate::rules::status::Unclear;

/// PostgreSQL, or something on the way to it, did not do what it was asked.
#[derive(Debug, thiserror::Error)]
pub enum PostgresError {
    /// The PostgreSQL user cannot be used.
    #[error(transparent)]
    Privileges(#[from] PrivilegeError),
    /// A program could not be run.
    #[error(transparent)]
    Command(#[from] CommandError),
    /// A file could not be read or written.
    #[error("cannot {doing} {}: {source}", path.display())]
    File {
        /// Read, create and so on.
        doing: &'static str,
        /// The file.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// A file does not hold what it should.
    #[error("{} cannot be understood: {why}", path.display())]
    Content {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        why: String,
    },
    /// The primary was not copied.
    #[error("the primary is not copied: {0}")]
    Copy(String),
    /// What a node alone holds cannot be kept.
    #[error("what would be dropped cannot be kept: {0}")]
    NotKept(String),
    /// No connection.
    #[error("cannot ask PostgreSQL: {0}")]
    NoSession(String),
    /// A statement failed.
    #[error("{what} failed: {why}")]
    Sql {
        /// The statement.
        what: &'static str,
        /// PostgreSQL's message.
        why: String,
    },
    /// A statement took too long.
    #[error("{what} had no answer after {:.1} s", after.as_secs_f64())]
    Slow {
        /// The statement.
        what: &'static str,
        /// How long it was given.
        after: Duration,
    },
    /// A process could not be signalled.
    #[error("cannot signal process {pid}: {source}")]
    Signal {
        /// The process.
        pid: i32,
        /// Why.
        source: nix::Error,
    },
    /// A process cannot be looked at.
    #[error("{0}")]
    Hidden(Unclear),
    /// There is no process to ask.
    #[error("no postmaster uses the data directory")]
    NoPostmaster,
    /// PostgreSQL's programs are not where they should be.
    #[error("no PostgreSQL {version} programs found: install them or set the parameter bindir (looked in {looked_in})")]
    NoPrograms {
        /// The major version of the data directory.
        version: String,
        /// The directories.
        looked_in: String,
    },
}
