//! When the finding of a recurring monitor is logged: when it begins, when it is something else, when it is over, and once
//! an hour while it lasts. A monitor that says the same every few seconds hides everything else.

use std::fmt;

use crate::rules::shown;

/// How often what lasts is logged, in seconds.
const OFTEN: u64 = 3600;

/// What was logged last.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Logged {
    /// When, in seconds since 1970.
    pub at: u64,
    /// With which code.
    pub code: u8,
    /// Without what changes from one monitor to the next.
    pub kind: String,
}

/// The line to log now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Say {
    /// Nothing.
    Nothing,
    /// What was found.
    It,
    /// That this is over.
    Over(String),
}

/// The line to log `now` that `code` and `reason` were found, when this was `noted`; and the new note.
pub fn due(noted: Option<Logged>, code: u8, reason: Option<&str>, now: u64) -> (Say, Option<Logged>) {
    let found = reason.map(|reason| Logged { at: now, code, kind: shown::kind(reason) });
    match (noted, found) {
        (None, None) => (Say::Nothing, None),
        (Some(noted), None) => (Say::Over(noted.kind), None),
        (Some(noted), Some(found)) if noted.is_like(&found) && (noted.at..noted.at + OFTEN).contains(&now) => {
            (Say::Nothing, Some(noted))
        }
        (_, Some(found)) => (Say::It, Some(found)),
    }
}

impl Logged {
    fn is_like(&self, other: &Logged) -> bool {
        (self.code, &self.kind) == (other.code, &other.kind)
    }

    /// Reads what [`Logged`]'s text says; nothing from nonsense.
    pub fn read(text: &str) -> Option<Logged> {
        let mut words = text.trim_end().splitn(3, ' ');
        let mut word = || words.next();
        Some(Logged { at: word()?.parse().ok()?, code: word()?.parse().ok()?, kind: word()?.to_owned() })
    }
}

impl fmt::Display for Logged {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {} {}", self.at, self.code, self.kind)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rules::table;

    /// What is said of `190 no WAL for 30 s`, found at 1000, when this was noted.
    fn said(noted: &str) -> Say {
        let (say, noted) = due(Logged::read(noted), 190, Some("no WAL for 30 s"), 10_000);
        assert_eq!(noted.and_then(|noted| Logged::read(&noted.to_string())).map(|noted| noted.code), Some(190));
        say
    }

    table! { said;
        it_begins: "" => Say::It;
        it_goes_on: "9990 190 no WAL for # s" => Say::Nothing;
        an_hour_is_over: "6400 190 no WAL for # s" => Say::It;
        it_is_something_else: "9990 190 no room" => Say::It;
        it_is_as_bad_as_another_role: "9990 191 no WAL for # s" => Say::It;
        the_clock_was_set_back: "10001 190 no WAL for # s" => Say::It;
        nonsense: "x" => Say::It;
    }

    #[test]
    fn the_end_is_said_once() {
        let noted = Logged { at: 1, code: 190, kind: "no WAL".to_owned() };
        assert_eq!(due(Some(noted), 0, None, 2), (Say::Over("no WAL".to_owned()), None));
        assert_eq!(due(None, 0, None, 2), (Say::Nothing, None));
    }
}
