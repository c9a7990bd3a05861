//! The account of commits: the acknowledged ones against the rows that are there.

use std::collections::{BTreeMap, BTreeSet};

use serde::Serialize;

use super::event::{Attempt, Instance, Outcome};
use super::rows::{RowId, Rows};

/// The fate of every attempt.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Account {
    /// How many commits were attempted.
    #[serde(rename = "ops")]
    pub attempts: usize,
    /// How many were acknowledged.
    pub ok: usize,
    /// How many were refused.
    pub fail: usize,
    /// How many are indeterminate.
    pub info: usize,
    /// Acknowledged, but not there.
    #[serde(rename = "acked_lost")]
    pub lost: Rows,
    /// Ranges of lost commits with a later commit of the same client still there: holes, not a cut-off end.
    pub gaps: usize,
    /// There more than once.
    #[serde(rename = "dup")]
    pub twice: Rows,
    /// There, but refused or never attempted.
    pub phantom: Rows,
    /// Indeterminate, and there: allowed.
    pub info_present: usize,
    /// Never acknowledged, seen by a later attempt, and not there in the end.
    ///
    /// PostgreSQL allows this: a session on the primary may see a commit that still waits for its standby.
    pub observed_then_lost: Rows,
    /// Attempts that did not see their own client's acknowledged commits.
    pub went_back: Vec<WentBack>,
}

/// An attempt that saw the past: its client's acknowledged commit was not in the table it wrote to.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct WentBack {
    /// The client.
    pub client: i32,
    /// The attempt.
    pub seq: i64,
    /// The commit that had been acknowledged before it.
    pub acknowledged: i64,
    /// The commit that it saw.
    pub seen: Option<i64>,
    /// Where.
    pub instance: Instance,
}

/// Holds the attempts against the rows that are there in the end.
pub fn account(attempts: &[Attempt], final_rows: &[RowId]) -> Account {
    let present: BTreeSet<RowId> = final_rows.iter().copied().collect();
    let with = |outcome: Outcome| -> BTreeSet<RowId> {
        attempts.iter().filter(|attempt| attempt.outcome == outcome).map(row_of).collect()
    };
    let (ok, fail, info) = (with(Outcome::Ok), with(Outcome::Fail), with(Outcome::Info));
    let lost: Rows = ok.difference(&present).copied().collect();
    let seen = attempts.iter().filter_map(|attempt| Some(RowId { client: attempt.client, seq: attempt.seen? }));
    Account {
        attempts: attempts.len(),
        ok: ok.len(),
        fail: fail.len(),
        info: info.len(),
        gaps: gaps(&lost, &present),
        twice: more_than_once(final_rows),
        phantom: present.iter().copied().filter(|row| !ok.contains(row) && !info.contains(row)).collect(),
        info_present: info.intersection(&present).count(),
        observed_then_lost: seen.filter(|row| !ok.contains(row) && !present.contains(row)).collect(),
        went_back: went_back(attempts),
        lost,
    }
}

fn row_of(attempt: &Attempt) -> RowId {
    RowId { client: attempt.client, seq: attempt.seq }
}

fn more_than_once(rows: &[RowId]) -> Rows {
    let mut copies: BTreeMap<RowId, usize> = BTreeMap::new();
    for row in rows {
        *copies.entry(*row).or_default() += 1;
    }
    copies.into_iter().filter(|(_, copies)| *copies > 1).map(|(row, _)| row).collect()
}

fn gaps(lost: &Rows, present: &BTreeSet<RowId>) -> usize {
    let survived =
        |client, last| present.range(RowId { client, seq: last }..=RowId { client, seq: i64::MAX }).next().is_some();
    lost.ranges().iter().filter(|range| survived(range.client, range.last)).count()
}

fn went_back(attempts: &[Attempt]) -> Vec<WentBack> {
    let mut acknowledged: BTreeMap<i32, i64> = BTreeMap::new();
    let mut found = Vec::new();
    for attempt in attempts {
        let Attempt { client, seq, seen, .. } = *attempt;
        let before = acknowledged.get(&client).copied();
        match (&attempt.instance, before) {
            (Some(instance), Some(acknowledged)) if seen < before => {
                found.push(WentBack { client, seq, acknowledged, seen, instance: instance.clone() });
            }
            _ => {}
        }
        if attempt.outcome == Outcome::Ok {
            acknowledged.insert(client, before.map_or(seq, |before| before.max(seq)));
        }
    }
    found
}
