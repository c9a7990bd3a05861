//! What is noted on a node about rebuilding it.

use std::fmt;
use std::str::FromStr;

use crate::location::{Lsn, Timeline};

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

/// Text that is no order.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is nothing that pgsqlms notes about a rebuild")]
pub struct BadOrder(pub String);

impl fmt::Display for Order {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let stage = STAGES.iter().find(|(stage, _)| *stage == self.stage).map_or("", |(_, name)| name);
        writeln!(f, "stage={stage}")?;
        if let Some((timeline, switch)) = self.about {
            writeln!(f, "about={timeline}@{switch}")?;
        }
        writeln!(f, "end={}\nattempts={}\nwhy={}", self.end, self.attempts, self.why.replace('\n', " "))
    }
}

impl FromStr for Order {
    type Err = BadOrder;

    fn from_str(text: &str) -> Result<Self, BadOrder> {
        let mut order = Order::default();
        for line in text.lines() {
            let bad = || BadOrder(line.chars().take(80).collect());
            let (name, value) = line.split_once('=').ok_or_else(bad)?;
            match name {
                "stage" => order.stage = STAGES.iter().find(|(_, name)| *name == value).ok_or_else(bad)?.0,
                "about" => order.about = Some(about(value).ok_or_else(bad)?),
                "end" => order.end = value.parse().map_err(|_| bad())?,
                "attempts" => order.attempts = value.parse().map_err(|_| bad())?,
                "why" => order.why = value.to_owned(),
                // A newer agent may note more.
                _ => {}
            }
        }
        Ok(order)
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
