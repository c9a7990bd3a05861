//! Sets of rows, shown as ranges: a loss is seldom one row.

use std::collections::BTreeSet;
use std::fmt;

use serde::ser::{Serialize, SerializeStruct, Serializer};

/// The key of a row in the commit table.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RowId {
    /// The client that wrote it.
    pub client: i32,
    /// The client's own number for it.
    pub seq: i64,
}

/// Consecutive rows of one client.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize)]
pub struct Range {
    /// The client.
    pub client: i32,
    /// The first row's number.
    pub first: i64,
    /// The last row's number.
    pub last: i64,
}

impl fmt::Display for Range {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { client, first, last } = self;
        if first == last { write!(f, "client {client}: {first}") } else { write!(f, "client {client}: {first}-{last}") }
    }
}

/// A set of rows.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Rows(BTreeSet<RowId>);

impl Rows {
    /// How many.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// None at all?
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Is `row` one of them?
    pub fn contains(&self, row: RowId) -> bool {
        self.0.contains(&row)
    }

    /// The same rows, neighbours taken together.
    pub fn ranges(&self) -> Vec<Range> {
        let mut ranges: Vec<Range> = Vec::new();
        for row in &self.0 {
            match ranges.last_mut() {
                Some(range) if range.client == row.client && range.last + 1 == row.seq => range.last = row.seq,
                _ => ranges.push(Range { client: row.client, first: row.seq, last: row.seq }),
            }
        }
        ranges
    }
}

impl FromIterator<RowId> for Rows {
    fn from_iter<I: IntoIterator<Item = RowId>>(rows: I) -> Self {
        Self(rows.into_iter().collect())
    }
}

/// Their number, and where they are if there are any: `3 (client 1: 4-5, client 2: 9)`.
impl fmt::Display for Rows {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        const SHOWN: usize = 8;
        write!(f, "{}", self.len())?;
        let ranges = self.ranges();
        for (index, range) in ranges.iter().take(SHOWN).enumerate() {
            write!(f, "{}{range}", if index == 0 { " (" } else { ", " })?;
        }
        match ranges.len() {
            0 => Ok(()),
            shown if shown <= SHOWN => f.write_str(")"),
            more => write!(f, " and {} more ranges)", more - SHOWN),
        }
    }
}

impl Serialize for Rows {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut rows = serializer.serialize_struct("Rows", 2)?;
        rows.serialize_field("count", &self.len())?;
        rows.serialize_field("ranges", &self.ranges())?;
        rows.end()
    }
}
