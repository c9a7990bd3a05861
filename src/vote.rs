//! How far a node's write-ahead log reaches, and how it tells the others.

use std::fmt;
use std::str::FromStr;

use crate::location::{Lsn, Timeline};
use crate::postgres::history::TimelineHistory;
use crate::record::Record;

/// Where a node's write-ahead log ends: what an election is decided by.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Vote {
    /// The timeline the log is on, and those before it.
    pub history: TimelineHistory,
    /// What is known of its end.
    pub reach: Reach,
}

/// The end of a node's WAL by three witnesses, none of which always knows: a restarted standby has received nothing yet
/// (PAF #225), and the WAL of a delayed standby is on its disk long before it is replayed.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Reach {
    /// Received from a primary and flushed: `pg_last_wal_receive_lsn()`.
    pub received: Option<Lsn>,
    /// Replayed: `pg_last_wal_replay_lsn()`.
    pub replayed: Option<Lsn>,
    /// The end of the last valid record in `pg_wal`.
    pub on_disk: Option<Lsn>,
}

impl Vote {
    /// The timeline the log ends on.
    pub fn timeline(&self) -> Timeline {
        self.history.timeline()
    }

    /// The end of the log: the furthest of what is known.
    pub fn lsn(&self) -> Lsn {
        let Reach { received, replayed, on_disk } = self.reach;
        [received, replayed, on_disk].into_iter().flatten().max().unwrap_or_default()
    }
}

/// A vote as it is cast: good until the next promotion.
///
/// Nothing else tells a vote of this election from one that an earlier one has left behind: a notification may not be
/// delivered, its agent killed, its write refused. Who left votes when there was no primary, and holds more now, has it
/// from one that was promoted since; and each promotion takes a timeline in the record before it happens.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ballot {
    /// The vote.
    pub vote: Vote,
    /// The newest timeline that was taken when it was cast; none if there was no promotion yet.
    pub after: Option<Timeline>,
    /// There is room on the node's disk for the WAL file that a promotion begins.
    pub room: bool,
}

impl Ballot {
    /// Whether it counts: nobody was promoted since it was cast, or was about to be.
    pub fn counts(&self, record: &Record) -> bool {
        self.after == record.newest_timeline()
    }
}

/// As the vote, with ` after=2` and ` room=none`.
impl fmt::Display for Ballot {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let after = self.after.map_or(String::new(), |timeline| format!(" after={timeline}"));
        write!(f, "{}{after}{}", self.vote, if self.room { "" } else { " room=none" })
    }
}

impl FromStr for Ballot {
    type Err = BadVote;

    fn from_str(text: &str) -> Result<Self, BadVote> {
        let vote = text.parse()?;
        let after = text.split_whitespace().find_map(|word| word.strip_prefix("after="));
        let after = after.map(|timeline| timeline.parse().map(Timeline)).transpose();
        let room = text.split_whitespace().all(|word| word != "room=none");
        after.map(|after| Ballot { vote, after, room }).map_err(|_| BadVote(text.chars().take(200).collect()))
    }
}

/// Text that is no vote.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is not a vote such as 2#50331744")]
pub struct BadVote(pub String);

/// `2#50331744 received=0/3000000 replayed=0/3000060 disk=0/3000060 history=1@0/2000000,2`: timeline and decimal LSN
/// as PAF writes them, then what they were made from.
impl fmt::Display for Vote {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}#{}", self.timeline(), self.lsn().0)?;
        let witnesses =
            [("received", self.reach.received), ("replayed", self.reach.replayed), ("disk", self.reach.on_disk)];
        for (name, lsn) in witnesses {
            if let Some(lsn) = lsn {
                write!(f, " {name}={lsn}")?;
            }
        }
        write!(f, " history={}", self.history)
    }
}

impl FromStr for Vote {
    type Err = BadVote;

    fn from_str(text: &str) -> Result<Self, BadVote> {
        read(text).ok_or_else(|| BadVote(text.chars().take(200).collect()))
    }
}

fn read(text: &str) -> Option<Vote> {
    let mut words = text.split_whitespace();
    let (timeline, lsn) = words.next()?.split_once('#')?;
    let (timeline, lsn) = (Timeline(timeline.parse().ok()?), Lsn(lsn.parse().ok()?));
    if timeline.0 == 0 {
        return None;
    }
    let mut vote = Vote { history: TimelineHistory::first(timeline), reach: Reach::default() };
    for word in words {
        match word.split_once('=')? {
            ("received", at) => vote.reach.received = Some(at.parse().ok()?),
            ("replayed", at) => vote.reach.replayed = Some(at.parse().ok()?),
            ("disk", at) => vote.reach.on_disk = Some(at.parse().ok()?),
            ("history", history) => vote.history = history.parse().ok()?,
            // A newer agent may say more.
            _ => {}
        }
    }
    if vote.reach == Reach::default() {
        vote.reach.on_disk = Some(lsn);
    }
    (vote.timeline() == timeline && vote.lsn() == lsn).then_some(vote)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_vote_is_read_as_it_was_written() {
        let vote = Vote {
            history: "1@0/2000000,2".parse().unwrap(),
            reach: Reach { received: Some(Lsn(0x3000000)), replayed: None, on_disk: Some(Lsn(0x3000060)) },
        };
        assert_eq!(vote.to_string(), "2#50331744 received=0/3000000 disk=0/3000060 history=1@0/2000000,2");
        assert_eq!(vote.to_string().parse(), Ok(vote));
    }

    #[test]
    fn each_witness_is_read() {
        for text in ["2#5 received=0/5 history=2", "2#5 replayed=0/5 history=2", "2#5 disk=0/5 history=2"] {
            assert_eq!(text.parse::<Vote>().map(|vote| vote.to_string()), Ok(text.to_owned()));
        }
    }

    #[test]
    fn a_ballot_is_read_as_it_was_written() {
        for (text, room) in [
            ("2#5 disk=0/5 history=1@0/3,2 after=3", true),
            ("1#5 disk=0/5 history=1", true),
            ("1#5 disk=0/5 history=1 after=2 room=none", false),
        ] {
            let ballot: Ballot = text.parse().unwrap();
            assert_eq!((ballot.to_string().as_str(), ballot.room), (text, room));
        }
        assert!("2#5 after=x".parse::<Ballot>().is_err() && "after=2".parse::<Ballot>().is_err());
    }

    #[test]
    fn a_ballot_counts_until_the_next_promotion() {
        let counts = |ballot: &str, record: &str| {
            let record = if record.is_empty() { Record::default() } else { record.parse().unwrap() };
            ballot.parse::<Ballot>().unwrap().counts(&record)
        };
        assert!(counts("1#5", "") && counts("2#5 after=2", "2@0/3 srv1 0"));
        assert!(!counts("1#5", "2@0/3 srv1 0") && !counts("2#5 after=2", "3@0/4 srv1 0 intended; 2@0/3 srv1 0"));
        assert!(counts("2#5 after=3", "3@0/4 srv1 0 intended; 2@0/3 srv1 0"));
        assert!(!counts("2#5 after=2", ""), "a record that is gone");
    }

    #[test]
    fn the_short_form_of_paf_is_a_vote() {
        let vote: Vote = "3#50331744".parse().unwrap();
        assert_eq!((vote.timeline(), vote.lsn()), (Timeline(3), Lsn(50331744)));
    }

    #[test]
    fn what_contradicts_itself_is_no_vote() {
        for bad in
            ["", "1", "#", "0#5", "1#", "a#1", "1#x", "1#5 disk=0/6", "2#5 disk=0/5 history=1", "1#5 disk", "-1#5"]
        {
            assert!(bad.parse::<Vote>().is_err(), "{bad:?}");
        }
    }
}
