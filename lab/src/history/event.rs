//! The entries of a journal: an event, its time, and its instance.

use std::fmt;
use std::time::Duration;

use serde::{Deserialize, Serialize};

/// A point in time: microseconds since the writer's start, on the client's monotonic clock.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Moment(pub u64);

impl Moment {
    /// The moment `elapsed` after the start.
    pub fn after(elapsed: Duration) -> Self {
        Self(u64::try_from(elapsed.as_micros()).unwrap_or(u64::MAX))
    }

    /// The time from `earlier` to this moment, zero if `earlier` is later.
    pub fn since(self, earlier: Self) -> Duration {
        Duration::from_micros(self.0.saturating_sub(earlier.0))
    }
}

impl fmt::Display for Moment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:.3} s", Duration::from_micros(self.0).as_secs_f64())
    }
}

/// One line of the journal.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Event {
    /// The first line.
    Start(Start),
    /// A commit was attempted.
    Attempt(Attempt),
    /// A probe's write was acknowledged.
    Beat(Beat),
    /// Something was done to the cluster.
    Mark(Mark),
    /// The last line.
    End {
        /// When the writer stopped.
        at: Moment,
    },
}

/// Which clients a history is about. Their numbers are used by no other writer of the same table.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Start {
    /// The first client's number.
    pub first_client: i32,
    /// How many clients write side by side.
    pub clients: u16,
}

impl Start {
    /// Every client's number.
    pub fn all_clients(&self) -> impl Iterator<Item = i32> + use<> {
        self.first_client..self.first_client.saturating_add(i32::from(self.clients))
    }

    /// Whether `client` belongs to this history.
    pub fn has_client(&self, client: i32) -> bool {
        client >= self.first_client && client < self.first_client.saturating_add(i32::from(self.clients))
    }
}

/// How an attempt to commit ended, as far as its client can know.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    /// Acknowledged, without a warning: it must never be lost.
    Ok,
    /// Refused: it must never appear.
    Fail,
    /// Indeterminate: it may be there or not.
    Info,
}

/// A server process from its start to its end, on one timeline.
///
/// A primary never becomes a standby and never changes its timeline without a restart, so an instance that accepted
/// two writes accepted writes all the time in between.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Instance {
    /// `pg_postmaster_start_time()` in microseconds since 1970: this alone distinguishes two servers.
    pub started: i64,
    /// The timeline it writes to.
    pub timeline: u32,
    /// Its name, for people.
    pub node: String,
}

impl fmt::Display for Instance {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} on timeline {}", self.node, self.timeline)
    }
}

/// One attempt to commit one row.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Attempt {
    /// The client.
    pub client: i32,
    /// The client's own number for it, never used again.
    pub seq: i64,
    /// When the statement was about to be sent.
    pub sent: Moment,
    /// When the answer was there, or the client gave up.
    pub ended: Moment,
    /// How it ended.
    pub outcome: Outcome,
    /// The instance that answered.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub instance: Option<Instance>,
    /// The client's greatest `seq` in the table just before this one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub seen: Option<i64>,
    /// Why it is not acknowledged.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
}

/// The proof that an acknowledged write gives about the instance that accepted it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Proof {
    /// It accepts writes, be it locally only (`synchronous_commit = local`).
    Writable,
    /// It acknowledges commits as its own configuration demands.
    Ackable,
}

/// A probe's acknowledged write on one particular node.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Beat {
    /// The instance that accepted it.
    pub instance: Instance,
    /// The proof that it gives.
    pub proof: Proof,
    /// When it was about to be sent.
    pub sent: Moment,
    /// When its acknowledgement was there.
    pub acked: Moment,
}

/// The kind of a mark.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum MarkKind {
    /// A fault begins.
    Begin,
    /// A fault is over.
    End,
    /// Anything else that people want to see in the history.
    Note,
}

/// Something that was done to the cluster.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Mark {
    /// When.
    pub at: Moment,
    /// Its kind.
    pub kind: MarkKind,
    /// Its text.
    pub text: String,
}
