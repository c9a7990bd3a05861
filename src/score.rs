//! Promotion scores.

use std::fmt;
use std::str::FromStr;

/// How much Pacemaker should prefer a node as the primary; below zero, never.
///
/// A node without any score is never promoted either, and a value that is not a number counts as 0, which may be promoted
/// (Pacemaker's `lib/pacemaker/pcmk_sched_promotable.c`). The ladder is PAF's.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Score(pub i32);

impl Score {
    /// The running primary.
    pub const PRIMARY: Score = Score(1001);
    /// The standby that is closest to the primary.
    pub const BEST_STANDBY: Score = Score(1000);
    /// Between one standby and the next.
    pub const STEP: i32 = 10;
    /// A node that may be promoted when no node has a better claim.
    pub const CANDIDATE: Score = Score(1);
    /// A standby that is connected but still catching up or being copied.
    pub const NOT_READY: Score = Score(-1);
    /// A node that is not connected to the primary.
    pub const DISCONNECTED: Score = Score(-1000);
    /// Never, whichever constraint an operator has set.
    pub const NEVER: Score = Score(-1_000_000);

    /// The score of a standby that would be worth `self` and is further behind than `maxlag` allows. PAF negates it; one
    /// less distinguishes the best of them from a node that is not connected.
    pub fn too_far_behind(self) -> Score {
        Score(-self.0 - 1)
    }

    /// Whether a node with this score was further behind than `maxlag` allows.
    pub fn is_too_far_behind(self) -> bool {
        self < Score::NOT_READY && self > Score::NEVER && self != Score::DISCONNECTED
    }

    /// Whether a node with this score may be promoted.
    pub fn allows_promotion(self) -> bool {
        self.0 >= 0
    }
}

impl fmt::Display for Score {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0)
    }
}

impl FromStr for Score {
    type Err = std::num::ParseIntError;

    /// Reads a score as Pacemaker writes it: a number or `INFINITY` with or without a sign.
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text {
            "INFINITY" | "+INFINITY" => Ok(Score(1_000_000)),
            "-INFINITY" => Ok(Score::NEVER),
            number => number.parse().map(Score),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rules::table;

    fn too_far(score: Score) -> bool {
        score.is_too_far_behind()
    }

    table! { too_far;
        the_best_standby_too_far_behind: Score::BEST_STANDBY.too_far_behind() => true;
        the_last_standby_too_far_behind: Score::CANDIDATE.too_far_behind() => true;
        a_standby_that_may_be_promoted: Score::BEST_STANDBY => false;
        one_that_is_not_ready: Score::NOT_READY => false;
        one_that_is_not_connected: Score::DISCONNECTED => false;
        one_that_has_yielded: Score::NEVER => false;
    }
}
