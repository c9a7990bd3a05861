//! Write-ahead logs that remember whose they are. PostgreSQL tells timelines apart by number and switch point; here,
//! each promotion begins a branch of its own, so that what the numbers hide can be seen.

use pgsqlms::location::{Lsn, Timeline};
use pgsqlms::postgres::history::TimelineHistory;

/// Where somebody's WAL ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Position {
    pub branch: usize,
    pub lsn: Lsn,
}

/// What one promotion began.
#[derive(Debug)]
pub struct Branch {
    pub timeline: u32,
    /// What was left for it, and where.
    pub parent: Option<Position>,
    /// The node that was promoted.
    pub by: usize,
    history: TimelineHistory,
}

/// All branches that ever were.
#[derive(Debug)]
pub struct Wal(Vec<Branch>);

impl Default for Wal {
    fn default() -> Self {
        Self(vec![Branch { timeline: 1, parent: None, by: 0, history: TimelineHistory::first(Timeline(1)) }])
    }
}

impl Wal {
    /// Where all begin.
    pub fn origin(&self) -> Position {
        Position { branch: 0, lsn: Lsn(0x300_0060) }
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
    pub fn fork(&mut self, at: Position, timeline: u32, by: usize) -> usize {
        let switches = self.0[at.branch].history.switches().iter().map(|switch| (switch.timeline.0, switch.at));
        let lines: Vec<String> = switches
            .chain([(self.0[at.branch].timeline, at.lsn)])
            .map(|(timeline, lsn)| format!("{timeline}\t{lsn}\tno recovery target specified\n"))
            .collect();
        let history = TimelineHistory::parse(Timeline(timeline), lines.concat().as_bytes()).unwrap();
        self.0.push(Branch { timeline, parent: Some(at), by, history });
        self.0.len() - 1
    }

    /// The way from `end` back to the beginning: each branch with its end as seen from there.
    pub fn way(&self, end: Position) -> impl Iterator<Item = Position> + '_ {
        std::iter::successors(Some(end), |at| self.0[at.branch].parent)
    }

    /// Whether somebody whose WAL ends at `end` has everything up to `wanted`.
    pub fn holds(&self, end: Position, wanted: Position) -> bool {
        match self.0[wanted.branch].parent {
            Some(parent) if wanted.lsn <= parent.lsn => self.holds(end, Position { lsn: wanted.lsn, ..parent }),
            _ => self.way(end).any(|at| at.branch == wanted.branch && wanted.lsn <= at.lsn),
        }
    }

    /// The end of what a standby at `end` and a primary at `primary` have in common by PostgreSQL's numbers, as a branch
    /// of the primary's; none if the primary would refuse to send from there.
    pub fn following(&self, end: Position, primary: Position) -> Option<usize> {
        let number = self.0[end.branch].timeline;
        let same = self.way(primary).find(|at| self.0[at.branch].timeline == number)?;
        (end.lsn <= same.lsn).then_some(same.branch)
    }

    /// What a standby holds that has followed `primary` up to `lsn`.
    pub fn up_to(&self, primary: Position, lsn: Lsn) -> Position {
        let reached = |at: &Position| self.0[at.branch].parent.is_none_or(|parent| parent.lsn < lsn);
        let branch = self.way(primary).find(reached).map_or(0, |at| at.branch);
        Position { branch, lsn }
    }
}
