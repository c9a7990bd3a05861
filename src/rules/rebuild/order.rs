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
    /// The policy has ordered it: no operator watches, and the old data goes when the copy follows.
    pub unattended: bool,
    /// How often it was begun without a hand for this promotion.
    pub tries: u32,
    /// When that was last done, in seconds since 1970.
    pub tried: u64,
    /// What the old data alone holds is kept nowhere else: it stays until a person has it removed.
    pub unkept: bool,
}

impl Order {
    /// What still holds when the primary is copied anew.
    #[must_use]
    pub fn anew(self) -> Order {
        match self.stage {
            Stage::Nothing => Order { why: String::new(), ..self },
            Stage::Copied | Stage::Rebuilt => Order::default(),
        }
    }

    /// The order when the node follows: only the number of tries, if no operator watches.
    #[must_use]
    pub fn finished(self) -> Order {
        if !self.unattended {
            return Order::default();
        }
        Order { stage: Stage::Nothing, end: Lsn::default(), attempts: 0, why: String::new(), ..self }
    }

    /// It is begun once more without a hand, at this time, for this promotion.
    #[must_use]
    pub fn tried_again(&self, about: (Timeline, Lsn), now: u64) -> Order {
        let tries = if self.about == Some(about) { self.tries } else { 0 };
        Order { about: Some(about), unattended: true, tries: tries + 1, tried: now, ..Order::default() }
    }
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
        writeln!(f, "end={}\nattempts={}\nwhy={}", self.end, self.attempts, self.why.replace('\n', " "))?;
        writeln!(f, "unattended={}\ntries={}\ntried={}", self.unattended, self.tries, self.tried)?;
        writeln!(f, "unkept={}", self.unkept)
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
                "unattended" => order.unattended = value.parse().ok()?,
                "tries" => order.tries = value.parse().ok()?,
                "tried" => order.tried = value.parse().ok()?,
                "unkept" => order.unkept = value.parse().ok()?,
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
            unattended: true,
            tries: 1,
            tried: 7,
            unkept: true,
        };
        assert_eq!(order.to_string().parse(), Ok(order));
        assert_eq!("".parse(), Ok(Order::default()));
        for bad in ["stage=x", "about=1", "end=x", "unattended=x", "copied"] {
            assert!(bad.parse::<Order>().is_err(), "{bad}");
        }
    }

    const ABOUT: (Timeline, Lsn) = (Timeline(2), Lsn(0x100));

    #[test]
    fn tries_are_counted_for_one_promotion() {
        let once = Order::default().tried_again(ABOUT, 5);
        assert_eq!((once.tries, once.tried, once.unattended, once.stage), (1, 5, true, Stage::Nothing));
        assert_eq!(once.tried_again(ABOUT, 6).tries, 2);
        assert_eq!(once.tried_again((Timeline(3), Lsn(0x100)), 6).tries, 1);
        // A copy that follows, and falls behind again.
        let rebuilt = Order { stage: Stage::Rebuilt, end: Lsn(7), ..once.clone() };
        assert_eq!(rebuilt.clone().finished(), once);
        assert_eq!(rebuilt.clone().finished().tried_again(ABOUT, 6).tries, 2);
        // A person has looked.
        assert_eq!(Order { unattended: false, ..rebuilt }.finished(), Order::default());
    }

    #[test]
    fn a_copy_is_made_for_the_same_try() {
        let once = Order { why: "no luck".to_owned(), ..Order::default().tried_again(ABOUT, 5) };
        assert_eq!(once.clone().anew(), Order { why: String::new(), ..once.clone() });
        assert_eq!(Order { stage: Stage::Copied, ..once }.anew(), Order::default());
    }
}
