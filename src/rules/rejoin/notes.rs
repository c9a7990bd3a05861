//! What is noted on a node about rewinding it.

use std::fmt;
use std::str::FromStr;

use crate::location::{Lsn, Timeline};
use crate::rules::note::{self, BadNote};

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
    /// The data directory is being rewritten: until that is over it is no database.
    Rewinding,
    /// It is over.
    Rewound,
    /// It cannot be done, and nothing has been changed.
    Blocked,
}

const STAGES: [(Stage, &str); 5] = [
    (Stage::Nothing, "nothing"),
    (Stage::Ordered, "ordered"),
    (Stage::Rewinding, "rewinding"),
    (Stage::Rewound, "rewound"),
    (Stage::Blocked, "blocked"),
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
    fn another_promotion_begins_new_notes() {
        let notes =
            Notes { stage: Stage::Blocked, about: Some((Timeline(2), Lsn(1))), attempts: 3, ..Notes::default() };
        assert_eq!(notes.about(Timeline(2), Lsn(1)), notes);
        let new = Notes { about: Some((Timeline(3), Lsn(1))), ..Notes::default() };
        assert_eq!(notes.about(Timeline(3), Lsn(1)), new);
    }
}
