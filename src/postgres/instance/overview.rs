//! The report of an instance for the operator: three queries at most.

mod examined;

use super::Instance;
use crate::postgres::session::Row;
use crate::postgres::{Postgres, PostgresError};
use crate::rules::overview::{self, Local, Peer, Report};
use crate::rules::status::{self, Role};

/// A standby that has received nothing yet reports the timeline of its last restart point.
const ITSELF: &str = "SELECT pg_catalog.current_setting('server_version'), \
     CASE WHEN standby THEN coalesce((SELECT received_tli FROM pg_catalog.pg_stat_wal_receiver), \
         (SELECT timeline_id FROM pg_catalog.pg_control_checkpoint())) \
     ELSE ('x' || pg_catalog.substr(pg_catalog.pg_walfile_name(pg_catalog.pg_current_wal_lsn()), 1, 8))::bit(32)::int END, \
     CASE WHEN standby THEN pg_catalog.pg_last_wal_replay_lsn() ELSE pg_catalog.pg_current_wal_lsn() END, \
     CASE WHEN standby THEN pg_catalog.pg_is_wal_replay_paused() ELSE false END, \
     (SELECT pg_catalog.string_agg(name, ' ' ORDER BY name) FROM pg_catalog.pg_settings WHERE pending_restart), \
     pg_catalog.current_setting('synchronous_standby_names'), pg_catalog.current_setting('port'), \
     (SELECT pg_catalog.string_agg(application_name, E'\\n') FROM pg_catalog.pg_stat_replication), \
     (SELECT pg_catalog.string_agg(name || '=' || setting, ' ') FROM pg_catalog.pg_settings WHERE name IN ('max_connections', \
         'max_worker_processes', 'max_wal_senders', 'max_prepared_transactions', 'max_locks_per_transaction')) \
     FROM (SELECT pg_catalog.pg_is_in_recovery() AS standby) one";

const PEERS: &str = "SELECT application_name, state, sync_state, replay_lsn, \
     pg_catalog.pg_wal_lsn_diff(pg_catalog.pg_current_wal_lsn(), replay_lsn)::bigint, \
     pg_catalog.floor(extract(epoch FROM replay_lag) * 10)::bigint, flush_lsn FROM pg_catalog.pg_stat_replication \
     ORDER BY (state = 'streaming') DESC, application_name";

impl Instance {
    /// Its status, and its report in a session if it runs.
    pub fn overview(&mut self) -> Local {
        let status = status::status(&self.evidence());
        let role = [Role::Primary, Role::Standby].into_iter().find(|role| status.runs_as(*role));
        let report = match role {
            Some(role) => self.report(role).map_err(|error| error.to_string()),
            None => Err(status.to_string()),
        };
        Local { status, report }
    }

    fn report(&mut self, role: Role) -> Result<Report, PostgresError> {
        let row = self.ask(ITSELF)?;
        let column = |number: usize| row.get(number).and_then(Option::as_deref);
        let mut report = Report {
            version: column(0).unwrap_or_default().split(' ').next().unwrap_or_default().to_owned(),
            timeline: column(1).and_then(|timeline| timeline.parse().ok()),
            lsn: column(2).and_then(|lsn| lsn.parse().ok()),
            is_paused: column(3) == Some("t"),
            pending: column(4).unwrap_or_default().split_whitespace().map(str::to_owned).collect(),
            synchronous: column(5).unwrap_or_default().to_owned(),
            port: column(6).and_then(|port| port.parse().ok()),
            standbys: column(7).unwrap_or_default().lines().map(str::to_owned).collect(),
            limits: overview::limits(column(8).unwrap_or_default()),
            ..Report::default()
        };
        match role {
            Role::Primary => {
                report.peers = self.ask_all(PEERS)?.iter().map(peer).collect();
                report.waiting = self.waiting()?;
            }
            Role::Standby => {
                report.following = Some(self.following()?);
                if report.is_paused {
                    report.too_low = self.see_settings_too_low()?;
                }
            }
        }
        Ok(report)
    }
}

fn peer(row: &Row) -> Peer {
    let column = |number: usize| row.get(number).and_then(Option::as_deref);
    let number = |column: Option<&str>| column.and_then(|number| number.parse::<i64>().ok());
    let number = |column| number(column).map(|number| u64::try_from(number).unwrap_or(0));
    Peer {
        name: column(0).unwrap_or_default().to_owned(),
        state: column(1).unwrap_or_default().to_owned(),
        sync: column(2).unwrap_or_default().to_owned(),
        replayed: column(3).and_then(|lsn| lsn.parse().ok()),
        bytes: number(column(4)),
        tenths: number(column(5)),
        flushed: column(6).and_then(|lsn| lsn.parse().ok()),
    }
}
