//! The bytes of `pg_control`: `ControlFileData` of `pg_control.h`, as 64-bit machines lay it out.

use super::{ControlData, ControlError, DbState, Limits, WalLevel, bad_field, check_sizes};
use crate::location::{Lsn, Timeline};

/// A format of `pg_control`: what differs between those that are known here.
///
/// All fields that are read lie at the same place in all of them. What moved is what follows: PostgreSQL 18 put a flag
/// (`default_char_signedness`) before the authentication nonce, and so the checksum came 4 bytes later.
struct Format {
    /// `pg_control_version`.
    version: u32,
    /// Where the checksum is; it covers everything before it.
    crc_at: usize,
}

const FORMATS: [Format; 4] = [
    Format { version: 1201, crc_at: 288 },
    Format { version: 1300, crc_at: 288 },
    Format { version: 1700, crc_at: 288 },
    Format { version: 1800, crc_at: 292 },
];

/// `floatFormat` holds this, to recognize machines with another floating-point format.
const FLOAT_FORMAT: f64 = 1_234_567.0;

/// Reads the bytes, once they are known to be whole.
pub(super) fn parse(bytes: &[u8]) -> Result<ControlData, ControlError> {
    let version = Fields(bytes).u32(8)?;
    let known = |version: u32| FORMATS.iter().find(|format| format.version == version);
    let Some(format) = known(version) else {
        let swapped = known(version.swap_bytes()).is_some();
        return Err(if swapped { ControlError::WrongByteOrder } else { ControlError::UnknownVersion(version) });
    };
    let covered = bytes.get(..format.crc_at).ok_or(ControlError::TooShort(bytes.len()))?;
    if Fields(bytes).u32(format.crc_at)? != crc32c::crc32c(covered) {
        return Err(ControlError::BadCrc);
    }
    check_sizes(Fields(covered).control_data()?)
}

/// The bytes before the checksum, read by offset in the byte order of this machine.
struct Fields<'a>(&'a [u8]);

impl Fields<'_> {
    fn take<const N: usize>(&self, at: usize) -> Result<[u8; N], ControlError> {
        self.0.get(at..).and_then(|rest| rest.first_chunk::<N>()).copied().ok_or(ControlError::TooShort(self.0.len()))
    }

    fn u32(&self, at: usize) -> Result<u32, ControlError> {
        self.take(at).map(u32::from_ne_bytes)
    }

    fn u64(&self, at: usize) -> Result<u64, ControlError> {
        self.take(at).map(u64::from_ne_bytes)
    }

    fn time(&self, at: usize) -> Result<i64, ControlError> {
        self.take(at).map(i64::from_ne_bytes)
    }

    fn lsn(&self, at: usize) -> Result<Lsn, ControlError> {
        self.u64(at).map(Lsn)
    }

    fn timeline(&self, at: usize) -> Result<Timeline, ControlError> {
        self.u32(at).map(Timeline)
    }

    fn flag(&self, at: usize) -> Result<bool, ControlError> {
        self.take(at).map(|[byte]| byte != 0)
    }

    /// A member of a C enumeration that counts from 0.
    fn member<T: Copy>(&self, at: usize, all: &[T], field: &'static str) -> Result<T, ControlError> {
        let number = self.u32(at)?;
        usize::try_from(number).ok().and_then(|n| all.get(n)).copied().ok_or_else(|| bad_field(field, number))
    }

    fn limits(&self) -> Result<Limits, ControlError> {
        Ok(Limits {
            max_connections: self.u32(180)?,
            max_worker_processes: self.u32(184)?,
            max_wal_senders: self.u32(188)?,
            max_prepared_transactions: self.u32(192)?,
            max_locks_per_transaction: self.u32(196)?,
        })
    }

    /// The copy of the checkpoint record is at 40 and is 88 bytes long.
    fn control_data(&self) -> Result<ControlData, ControlError> {
        if self.u32(204)? != 8 || f64::from_bits(self.u64(208)?) != FLOAT_FORMAT {
            return Err(ControlError::ForeignMachine);
        }
        Ok(ControlData {
            control_version: self.u32(8)?,
            catalog_version: self.u32(12)?,
            system_identifier: self.u64(0)?,
            state: self.member(16, &DbState::ALL, "Database cluster state")?,
            modified: self.time(24)?,
            checkpoint: self.lsn(32)?,
            redo: self.lsn(40)?,
            timeline: self.timeline(48)?,
            prev_timeline: self.timeline(52)?,
            full_page_writes: self.flag(56)?,
            checkpoint_time: self.time(104)?,
            unlogged: self.lsn(128)?,
            min_recovery_point: self.lsn(136)?,
            min_recovery_timeline: Some(self.timeline(144)?).filter(|timeline| timeline.0 != 0),
            backup_start: self.lsn(152)?,
            backup_end: self.lsn(160)?,
            backup_end_required: self.flag(168)?,
            wal_level: self.member(172, &WalLevel::ALL, "wal_level setting")?,
            wal_log_hints: self.flag(176)?,
            limits: self.limits()?,
            track_commit_timestamp: self.flag(200)?,
            block_size: self.u32(216)?,
            wal_block_size: self.u32(224)?,
            wal_segment_size: self.u32(228)?,
            data_checksum_version: self.u32(252)?,
        })
    }
}
