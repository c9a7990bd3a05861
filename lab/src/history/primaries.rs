//! Were there ever two primaries? Judged by acknowledged writes alone, on the client's one clock.
//!
//! A client cannot see the instant at which a server accepts a write, only that it lies between sending and acknowledgement.
//! Every comparison here takes the side that proves least, so a reported overlap did happen.

use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

use serde::Serialize;

use super::event::{Instance, Moment, Proof};

/// How many witnesses a report spells out.
const EXAMPLES: usize = 3;

/// An acknowledged write and the instance that accepted it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Ack {
    /// The instance that accepted it.
    pub instance: Instance,
    /// The proof that it gives.
    pub proof: Proof,
    /// When it was about to be sent.
    pub sent: Moment,
    /// When its acknowledgement was there.
    pub acked: Moment,
}

/// Three writes that prove two primaries: `one` accepted writes before and after `other` did, as the same instance.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Witness {
    /// The instance that was primary all along.
    pub one: Instance,
    /// Its last acknowledgement before the other's write.
    pub before: Moment,
    /// The write that another instance accepted meanwhile.
    pub other: Ack,
    /// Its first write after that one's acknowledgement.
    pub after: Moment,
}

impl fmt::Display for Witness {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { one, before, other, after } = self;
        write!(f, "{one} accepted writes at {before} and {after}, {} at {}", other.instance, other.acked)
    }
}

/// Findings about two primaries at once.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Primaries {
    /// How long two instances accepted writes at once, in milliseconds.
    pub dual_writable_ms: u64,
    /// How long two instances acknowledged commits at once, in milliseconds.
    pub dual_ackable_ms: u64,
    /// How many writes prove it.
    pub witnesses: usize,
    /// The first of them.
    pub examples: Vec<Witness>,
}

impl Primaries {
    /// Were there ever two?
    pub fn never_two(&self) -> bool {
        self.dual_writable_ms == 0 && self.dual_ackable_ms == 0 && self.witnesses == 0
    }
}

/// Looks for two primaries.
pub fn primaries(acks: &[Ack]) -> Primaries {
    let ackable: Vec<&Ack> = acks.iter().filter(|ack| ack.proof == Proof::Ackable).collect();
    let all: Vec<&Ack> = acks.iter().collect();
    let witnesses = witnesses(&all);
    Primaries {
        dual_writable_ms: milliseconds(overlap(&all)),
        dual_ackable_ms: milliseconds(overlap(&ackable)),
        witnesses: witnesses.len(),
        examples: witnesses.into_iter().take(EXAMPLES).collect(),
    }
}

/// An instance's identity. The name is for people: two names for one server must not look like two servers.
fn identity(instance: &Instance) -> (i64, u32) {
    (instance.started, instance.timeline)
}

/// The moments at which one instance surely was a primary.
struct Run<'a> {
    instance: &'a Instance,
    /// When its acknowledgements were there, ascending.
    acked: Vec<Moment>,
    /// When its acknowledged writes were sent, ascending.
    sent: Vec<Moment>,
}

fn runs<'a>(acks: &[&'a Ack]) -> Vec<Run<'a>> {
    let mut runs: BTreeMap<(i64, u32), Run<'a>> = BTreeMap::new();
    for ack in acks {
        let instance = &ack.instance;
        let run =
            runs.entry(identity(instance)).or_insert_with(|| Run { instance, acked: Vec::new(), sent: Vec::new() });
        run.acked.push(ack.acked);
        run.sent.push(ack.sent);
    }
    let mut runs: Vec<Run<'a>> = runs.into_values().collect();
    for run in &mut runs {
        run.acked.sort_unstable();
        run.sent.sort_unstable();
    }
    runs
}

fn witnesses(acks: &[&Ack]) -> Vec<Witness> {
    let runs = runs(acks);
    let mut found: Vec<Witness> = Vec::new();
    for other in acks {
        found.extend(runs.iter().filter(|run| run.instance.started != other.instance.started).find_map(|run| {
            let before = *run.acked[..run.acked.partition_point(|acked| *acked <= other.sent)].last()?;
            let after = *run.sent.get(run.sent.partition_point(|sent| *sent < other.acked))?;
            Some(Witness { one: run.instance.clone(), before, other: (*other).clone(), after })
        }));
    }
    found.sort_by_key(|witness| witness.other.acked);
    found
}

/// For how long at least two instances were between their first acknowledgement and their last acknowledged write.
fn overlap(acks: &[&Ack]) -> Duration {
    let runs = runs(acks);
    let surely = runs.iter().filter_map(|run| Some((*run.acked.first()?, *run.sent.last()?)));
    let mut edges: Vec<(Moment, i32)> =
        surely.filter(|(first, last)| first < last).flat_map(|(first, last)| [(first, 1), (last, -1)]).collect();
    edges.sort_unstable();
    let (mut total, mut primaries, mut since) = (Duration::ZERO, 0, Moment::default());
    for (at, change) in edges {
        if primaries > 1 {
            total += at.since(since);
        }
        primaries += change;
        since = at;
    }
    total
}

/// Rounded up: a proof is never shown as 0.
fn milliseconds(time: Duration) -> u64 {
    u64::try_from(time.as_micros().div_ceil(1000)).unwrap_or(u64::MAX)
}
