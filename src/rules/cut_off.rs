//! When it is worth a word that a standby receives no WAL: not after a restart or a failover, which every standby survives
//! without for a moment.

use std::time::Duration;

use crate::rules::primary_wal::PrimaryWal;

/// How long a standby may be without its primary before that is reported.
pub const PATIENCE: Duration = Duration::from_secs(30);

/// A break that no monitor has seen for this long may have ended and begun anew.
const FORGOTTEN: Duration = Duration::from_secs(15 * 60);

/// A time without WAL, counted from the start of the machine.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Break {
    /// When it was first seen.
    pub since: Duration,
    /// When it was last seen.
    pub seen: Duration,
}

impl Break {
    /// What is to be noted when nothing is received `now`, and this was `noted` before.
    pub fn seen(noted: Option<Break>, now: Duration) -> Break {
        let goes_on = |noted: &Break| noted.since <= noted.seen && noted.seen <= now && now - noted.seen <= FORGOTTEN;
        Break { since: noted.filter(goes_on).map_or(now, |noted| noted.since), seen: now }
    }

    /// How long it has lasted.
    pub fn lasted(self) -> Duration {
        self.seen.saturating_sub(self.since)
    }

    /// The same, if that is too long.
    pub fn too_long(self) -> Option<Duration> {
        Some(self.lasted()).filter(|lasted| *lasted >= PATIENCE)
    }

    /// Reads what [`Break`]'s text says; nothing from nonsense.
    pub fn read(text: &str) -> Option<Break> {
        let (since, seen) = text.trim().split_once(' ')?;
        let time = |text: &str| text.parse().ok().map(Duration::from_millis);
        Some(Break { since: time(since)?, seen: time(seen)? })
    }
}

impl std::fmt::Display for Break {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} {}", self.since.as_millis(), self.seen.as_millis())
    }
}

/// A standby has received nothing for long.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CutOff {
    /// For how long.
    pub lasted: Duration,
    /// What its server's log says last about it. That is for people: nothing follows from it.
    pub logged: Option<String>,
}

impl CutOff {
    /// The exit reason: the command that helps, how long nothing was received, and why.
    pub fn reason(&self, wal: &PrimaryWal, resource: &str) -> String {
        let logged = self.logged.as_deref();
        let (remedy, why) = match wal {
            PrimaryWal::Removed => (
                format!("run `pgsqlms rebuild --resource {resource}` here; "),
                "the primary has removed WAL that it needs",
            ),
            PrimaryWal::OtherDatabase => (
                format!("run `pgsqlms rebuild --resource {resource}` here, or correct primary_conninfo; "),
                "primary_conninfo leads to another database",
            ),
            PrimaryWal::Held | PrimaryWal::Unknown(_) => {
                let full = logged.is_some_and(|why| why.contains("No space left on device"));
                let remedy = if full { "free space here; " } else { "" };
                let check = "check primary_conninfo, the primary's pg_hba.conf and PostgreSQL's log";
                (remedy.to_owned(), logged.unwrap_or(check))
            }
        };
        format!("{remedy}no WAL received for {} s: {why}", self.lasted.as_secs())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rules::table;

    /// What was noted, in ms; now, in s → what is noted, and what that is too long for, in s.
    fn noted((before, now): (&str, u64)) -> (String, Option<u64>) {
        let seen = Break::seen(Break::read(before), Duration::from_secs(now));
        (seen.to_string(), seen.too_long().map(|lasted| lasted.as_secs()))
    }

    table! { noted;
        a_break_begins: ("", 100) => ("100000 100000".to_owned(), None);
        it_is_short: ("100000 100000", 129) => ("100000 129000".to_owned(), None);
        it_lasts: ("100000 129000", 130) => ("100000 130000".to_owned(), Some(30));
        not_seen_for_long: ("100000 129000", 2000) => ("2000000 2000000".to_owned(), None);
        looked_at_rarely: ("86400000 86401000", 87_000) => ("86400000 87000000".to_owned(), Some(600));
        noted_before_the_machine_was_started: ("100000 129000", 5) => ("5000 5000".to_owned(), None);
        nonsense: ("x 7", 5) => ("5000 5000".to_owned(), None);
        half_a_file: ("100000", 500) => ("500000 500000".to_owned(), None);
    }

    fn said((logged, wal): (Option<&str>, PrimaryWal)) -> String {
        let cut_off = CutOff { lasted: Duration::from_secs(75), logged: logged.map(str::to_owned) };
        cut_off.reason(&wal, "pgsqld")
    }

    const STALE: Option<&str> = Some("requested WAL segment 1 has already been removed");

    table! { said;
        known: (Some("could not connect to the primary server: timeout"), PrimaryWal::default())
            => "no WAL received for 75 s: could not connect to the primary server: timeout";
        removed: (None, PrimaryWal::Removed)
            => "run `pgsqlms rebuild --resource pgsqld` here; no WAL received for 75 s: the primary has removed WAL that it needs";
        a_line_in_the_log_calls_for_nothing: (STALE, PrimaryWal::default())
            => "no WAL received for 75 s: requested WAL segment 1 has already been removed";
        nor_where_the_primary_has_it: (STALE, PrimaryWal::Held)
            => "no WAL received for 75 s: requested WAL segment 1 has already been removed";
        another_database: (None, PrimaryWal::OtherDatabase)
            => "run `pgsqlms rebuild --resource pgsqld` here, or correct primary_conninfo; no WAL received for 75 s: primary_conninfo leads to another database";
        full: (Some("could not write to file \"pg_wal/xlogtemp.1\": No space left on device"), PrimaryWal::default())
            => "free space here; no WAL received for 75 s: could not write to file \"pg_wal/xlogtemp.1\": No space left on device";
        unknown: (None, PrimaryWal::default())
            => "no WAL received for 75 s: check primary_conninfo, the primary's pg_hba.conf and PostgreSQL's log";
    }
}
