//! Whether a primary's WAL stands still: sessions get in and read, and no commit goes through.
//!
//! WAL that waits for the disk is nothing strange: a transaction that does not end has some. Only storage itself can show whether it
//! answers, and that is asked for rarely.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use crate::location::Lsn;

/// WAL is on the disk sooner than this.
const USUAL: Duration = Duration::from_secs(1);

/// What is suspected of WAL that is not on the disk.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Suspicion {
    /// Nothing: it is new.
    None,
    /// That the storage hangs.
    Hangs,
    /// Nothing: the storage has answered since.
    Refuted,
}

/// WAL of a primary that was not on the disk, as a monitor has seen it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Standstill {
    /// Since when nothing more is on the disk, counted from the start of the machine.
    pub since: Duration,
    /// How far the WAL is on the disk.
    pub flushed: Lsn,
    /// How far there is WAL.
    pub inserted: Lsn,
    /// What is suspected.
    pub suspicion: Suspicion,
}

impl Standstill {
    /// What is to be noted of a primary's WAL as it is `now`, when this was `noted` before; nothing if all of it is on the disk.
    pub fn seen(noted: Option<Standstill>, now: Duration, flushed: Lsn, inserted: Lsn) -> Option<Standstill> {
        if inserted <= flushed {
            return None;
        }
        let new = Standstill { since: now, flushed, inserted, suspicion: Suspicion::None };
        let Some(noted) = noted.filter(|noted| noted.flushed == flushed && noted.since <= now) else {
            return Some(new);
        };
        let suspicion = match noted.suspicion {
            Suspicion::Refuted if noted.inserted == inserted => Suspicion::Refuted,
            _ if now - noted.since >= USUAL => Suspicion::Hangs,
            _ => Suspicion::None,
        };
        Some(Standstill { inserted, suspicion, ..noted })
    }

    /// The same after the storage has answered.
    #[must_use]
    pub fn refuted(self) -> Self {
        Self { suspicion: Suspicion::Refuted, ..self }
    }
}

impl fmt::Display for Standstill {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let word = match self.suspicion {
            Suspicion::None => "new",
            Suspicion::Hangs => "hangs",
            Suspicion::Refuted => "answers",
        };
        write!(f, "{} {} {} {word}", self.since.as_millis(), self.flushed, self.inserted)
    }
}

impl FromStr for Standstill {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, ()> {
        let words: Vec<&str> = text.split_whitespace().collect();
        let [since, flushed, inserted, word] = words[..] else { return Err(()) };
        let lsn = |text: &str| text.parse().map_err(|_| ());
        Ok(Self {
            since: Duration::from_millis(since.parse().map_err(|_| ())?),
            flushed: lsn(flushed)?,
            inserted: lsn(inserted)?,
            suspicion: match word {
                "new" => Suspicion::None,
                "hangs" => Suspicion::Hangs,
                "answers" => Suspicion::Refuted,
                _ => return Err(()),
            },
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rules::table;

    /// What was noted; now, in s, and how far the WAL is flushed and inserted → what is noted.
    fn noted((before, now, flushed, inserted): (&str, u64, u64, u64)) -> String {
        let seen = Standstill::seen(before.parse().ok(), Duration::from_secs(now), Lsn(flushed), Lsn(inserted));
        seen.map_or_else(String::new, |seen| seen.to_string())
    }

    table! { noted;
        all_is_on_the_disk: ("", 100, 0x10, 0x10) => "";
        all_is_on_the_disk_again: ("100000 0/10 0/11 hangs", 120, 0x11, 0x11) => "";
        some_is_not: ("", 100, 0x10, 0x11) => "100000 0/10 0/11 new";
        it_goes_on: ("100000 0/10 0/11 new", 102, 0x11, 0x12) => "102000 0/11 0/12 new";
        it_goes_on_again: ("100000 0/10 0/11 hangs", 102, 0x11, 0x12) => "102000 0/11 0/12 new";
        looked_at_again_at_once: ("100000 0/10 0/11 new", 100, 0x10, 0x11) => "100000 0/10 0/11 new";
        it_stands_still: ("100000 0/10 0/11 new", 102, 0x10, 0x11) => "100000 0/10 0/11 hangs";
        it_stands_still_and_grows: ("100000 0/10 0/11 new", 102, 0x10, 0x12) => "100000 0/10 0/12 hangs";
        it_still_does: ("100000 0/10 0/11 hangs", 104, 0x10, 0x11) => "100000 0/10 0/11 hangs";
        a_transaction_that_does_not_end: ("100000 0/10 0/11 answers", 104, 0x10, 0x11) => "100000 0/10 0/11 answers";
        it_goes_on_writing: ("100000 0/10 0/11 answers", 104, 0x10, 0x12) => "100000 0/10 0/12 hangs";
        noted_before_the_machine_was_started: ("100000 0/10 0/11 hangs", 5, 0x10, 0x11) => "5000 0/10 0/11 new";
        nonsense: ("x", 5, 0x10, 0x11) => "5000 0/10 0/11 new";
    }

    #[test]
    fn an_answer_refutes_it() {
        let seen: Standstill = "100000 0/10 0/11 hangs".parse().unwrap();
        assert_eq!(seen.refuted().to_string(), "100000 0/10 0/11 answers");
    }
}
