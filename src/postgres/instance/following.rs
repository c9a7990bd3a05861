//! How a standby follows, in its own words.

use std::time::Duration;

use super::Instance;
use crate::postgres::PostgresError;
use crate::rules::check::{Following, Source};

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
}
