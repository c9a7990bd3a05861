//! The client's record, and the findings from it.
//!
//! A [`History`] is everything the [`Writer`](crate::client::Writer) recorded; [`History::check`] holds it against the
//! rows that are left at the end. Nothing here talks to a server: the same events always give the same [`Report`].

mod account;
mod event;
mod nodes;
mod outage;
mod primaries;
mod report;
mod rows;

use std::fs;
use std::path::{Path, PathBuf};

pub use account::{Account, WentBack, account};
pub use event::{Attempt, Beat, Event, Instance, Mark, MarkKind, Moment, Outcome, Proof, Start};
pub use nodes::{Difference, NodeState, Nodes};
pub use outage::{FaultOutage, Outage, Outages, outages};
pub use primaries::{Ack, Primaries, Witness, primaries};
pub use report::Report;
pub use rows::{Range, RowId, Rows};

/// Everything one writer recorded, in the order of recording.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct History {
    /// Which clients this history is about.
    pub start: Start,
    /// Every commit that was attempted.
    pub attempts: Vec<Attempt>,
    /// Every write that a probe got through on one particular node.
    pub beats: Vec<Beat>,
    /// Events in the cluster meanwhile.
    pub marks: Vec<Mark>,
    /// When the writer stopped; `None` when it was killed.
    pub ended: Option<Moment>,
}

/// Why a journal could not be read.
#[derive(Debug, thiserror::Error)]
pub enum JournalError {
    /// The file itself.
    #[error("cannot read the journal {}", path.display())]
    Unreadable {
        /// The journal.
        path: PathBuf,
        /// The system's error.
        source: std::io::Error,
    },
    /// A line that is not an event.
    #[error("line {line} of the journal {} is not an event", path.display())]
    Malformed {
        /// The journal.
        path: PathBuf,
        /// Counted from 1.
        line: usize,
        /// The parser's error.
        source: serde_json::Error,
    },
}

impl History {
    /// Adds one event.
    pub fn push(&mut self, event: Event) {
        match event {
            Event::Start(start) => self.start = start,
            Event::Attempt(attempt) => self.attempts.push(attempt),
            Event::Beat(beat) => self.beats.push(beat),
            Event::Mark(mark) => self.marks.push(mark),
            Event::End { at } => self.ended = Some(at),
        }
    }

    /// Reads a journal, also one whose writer was killed.
    ///
    /// A writer that was killed leaves at most one attempt per client without a record, and perhaps half a last line:
    /// those attempts are indeterminate, as if their connection had been lost.
    pub fn read(path: &Path) -> Result<Self, JournalError> {
        let text =
            fs::read_to_string(path).map_err(|source| JournalError::Unreadable { path: path.to_owned(), source })?;
        let mut history = Self::default();
        for (index, line) in text.split_inclusive('\n').enumerate() {
            match serde_json::from_str(line) {
                Ok(event) => history.push(event),
                Err(_) if !line.ends_with('\n') => break,
                Err(source) => {
                    return Err(JournalError::Malformed { path: path.to_owned(), line: index + 1, source });
                }
            }
        }
        if history.ended.is_none() {
            history.assume_one_more_attempt_per_client();
        }
        Ok(history)
    }

    /// The last moment anything is known about.
    pub fn end(&self) -> Moment {
        let attempts = self.attempts.iter().map(|attempt| attempt.ended);
        let marks = self.marks.iter().map(|mark| mark.at);
        self.ended.or_else(|| attempts.chain(marks).max()).unwrap_or_default()
    }

    /// The findings of this history, given the rows that the table holds in the end.
    ///
    /// Rows of clients of other writers are not looked at.
    pub fn check(&self, final_rows: &[RowId]) -> Report {
        let ours: Vec<RowId> = final_rows.iter().copied().filter(|row| self.start.has_client(row.client)).collect();
        let (ok, others): (Vec<_>, Vec<_>) = self.attempts.iter().partition(|attempt| attempt.outcome == Outcome::Ok);
        let acks: Vec<Moment> = ok.iter().map(|attempt| attempt.ended).collect();
        let failing = others.iter().map(|attempt| attempt.ended).max() > acks.iter().copied().max();
        Report {
            account: account(&self.attempts, &ours),
            outages: outages(&acks, failing, &self.marks, self.end()),
            primaries: primaries(&self.acks()),
        }
    }

    /// Every proof that some instance accepted a write: the writer's own commits and the probes' beats.
    fn acks(&self) -> Vec<Ack> {
        let commits = self.attempts.iter().filter(|attempt| attempt.outcome == Outcome::Ok).filter_map(|attempt| {
            let instance = attempt.instance.clone()?;
            Some(Ack { instance, proof: Proof::Ackable, sent: attempt.sent, acked: attempt.ended })
        });
        let beats = self.beats.iter().map(|beat| Ack {
            instance: beat.instance.clone(),
            proof: beat.proof,
            sent: beat.sent,
            acked: beat.acked,
        });
        commits.chain(beats).collect()
    }

    fn assume_one_more_attempt_per_client(&mut self) {
        let killed = self.end();
        for client in self.start.all_clients() {
            let last = self.attempts.iter().filter(|attempt| attempt.client == client).map(|attempt| attempt.seq).max();
            self.attempts.push(Attempt {
                client,
                seq: last.unwrap_or_default() + 1,
                sent: killed,
                ended: killed,
                outcome: Outcome::Info,
                instance: None,
                seen: None,
                reason: Some("the writer was killed meanwhile".to_owned()),
            });
        }
    }
}

#[cfg(test)]
mod tests;
