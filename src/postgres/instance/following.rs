//! How a standby follows, in its own words.

use std::time::Duration;

use super::Instance;
use crate::postgres::passing_note::{self, About};
use crate::postgres::{PostgresError, server_log};
use crate::rules::check::{Following, Source};
use crate::rules::cut_off::{self, Break};

/// The receiver calls itself streaming from its first attempt on. That somebody streams shows by a message, which sets the
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
                _ => Source::Nobody,
            },
            bytes: bytes.map(|bytes| u64::try_from(bytes).unwrap_or(0)),
            time: seconds.and_then(|seconds| Duration::try_from_secs_f64(seconds.max(0.0)).ok()),
        })
    }

    /// What a person should know of one that `streams` or not, and notes it: that it has received nothing for long.
    pub(super) fn see_break(&mut self, streams: bool) -> Option<String> {
        if streams {
            passing_note::forget(self.data.path(), About::Break);
            return None;
        }
        let noted = passing_note::read(self.data.path(), About::Break).and_then(|text| Break::read(&text));
        let seen = Break::seen(noted, self.clock.uptime());
        passing_note::write(self.data.path(), About::Break, &seen.to_string());
        let lasted = seen.too_long()?;
        let why = self.as_user(|data| Ok(server_log::receiver_error(data.path()))).ok().flatten();
        Some(cut_off::told(lasted, why.as_deref(), &self.resource))
    }
}
