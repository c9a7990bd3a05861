//! Write-ahead logs that know their branch. PostgreSQL distinguishes timelines by number and switch point. Here each
//! promotion begins a branch of its own, so that two timelines of one number differ.

use pgsqlms::location::{Lsn, Timeline};
use pgsqlms::postgres::history::TimelineHistory;

/// The end of a node's WAL.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Position {
    pub branch: usize,
    pub lsn: Lsn,
}

/// A branch of WAL that a promotion began, or `initdb`.
#[derive(Debug)]
pub struct Branch {
    pub timeline: u32,
    /// The branch before it, and the switch point.
    pub parent: Option<Position>,
    /// Where its timeline begins; a fork on the same timeline has that of the branch that it left.
    pub switch: Lsn,
    /// The node that was promoted.
    pub by: usize,
    pub begun: Begun,
    pub system: u64,
    /// How far its primary has written.
    pub written: Lsn,
    history: TimelineHistory,
}

/// How a branch was begun.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Begun {
    /// It was there when the cluster was set up.
    WithCluster,
    /// By an agent that had won an election.
    ByAgent,
    /// By a person: promoted, started without `standby.signal`, or made by `initdb`.
    ByHand,
}

/// All branches that ever were.
#[derive(Debug)]
pub struct Wal(Vec<Branch>);

/// Where every database begins.
const ORIGIN: Lsn = Lsn(0x300_0060);

impl Default for Wal {
    fn default() -> Self {
        let mut wal = Self(Vec::new());
        wal.found(0, Begun::WithCluster);
        wal
    }
}

impl Wal {
    /// Where all begin.
    pub fn origin(&self) -> Position {
        Position { branch: 0, lsn: ORIGIN }
    }

    /// The WAL of a new `initdb`: another database, which begins like every one.
    pub fn found(&mut self, by: usize, begun: Begun) -> Position {
        let system = 7_300_000_000_000_000_001 + self.0.len() as u64;
        let history = TimelineHistory::first(Timeline(1));
        let (timeline, parent, switch, written) = (1, None, Lsn(0), ORIGIN);
        self.0.push(Branch { timeline, parent, switch, by, begun, system, written, history });
        Position { branch: self.0.len() - 1, lsn: ORIGIN }
    }

    pub fn branch(&self, branch: usize) -> &Branch {
        &self.0[branch]
    }

    pub fn get(&self, branch: usize) -> Option<&Branch> {
        self.0.get(branch)
    }

    pub fn history(&self, branch: usize) -> &TimelineHistory {
        &self.0[branch].history
    }

    /// A promotion at `at` to `timeline`.
    pub fn fork(&mut self, at: Position, timeline: u32, by: usize, begun: Begun) -> usize {
        let switches = self.0[at.branch].history.switches().iter().map(|switch| (switch.timeline.0, switch.at));
        let lines: Vec<String> = switches
            .chain([(self.0[at.branch].timeline, at.lsn)])
            .map(|(timeline, lsn)| format!("{timeline}\t{lsn}\tno recovery target specified\n"))
            .collect();
        let history = TimelineHistory::parse(Timeline(timeline), lines.concat().as_bytes()).unwrap();
        let system = self.0[at.branch].system;
        let (parent, switch, written) = (Some(at), at.lsn, at.lsn);
        self.0.push(Branch { timeline, parent, switch, by, begun, system, written, history });
        self.0.len() - 1
    }

    /// A standby at `at` is started as a primary: it writes on, on the timeline that it is on.
    pub fn fork_unseen(&mut self, at: Position, by: usize) -> usize {
        let Branch { timeline, switch, system, ref history, .. } = self.0[at.branch];
        let (history, parent, written) = (history.clone(), Some(at), at.lsn);
        self.0.push(Branch { timeline, parent, switch, by, begun: Begun::ByHand, system, written, history });
        self.0.len() - 1
    }

    /// Writes WAL on the primary at `end`. Returns the new end.
    pub fn write(&mut self, end: Position, bytes: u64) -> Position {
        let lsn = Lsn(end.lsn.0 + bytes);
        self.0[end.branch].written = lsn;
        Position { lsn, ..end }
    }

    /// The way from `end` back to the beginning: each branch with its end as seen from there.
    pub fn way(&self, end: Position) -> impl Iterator<Item = Position> + '_ {
        std::iter::successors(Some(end), |at| self.0[at.branch].parent)
    }

    /// How far WAL that ends at `end` covers `branch`.
    pub fn reach(&self, end: Position, branch: usize) -> Option<Lsn> {
        self.way(end).find(|at| at.branch == branch).map(|at| at.lsn)
    }

    /// Whether WAL that ends at `end` contains everything up to `wanted`.
    pub fn holds(&self, end: Position, wanted: Position) -> bool {
        match self.0[wanted.branch].parent {
            Some(parent) if wanted.lsn <= parent.lsn => self.holds(end, Position { lsn: wanted.lsn, ..parent }),
            _ => self.way(end).any(|at| at.branch == wanted.branch && wanted.lsn <= at.lsn),
        }
    }

    /// Whether `end` has left `line`, which was begun by a promotion: neither on its way nor on the way there.
    pub fn has_left(&self, end: Position, line: usize) -> bool {
        let tip = Position { branch: line, lsn: self.0[line].written };
        !self.holds(tip, end)
    }

    /// The end of the WAL that a standby at `end` and a primary at `primary` have in common by PostgreSQL's numbers, as a branch
    /// of the primary's; none if the primary would refuse to send from there.
    pub fn following(&self, end: Position, primary: Position) -> Option<usize> {
        let Branch { timeline, system, .. } = self.0[end.branch];
        let same = self.way(primary).find(|at| self.0[at.branch].timeline == timeline)?;
        (system == self.0[primary.branch].system && end.lsn <= same.lsn).then_some(same.branch)
    }

    /// Whether a person has made the WAL up to `end` differ from that of `other`, where PostgreSQL's numbers do not show it:
    /// by a fork on the same timeline, or by a promotion that took the number of another.
    pub fn differs_by_hand(&self, end: Position, other: Position) -> bool {
        let apart = |one: Position, other: Position| -> Vec<usize> {
            let kept = |at: &Position| self.reach(other, at.branch).is_none_or(|lsn| lsn < at.lsn);
            self.way(one).take_while(kept).map(|at| at.branch).collect()
        };
        let branches = apart(end, other).into_iter().chain(apart(other, end));
        !self.holds(other, end) && branches.into_iter().any(|branch| self.0[branch].begun == Begun::ByHand)
    }

    /// The position of a standby that has followed `primary` up to `lsn`.
    pub fn up_to(&self, primary: Position, lsn: Lsn) -> Position {
        let reached = |at: &Position| self.0[at.branch].parent.is_none_or(|parent| parent.lsn < lsn);
        let branch = self.way(primary).find(reached).map_or(0, |at| at.branch);
        Position { branch, lsn }
    }
}
