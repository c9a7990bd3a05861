//! The files in a data directory that PostgreSQL does not make: configuration, keys, passwords, and other files of the operator. They
//! are this node's own. A rewind, or a copy, neither takes them away nor brings the primary's.

use std::fs::{self, OpenOptions};
use std::io::{self, ErrorKind, Write};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

use super::keep::{entries, failed};
use crate::postgres::PostgresError;
use crate::postgres::evidence::sync;
use crate::postgres::layout::DataDirectory;

/// What PostgreSQL makes in a data directory, its log among it. All other files are not its own.
const POSTGRESQL: [&str; 38] = [
    "PG_VERSION",
    "backup_label",
    "backup_label.old",
    "backup_manifest",
    "base",
    "current_logfiles",
    "fallback_promote",
    "global",
    "log",
    "logrotate",
    "lost+found",
    "pg_clog",
    "pg_commit_ts",
    "pg_dynshmem",
    "pg_log",
    "pg_logical",
    "pg_multixact",
    "pg_notify",
    "pg_replslot",
    "pg_serial",
    "pg_snapshots",
    "pg_stat",
    "pg_stat_tmp",
    "pg_subtrans",
    "pg_tblspc",
    "pg_twophase",
    "pg_upgrade_output.d",
    "pg_wal",
    "pg_xact",
    "pg_xlog",
    "postmaster.opts",
    "postmaster.pid",
    "promote",
    "recovery.signal",
    "standby.signal",
    "tablespace_map",
    "tablespace_map.old",
    "current_logfiles.tmp",
];

/// The file, beside what is kept, that names what was this node's own. An older agent has kept configuration only, and none.
const LIST: &str = "own";

/// Where they are kept.
const KEPT: &str = "config";

fn is_postgresqls(name: &[u8]) -> bool {
    // Of a crash, and of a socket.
    let is_left_over = name.starts_with(b"core") || name.starts_with(b".s.PGSQL.");
    is_left_over || POSTGRESQL.iter().any(|known| known.as_bytes() == name)
}

/// The files and links that are a node's own, by their names in the data directory.
fn files(directory: &Path) -> Result<Vec<PathBuf>, PostgresError> {
    let mut found = Vec::new();
    let mut left: Vec<PathBuf> = entries(directory)?;
    left.retain(|path| !is_postgresqls(path.file_name().unwrap_or_default().as_bytes()));
    while let Some(path) = left.pop() {
        let Ok(kind) = path.symlink_metadata().map(|found| found.file_type()) else { continue };
        if kind.is_dir() {
            left.extend(entries(&path)?);
        } else if kind.is_file() || kind.is_symlink() {
            found.extend(path.strip_prefix(directory).ok().map(Path::to_owned));
        }
    }
    found.sort();
    Ok(found)
}

/// The bytes that they take.
pub(super) fn size(data: &DataDirectory) -> Result<u64, PostgresError> {
    let length = |name: PathBuf| data.path().join(name).symlink_metadata().map_or(0, |found| found.len());
    Ok(files(data.path())?.into_iter().map(length).sum())
}

/// Copies one file, or link, to a new one with the same permissions.
fn copy(from: &Path, to: &Path) -> Result<(), PostgresError> {
    to.parent().map_or(Ok(()), |parent| fs::create_dir_all(parent).map_err(failed("create", parent)))?;
    // What is at its place may be a link.
    let removed = fs::remove_file(to).or_else(|error| (error.kind() == ErrorKind::NotFound).then_some(()).ok_or(error));
    removed.map_err(failed("replace", to))?;
    let found = from.symlink_metadata().map_err(failed("look at", from))?;
    if found.is_symlink() {
        let target = fs::read_link(from).map_err(failed("read", from))?;
        return std::os::unix::fs::symlink(target, to).map_err(failed("create", to));
    }
    let mut given = fs::File::open(from).map_err(failed("read", from))?;
    let mode = found.permissions().mode() & 0o777;
    let new = OpenOptions::new().write(true).create_new(true).mode(mode).open(to);
    let copied = new.and_then(|mut new| {
        io::copy(&mut given, &mut new)?;
        new.set_permissions(fs::Permissions::from_mode(mode))?;
        new.sync_all()
    });
    copied.map_err(failed("copy to", to))
}

/// Keeps the node's own files in `place`.
pub(super) fn save(data: &DataDirectory, place: &Path) -> Result<(), PostgresError> {
    let (kept, list) = (place.join(KEPT), place.join(LIST));
    fs::create_dir_all(&kept).map_err(failed("create", &kept))?;
    let mut names = Vec::new();
    for name in files(data.path())? {
        copy(&data.path().join(&name), &kept.join(&name))?;
        names.extend(name.as_os_str().as_bytes());
        names.push(b'\n');
    }
    let written = fs::File::create(&list).and_then(|mut file| file.write_all(&names).and_then(|()| file.sync_all()));
    written.map_err(failed("write", &list))?;
    sync(&kept)
}

/// Gives the node its own files again, and takes away what it has of the source's; but for these.
pub(super) fn put_back(data: &DataDirectory, place: &Path, but: &[&str]) -> Result<(), PostgresError> {
    let other = |name: &PathBuf| !but.iter().any(|but| name == Path::new(but));
    let kept = place.join(KEPT);
    let own: Vec<PathBuf> = everything(&kept)?;
    // Where an older agent has kept less, the rest may still be the node's own.
    let all_kept = place.join(LIST).exists();
    let theirs = |name: &PathBuf| other(name) && !own.contains(name) && (all_kept || is_config(name));
    for name in files(data.path())?.iter().filter(|name| theirs(name)) {
        let path = data.path().join(name);
        fs::remove_file(&path).map_err(failed("remove", &path))?;
    }
    for name in own.iter().filter(|name| other(name)) {
        copy(&kept.join(name), &data.path().join(name))?;
    }
    sync(data.path())
}

/// The files and links in a directory where nothing is PostgreSQL's.
fn everything(directory: &Path) -> Result<Vec<PathBuf>, PostgresError> {
    let (mut found, mut left) = (Vec::new(), entries(directory)?);
    while let Some(path) = left.pop() {
        if path.symlink_metadata().is_ok_and(|found| found.is_dir()) {
            left.extend(entries(&path)?);
        } else {
            found.extend(path.strip_prefix(directory).ok().map(Path::to_owned));
        }
    }
    Ok(found)
}

/// What an agent took for configuration that kept nothing else.
fn is_config(name: &Path) -> bool {
    let kinds = ["conf", "crt", "key", "pem", "crl"];
    let place = name.parent().unwrap_or(Path::new(""));
    let is_kind = name.extension().is_some_and(|kind| kinds.iter().any(|known| kind == *known));
    is_kind && (place == Path::new("") || place == Path::new("conf.d"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn write(directory: &Path, name: &str, text: &str) {
        let path = directory.join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }

    #[test]
    fn what_is_not_postgresqls_is_the_nodes_own() {
        let here = tempfile::tempdir().unwrap();
        let (pgdata, place) = (here.path().join("data"), here.path().join("evidence"));
        for name in ["postgresql.conf", ".pgpass", "tls/server.key", "pg_hba.d/a.conf", "krb5.keytab", "bin/archive"] {
            write(&pgdata, name, "ours");
        }
        for name in ["PG_VERSION", "base/5/1", "log/postgresql.log", "pg_wal/1", "postmaster.pid", "core.7"] {
            write(&pgdata, name, "PostgreSQL's");
        }
        fs::set_permissions(pgdata.join("bin/archive"), fs::Permissions::from_mode(0o750)).unwrap();
        std::os::unix::fs::symlink("/elsewhere", pgdata.join("link")).unwrap();
        fs::create_dir(&place).unwrap();
        let data = DataDirectory::new(&pgdata);
        save(&data, &place).unwrap();
        for name in [".pgpass", "krb5.keytab", "bin/archive", "link"] {
            fs::remove_file(pgdata.join(name)).unwrap();
        }
        for name in ["tls/server.key", "tls/theirs.key", ".netrc", "base/5/1"] {
            write(&pgdata, name, "theirs");
        }
        put_back(&data, &place, &[]).unwrap();
        let read = |name: &str| fs::read_to_string(pgdata.join(name)).ok();
        for name in ["postgresql.conf", ".pgpass", "tls/server.key", "pg_hba.d/a.conf", "krb5.keytab", "bin/archive"] {
            assert_eq!(read(name).as_deref(), Some("ours"), "{name}");
        }
        assert_eq!(fs::metadata(pgdata.join("bin/archive")).unwrap().permissions().mode() & 0o777, 0o750);
        assert_eq!(fs::read_link(pgdata.join("link")).unwrap(), Path::new("/elsewhere"));
        assert_eq!((read("tls/theirs.key"), read(".netrc"), read("base/5/1").as_deref()), (None, None, Some("theirs")));
    }

    #[test]
    fn what_an_older_agent_has_not_kept_stays() {
        let here = tempfile::tempdir().unwrap();
        let (pgdata, place) = (here.path().join("data"), here.path().join("evidence"));
        write(&place, "config/postgresql.conf", "ours");
        for name in ["postgresql.conf", "theirs.conf", "krb5.keytab"] {
            write(&pgdata, name, "theirs or ours");
        }
        put_back(&DataDirectory::new(&pgdata), &place, &[]).unwrap();
        assert_eq!(fs::read_to_string(pgdata.join("postgresql.conf")).unwrap(), "ours");
        assert!(pgdata.join("krb5.keytab").exists() && !pgdata.join("theirs.conf").exists());
    }
}
