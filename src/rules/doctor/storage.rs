//! Slots, archive, disks, collations and versions of this node's PostgreSQL.

use super::Severity::{Failure, Hint, Warning};
use super::{Check, Facts, Found, Server, Slot, found, found_if, served};
use crate::rules::slots;

pub(super) const CHECKS: [Check; 9] = [
    served("slot-lost", Warning, "A slot has lost the WAL that its standby needs.", slot_lost),
    served("slot-of-gone-node", Warning, "A slot of a node that is gone holds WAL back.", slot_of_gone_node),
    served("slots-unbounded", Warning, "Slots may hold back WAL until the disk is full.", slots_unbounded),
    served("wal-keep", Warning, "The primary keeps no WAL for a standby whose connection breaks.", wal_keep),
    served("archive-fails", Warning, "WAL cannot be archived: it piles up, and backups have a gap.", archive_fails),
    served("wal-disk", Warning, "The disk of the WAL has less room than the WAL may need.", wal_disk),
    served("log-directory", Hint, "The log is in the data directory: a rebuild replaces it.", log_directory),
    served("collation", Failure, "The library of collations has changed: indexes of text may be wrong.", collation),
    served("bad-version", Warning, "This minor version has a known fault that matters here.", bad_version),
];

fn slot_lost(_: &Facts, it: &Server) -> Vec<Found> {
    let describe = |slot: &Slot| {
        found(
            format!("the slot {} has lost WAL: its consumer must be rebuilt", slot.name),
            format!("SELECT pg_drop_replication_slot('{}')", slot.name),
            "the agent makes its own again",
        )
    };
    it.slots.iter().filter(|slot| slot.is_lost).map(describe).collect()
}

fn slot_of_gone_node(facts: &Facts, it: &Server) -> Vec<Found> {
    let Ok(configuration) = &facts.configuration else { return Vec::new() };
    let is_of_node = |slot: &Slot| configuration.nodes.iter().any(|node| slots::name_of(node) == slot.name);
    let gone = it.slots.iter().filter(|slot| slots::is_ours(&slot.name) && !slot.is_active && !is_of_node(slot));
    let describe = |slot: &Slot| {
        found(
            format!("the slot {} is of no node of the cluster: it holds WAL back for ever", slot.name),
            format!("SELECT pg_drop_replication_slot('{}')", slot.name),
            "loses nothing",
        )
    };
    gone.map(describe).collect()
}

fn slots_unbounded(_: &Facts, it: &Server) -> Vec<Found> {
    let is_unbounded = it.number("max_slot_wal_keep_size") == Some(-1);
    let physical = it.slots.iter().find(|slot| slot.is_physical);
    let describe = |slot: &Slot| {
        let text = format!("max_slot_wal_keep_size is -1: {} holds WAL back until the disk is full", slot.name);
        found(text, "ALTER SYSTEM SET max_slot_wal_keep_size = '10GB'", "on each node; then `SELECT pg_reload_conf()`")
    };
    physical.filter(|_| is_unbounded).map(describe).into_iter().collect()
}

fn wal_keep(_: &Facts, it: &Server) -> Vec<Found> {
    let keeps_none = it.number("wal_keep_size") == Some(0);
    let has_slots = it.slots.iter().any(|slot| slot.is_physical);
    found_if(keeps_none && !has_slots && it.setting("restore_command").is_empty(), || {
        found(
            "wal_keep_size is 0, and there is neither a slot nor an archive: a standby that is away needs a rebuild",
            "ALTER SYSTEM SET wal_keep_size = '1GB'",
            "on each node; then `SELECT pg_reload_conf()`",
        )
    })
}

fn archive_fails(_: &Facts, it: &Server) -> Vec<Found> {
    found_if(it.archive_fails, || {
        found(
            "WAL cannot be archived: it piles up in pg_wal, and backups have a gap",
            "SELECT * FROM pg_stat_archiver",
            "what failed; PostgreSQL's log says why",
        )
    })
}

fn wal_disk(_: &Facts, it: &Server) -> Vec<Found> {
    // In megabytes.
    let (Some(room), Some(most)) = (it.room, it.number("max_wal_size").and_then(|it| u64::try_from(it).ok())) else {
        return Vec::new();
    };
    let free = room.free >> 20;
    found_if(!room.is_enough() || free < most, || {
        found(
            format!(
                "the disk of pg_wal has {free} MB free, and max_wal_size is {most} MB: without room the server ends"
            ),
            "df -h",
            "free space, or lower max_wal_size",
        )
    })
}

fn log_directory(_: &Facts, it: &Server) -> Vec<Found> {
    let (directory, data) = (it.setting("log_directory"), it.setting("data_directory"));
    let is_inside = !directory.starts_with('/') || (!data.is_empty() && directory.starts_with(&format!("{data}/")));
    found_if(it.setting("logging_collector") == "on" && is_inside, || {
        found(
            "log_directory is in the data directory: a rebuild takes the log away when it is needed most",
            "ALTER SYSTEM SET log_directory = '/var/log/postgresql'",
            "on each node; then `SELECT pg_reload_conf()`",
        )
    })
}

fn collation(_: &Facts, it: &Server) -> Vec<Found> {
    let describe = |database: &String| {
        found(
            format!(
                "database {database}: its collation has another version than this node's library: indexes may be wrong"
            ),
            format!("ALTER DATABASE \"{database}\" REFRESH COLLATION VERSION"),
            "after `REINDEX DATABASE`; all nodes need the same library",
        )
    };
    it.old_collations.iter().map(describe).collect()
}

/// Minor versions, the first and the last, that should not run in a cluster; and why.
const BAD: [(u64, u64, u64, &str); 6] = [
    (14, 0, 3, "CREATE INDEX CONCURRENTLY may leave out rows (fixed in 14.4)"),
    (14, 21, 21, OF_MULTIXACTS),
    (15, 16, 16, OF_MULTIXACTS),
    (16, 12, 12, OF_MULTIXACTS),
    (17, 8, 8, OF_MULTIXACTS),
    (18, 2, 2, OF_MULTIXACTS),
];

/// PostgreSQL's release notes of 26 February 2026.
const OF_MULTIXACTS: &str =
    "a standby may stop at the WAL of a primary of an older minor version (fixed in the next minor version)";

fn bad_version(_: &Facts, it: &Server) -> Vec<Found> {
    let version = it.number("server_version_num").and_then(|version| u64::try_from(version).ok());
    let Some((major, minor)) = version.map(|version| (version / 10_000, version % 10_000)) else { return Vec::new() };
    let bad = BAD.iter().filter(|(of, first, last, _)| *of == major && (*first..=*last).contains(&minor));
    let describe = |(_, _, _, why): &(u64, u64, u64, &str)| {
        found(
            format!("PostgreSQL {major}.{minor}: {why}"),
            format!("apt-get install postgresql-{major}"),
            "the newest minor version, standbys first: docs/operate/minor-upgrade.md",
        )
    };
    bad.map(describe).collect()
}
