//! What is noted on a node from one action to the next: a line `name=value` for each thing.

use std::fmt;

use crate::location::{Lsn, Timeline};

/// Text that is not a note.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is nothing that pgsqlms notes")]
pub struct BadNote(pub String);

/// Reads a note: `set` takes each name and value, and returns nothing for a value that is none. A newer agent may note more:
/// a name that it does not know is not an error.
///
/// # Errors
///
/// With the first line that makes no sense.
pub fn read<T: Default>(text: &str, set: impl Fn(&mut T, &str, &str) -> Option<()>) -> Result<T, BadNote> {
    let mut noted = T::default();
    for line in text.lines() {
        let known = line.split_once('=').and_then(|(name, value)| set(&mut noted, name, value));
        known.ok_or_else(|| BadNote(line.chars().take(80).collect()))?;
    }
    Ok(noted)
}

/// The stage of this name.
pub fn stage<S: Copy>(stages: &[(S, &str)], name: &str) -> Option<S> {
    stages.iter().find(|(_, known)| *known == name).map(|(stage, _)| *stage)
}

/// Writes the lines `stage=` and, if it is about a promotion, `about=`.
pub fn write_head<S: PartialEq>(
    f: &mut fmt::Formatter<'_>,
    stages: &[(S, &str)],
    stage: &S,
    about: Option<(Timeline, Lsn)>,
) -> fmt::Result {
    let stage = stages.iter().find(|(known, _)| known == stage).map_or("", |(_, name)| name);
    writeln!(f, "stage={stage}")?;
    about.map_or(Ok(()), |(timeline, switch)| writeln!(f, "about={timeline}@{switch}"))
}

/// Reads the promotion that a note is about: its timeline and where that began.
pub fn promotion(value: &str) -> Option<(Timeline, Lsn)> {
    let (timeline, switch) = value.split_once('@')?;
    Some((Timeline(timeline.parse().ok()?), switch.parse().ok()?))
}
