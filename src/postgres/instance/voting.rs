//! How far the WAL reaches, of an instance that runs or does not.

use super::Instance;
use crate::clock::Deadline;
use crate::location::SystemId;
use crate::postgres::PostgresError;
use crate::postgres::passing_note::{self, About};
use crate::postgres::session::Row;
use crate::postgres::wal_end::{self, End, Positions, Progress};
use crate::vote::{Extent, Reach, Vote};

const REACH: &str = "SELECT pg_catalog.pg_last_wal_receive_lsn(), pg_catalog.pg_last_wal_replay_lsn()";

impl Instance {
    /// What the server says, and what is on disk, which is read until `until` at most. What could not be read by then is left
    /// to the next vote.
    pub(super) fn look_at_wal(&mut self, until: Deadline) -> Result<Vote, PostgresError> {
        let control = self.control()?;
        let positions = self.ask_for_reach();
        let noted = self.what_was_read();
        let clock = std::rc::Rc::clone(&self.clock);
        let mut keep_going = || !until.has_passed(clock.as_ref());
        let read = |data: &_| Ok(wal_end::on_disk(data, &control, positions, noted.as_ref(), &mut keep_going));
        let End { history, lsn, mut extent, received, progress } = self.as_user(read)?;
        if let Some(progress) = progress {
            passing_note::write(self.data.path(), About::Wal, &progress.to_string());
        }
        // A server that recovers may have removed WAL that it had replayed, while it was being read.
        if extent == Extent::Exact && self.control().is_ok_and(|now| now.redo > lsn) {
            extent = Extent::AtLeast;
        }
        let reach = Reach { received, replayed: positions.replayed, on_disk: Some(lsn) };
        let (system, replaced) = (Some(SystemId(control.system_identifier)), self.is_replaced());
        Ok(Vote { system, replaced, history, reach, extent })
    }

    fn ask_for_reach(&mut self) -> Positions {
        let row = self.ask(REACH).unwrap_or_else(|error| {
            log::debug!("voting by the WAL on disk alone: {error}");
            Row::new()
        });
        let lsn = |column: usize| row.get(column)?.as_deref()?.parse().ok();
        Positions { received: lsn(0), replayed: lsn(1) }
    }

    fn what_was_read(&self) -> Option<Progress> {
        let text = passing_note::read(self.data.path(), About::Wal)?;
        text.parse().map_err(|error| log::debug!("{error}")).ok()
    }

    /// Other WAL may take the place of what was read.
    pub(super) fn forget_what_was_read(&self) {
        passing_note::forget(self.data.path(), About::Wal);
    }
}
