//! What is noted on a node about rewinding it.

use std::fmt;
use std::str::FromStr;

use crate::location::{Lsn, Timeline};
use crate::rules::note::{self, BadNote};

/// Maximum number of automatic rewinds of a node for one promotion, also if they fail for different reasons.
pub const MOST_ATTEMPTS: u32 = 3;

/// How far the rewind of a node has come. It is kept outside the data directory, which a rewind rewrites.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Notes {
    /// How far.
    pub stage: Stage,
    /// The promotion that the node had strayed from: its timeline and where that began.
    pub about: Option<(Timeline, Lsn)>,
    /// How often it was tried for this promotion.
    pub attempts: u32,
    /// The directory with what was dropped.
    pub evidence: String,
    /// What went wrong.
    pub why: String,
}

/// A stage of a rewind.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Stage {
    /// Nothing has been changed.
    #[default]
    Nothing,
    /// An operator has asked for it, for this promotion, and nothing has been changed.
    Ordered,
    /// The data directory is being rewritten: until that is over it is not consistent.
    Rewinding,
    /// It is over.
    Rewound,
    /// It cannot be done for now, and nothing has been changed.
    Blocked,
    /// It cannot be done at all, and nothing has been changed: WAL that it takes is gone.
    Hopeless,
}

const STAGES: [(Stage, &str); 6] = [
    (Stage::Nothing, "nothing"),
    (Stage::Ordered, "ordered"),
    (Stage::Rewinding, "rewinding"),
    (Stage::Rewound, "rewound"),
    (Stage::Blocked, "blocked"),
    (Stage::Hopeless, "hopeless"),
];

impl Notes {
    /// These notes, if they are about the promotion to `timeline` at `switch`; else new ones.
    #[must_use]
    pub fn about(&self, timeline: Timeline, switch: Lsn) -> Notes {
        let about = Some((timeline, switch));
        if self.about == about {
            return self.clone();
        }
        Notes { about, ..Notes::default() }
    }

    /// These notes once a pg_rewind was ended that a person had begun: nothing is known with which one could go on.
    #[must_use]
    pub fn by_hand(self, pid: i32) -> Notes {
        let why = format!("only the latter helps after a pg_rewind by hand (process {pid}) was ended");
        Notes { stage: Stage::Rewinding, attempts: MOST_ATTEMPTS, evidence: String::new(), why, ..self }
    }

    /// Whether the agent does not try it again by itself.
    pub fn is_given_up(&self) -> bool {
        self.attempts >= MOST_ATTEMPTS
    }

    /// These notes after an attempt in which the data directory was being rewritten, and this went wrong. A full disk says
    /// nothing against the next attempt; where it can never be done, there is none.
    #[must_use]
    pub fn interrupted(self, before: u32, why: String, hopeless: bool) -> Notes {
        let attempts = match (hopeless, why.contains("No space left on device")) {
            (true, _) => MOST_ATTEMPTS,
            (false, true) => before,
            (false, false) => self.attempts,
        };
        Notes { attempts, why, ..self }
    }
}

impl fmt::Display for Notes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        note::write_head(f, &STAGES, &self.stage, self.about)?;
        writeln!(f, "attempts={}\nevidence={}\nwhy={}", self.attempts, self.evidence, self.why.replace('\n', " "))
    }
}

impl FromStr for Notes {
    type Err = BadNote;

    fn from_str(text: &str) -> Result<Self, BadNote> {
        note::read(text, |notes: &mut Notes, name, value| {
            match name {
                "stage" => notes.stage = note::stage(&STAGES, value)?,
                "about" => notes.about = Some(note::promotion(value)?),
                "attempts" => notes.attempts = value.parse().ok()?,
                "evidence" => value.clone_into(&mut notes.evidence),
                "why" => value.clone_into(&mut notes.why),
                _ => {}
            }
            Some(())
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn notes_are_read_as_they_were_written() {
        let notes = Notes {
            stage: Stage::Rewinding,
            about: Some((Timeline(5), Lsn(0x100))),
            attempts: 2,
            evidence: "/var/lib/pgsqlms/pgsqld/x".to_owned(),
            why: "one line".to_owned(),
        };
        assert_eq!(notes.to_string().parse(), Ok(notes));
        assert_eq!(Notes::default().to_string().parse(), Ok(Notes::default()));
        assert_eq!("".parse(), Ok(Notes::default()));
        for bad in ["stage=x", "about=1", "rewinding"] {
            assert!(bad.parse::<Notes>().is_err(), "{bad}");
        }
    }

    #[test]
    fn a_full_disk_does_not_count_and_hopelessness_does() {
        let after = |why: &str, hopeless| {
            let notes = Notes { stage: Stage::Rewinding, attempts: 2, ..Notes::default() };
            let notes = notes.interrupted(1, why.to_owned(), hopeless);
            (notes.attempts, notes.is_given_up(), notes.why)
        };
        assert_eq!(after("no luck", false), (2, false, "no luck".to_owned()));
        let full = "could not write: No space left on device";
        assert_eq!(after(full, false), (1, false, full.to_owned()));
        assert_eq!(after("WAL is gone", true), (3, true, "WAL is gone".to_owned()));
    }

    #[test]
    fn another_promotion_begins_new_notes() {
        let notes =
            Notes { stage: Stage::Blocked, about: Some((Timeline(2), Lsn(1))), attempts: 3, ..Notes::default() };
        assert_eq!(notes.about(Timeline(2), Lsn(1)), notes);
        let new = Notes { about: Some((Timeline(3), Lsn(1))), ..Notes::default() };
        assert_eq!(notes.about(Timeline(3), Lsn(1)), new);
    }
}
