//! How a standby follows, in its own words.

use std::time::Duration;

use nix::sys::signal::Signal;

use super::Instance;
use crate::postgres::passing_note::{self, About};
use crate::postgres::{PostgresError, processes, server_log};
use crate::rules::check::{Following, Source};
use crate::rules::cut_off::{Break, CutOff};
use crate::rules::follow;

/// The receiver calls itself streaming from its first attempt on. That a WAL sender streams shows by a message, which sets the
/// two times apart, or by its waiting for one. Before it knows where the primary's WAL ends, what it has received counts.
const FOLLOWING: &str = "SELECT streaming, pg_catalog.current_setting('primary_conninfo') = '', \
     pg_catalog.pg_wal_lsn_diff(known, replayed)::bigint, \
     CASE WHEN replayed >= known THEN 0 \
     ELSE extract(epoch FROM pg_catalog.clock_timestamp() - pg_catalog.pg_last_xact_replay_timestamp()) END \
     FROM (SELECT status = 'streaming' AND (last_msg_send_time <> last_msg_receipt_time OR EXISTS (SELECT FROM \
     pg_catalog.pg_stat_activity a WHERE a.pid = r.pid AND a.wait_event = 'WalReceiverMain')) AS streaming, \
     coalesce(latest_end_lsn, pg_catalog.pg_last_wal_receive_lsn()) AS known, \
     pg_catalog.pg_last_wal_replay_lsn() AS replayed \
     FROM (SELECT 1) one LEFT JOIN pg_catalog.pg_stat_wal_receiver r ON true) seen";

/// Whether recovery waits for WAL from outside.
const WAITS_FOR_WAL: &str = "SELECT wait_event IS NOT NULL AND wait_event IN ('RecoveryWalStream', 'RecoveryWalAll', \
     'RecoveryRetrieveRetryInterval', 'RestoreCommand', 'WalReceiverExit') \
     FROM pg_catalog.pg_stat_activity WHERE backend_type = 'startup'";

impl Instance {
    /// How the standby follows. One question.
    ///
    /// # Errors
    ///
    /// When it does not say.
    pub fn following(&mut self) -> Result<Following, PostgresError> {
        let row = self.ask(FOLLOWING)?;
        let column = |number: usize| row.get(number).and_then(Option::as_deref);
        let bytes = column(2).and_then(|bytes| bytes.parse::<i64>().ok());
        let seconds = column(3).and_then(|seconds| seconds.parse::<f64>().ok());
        Ok(Following {
            source: match (column(0), column(1)) {
                (Some("t"), _) => Source::Stream,
                (_, Some("t")) => Source::Archive,
                _ => Source::None,
            },
            bytes: bytes.map(|bytes| u64::try_from(bytes).unwrap_or(0)),
            time: seconds.and_then(|seconds| Duration::try_from_secs_f64(seconds.max(0.0)).ok()),
        })
    }

    /// Ends the wait of the startup process: it tries once more when it gets the signal to read its configuration
    /// (`WaitForWALToBecomeAvailable`, `src/backend/access/transam/xlogrecovery.c`). Only that process reads it.
    pub(super) fn wake_recovery(&mut self) -> Result<bool, PostgresError> {
        let (processes, titles): (Vec<_>, Vec<_>) =
            self.look(|data, pgdata| processes::titled(data.path(), pgdata)).into_iter().unzip();
        let Some(startup) = follow::waits_to_connect(&titles).and_then(|at| processes.get(at)) else {
            return Ok(false);
        };
        startup.signal(Signal::SIGHUP).map_err(|source| PostgresError::Signal { pid: startup.pid, source })?;
        Ok(true)
    }

    /// Whether one that `streams` or not has received nothing for long, which is noted.
    pub(super) fn see_break(&mut self, streams: bool) -> Option<CutOff> {
        // One that replays what it has, or waits as configured (recovery_min_apply_delay), asks no server for more: PostgreSQL
        // starts a WAL receiver only when all of that is replayed.
        if streams
            || self.ask(WAITS_FOR_WAL).is_ok_and(|row| row.first().is_some_and(|waits| waits.as_deref() == Some("f")))
        {
            passing_note::forget(self.data.path(), About::Break);
            return None;
        }
        let noted = passing_note::read(self.data.path(), About::Break).and_then(|text| Break::read(&text));
        let seen = Break::seen(noted, self.clock.uptime());
        passing_note::write(self.data.path(), About::Break, &seen.to_string());
        let lasted = seen.too_long()?;
        let logged = self.as_user(|data| Ok(server_log::receiver_error(data.path()))).ok().flatten();
        Some(CutOff { lasted, logged })
    }
}
