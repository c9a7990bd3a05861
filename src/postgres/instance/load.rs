//! What goes on at a primary that is to be demoted, and how the other instances are reached from here.

use std::rc::Rc;
use std::time::Duration;

use super::Instance;
use crate::postgres::conninfo::Conninfo;
use crate::postgres::managed::Setting;
use crate::postgres::peers::Peers;
use crate::postgres::session::Row;
use crate::postgres::{PostgresError, Replication};
use crate::rules::restart::Pending;
use crate::rules::scores::SenderState;
use crate::rules::status::Role;
use crate::rules::switchover::Load;

/// How long the server program is asked for a setting.
const PATIENCE: Duration = Duration::from_secs(3);

const LOAD: &str = "SELECT pg_catalog.count(*), \
     pg_catalog.floor(extract(epoch FROM pg_catalog.clock_timestamp() - pg_catalog.min(xact_start)))::bigint, \
     (SELECT pg_catalog.count(*) FROM pg_catalog.pg_prepared_xacts), \
     (SELECT last_failed_time > coalesce(last_archived_time, '-infinity') FROM pg_catalog.pg_stat_archiver \
      WHERE pg_catalog.current_setting('archive_mode') <> 'off') \
     FROM pg_catalog.pg_stat_activity WHERE backend_type = 'client backend' AND pid <> pg_catalog.pg_backend_pid()";

/// What stands in the files is for superusers to see. A setting that is in none of them goes back to its default.
const PENDING: &str = "SELECT now.name, now.setting, coalesce((SELECT f.setting FROM pg_catalog.pg_file_settings f \
         WHERE pg_catalog.lower(f.name) = pg_catalog.lower(now.name) ORDER BY f.seqno DESC LIMIT 1), now.boot_val) \
     FROM pg_catalog.pg_settings now WHERE now.pending_restart ORDER BY now.name";

/// The role and the timeline. A standby that has received nothing yet reports that of its last restart point.
const GLANCE: &str = "SELECT standby, CASE WHEN standby THEN coalesce(\
         (SELECT received_tli FROM pg_catalog.pg_stat_wal_receiver WHERE status = 'streaming'), \
         (SELECT timeline_id FROM pg_catalog.pg_control_checkpoint())) \
     ELSE ('x' || pg_catalog.substr(pg_catalog.pg_walfile_name(pg_catalog.pg_current_wal_lsn()), 1, 8))::bit(32)::int END \
     FROM (SELECT pg_catalog.pg_is_in_recovery() AS standby) one";

impl Instance {
    /// What goes on at a primary. Three questions.
    ///
    /// # Errors
    ///
    /// When it does not say.
    pub fn load(&mut self) -> Result<Load, PostgresError> {
        let row = self.ask(LOAD)?;
        let column = |number: usize| row.get(number).and_then(Option::as_deref);
        let number = |number| column(number).and_then(|text| text.parse().ok()).unwrap_or_default();
        let (waiting, Replication { replicas, .. }) = (self.see_waiting()?, self.see_replication()?);
        let streaming = replicas.into_iter().filter(|replica| replica.state == SenderState::Streaming);
        Ok(Load {
            sessions: number(0),
            oldest: number(1),
            prepared: number(2),
            archiver_fails: column(3) == Some("t"),
            waiting,
            streaming: streaming.map(|replica| replica.name).collect(),
        })
    }

    /// Its role and its timeline, if it answers. One question.
    pub fn glance(&mut self) -> Option<(Role, Option<u32>)> {
        let row = self.ask(GLANCE).map_err(|error| log::debug!("{error}")).ok()?;
        let column = |number: usize| row.get(number).and_then(Option::as_deref);
        let role = if column(0)? == "t" { Role::Standby } else { Role::Primary };
        Some((role, column(1).and_then(|timeline| timeline.parse().ok())))
    }

    /// The settings that wait for a restart. One question.
    ///
    /// # Errors
    ///
    /// When it does not say.
    pub fn pending(&mut self) -> Result<Vec<Pending>, PostgresError> {
        let pending = |row: &Row| {
            let column = |number: usize| row.get(number).cloned().flatten();
            Pending { name: column(0).unwrap_or_default(), values: column(1).zip(column(2)) }
        };
        Ok(self.ask_all(PENDING)?.iter().map(pending).collect())
    }

    /// How this node connects to the others: by what its configuration says of the primary, whichever node that is now.
    ///
    /// # Errors
    ///
    /// When it says nothing.
    pub fn peers(&mut self) -> Result<Peers, String> {
        let until = self.deadline.or_after(self.clock.as_ref(), PATIENCE);
        let name = Setting::PrimaryConninfo.name();
        let text = self.with_rewind(until, |rewind| rewind.setting(name)).map_err(|error| error.to_string())?;
        // A node that follows by name, and has no primary to follow, has the setting emptied.
        let text = match text.is_empty() {
            true => self.in_force(Setting::PrimaryConninfo).ok().and_then(|it| it.theirs).unwrap_or_default(),
            false => text,
        };
        let conninfo: Conninfo = text.parse().map_err(|error| format!("primary_conninfo: {error}"))?;
        if conninfo.iter().next().is_none() {
            return Err("primary_conninfo is not set".to_owned());
        }
        let user = self.user().map_err(|error| error.to_string())?;
        Ok(Peers::new(Rc::clone(&self.runtime), user, &conninfo))
    }
}
