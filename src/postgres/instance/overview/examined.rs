//! The configuration of an instance, as it reports it.

use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use crate::postgres::conninfo::Conninfo;
use crate::postgres::instance::Instance;
use crate::postgres::session::Row;
use crate::postgres::{Postgres, PostgresError};
use crate::rules::doctor::{HbaLine, PassFile, Server, Setting, Slot};

const SETTINGS: &str =
    "SELECT name, setting, sourcefile, pg_catalog.pg_is_in_recovery()::text FROM pg_catalog.pg_settings";

/// `wal_status` is there from PostgreSQL 13 on.
const SLOTS: &str = "SELECT slot_name, active::text, slot_type, pg_catalog.to_jsonb(slots) ->> 'wal_status' \
     FROM pg_catalog.pg_replication_slots slots ORDER BY slot_name";

const HBA: &str = "SELECT line_number::text, type, pg_catalog.array_to_string(database, ' '), \
     pg_catalog.array_to_string(user_name, ' '), address, netmask, auth_method, error \
     FROM pg_catalog.pg_hba_file_rules ORDER BY line_number";

const ARCHIVE: &str = "SELECT (last_failed_time > coalesce(last_archived_time, '-infinity'))::text \
     FROM pg_catalog.pg_stat_archiver";

/// From PostgreSQL 15 on.
const COLLATIONS: &str = "SELECT datname FROM pg_catalog.pg_database \
     WHERE datcollversion <> pg_catalog.pg_database_collation_actual_version(oid) ORDER BY datname";

/// What is looked at where the server does not run: each costs a process. Checksums are not among them: before PostgreSQL 15 the
/// server program says that there are none. What has a unit is printed without one, as `pg_settings` has it.
const IN_FILES: [&str; 17] = [
    "fsync",
    "full_page_writes",
    "hot_standby",
    "primary_conninfo",
    "cluster_name",
    "restore_command",
    "listen_addresses",
    "unix_socket_directories",
    "synchronous_standby_names",
    "recovery_target_timeline",
    "restart_after_crash",
    "wal_log_hints",
    "max_wal_senders",
    "superuser_reserved_connections",
    "log_directory",
    "logging_collector",
    "config_file",
];

/// What pg_rewind calls on the primary, as PostgreSQL's documentation has it.
const NOT_GRANTED: &str = "SELECT pg_catalog.string_agg(called.name, ';') FROM pg_catalog.pg_roles, \
     (VALUES ('pg_ls_dir(text, boolean, boolean)'), ('pg_stat_file(text, boolean)'), ('pg_read_binary_file(text)'), \
     ('pg_read_binary_file(text, bigint, bigint, boolean)')) AS called(name) \
     WHERE rolname = $1 AND NOT pg_catalog.has_function_privilege(rolname, 'pg_catalog.' || called.name, 'EXECUTE')";

impl Instance {
    /// Its settings, and what else is configured in it.
    ///
    /// # Errors
    ///
    /// When it cannot be asked.
    pub fn examine(&mut self) -> Result<Server, PostgresError> {
        if self.processes().postmaster.is_none() {
            return self.examine_files();
        }
        let mut server = Server::default();
        for row in self.ask_all(SETTINGS)? {
            let setting = Setting { value: text(&row, 1), file: column(&row, 2).map(str::to_owned) };
            server.settings.insert(text(&row, 0), setting);
            server.is_standby = column(&row, 3) == Some("true");
        }
        server.slots = self.ask_all(SLOTS)?.iter().map(slot).collect();
        server.hba = self.ask_all(HBA)?.iter().map(hba_line).collect();
        server.archive_fails = self.ask(ARCHIVE)?.first().is_some_and(|it| it.as_deref() == Some("true"));
        if server.number("server_version_num").is_some_and(|version| version >= 150_000) {
            server.old_collations = self.ask_all(COLLATIONS)?.iter().map(|row| text(row, 0)).collect();
        }
        let conninfo: Conninfo = server.setting("primary_conninfo").parse().unwrap_or_default();
        let own_role = self.config.rejoin_user.clone();
        if let Some(role) = own_role.as_deref().or_else(|| conninfo.get("user")) {
            let row = self.ask_with(NOT_GRANTED, &[role])?;
            server.not_granted = text(&row, 0).split(';').filter(|name| !name.is_empty()).map(str::to_owned).collect();
        }
        server.passfile = self.passfile(&conninfo);
        server.room = self.room();
        server.start_conf = self.start_conf(server.setting("config_file"));
        Ok(server)
    }

    /// Debian's file, and the word in it.
    fn start_conf(&mut self, configuration: &str) -> Option<(String, String)> {
        let path = Path::new(configuration).parent()?.join("start.conf");
        let text = self.as_user(|_| Ok(std::fs::read_to_string(&path).ok())).ok()??;
        let mut lines = text.lines().map(|line| line.split('#').next().unwrap_or_default().trim());
        let word = lines.rfind(|line| !line.is_empty())?;
        Some((path.display().to_string(), word.to_owned()))
    }

    /// What its files say, where it does not run.
    fn examine_files(&mut self) -> Result<Server, PostgresError> {
        let until = self.deadline;
        let mut server = Server::default();
        for name in IN_FILES {
            let value = self.with_rewind(until, |rewind| rewind.setting(name))?;
            server.settings.insert(name.to_owned(), Setting { value, file: None });
        }
        let conninfo: Conninfo = server.setting("primary_conninfo").parse().unwrap_or_default();
        server.passfile = self.passfile(&conninfo);
        server.room = self.room();
        server.start_conf = self.start_conf(server.setting("config_file"));
        Ok(server)
    }

    /// The file of passwords that libpq would read.
    fn passfile(&mut self, conninfo: &Conninfo) -> Option<PassFile> {
        let home = self.user().ok()?.home().to_owned();
        let named = conninfo.get("passfile").map(PathBuf::from);
        let is_named = named.is_some();
        let path = named.unwrap_or_else(|| home.join(".pgpass"));
        let mode = self.as_user(|_| Ok(mode_of(&path))).ok()?;
        (is_named || mode.is_some()).then(|| PassFile { path: path.display().to_string(), mode })
    }
}

/// The permissions of a file that can be read.
fn mode_of(path: &Path) -> Option<u32> {
    let file = std::fs::File::open(path).ok()?;
    Some(file.metadata().ok()?.permissions().mode() & 0o7777)
}

fn column(row: &Row, number: usize) -> Option<&str> {
    row.get(number).and_then(Option::as_deref)
}

fn text(row: &Row, number: usize) -> String {
    column(row, number).unwrap_or_default().to_owned()
}

fn slot(row: &Row) -> Slot {
    Slot {
        name: text(row, 0),
        is_active: column(row, 1) == Some("true"),
        is_physical: column(row, 2) == Some("physical"),
        is_lost: column(row, 3) == Some("lost"),
    }
}

fn hba_line(row: &Row) -> HbaLine {
    let words = |number: usize| text(row, number).split(' ').map(str::to_owned).collect();
    HbaLine {
        number: text(row, 0),
        kind: text(row, 1),
        databases: words(2),
        users: words(3),
        address: text(row, 4),
        mask: text(row, 5),
        method: text(row, 6),
        error: column(row, 7).map(str::to_owned),
    }
}
