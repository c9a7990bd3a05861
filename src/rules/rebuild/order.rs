//! What is noted on a node about rebuilding it.

use std::fmt;
use std::str::FromStr;

use crate::location::{Lsn, Timeline};
use crate::rules::note::{self, BadNote};

/// What an operator has ordered, and how far it has come. It is kept outside the data directory.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Order {
    /// How far.
    pub stage: Stage,
    /// The last promotion when the primary was copied: its timeline and where that began.
    pub about: Option<(Timeline, Lsn)>,
    /// Where the copy's WAL ends.
    pub end: Lsn,
    /// How often the instance was restarted for it.
    pub attempts: u32,
    /// What went wrong.
    pub why: String,
}

/// A stage of a rebuild.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Stage {
    /// Nothing is to be done.
    #[default]
    Nothing,
    /// The primary has been copied, and the copy is to take the place of the data directory.
    Copied,
    /// It has.
    Rebuilt,
}

const STAGES: [(Stage, &str); 3] =
    [(Stage::Nothing, "nothing"), (Stage::Copied, "copied"), (Stage::Rebuilt, "rebuilt")];

impl fmt::Display for Order {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        note::write_head(f, &STAGES, &self.stage, self.about)?;
        writeln!(f, "end={}\nattempts={}\nwhy={}", self.end, self.attempts, self.why.replace('\n', " "))
    }
}

impl FromStr for Order {
    type Err = BadNote;

    fn from_str(text: &str) -> Result<Self, BadNote> {
        note::read(text, |order: &mut Order, name, value| {
            match name {
                "stage" => order.stage = note::stage(&STAGES, value)?,
                "about" => order.about = Some(note::promotion(value)?),
                "end" => order.end = value.parse().ok()?,
                "attempts" => order.attempts = value.parse().ok()?,
                "why" => value.clone_into(&mut order.why),
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
    fn an_order_is_read_as_it_was_written() {
        let order = Order {
            stage: Stage::Copied,
            about: Some((Timeline(5), Lsn(0x100))),
            end: Lsn(0x200),
            attempts: 2,
            why: "one line".to_owned(),
        };
        assert_eq!(order.to_string().parse(), Ok(order));
        assert_eq!("".parse(), Ok(Order::default()));
        for bad in ["stage=x", "about=1", "end=x", "copied"] {
            assert!(bad.parse::<Order>().is_err(), "{bad}");
        }
    }
}
