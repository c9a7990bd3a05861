//! Who replicates, in the words of both sides.

use super::Instance;
use crate::location::Timeline;
use crate::postgres::session::Row;
use crate::postgres::{PostgresError, Replication, Upstream};
use crate::rules::scores::{self, Replica, SenderState};

const REPLICATION: &str = "SELECT pg_catalog.pg_current_wal_lsn(), \
     pg_catalog.pg_walfile_name(pg_catalog.pg_current_wal_lsn()), \
     pg_catalog.current_setting('synchronous_standby_names'), application_name, state, flush_lsn, \
     sync_state IN ('sync', 'quorum'), sent_lsn \
     FROM (SELECT 1) one LEFT JOIN pg_catalog.pg_stat_replication ON true";

const UPSTREAM: &str = "SELECT (SELECT status FROM pg_catalog.pg_stat_wal_receiver), \
     pg_catalog.current_setting('primary_conninfo') = ''";

impl Instance {
    /// Who replicates from it. One question.
    pub(super) fn see_replication(&mut self) -> Result<Replication, PostgresError> {
        let rows = self.ask_all(REPLICATION)?;
        let missing = || PostgresError::Sql { what: REPLICATION, why: "no current position".to_owned() };
        let column = |number: usize| rows.first()?.get(number)?.as_deref();
        let timeline = |file: &str| u32::from_str_radix(file.get(..8)?, 16).ok().map(Timeline);
        Ok(Replication {
            current: column(0).and_then(|lsn| lsn.parse().ok()).ok_or_else(missing)?,
            timeline: column(1).and_then(timeline).ok_or_else(missing)?,
            synchronous_standby_names: column(2).unwrap_or_default().to_owned(),
            replicas: rows.iter().filter_map(replica).collect(),
        })
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
        synchronous: column(6) == Some("t"),
    })
}
