//! Whether hanging storage is the reason why the server admits no session, or completes no commit.

use std::rc::Rc;
use std::time::Duration;

use super::Instance;
use crate::command::{CommandError, Invocation};
use crate::location::Lsn;
use crate::postgres::control::DbState;
use crate::postgres::passing_note::{self, About};
use crate::postgres::{PostgresError, storage};
use crate::rules::cut_off::Break;
use crate::rules::standstill::{Standstill, Suspicion};
use crate::rules::status::{self, Answer, Role};

/// The longest that storage is given in one action, and the share of the time that is left. A busy disk may need longer.
const PATIENCE: Duration = Duration::from_secs(3);
const SHARE: f64 = 0.5;

/// A shorter time proves nothing.
const SHORTEST: Duration = Duration::from_millis(500);

impl Instance {
    /// The answer, or that the storage has hung for long. A session that got in is proof enough that it does not; not of a
    /// primary whose WAL stands still, which reads from memory.
    pub(super) fn blame_storage(&mut self, answer: Answer, control: Option<DbState>) -> Answer {
        let is_primary = match answer {
            Answer::Refused(_) | Answer::Hangs(_) => control == Some(DbState::InProduction),
            Answer::Role(Role::Primary) if self.stands_still() => true,
            _ => {
                passing_note::forget(self.data.path(), About::Storage);
                return answer;
            }
        };
        if !std::mem::replace(&mut self.storage_is_tried, true) {
            let how = if is_primary { storage::WRITE } else { storage::READ };
            if self.storage_answers(how) {
                passing_note::forget(self.data.path(), About::Storage);
                self.note_standstill(self.standstill().map(Standstill::refuted));
            } else {
                let seen = Break::seen(self.storage_hangs(), self.clock.uptime());
                passing_note::write(self.data.path(), About::Storage, &seen.to_string());
            }
        }
        match self.storage_hangs().map(Break::lasted).filter(|lasted| *lasted >= status::STORAGE_PATIENCE) {
            Some(lasted) => Answer::StorageHangs(lasted),
            None => answer,
        }
    }

    fn storage_hangs(&self) -> Option<Break> {
        passing_note::read(self.data.path(), About::Storage).and_then(|text| Break::read(&text))
    }

    /// Takes note of how far the WAL of this primary is on the disk.
    pub(super) fn watch_wal(&mut self, flushed: Lsn, inserted: Lsn) {
        let seen = Standstill::seen(self.standstill(), self.clock.uptime(), flushed, inserted);
        self.note_standstill(seen);
    }

    fn stands_still(&self) -> bool {
        self.standstill().is_some_and(|seen| seen.suspicion == Suspicion::Hangs)
    }

    fn standstill(&self) -> Option<Standstill> {
        passing_note::read(self.data.path(), About::Standstill).and_then(|text| text.parse().ok())
    }

    fn note_standstill(&self, seen: Option<Standstill>) {
        match seen {
            Some(seen) => passing_note::write(self.data.path(), About::Standstill, &seen.to_string()),
            None => passing_note::forget(self.data.path(), About::Standstill),
        };
    }

    /// Whether it answers in time, with success or an error.
    fn storage_answers(&mut self, how: &str) -> bool {
        let patience = PATIENCE.min(self.deadline.left(self.clock.as_ref()).mul_f64(SHARE));
        if patience < SHORTEST {
            return true;
        }
        let runtime = Rc::clone(&self.runtime);
        let tried = self.as_user(|data| {
            let attempt = Invocation::ourselves(&[storage::TRY, how]).arg(data.path()).arg(data.file("pg_wal"));
            Ok(attempt.run(&runtime, patience)?)
        });
        match tried {
            Err(PostgresError::Command(CommandError::TimedOut { .. })) => {
                log::warn!("the storage has not answered within {:.1} s", patience.as_secs_f64());
                false
            }
            Err(error) => {
                log::warn!("{error}");
                true
            }
            Ok(_) => true,
        }
    }
}
