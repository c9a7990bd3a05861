//! How the instance is linked to others, and its slots.

use super::Instance;
use crate::postgres::session::Row;
use crate::postgres::{Links, PostgresError};
use crate::rules::logical::{self, Logical};
use crate::rules::slots::{Setup, Slot, Step};

/// One row for each of our slots, or one without. `wal_status` is not there before PostgreSQL 13.
const LINKS: &str = "SELECT pg_catalog.current_setting('primary_conninfo'), \
     (SELECT backend_start > pg_catalog.now() - interval '20 seconds' \
      FROM pg_catalog.pg_stat_wal_receiver JOIN pg_catalog.pg_stat_activity USING (pid)), \
     pg_catalog.current_setting('pgsqlms.managed', true), pg_catalog.current_setting('primary_slot_name'), \
     pg_catalog.current_setting('max_slot_wal_keep_size', true) <> '-1', \
     redo_lsn, checkpoint_time > pg_catalog.now() - interval '30 seconds', \
     slot.slot_name, slot.restart_lsn, slot.active, pg_catalog.to_jsonb(slot)->>'wal_status' = 'lost', \
     pg_catalog.current_setting('sync_replication_slots', true) = 'on' OR EXISTS (SELECT FROM \
      pg_catalog.pg_replication_slots l WHERE l.slot_type = 'logical' AND pg_catalog.to_jsonb(l)->>'failover' = 'true'), \
     CASE WHEN pg_catalog.pg_is_in_recovery() THEN pg_catalog.pg_is_wal_replay_paused() END, \
     pg_catalog.current_setting('cluster_name') \
     FROM pg_catalog.pg_control_checkpoint() LEFT JOIN pg_catalog.pg_replication_slots slot \
     ON slot.slot_type = 'physical' AND pg_catalog.starts_with(slot.slot_name::text, 'pgsqlms_')";

/// One row for each logical slot that is to outlive the primary, or one without. There are none before PostgreSQL 17.
const LOGICAL: &str = "SELECT pg_catalog.current_setting('sync_replication_slots', true) = 'on', \
     pg_catalog.current_setting('synchronized_standby_slots', true), \
     slot.slot_name, pg_catalog.to_jsonb(slot)->>'synced' = 'true', \
     NOT slot.temporary AND pg_catalog.to_jsonb(slot)->>'invalidation_reason' IS NULL, slot.active \
     FROM (SELECT 1) one LEFT JOIN pg_catalog.pg_replication_slots slot \
     ON slot.slot_type = 'logical' AND pg_catalog.to_jsonb(slot)->>'failover' = 'true'";

const CREATE: &str = "SELECT slot_name::text FROM pg_catalog.pg_create_physical_replication_slot($1::name, true)";
const DROP: &str = "SELECT pg_catalog.pg_drop_replication_slot($1::name)::text";
const ADVANCE: &str = "SELECT end_lsn::text FROM pg_catalog.pg_replication_slot_advance($1::name, $2::pg_lsn)";

impl Instance {
    pub(super) fn look_at_links(&mut self) -> Result<Links, PostgresError> {
        let rows = self.ask_all(LINKS)?;
        let any_logical = rows.first().and_then(|row| row.get(11)?.as_deref()) == Some("t");
        let logical = if any_logical { self.look_at_logical()? } else { Logical::default() };
        let column = |number: usize| rows.first()?.get(number)?.as_deref();
        let yes = |number: usize| column(number).map(|value| value == "t");
        let too_low = if yes(12) == Some(true) { self.see_settings_too_low() } else { Ok(Vec::new()) };
        Ok(Links {
            conninfo: column(0).unwrap_or_default().to_owned(),
            cluster_name: column(13).unwrap_or_default().to_owned(),
            too_low: too_low.inspect_err(|error| log::warn!("{error}")).unwrap_or_default(),
            just_connected: yes(1) == Some(true),
            setup: Setup {
                reads_our_file: column(2) == Some("on"),
                slot: column(3).unwrap_or_default().to_owned(),
                bounded: yes(4),
                redo: column(5).and_then(|lsn| lsn.parse().ok()).unwrap_or_default(),
                slots: rows.iter().filter_map(slot).collect(),
            },
            checkpointed: yes(6) == Some(true),
            logical,
        })
    }

    fn look_at_logical(&mut self) -> Result<Logical, PostgresError> {
        let rows = self.ask_all(LOGICAL)?;
        let column = |number: usize| rows.first()?.get(number)?.as_deref();
        let named = column(1).unwrap_or_default().split(',').map(|name| name.trim().trim_matches('"').to_owned());
        Ok(Logical {
            syncs: column(0) == Some("t"),
            waits_for: named.filter(|name| !name.is_empty()).collect(),
            slots: rows.iter().filter_map(logical_slot).collect(),
        })
    }

    pub(super) fn change(&mut self, step: &Step) -> Result<(), PostgresError> {
        match step {
            Step::Create(name) => self.ask_with(CREATE, &[name]),
            Step::Recreate(name) => self.ask_with(DROP, &[name]).and_then(|_| self.ask_with(CREATE, &[name])),
            Step::Advance(name, lsn) => self.ask_with(ADVANCE, &[name, &lsn.to_string()]),
            Step::Drop(name) => self.ask_with(DROP, &[name]),
        }
        .map(drop)
    }
}

fn slot(row: &Row) -> Option<Slot> {
    let column = |number: usize| row.get(number)?.as_deref();
    Some(Slot {
        name: column(7)?.to_owned(),
        restart: column(8).and_then(|lsn| lsn.parse().ok()),
        active: column(9) == Some("t"),
        lost: column(10) == Some("t"),
    })
}

fn logical_slot(row: &Row) -> Option<logical::Slot> {
    let column = |number: usize| row.get(number)?.as_deref();
    let yes = |number: usize| column(number) == Some("t");
    Some(logical::Slot { name: column(2)?.to_owned(), synced: yes(3), usable: yes(4), active: yes(5) })
}
