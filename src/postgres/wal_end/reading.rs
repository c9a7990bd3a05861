//! Reading on from what is known, to the end of WAL or as far as time allows.

use super::super::control::ControlData;
use super::super::history::TimelineHistory;
use super::super::wal::{self, Geometry, Record, Segments, WalError};
use super::followed::Histories;
use super::{End, Positions, Progress};
use crate::location::Lsn;
use crate::vote::Extent;

/// Less than this is read again in no time.
const WORTH_NOTING: u64 = 1 << 20;

/// The WAL of an instance that has this pg_control.
pub(super) struct OnDisk<'a> {
    pub(super) segments: &'a dyn Segments,
    pub(super) geometry: Geometry,
    pub(super) control: &'a ControlData,
}

/// Where WAL goes on.
enum From {
    /// A record starts here, or WAL ends.
    Record(Lsn),
    /// WAL ends here.
    End(Lsn),
}

/// How far it was read.
struct Found {
    end: Lsn,
    extent: Extent,
    last: Option<Record>,
}

impl OnDisk<'_> {
    /// Reads on along the one of `histories` that the instance follows.
    pub(super) fn end(
        &self,
        histories: &Histories,
        positions: Positions,
        noted: Option<&Progress>,
        keep_going: &mut dyn FnMut() -> bool,
    ) -> End {
        let (history, doubt) = self.followed(histories, positions.replayed);
        let known = positions.replayed.unwrap_or_default().max(self.control.redo);
        let from = self.from(history, known, noted);
        let start = match from {
            Ok(From::Record(at) | From::End(at)) => at,
            Err(_) => known,
        };
        let found = match from {
            Ok(From::Record(start)) => self.read(history, start, keep_going),
            Ok(From::End(end)) => Found { end, extent: Extent::Exact, last: None },
            Err(error) => Found { end: known, extent: Extent::Unread(error.to_string()), last: None },
        };
        let mut extent = match doubt.or_else(|| histories.trouble.clone()) {
            Some(why) => Extent::Unread(why),
            None => found.extent,
        };
        // pg_control has that checkpoint, whether it was read or not.
        let lsn = if extent == Extent::Exact { found.end } else { found.end.max(self.control.checkpoint) };
        let received = positions.received.filter(|received| match self.lies_on(history, *received) {
            Ok(is_on_it) => *received <= lsn || is_on_it,
            Err(error) => {
                extent = Extent::Unread(error.to_string());
                *received <= lsn
            }
        });
        let much = found.last.filter(|last| last.end.bytes_after(start) >= WORTH_NOTING);
        let progress = much.map(|last| Progress::at(&last, &up_to(history, last.end), self.control));
        End { history: up_to(history, lsn.max(received.unwrap_or_default())), lsn, extent, received, progress }
    }

    /// The newest history that leads to what was replayed; what makes that doubtful.
    fn followed<'h>(&self, histories: &'h Histories, replayed: Option<Lsn>) -> (&'h TimelineHistory, Option<String>) {
        let Some(replayed) = replayed else { return (histories.newest(), None) };
        let mut newer_do_not = false;
        for history in &histories.followable {
            // The last one would always do without proof.
            let leads_there = match newer_do_not {
                false => self.lies_on(history, replayed),
                true => wal::holds(self.segments, self.geometry, history, replayed),
            };
            match leads_there {
                Ok(true) => return (history, None),
                Ok(false) => newer_do_not = true,
                Err(error) => return (history, Some(error.to_string())),
            }
        }
        (histories.of_checkpoint(), Some("the WAL that was replayed is not in pg_wal".to_owned()))
    }

    /// Whether the instance has WAL of `history` up to `lsn`, and not of a timeline that was left before. A history that
    /// left none since the last checkpoint needs no proof.
    fn lies_on(&self, history: &TimelineHistory, lsn: Lsn) -> Result<bool, WalError> {
        let mut switches = history.switches().iter().filter(|switch| switch.timeline >= self.control.timeline);
        if !switches.any(|switch| switch.at < lsn) {
            return Ok(true);
        }
        wal::holds(self.segments, self.geometry, history, lsn)
    }

    /// Where WAL goes on that is valid up to `known`, and further if a note says so that still holds.
    fn from(&self, history: &TimelineHistory, known: Lsn, noted: Option<&Progress>) -> Result<From, WalError> {
        let noted = noted.filter(|noted| noted.end >= known && noted.fits(self.control, history));
        if let Some(noted) = noted {
            match self.record_at(history, noted.last) {
                Ok(Some(record)) if noted.is(&record) => return Ok(From::Record(noted.last)),
                Ok(_) => log::info!("other WAL than what was read up to {}", noted.end),
                Err(error) => log::debug!("{error}"),
            }
        }
        if known == self.control.redo {
            return Ok(From::Record(known));
        }
        let Some(next) = self.record_at(history, known)? else { return Ok(From::End(known)) };
        let before = if next.prev < self.control.redo { None } else { self.record_at(history, next.prev)? };
        let follows = before.is_some_and(|before| before.end == known);
        Ok(if follows { From::Record(known) } else { From::End(known) })
    }

    fn record_at(&self, history: &TimelineHistory, at: Lsn) -> Result<Option<Record>, WalError> {
        wal::record_at(self.segments, self.geometry, history, at)
    }

    fn read(&self, history: &TimelineHistory, start: Lsn, keep_going: &mut dyn FnMut() -> bool) -> Found {
        match wal::find_end(self.segments, self.geometry, history, start, keep_going) {
            Ok(found) => {
                let extent = if found.is_exact() { Extent::Exact } else { Extent::AtLeast };
                Found { end: found.end, extent, last: found.last }
            }
            Err(broken) => {
                let end = broken.last.as_ref().map_or(start, |record| record.end);
                Found { end, extent: Extent::Unread(broken.error.to_string()), last: broken.last }
            }
        }
    }
}

/// The part of a history that leads to the byte before `lsn`.
fn up_to(history: &TimelineHistory, lsn: Lsn) -> TimelineHistory {
    history.up_to(history.timeline_at(Lsn(lsn.0.saturating_sub(1))))
}
