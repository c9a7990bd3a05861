//! How far a node's write-ahead log reaches, and how the node publishes that.

use std::fmt;
use std::str::FromStr;

use crate::location::{Lsn, SystemId, Timeline};
use crate::postgres::history::TimelineHistory;
use crate::record::Record;

/// Where a node's write-ahead log ends: what an election is decided by.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Vote {
    /// The database that the log belongs to. An older agent does not say.
    pub system: Option<SystemId>,
    /// The data directory is another one than when this node was the primary, or had all WAL of the primary, for the last
    /// time: restored from a backup or copied, it may lack what this node has confirmed.
    pub replaced: bool,
    /// The timeline the log is on, and those before it.
    pub history: TimelineHistory,
    /// What is known of its end.
    pub reach: Reach,
    /// Whether that is all there is.
    pub extent: Extent,
}

/// Whether all of a node's WAL was read.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum Extent {
    /// It was: the log ends where the vote says.
    #[default]
    Exact,
    /// Reading was interrupted: the log reaches at least that far. The next vote reads on.
    AtLeast,
    /// Reading failed, for this reason: the log reaches at least that far.
    Unread(String),
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

    /// Where the log ends, as votes on one line are compared: a later timeline is further.
    pub fn position(&self) -> (Timeline, Lsn) {
        (self.timeline(), self.lsn())
    }

    /// The end of the log: the furthest of what is known.
    pub fn lsn(&self) -> Lsn {
        let Reach { received, replayed, on_disk } = self.reach;
        [received, replayed, on_disk].into_iter().flatten().max().unwrap_or_default()
    }
}

/// A vote as it is cast: good until the next promotion.
///
/// Nothing else distinguishes a vote of this election from one that an earlier one has left behind: a notification may not be
/// delivered, its agent killed, its write refused. A node that left a vote when there was no primary, and holds more now, has it
/// from one that was promoted since; and each promotion takes a timeline in the record before it happens.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ballot {
    /// The vote.
    pub vote: Vote,
    /// The newest timeline that was taken when it was cast; none if there was no promotion yet.
    pub after: Option<Timeline>,
    /// There is room on the node's disk for the WAL file that a promotion begins.
    pub room: bool,
    /// Its replay is paused for settings that are below the primary's: a promotion would end its server.
    pub settings_too_low: bool,
    /// Its server is still in recovery after a crash: it cannot be promoted yet.
    pub recovering: bool,
    /// Its server runs as a primary, which no election made; or it was one, and was stopped.
    pub primary: bool,
    /// Its data directory has written the timeline of another node by itself, as a primary: its history does not show where the
    /// two part, and its WAL is of no line that counts.
    pub forked: bool,
}

impl Ballot {
    /// Whether it counts: no node was promoted since it was cast, or was about to be.
    pub fn counts(&self, record: &Record) -> bool {
        self.after == record.newest_timeline()
    }
}

/// As the vote, with ` after=2`, ` room=none`, ` settings=low`, ` recovering=yes` ` primary=yes` and
/// ` forked=yes`.
impl fmt::Display for Ballot {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let after = self.after.map_or(String::new(), |timeline| format!(" after={timeline}"));
        let room = if self.room { "" } else { " room=none" };
        let settings = if self.settings_too_low { " settings=low" } else { "" };
        let recovering = if self.recovering { " recovering=yes" } else { "" };
        let primary = if self.primary { " primary=yes" } else { "" };
        let forked = if self.forked { " forked=yes" } else { "" };
        write!(f, "{}{after}{room}{settings}{recovering}{primary}{forked}", self.vote)
    }
}

impl FromStr for Ballot {
    type Err = BadVote;

    fn from_str(text: &str) -> Result<Self, BadVote> {
        let vote = text.parse()?;
        let after = text.split_whitespace().find_map(|word| word.strip_prefix("after="));
        let after = after.map(|timeline| timeline.parse().map(Timeline)).transpose();
        let says = |wanted: &str| text.split_whitespace().any(|word| word == wanted);
        let (room, settings_too_low) = (!says("room=none"), says("settings=low"));
        let (recovering, primary, forked) = (says("recovering=yes"), says("primary=yes"), says("forked=yes"));
        after
            .map(|after| Ballot { vote, after, room, settings_too_low, recovering, primary, forked })
            .map_err(|_| BadVote(text.chars().take(200).collect()))
    }
}

/// Text that is not a vote.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is not a vote such as 2#50331744")]
pub struct BadVote(pub String);

/// `2#50331744 received=0/3000000 replayed=0/3000060 disk=0/3000060 history=1@0/2000000,2`: timeline and decimal LSN
/// as PAF writes them, then what they were made from; at the end the system identifier, and whether the data
/// directory was replaced and how much was read, where that is so. Older agents pass over words that they do not know.
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
        write!(f, " history={}", self.history)?;
        if let Some(system) = self.system {
            write!(f, " system={system}")?;
        }
        if self.replaced {
            f.write_str(" directory=replaced")?;
        }
        match &self.extent {
            Extent::Exact => Ok(()),
            Extent::AtLeast => f.write_str(" extent=atleast"),
            Extent::Unread(why) => {
                write!(f, " extent=unread:{}", why.split_whitespace().collect::<Vec<_>>().join("_"))
            }
        }
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
    let (history, reach) = (TimelineHistory::first(timeline), Reach::default());
    let mut vote = Vote { system: None, replaced: false, history, reach, extent: Extent::Exact };
    for word in words {
        match word.split_once('=')? {
            ("received", at) => vote.reach.received = Some(at.parse().ok()?),
            ("replayed", at) => vote.reach.replayed = Some(at.parse().ok()?),
            ("disk", at) => vote.reach.on_disk = Some(at.parse().ok()?),
            ("history", history) => vote.history = history.parse().ok()?,
            ("system", system) => vote.system = Some(system.parse().ok()?),
            ("directory", directory) => vote.replaced = directory == "replaced",
            ("extent", extent) => vote.extent = read_extent(extent),
            // A newer agent may say more.
            _ => {}
        }
    }
    if vote.reach == Reach::default() {
        vote.reach.on_disk = Some(lsn);
    }
    (vote.timeline() == timeline && vote.lsn() == lsn).then_some(vote)
}

/// What a newer agent may say of it besides is nothing to rely on.
fn read_extent(text: &str) -> Extent {
    match text.split_once(':') {
        None if text == "exact" => Extent::Exact,
        Some(("unread", why)) => Extent::Unread(why.replace('_', " ")),
        _ => Extent::AtLeast,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_vote_is_read_as_it_was_written() {
        let vote = Vote {
            system: Some(SystemId(7_300_000_000_000_000_001)),
            replaced: true,
            extent: Extent::Exact,
            history: "1@0/2000000,2".parse().unwrap(),
            reach: Reach { received: Some(Lsn(0x3000000)), replayed: None, on_disk: Some(Lsn(0x3000060)) },
        };
        let text = "2#50331744 received=0/3000000 disk=0/3000060 history=1@0/2000000,2 system=7300000000000000001 directory=replaced";
        assert_eq!(vote.to_string(), text);
        assert_eq!(vote.to_string().parse(), Ok(vote));
    }

    #[test]
    fn the_extent_of_a_vote_is_read_as_it_was_written() {
        for (text, extent) in [
            ("2#5 disk=0/5 history=2", Extent::Exact),
            ("2#5 disk=0/5 history=2 extent=atleast", Extent::AtLeast),
            (
                "2#5 disk=0/5 history=2 extent=unread:Input/output_error",
                Extent::Unread("Input/output error".to_owned()),
            ),
        ] {
            let vote: Vote = text.parse().unwrap();
            assert_eq!((vote.to_string().as_str(), &vote.extent), (text, &extent));
        }
        let newer: Vote = "2#5 disk=0/5 history=2 extent=perhaps".parse().unwrap();
        assert_eq!(newer.extent, Extent::AtLeast);
    }

    #[test]
    fn each_witness_is_read() {
        for text in ["2#5 received=0/5 history=2", "2#5 replayed=0/5 history=2", "2#5 disk=0/5 history=2"] {
            assert_eq!(text.parse::<Vote>().map(|vote| vote.to_string()), Ok(text.to_owned()));
        }
    }

    #[test]
    fn a_ballot_is_read_as_it_was_written() {
        for (text, room, too_low, recovering, primary) in [
            ("2#5 disk=0/5 history=1@0/3,2 after=3", true, false, false, false),
            ("1#5 disk=0/5 history=1", true, false, false, false),
            ("1#5 disk=0/5 history=1 after=2 room=none", false, false, false, false),
            ("1#5 disk=0/5 history=1 after=2 room=none settings=low", false, true, false, false),
            ("1#5 disk=0/5 history=1 after=2 recovering=yes", true, false, true, false),
            ("1#5 disk=0/5 history=1 after=2 primary=yes", true, false, false, true),
        ] {
            let ballot: Ballot = text.parse().unwrap();
            let read = (ballot.room, ballot.settings_too_low, ballot.recovering, ballot.primary);
            assert_eq!((ballot.to_string().as_str(), read), (text, (room, too_low, recovering, primary)));
        }
        let forked: Ballot = "1#5 disk=0/5 history=1 primary=yes forked=yes".parse().unwrap();
        assert_eq!(
            (forked.to_string().as_str(), forked.forked),
            ("1#5 disk=0/5 history=1 primary=yes forked=yes", true)
        );
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
