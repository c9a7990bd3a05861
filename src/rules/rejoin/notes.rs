//! What is noted on a node about rewinding it.

use std::fmt;
use std::str::FromStr;

use crate::location::{Lsn, Timeline};

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

/// Text that is no note.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is nothing that pgsqlms notes about a rewind")]
pub struct BadNotes(pub String);

impl fmt::Display for Notes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let stage = STAGES.iter().find(|(stage, _)| *stage == self.stage).map_or("", |(_, name)| name);
        writeln!(f, "stage={stage}")?;
        if let Some((timeline, switch)) = self.about {
            writeln!(f, "about={timeline}@{switch}")?;
        }
        writeln!(f, "attempts={}\nevidence={}\nwhy={}", self.attempts, self.evidence, self.why.replace('\n', " "))
    }
}

impl FromStr for Notes {
    type Err = BadNotes;

    fn from_str(text: &str) -> Result<Self, BadNotes> {
        let mut notes = Notes::default();
        for line in text.lines() {
            let bad = || BadNotes(line.chars().take(80).collect());
            let (name, value) = line.split_once('=').ok_or_else(bad)?;
            match name {
                "stage" => notes.stage = STAGES.iter().find(|(_, name)| *name == value).ok_or_else(bad)?.0,
                "about" => notes.about = Some(about(value).ok_or_else(bad)?),
                "attempts" => notes.attempts = value.parse().map_err(|_| bad())?,
                "evidence" => notes.evidence = value.to_owned(),
                "why" => notes.why = value.to_owned(),
                // A newer agent may note more.
                _ => {}
            }
        }
        Ok(notes)
    }
}

fn about(value: &str) -> Option<(Timeline, Lsn)> {
    let (timeline, switch) = value.split_once('@')?;
    Some((Timeline(timeline.parse().ok()?), switch.parse().ok()?))
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
