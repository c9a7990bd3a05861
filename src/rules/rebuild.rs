//! A node whose data directory is replaced by a copy of the primary's.
//!
//! The copy is made beside the data directory. Then two renames, which start carries out: the old data aside, the copy in its
//! place. The directories that exist show how far that has come.

mod evidence;
mod order;
mod unattended;

use std::fmt;

use crate::location::{Lsn, Timeline};
use crate::node::NodeName;

pub use evidence::{AtStake, Wish, unkept};
pub use order::{Order, Stage};
pub use unattended::{Job, MOST_TRIES, PAUSE, Plight, Unattended, left_over, unattended};

/// So often a running instance is restarted for one copy.
pub const MOST_RESTARTS: u32 = 3;

/// What decides whether a node is rebuilt.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Facts {
    /// This instance is the primary, or its role is unknown.
    pub is_primary: bool,
    /// It receives WAL from the primary.
    pub streams: bool,
    /// The primary.
    pub primary: Option<NodeName>,
    /// A process copies into the place for the copy.
    pub copying: Option<i32>,
    /// What is wrong with the place.
    pub obstacle: Option<String>,
}

/// Why a node is not rebuilt; nothing if it may be.
pub fn refusal(facts: &Facts) -> Option<String> {
    if facts.is_primary {
        return Some("this node runs the primary".to_owned());
    }
    if facts.primary.is_none() {
        return Some("there is no primary to copy: see `crm_mon`".to_owned());
    }
    if facts.streams {
        return Some("it follows the primary: there is nothing to rebuild".to_owned());
    }
    if let Some(pid) = facts.copying {
        return Some(format!("process {pid} still copies the primary: wait for it, or end it"));
    }
    facts.obstacle.clone()
}

/// Why `free` bytes are not enough for `needed` ones, with some to spare.
pub fn lacks_room(free: u64, needed: u64, spare: u64) -> Option<String> {
    let needed = needed.saturating_add(spare);
    (free < needed)
        .then(|| format!("{} MB are free beside the data directory, and {} are needed", free >> 20, needed >> 20))
}

/// A line in which `pg_basebackup --progress` says how far it is: `  5120/40960 kB (12%), 0/1 tablespace`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Copying {
    /// The bytes that there are to copy, the WAL apart.
    pub total: u64,
    /// How much of them has been copied.
    pub percent: u64,
    /// How many tablespaces they are in; one is the data directory itself.
    pub tablespaces: u64,
}

impl Copying {
    /// What such a line says; nothing if it is another one.
    pub fn read(line: &str) -> Option<Self> {
        let (done, rest) = line.trim().split_once('/')?;
        let (total, rest) = rest.split_once(" kB (")?;
        let (percent, rest) = rest.split_once("%), ")?;
        let tablespaces = rest.split_once('/')?.1.split(' ').next()?.parse().ok()?;
        let (percent, total) = (percent.trim().parse().ok()?, total.trim().parse::<u64>().ok()?);
        done.parse::<u64>().ok()?;
        Some(Self { total: total.saturating_mul(1024), percent, tablespaces })
    }

    /// Why the copy is not gone on with, where that many bytes are `free` and some are to be spared.
    pub fn refusal(&self, free: u64, spare: u64) -> Option<String> {
        if self.tablespaces > 1 {
            return Some(
                "the primary has tablespaces, which is not supported: rebuild by pg_basebackup by hand".to_owned(),
            );
        }
        lacks_room(free, self.total, spare)
    }
}

/// Which directories are there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Sites {
    /// The data directory.
    pub data: bool,
    /// The copy of the primary's.
    pub copy: bool,
    /// The old data.
    pub old: bool,
}

/// Whether a copy may take the place of the data directory now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Standing {
    /// It may.
    Valid,
    /// Not while there is no primary to follow, or while that is not known.
    NotNow,
    /// It may not any more.
    Void(&'static str),
}

/// What start knows about a copy: the last promotion on record, whether another node is the primary, and where the WAL of
/// the data directory ends if the cluster has not gone on without it.
pub fn standing(order: &Order, last: Option<(Timeline, Lsn)>, has_primary: bool, own_end: Option<Lsn>) -> Standing {
    if order.about.is_none() || order.about != last {
        return Standing::Void("another node was promoted since the primary was copied: copy it again");
    }
    if own_end.is_some_and(|end| end > order.end) {
        return Standing::Void("this node has followed the primary since that was copied");
    }
    if has_primary { Standing::Valid } else { Standing::NotNow }
}

/// What is to be done next with a copy.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Step {
    /// Nothing.
    AsItIs,
    /// The data directory gets another name.
    Aside,
    /// The copy gets the data directory's name.
    Into,
    /// The old data gets its name back.
    Back,
    /// The copy is the data directory: that is noted.
    Done,
    /// The copy is not used, and this is why.
    Forget(&'static str),
}

/// What is to be done next before an instance that does not run is started.
///
/// Where the data directory has been put aside and the copy may not take its place, the old data comes back.
pub fn step(order: &Order, sites: Sites, standing: Standing) -> Step {
    if order.stage != Stage::Copied {
        return Step::AsItIs;
    }
    match (sites, standing) {
        (Sites { data: true, copy: false, old: true }, _) => Step::Done,
        (Sites { copy: false, old: true, .. }, _) => Step::Back,
        (Sites { copy: false, .. }, _) => Step::Forget("the copy of the primary is gone"),
        (Sites { data: true, old: true, .. }, _) => Step::Forget("old data is in the way: move it elsewhere"),
        (Sites { data: true, .. }, Standing::Valid) => Step::Aside,
        (Sites { data: false, .. }, Standing::Valid) => Step::Into,
        (Sites { data: false, old: true, .. }, _) => Step::Back,
        (_, Standing::NotNow) => Step::AsItIs,
        (_, Standing::Void(why)) => Step::Forget(why),
    }
}

/// How far an ordered rebuild is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Progress {
    /// Pacemaker has not restarted the instance yet.
    Waiting,
    /// The copy is in its place.
    Starting,
    /// It follows the primary.
    Done,
    /// The copy was not used, and this is why.
    Failed(String),
}

/// How far it is.
pub fn progress(order: &Order, streams: bool) -> Progress {
    match order.stage {
        Stage::Nothing => Progress::Failed(order.why.clone()),
        Stage::Copied => Progress::Waiting,
        Stage::Rebuilt if streams => Progress::Done,
        Stage::Rebuilt => Progress::Starting,
    }
}

impl fmt::Display for Progress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Progress::Waiting => f.write_str(
                "Copied. Waiting for Pacemaker to restart PostgreSQL here (not in maintenance mode, and there must be a \
                 primary) ...",
            ),
            Progress::Starting => f.write_str("The copy is in its place. Waiting for it to follow the primary ..."),
            Progress::Done => f.write_str("It follows the primary."),
            Progress::Failed(why) => write!(f, "It went wrong: {why}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rules::table;

    fn refused(change: impl FnOnce(&mut Facts)) -> String {
        let mut facts = Facts { primary: Some(NodeName::new("srv2")), ..Facts::default() };
        change(&mut facts);
        refusal(&facts).unwrap_or_default().split(':').next().unwrap_or_default().to_owned()
    }

    table! { refused;
        a_node_that_is_behind_may_be_rebuilt: |_: &mut Facts| {} => "";
        the_primary_is_not: |facts: &mut Facts| facts.is_primary = true => "this node runs the primary";
        nor_where_there_is_none: |facts: &mut Facts| facts.primary = None => "there is no primary to copy";
        nor_who_follows: |facts: &mut Facts| facts.streams = true => "it follows the primary";
        nor_twice_at_once: |facts: &mut Facts| facts.copying = Some(7) => "process 7 still copies the primary";
        nor_where_it_cannot_be: |facts: &mut Facts| facts.obstacle = Some("a link".to_owned()) => "a link";
    }

    fn lacks((free, needed): (u64, u64)) -> bool {
        lacks_room(free, needed, 64).is_some()
    }

    table! { lacks;
        plenty: (1000, 100) => false;
        just_enough: (164, 100) => false;
        a_byte_less: (163, 100) => true;
        more_than_there_can_be: (1000, u64::MAX) => true;
    }

    fn reads(line: &str) -> Option<(u64, u64, u64)> {
        Copying::read(line).map(|copying| (copying.total, copying.percent, copying.tablespaces))
    }

    table! { reads;
        a_line_of_progress: "   512/40 kB (12%), 0/1 tablespace" => Some((40 << 10, 12, 1));
        with_the_file: " 5120/40960 kB (100%), 1/1 tablespace (/x/base/1)" => Some((40960 << 10, 100, 1));
        with_tablespaces: "  0/7 kB (0%), 0/3 tablespaces" => Some((7 << 10, 0, 3));
        another_line: "waiting for checkpoint" => None;
        a_path: "pg_basebackup: error: /a/b kB (x%)" => None;
    }

    fn goes_on((total, tablespaces): (u64, u64)) -> bool {
        Copying { total, percent: 0, tablespaces }.refusal(164, 64).is_none()
    }

    table! { goes_on;
        what_fits: (100, 1) => true;
        what_does_not: (101, 1) => false;
        what_has_a_place_of_its_own: (100, 2) => false;
    }

    const COPIED: &str = "stage=copied\nabout=2@0/100\nend=0/180";

    /// Which of data, copy and old are there; the standing.
    fn next((there, standing): (&str, Standing)) -> Step {
        let sites = Sites { data: there.contains('d'), copy: there.contains('c'), old: there.contains('o') };
        step(&COPIED.parse().unwrap(), sites, standing)
    }

    const VOID: Standing = Standing::Void("void");

    table! { next;
        first_the_old_goes: ("dc", Standing::Valid) => Step::Aside;
        then_the_copy_comes: ("co", Standing::Valid) => Step::Into;
        that_is_it: ("do", Standing::Valid) => Step::Done;
        also_after_another_promotion: ("do", VOID) => Step::Done;
        and_whether_there_is_a_primary: ("do", Standing::NotNow) => Step::Done;
        not_yet: ("dc", Standing::NotNow) => Step::AsItIs;
        not_yet_and_half_way: ("co", Standing::NotNow) => Step::Back;
        not_any_more: ("dc", VOID) => Step::Forget("void");
        not_any_more_and_half_way: ("co", VOID) => Step::Back;
        without_old_data: ("c", Standing::Valid) => Step::Into;
        without_old_data_and_no_primary: ("c", Standing::NotNow) => Step::AsItIs;
        the_copy_was_taken: ("d", Standing::Valid) => Step::Forget("the copy of the primary is gone");
        the_copy_was_taken_half_way: ("o", Standing::Valid) => Step::Back;
        old_data_is_never_replaced: ("dco", Standing::Valid) => Step::Forget("old data is in the way: move it elsewhere");
    }

    #[test]
    fn without_an_order_nothing_is_done() {
        let sites = Sites { data: true, copy: true, old: false };
        for stage in ["", "stage=rebuilt\nabout=2@0/100"] {
            assert_eq!(step(&stage.parse().unwrap(), sites, Standing::Valid), Step::AsItIs);
        }
    }

    /// The last promotion, whether there is a primary, where the own WAL ends.
    fn stands((last, primary, end): (u64, bool, Option<u64>)) -> &'static str {
        let last = Some((Timeline(2), Lsn(last)));
        match standing(&COPIED.parse().unwrap(), last, primary, end.map(Lsn)) {
            Standing::Valid => "valid",
            Standing::NotNow => "not now",
            Standing::Void(_) => "void",
        }
    }

    table! { stands;
        it_has_diverged: (0x100, true, None) => "valid";
        it_lags_behind: (0x100, true, Some(0x17f)) => "valid";
        it_holds_as_much: (0x100, true, Some(0x180)) => "valid";
        it_holds_more: (0x100, true, Some(0x181)) => "void";
        no_primary_to_follow: (0x100, false, None) => "not now";
        another_promotion: (0x101, true, None) => "void";
    }

    /// Notes, whether it streams.
    fn is_at((order, streams): (&str, bool)) -> Progress {
        progress(&order.parse().unwrap(), streams)
    }

    table! { is_at;
        before_the_restart: (COPIED, true) => Progress::Waiting;
        after_it: ("stage=rebuilt", false) => Progress::Starting;
        there: ("stage=rebuilt", true) => Progress::Done;
        given_up: ("stage=nothing\nwhy=it was void", true) => Progress::Failed("it was void".to_owned());
    }
}
