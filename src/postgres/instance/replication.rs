//! The standbys that replicate, as both sides see it.

use std::time::Duration;

use super::Instance;
use crate::location::Timeline;
use crate::postgres::control::Limits;
use crate::postgres::session::Row;
use crate::postgres::{PostgresError, Replication, Upstream};
use crate::rules::fitness::TooLow;
use crate::rules::scores::{self, Replica, SenderState};
use crate::rules::synchronous::waiting::Waiting;
use crate::rules::synchronous::weak::Override;

const REPLICATION: &str = "SELECT pg_catalog.pg_current_wal_lsn(), \
     pg_catalog.pg_walfile_name(pg_catalog.pg_current_wal_lsn()), \
     pg_catalog.current_setting('synchronous_standby_names'), application_name, state, flush_lsn, \
     sync_state IN ('sync', 'quorum'), sent_lsn, pg_catalog.current_setting('synchronous_commit'), \
     EXISTS (SELECT FROM pg_catalog.pg_db_role_setting \
         WHERE pg_catalog.strpos(setconfig::text, 'synchronous_commit=') > 0) \
     FROM (SELECT 1) one LEFT JOIN pg_catalog.pg_stat_replication ON true";

/// A role that cannot log in has no sessions: its members do not get its settings.
const OVERRIDES: &str = "SELECT r.rolname, d.datname, pg_catalog.split_part(setting, '=', 2), \
     (s.setrole = 0 OR r.rolname = current_user) AND (s.setdatabase = 0 OR d.datname = pg_catalog.current_database()) \
     FROM pg_catalog.pg_db_role_setting s CROSS JOIN pg_catalog.unnest(s.setconfig) setting \
     LEFT JOIN pg_catalog.pg_roles r ON r.oid = s.setrole \
     LEFT JOIN pg_catalog.pg_database d ON d.oid = s.setdatabase \
     WHERE pg_catalog.starts_with(setting, 'synchronous_commit=') AND COALESCE(r.rolcanlogin, true)";

/// PostgreSQL does not report how long a commit has waited. The age of its statement is an upper bound.
const WAITING: &str = "SELECT pg_catalog.count(*), \
     pg_catalog.floor(extract(epoch FROM pg_catalog.max(pg_catalog.clock_timestamp() - query_start)))::bigint \
     FROM pg_catalog.pg_stat_activity WHERE wait_event = 'SyncRep'";

const UPSTREAM: &str = "SELECT (SELECT status FROM pg_catalog.pg_stat_wal_receiver), \
     pg_catalog.current_setting('primary_conninfo') = ''";

/// In the order of [`Limits`].
const LIMITS: &str = "SELECT pg_catalog.current_setting('max_connections'), \
     pg_catalog.current_setting('max_worker_processes'), pg_catalog.current_setting('max_wal_senders'), \
     pg_catalog.current_setting('max_prepared_transactions'), pg_catalog.current_setting('max_locks_per_transaction')";

impl Instance {
    /// The standbys that replicate from it. One query.
    pub(super) fn see_replication(&mut self) -> Result<Replication, PostgresError> {
        let rows = self.ask_all(REPLICATION)?;
        let missing = || PostgresError::Sql { what: REPLICATION, why: "no current position".to_owned() };
        let column = |number: usize| rows.first()?.get(number)?.as_deref();
        let timeline = |file: &str| u32::from_str_radix(file.get(..8)?, 16).ok().map(Timeline);
        Ok(Replication {
            current: column(0).and_then(|lsn| lsn.parse().ok()).ok_or_else(missing)?,
            timeline: column(1).and_then(timeline).ok_or_else(missing)?,
            synchronous_standby_names: column(2).unwrap_or_default().to_owned(),
            synchronous_commit: column(8).unwrap_or_default().to_owned(),
            overridden: column(9) == Some("t"),
            replicas: rows.iter().filter_map(replica).collect(),
        })
    }

    /// The commits that wait for a synchronous standby. One question.
    pub(super) fn see_waiting(&mut self) -> Result<Waiting, PostgresError> {
        let row = self.ask(WAITING)?;
        let number = |column: usize| row.get(column).and_then(Option::as_deref)?.parse().ok();
        let longest = Duration::from_secs(number(1).unwrap_or_default());
        Ok(Waiting { sessions: number(0).unwrap_or_default(), longest })
    }

    /// Where `synchronous_commit` has another value. One question.
    pub(super) fn see_overrides(&mut self) -> Result<Vec<Override>, PostgresError> {
        let found = |row: &Row| {
            let column = |number: usize| row.get(number).cloned().flatten();
            let (value, ours) = (column(2).unwrap_or_default(), column(3).as_deref() == Some("t"));
            Override { role: column(0), database: column(1), value, ours }
        };
        Ok(self.ask_all(OVERRIDES)?.iter().map(found).collect())
    }

    /// Its settings that are below what pg_control says of the primary's, as last replayed. One question.
    pub(super) fn see_settings_too_low(&mut self) -> Result<Vec<TooLow>, PostgresError> {
        let row = self.ask(LIMITS)?;
        let missing = || PostgresError::Sql { what: LIMITS, why: "it is not a number".to_owned() };
        let value = |number: usize| row.get(number).and_then(Option::as_deref)?.parse().ok();
        let value = |number: usize| value(number).ok_or_else(missing);
        let own = Limits {
            max_connections: value(0)?,
            max_worker_processes: value(1)?,
            max_wal_senders: value(2)?,
            max_prepared_transactions: value(3)?,
            max_locks_per_transaction: value(4)?,
        };
        Ok(own.below(&self.control()?.limits))
    }

    /// Where its WAL comes from. One question.
    pub(super) fn see_upstream(&mut self) -> Result<Upstream, PostgresError> {
        let row = self.ask(UPSTREAM)?;
        let column = |number: usize| row.get(number).and_then(Option::as_deref);
        Ok(match (column(0), column(1)) {
            (Some("streaming"), _) => Upstream::Streaming,
            (_, Some("t")) => Upstream::ArchiveOnly,
            _ => Upstream::Disconnected,
        })
    }
}

fn replica(row: &Row) -> Option<Replica> {
    let column = |number: usize| row.get(number)?.as_deref();
    let lsn = |number| column(number).and_then(|lsn| lsn.parse().ok());
    Some(Replica {
        name: column(3)?.to_owned(),
        state: match column(4) {
            Some("streaming") => SenderState::Streaming,
            Some("catchup") => SenderState::Catchup,
            _ => SenderState::NotReplicating,
        },
        flushed: scores::flushed(lsn(5), lsn(7)),
        reports: lsn(5).is_some(),
        synchronous: column(6) == Some("t"),
    })
}
