//! `global/pg_control`: what PostgreSQL wrote down about its own state.
//!
//! Reads the file's bytes, of any origin, and never touches the file system. The format belongs to PostgreSQL
//! (`src/include/catalog/pg_control.h`) and is understood here for PostgreSQL 12 to 18; for any other,
//! [`ControlError::UnknownVersion`] sends the caller to `pg_controldata` and [`ControlData::from_pg_controldata`].

mod layout;
#[cfg(test)]
mod tests;
mod text;

use std::fmt;

use crate::location::{Lsn, Timeline};
use crate::rules::fitness::TooLow;

/// Bytes of `pg_control` that matter: the rest of its 8 KB is zeros.
///
/// PostgreSQL keeps its data within 512 bytes, one disk sector, so that a write of it is not torn.
pub const CONTROL_LEN: usize = 512;

/// What `pg_control` says.
///
/// Positions are `0/0` where PostgreSQL has none.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ControlData {
    /// `pg_control_version`: 1300 for PostgreSQL 13 to 16, 1700 for 17, 1800 for 18.
    pub control_version: u32,
    /// `catalog_version_no`: differs between all major versions; see [`ControlData::major_version`].
    pub catalog_version: u32,
    /// Made by `initdb`; the same on a primary and all its standbys.
    pub system_identifier: u64,
    /// What the instance was doing when it last wrote this.
    pub state: DbState,
    /// When this was last written, in seconds since 1970.
    pub modified: i64,
    /// Start of the latest checkpoint's record (on a standby: the latest restartpoint's).
    pub checkpoint: Lsn,
    /// Where replay starts after a crash.
    pub redo: Lsn,
    /// The timeline of that checkpoint. It lags behind the one being replayed: never the basis of an election.
    pub timeline: Timeline,
    /// The timeline before that one if the checkpoint begins a timeline, else the same.
    pub prev_timeline: Timeline,
    /// Whether full pages were being written at that checkpoint.
    pub full_page_writes: bool,
    /// When that checkpoint was made on the primary, in seconds since 1970.
    pub checkpoint_time: i64,
    /// The made-up position counter of unlogged relations.
    pub unlogged: Lsn,
    /// A standby is not consistent before it has replayed to here.
    pub min_recovery_point: Lsn,
    /// The timeline of `min_recovery_point`; none on a primary.
    pub min_recovery_timeline: Option<Timeline>,
    /// Start of the base backup being recovered.
    pub backup_start: Lsn,
    /// End of the base backup being recovered, where it was taken from a standby.
    pub backup_end: Lsn,
    /// Whether recovery must still meet the end of the base backup.
    pub backup_end_required: bool,
    /// `wal_level` as the primary last ran with it.
    pub wal_level: WalLevel,
    /// `wal_log_hints`: pg_rewind needs it, or data checksums.
    pub wal_log_hints: bool,
    /// `track_commit_timestamp` as the primary last ran with it.
    pub track_commit_timestamp: bool,
    /// What a standby's own settings must not be below.
    pub limits: Limits,
    /// Bytes per block of a relation.
    pub block_size: u32,
    /// Bytes per page of WAL.
    pub wal_block_size: u32,
    /// Bytes per WAL segment.
    pub wal_segment_size: u32,
    /// 0 without data checksums.
    pub data_checksum_version: u32,
}

impl ControlData {
    /// Reads `pg_control`; its first [`CONTROL_LEN`] bytes are enough.
    ///
    /// # Errors
    ///
    /// [`ControlError::UnknownVersion`] for a format not known here, every other for a file that is damaged or from a
    /// machine of another kind.
    pub fn parse(bytes: &[u8]) -> Result<ControlData, ControlError> {
        layout::parse(bytes)
    }

    /// Reads what `pg_controldata` prints with `LC_ALL=C` and `TZ=UTC`.
    ///
    /// It prints the values of a damaged file too. Up to PostgreSQL 16 it warns on its standard output, and this answers
    /// [`ControlError::BadCrc`]; PostgreSQL 18 warns on standard error, which the caller must look at.
    ///
    /// # Errors
    ///
    /// [`ControlError::MissingField`] and [`ControlError::BadField`], with the label as printed.
    pub fn from_pg_controldata(text: &str) -> Result<ControlData, ControlError> {
        text::parse(text)
    }

    /// The major version that this data directory belongs to, by its catalog version (`catversion.h`).
    ///
    /// None for a beta, a fork, or a release younger than this program.
    pub fn major_version(&self) -> Option<u32> {
        match self.catalog_version {
            201_909_212 => Some(12),
            202_007_201 => Some(13),
            202_107_181 => Some(14),
            202_209_061 => Some(15),
            202_307_071 => Some(16),
            202_406_281 => Some(17),
            202_506_291 => Some(18),
            _ => None,
        }
    }

    /// Whether pages carry checksums.
    pub fn has_data_checksums(&self) -> bool {
        self.data_checksum_version != 0
    }

    /// Whether a server that follows this one can be rewound: pg_rewind wants checksums or `wal_log_hints`.
    pub fn can_be_rewound(&self) -> bool {
        self.has_data_checksums() || self.wal_log_hints
    }
}

/// `DBState` of `pg_control.h`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum DbState {
    /// `starting up`: as `initdb` leaves it for a moment.
    StartingUp,
    /// `shut down`: a primary, cleanly stopped; its latest checkpoint is the end of its WAL.
    ShutDown,
    /// `shut down in recovery`: a standby, cleanly stopped.
    ShutDownInRecovery,
    /// `shutting down`: a primary writing its last checkpoint, or one that died doing so.
    ShuttingDown,
    /// `in crash recovery`.
    InCrashRecovery,
    /// `in archive recovery`: a running standby, or one that died.
    InArchiveRecovery,
    /// `in production`: a running primary, or one that died.
    InProduction,
}

impl DbState {
    /// Every state, in the order of the numbers that PostgreSQL gives them.
    pub const ALL: [DbState; 7] = [
        DbState::StartingUp,
        DbState::ShutDown,
        DbState::ShutDownInRecovery,
        DbState::ShuttingDown,
        DbState::InCrashRecovery,
        DbState::InArchiveRecovery,
        DbState::InProduction,
    ];

    /// The words of `pg_controldata`.
    pub fn as_str(self) -> &'static str {
        match self {
            DbState::StartingUp => "starting up",
            DbState::ShutDown => "shut down",
            DbState::ShutDownInRecovery => "shut down in recovery",
            DbState::ShuttingDown => "shutting down",
            DbState::InCrashRecovery => "in crash recovery",
            DbState::InArchiveRecovery => "in archive recovery",
            DbState::InProduction => "in production",
        }
    }
}

impl fmt::Display for DbState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// `wal_level` (`WalLevel` of `xlog.h`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum WalLevel {
    /// `minimal`: not enough for a standby.
    Minimal,
    /// `replica`.
    Replica,
    /// `logical`.
    Logical,
}

impl WalLevel {
    /// Every level, in the order of the numbers that PostgreSQL gives them.
    pub const ALL: [WalLevel; 3] = [WalLevel::Minimal, WalLevel::Replica, WalLevel::Logical];

    /// The words of `pg_controldata` and `postgresql.conf`.
    pub fn as_str(self) -> &'static str {
        match self {
            WalLevel::Minimal => "minimal",
            WalLevel::Replica => "replica",
            WalLevel::Logical => "logical",
        }
    }
}

impl fmt::Display for WalLevel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// The primary's settings that a hot standby's own must not be below (`CheckRequiredParameterValues`).
///
/// On a standby, `pg_control` holds the primary's as last replayed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// `max_connections`.
    pub max_connections: u32,
    /// `max_worker_processes`.
    pub max_worker_processes: u32,
    /// `max_wal_senders`.
    pub max_wal_senders: u32,
    /// `max_prepared_transactions`.
    pub max_prepared_transactions: u32,
    /// `max_locks_per_transaction`.
    pub max_locks_per_transaction: u32,
}

impl Limits {
    /// Those settings that are lower here than `required`.
    pub fn below(&self, required: &Limits) -> Vec<TooLow> {
        let all = self.named().into_iter().zip(required.named());
        let low = all.filter(|((_, own), (_, least))| own < least);
        low.map(|((name, own), (_, least))| TooLow { name: name.to_owned(), own, least }).collect()
    }

    /// With their names in `postgresql.conf`.
    fn named(&self) -> [(&'static str, u32); 5] {
        [
            ("max_connections", self.max_connections),
            ("max_worker_processes", self.max_worker_processes),
            ("max_wal_senders", self.max_wal_senders),
            ("max_prepared_transactions", self.max_prepared_transactions),
            ("max_locks_per_transaction", self.max_locks_per_transaction),
        ]
    }
}

/// Why `pg_control` could not be read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ControlError {
    /// The file ends before its data does.
    #[error("pg_control is {0} bytes long: too short")]
    TooShort(usize),
    /// A format that is not known here: ask `pg_controldata`.
    #[error("pg_control has format version {0}, which is not known here")]
    UnknownVersion(u32),
    /// Written by a machine of the other byte order.
    #[error("pg_control was written on a machine of another byte order")]
    WrongByteOrder,
    /// Damaged, or torn.
    #[error("pg_control is damaged: its checksum does not match")]
    BadCrc,
    /// Written by a machine that lays out its data differently.
    #[error("pg_control was written on a machine of another kind")]
    ForeignMachine,
    /// `pg_controldata` did not print this.
    #[error("pg_controldata printed no {0:?}")]
    MissingField(&'static str),
    /// A value that makes no sense.
    #[error("pg_control holds a senseless {field}: {value:?}")]
    BadField {
        /// Its name.
        field: &'static str,
        /// What was found.
        value: String,
    },
}

/// A [`ControlError::BadField`].
fn bad_field(field: &'static str, value: impl fmt::Display) -> ControlError {
    ControlError::BadField { field, value: value.to_string() }
}

/// WAL is addressed by these two sizes, so nonsense in them must not get any further.
fn check_sizes(data: ControlData) -> Result<ControlData, ControlError> {
    let fits = |size: u32, least: u32, most: u32| size.is_power_of_two() && (least..=most).contains(&size);
    if !fits(data.wal_segment_size, 1 << 20, 1 << 30) {
        return Err(bad_field("Bytes per WAL segment", data.wal_segment_size));
    }
    if !fits(data.wal_block_size, 1 << 10, 1 << 16) {
        return Err(bad_field("WAL block size", data.wal_block_size));
    }
    Ok(data)
}
