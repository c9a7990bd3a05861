//! The lines of `pg_controldata`, for a format of the file that is not known here.

use super::{ControlData, ControlError, DbState, Limits, WalLevel, bad_field, check_sizes};
use crate::location::{Lsn, Timeline};

/// Reads the text that `pg_controldata` prints.
pub(super) fn parse(text: &str) -> Result<ControlData, ControlError> {
    if text.lines().any(|line| line.starts_with("WARNING: Calculated CRC")) {
        return Err(ControlError::BadCrc);
    }
    check_sizes(Lines(text).control_data()?)
}

/// Lines of `label:   value`.
struct Lines<'a>(&'a str);

impl<'a> Lines<'a> {
    /// The value of the first line with this label. Labels hold colons ("oldestCommitTsXid:738"), so split by label.
    fn get(&self, label: &'static str) -> Result<&'a str, ControlError> {
        self.0
            .lines()
            .find_map(|line| line.strip_prefix(label)?.strip_prefix(':'))
            .map(str::trim)
            .ok_or(ControlError::MissingField(label))
    }

    fn number<T: std::str::FromStr>(&self, label: &'static str) -> Result<T, ControlError> {
        let value = self.get(label)?;
        value.parse().map_err(|_| bad_field(label, value))
    }

    fn lsn(&self, label: &'static str) -> Result<Lsn, ControlError> {
        self.number(label)
    }

    fn timeline(&self, label: &'static str) -> Result<Timeline, ControlError> {
        self.number(label).map(Timeline)
    }

    fn either(&self, label: &'static str, yes: &str, no: &str) -> Result<bool, ControlError> {
        match self.get(label)? {
            value if value == yes => Ok(true),
            value if value == no => Ok(false),
            value => Err(bad_field(label, value)),
        }
    }

    fn on_off(&self, label: &'static str) -> Result<bool, ControlError> {
        self.either(label, "on", "off")
    }

    fn member<T: Copy>(
        &self,
        label: &'static str,
        all: &[T],
        as_str: impl Fn(T) -> &'static str,
    ) -> Result<T, ControlError> {
        let value = self.get(label)?;
        all.iter().copied().find(|one| as_str(*one) == value).ok_or_else(|| bad_field(label, value))
    }

    fn time(&self, label: &'static str) -> Result<i64, ControlError> {
        let value = self.get(label)?;
        unix_time(value).ok_or_else(|| bad_field(label, value))
    }

    fn limits(&self) -> Result<Limits, ControlError> {
        Ok(Limits {
            max_connections: self.number("max_connections setting")?,
            max_worker_processes: self.number("max_worker_processes setting")?,
            max_wal_senders: self.number("max_wal_senders setting")?,
            max_prepared_transactions: self.number("max_prepared_xacts setting")?,
            max_locks_per_transaction: self.number("max_locks_per_xact setting")?,
        })
    }

    fn control_data(&self) -> Result<ControlData, ControlError> {
        Ok(ControlData {
            control_version: self.number("pg_control version number")?,
            catalog_version: self.number("Catalog version number")?,
            system_identifier: self.number("Database system identifier")?,
            state: self.member("Database cluster state", &DbState::ALL, DbState::as_str)?,
            modified: self.time("pg_control last modified")?,
            checkpoint: self.lsn("Latest checkpoint location")?,
            redo: self.lsn("Latest checkpoint's REDO location")?,
            timeline: self.timeline("Latest checkpoint's TimeLineID")?,
            prev_timeline: self.timeline("Latest checkpoint's PrevTimeLineID")?,
            full_page_writes: self.on_off("Latest checkpoint's full_page_writes")?,
            checkpoint_time: self.time("Time of latest checkpoint")?,
            unlogged: self.lsn("Fake LSN counter for unlogged rels")?,
            min_recovery_point: self.lsn("Minimum recovery ending location")?,
            min_recovery_timeline: Some(self.timeline("Min recovery ending loc's timeline")?)
                .filter(|timeline| timeline.0 != 0),
            backup_start: self.lsn("Backup start location")?,
            backup_end: self.lsn("Backup end location")?,
            backup_end_required: self.either("End-of-backup record required", "yes", "no")?,
            wal_level: self.member("wal_level setting", &WalLevel::ALL, WalLevel::as_str)?,
            wal_log_hints: self.on_off("wal_log_hints setting")?,
            limits: self.limits()?,
            track_commit_timestamp: self.on_off("track_commit_timestamp setting")?,
            block_size: self.number("Database block size")?,
            wal_block_size: self.number("WAL block size")?,
            wal_segment_size: self.number("Bytes per WAL segment")?,
            data_checksum_version: self.number("Data page checksum version")?,
        })
    }
}

/// `Sun Nov 22 22:35:08 2026`, which is `strftime`'s `%c` in the C locale, taken as UTC.
fn unix_time(text: &str) -> Option<i64> {
    const MONTHS: [&str; 12] = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];
    let mut words = text.split_ascii_whitespace().skip(1);
    let month = words.next().and_then(|name| MONTHS.iter().position(|month| *month == name))?;
    let day: i64 = words.next()?.parse().ok().filter(|day| (1..=31).contains(day))?;
    let mut clock = words.next()?.split(':').map(|part| part.parse().ok().filter(|n| (0..=60).contains(n)));
    let (hour, minute, second): (i64, i64, i64) = (clock.next()??, clock.next()??, clock.next()??);
    let year: i64 = words.next()?.parse().ok().filter(|year| (1970..=9999).contains(year))?;
    let days = days_since_1970(year, i64::try_from(month).ok()?, day);
    Some(((days * 24 + hour) * 60 + minute) * 60 + second)
}

/// Days from 1970-01-01 to a day of the Gregorian calendar; `month` counts from 0.
fn days_since_1970(year: i64, month: i64, day: i64) -> i64 {
    const BEFORE_MONTH: [i64; 12] = [0, 31, 59, 90, 120, 151, 181, 212, 243, 273, 304, 334];
    let leap_days = |years: i64| years / 4 - years / 100 + years / 400;
    let is_leap = leap_days(year) > leap_days(year - 1);
    let in_year = usize::try_from(month).ok().and_then(|m| BEFORE_MONTH.get(m)).copied().unwrap_or(0);
    (year - 1970) * 365 + leap_days(year - 1) - leap_days(1969) + in_year + i64::from(is_leap && month > 1) + day - 1
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_seconds_since_1970() {
        assert_eq!(unix_time("Thu Jan  1 00:00:00 1970"), Some(0));
        assert_eq!(unix_time("Tue Feb 29 12:34:56 2000"), Some(951_827_696));
        assert_eq!(unix_time("Fri Mar  1 00:00:00 2024"), Some(1_709_251_200));
        assert_eq!(unix_time("Sat Dec 31 23:59:59 2033"), Some(2_019_686_399));
        for bad in
            ["", "Thu", "Thu Foo 1 0:0:0 1970", "Thu Jan 32 0:0:0 1970", "Thu Jan 1 0:0 1970", "x Jan 1 0:0:-1 1970"]
        {
            assert_eq!(unix_time(bad), None, "{bad}");
        }
    }
}
