//! What is copied out of the data directory before a rewind, and put back into it. The caller acts as the PostgreSQL user.
//!
//! With it, a rewind that was killed, or lost its power, can begin anew against whichever node is the primary then. A rewind
//! changes the blocks that the node's own WAL names, beginning with the last common checkpoint, and what the source has
//! besides: longer files, other files, anything but relations. So if the WAL and pg_control are what they were, and
//! relations have no files and no lengths that they had not before ([`trim`]), the next attempt changes all of that again.

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::fs::{self, File, OpenOptions};
use std::io::{self, ErrorKind, Write};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use super::super::evidence::sync;
use super::super::layout::DataDirectory;
use super::super::{PostgresError, history};
use super::own;
use super::surroundings::version_directory;

/// Directories of the evidence.
const WAL: &str = "pg_wal";
const RELATIONS: &str = "relations";
const CONTROL: &str = "pg_control";
/// Written last: the evidence is whole. It says which data directory it is of.
const WHOLE: &str = "whole";

/// The agent's own file is up to date already: it says where the primary is now.
pub(super) const MANAGED: &str = "pgsqlms.conf";

/// Where relations have their files, beside tablespaces.
const RELATION_DIRECTORIES: [&str; 2] = ["base", "global"];

pub(super) fn failed(doing: &'static str, path: &Path) -> impl FnOnce(io::Error) -> PostgresError {
    let path = path.to_owned();
    move |source| PostgresError::File { doing, path, source }
}

fn copy(from: &Path, to: &Path) -> Result<(), PostgresError> {
    // A new file: what is at its place may be a link.
    let removed = fs::remove_file(to).or_else(|error| (error.kind() == ErrorKind::NotFound).then_some(()).ok_or(error));
    removed.map_err(failed("replace", to))?;
    let copied = File::open(from).and_then(|mut from| {
        let new = OpenOptions::new().write(true).create_new(true).mode(0o600).open(to);
        new.and_then(|mut new| io::copy(&mut from, &mut new).and_then(|_| new.sync_all()))
    });
    copied.map_err(failed("copy to", to))
}

pub(super) fn entries(directory: &Path) -> Result<Vec<PathBuf>, PostgresError> {
    let entries = fs::read_dir(directory).map_err(failed("read", directory))?;
    let paths: io::Result<Vec<PathBuf>> = entries.map(|entry| Ok(entry?.path())).collect();
    paths.map_err(failed("read", directory))
}

fn make(directory: &Path) -> Result<(), PostgresError> {
    match fs::create_dir(directory) {
        Err(error) if error.kind() != ErrorKind::AlreadyExists => Err(failed("create", directory)(error)),
        _ => Ok(()),
    }
}

/// What is kept of one data directory in one place.
#[derive(Debug, Clone)]
pub(super) struct Kept<'a> {
    pub(super) data: &'a DataDirectory,
    pub(super) place: PathBuf,
}

impl Kept<'_> {
    /// Why the data directory is none that this belongs to, if so: it must not be put back into a fresh copy.
    pub(super) fn mismatch(&self) -> Result<Option<&'static str>, PostgresError> {
        let Ok(saved) = fs::read_to_string(self.place.join(WHOLE)) else {
            return Ok(Some("what is needed to go on with its rewind is gone"));
        };
        let same = saved == identity(self.data)?;
        Ok((!same).then_some("it is another data directory than the one whose rewind was interrupted"))
    }

    /// The WAL files that have to be kept: segments from this one on, of any timeline, and all histories.
    pub(super) fn wal_from(&self, first_segment: &str) -> Result<Vec<PathBuf>, PostgresError> {
        let needed = |path: &PathBuf| {
            let name = path.file_name().and_then(OsStr::to_str).unwrap_or_default();
            let segment = name.len() == 24 && name.bytes().all(|byte| byte.is_ascii_hexdigit());
            (segment && &name[8..] >= first_segment) || history::timeline_of_file(name).is_some()
        };
        Ok(entries(&self.data.file("pg_wal"))?.into_iter().filter(needed).collect())
    }

    /// Copies these WAL files, pg_control, the node's configuration and the list of relations' files.
    pub(super) fn save(&self, wal: &[PathBuf], keep_going: &dyn Fn() -> bool) -> Result<(), PostgresError> {
        make(&self.place.join(WAL))?;
        for file in wal {
            if !keep_going() {
                let why = "copying the WAL takes too long: raise the timeout of start".to_owned();
                return Err(PostgresError::Content { path: self.data.file("pg_wal"), why });
            }
            copy(file, &self.place.join(WAL).join(file.file_name().unwrap_or_default()))?;
        }
        sync(&self.place.join(WAL))?;
        copy(&self.data.file("global/pg_control"), &self.place.join(CONTROL))?;
        own::save(self.data, &self.place)?;
        let list = self.place.join(RELATIONS);
        let mut text = Vec::new();
        for (path, length) in relation_files(self.data)? {
            let _ = write!(text, "{length} ");
            text.extend(path.as_os_str().as_bytes());
            text.push(b'\n');
        }
        let written = File::create(&list).and_then(|mut file| file.write_all(&text).and_then(|()| file.sync_all()));
        written.map_err(failed("write", &list))?;
        let whole = self.place.join(WHOLE);
        let text = identity(self.data)?;
        let written =
            File::create(&whole).and_then(|mut file| file.write_all(text.as_bytes()).and_then(|()| file.sync_all()));
        written.map_err(failed("write", &whole))?;
        sync(&self.place)
    }

    /// Makes of a half-rewound data directory one that can be rewound.
    pub(super) fn put_back(&self) -> Result<(), PostgresError> {
        for file in entries(&self.place.join(WAL))? {
            copy(&file, &self.data.file("pg_wal").join(file.file_name().unwrap_or_default()))?;
        }
        trim(self.data, &self.place.join(RELATIONS))?;
        copy(&self.place.join(CONTROL), &self.data.file("global/pg_control"))?;
        own::put_back(self.data, &self.place, &[MANAGED])
    }

    /// Puts back the segments before this one that both nodes have in common and only this one still had.
    pub(super) fn put_common_wal_back(&self, before: &str) -> Result<(), PostgresError> {
        for file in entries(&self.place.join(WAL))? {
            let name = file.file_name().and_then(OsStr::to_str).unwrap_or_default();
            let there = self.data.file("pg_wal").join(name);
            if name.len() == 24 && &name[8..] < before && there.symlink_metadata().is_err() {
                copy(&file, &there)?;
            }
        }
        sync(&self.data.file("pg_wal"))
    }
}

/// The mark that distinguishes a data directory from a copy of it: the file `PG_VERSION`, which pg_rewind writes anew in its place.
fn identity(data: &DataDirectory) -> Result<String, PostgresError> {
    let path = data.file("PG_VERSION");
    let found = fs::metadata(&path).map_err(failed("look at", &path))?;
    let born = found.created().ok().and_then(|born| born.duration_since(std::time::UNIX_EPOCH).ok());
    Ok(format!("{} {}\n", found.ino(), born.map_or(0, |born| born.as_nanos())))
}

/// A file or directory that pg_rewind could not replace, because it belongs to another user.
pub(super) fn foreign(data: &DataDirectory) -> Result<Option<PathBuf>, PostgresError> {
    let me = nix::unistd::geteuid().as_raw();
    let mut directories = vec![data.path().to_owned()];
    while let Some(directory) = directories.pop() {
        for path in entries(&directory)? {
            let Ok(found) = path.symlink_metadata() else { continue };
            if found.uid() != me && !found.is_symlink() {
                return Ok(Some(path));
            }
            if found.is_dir() {
                directories.push(path);
            }
        }
    }
    Ok(None)
}

/// Where the relations of this instance are, and no other's, in its tablespaces.
fn in_tablespaces(data: &DataDirectory) -> Result<Vec<PathBuf>, PostgresError> {
    let ours = version_directory(data)?;
    let mut found = Vec::new();
    for tablespace in entries(&data.file("pg_tblspc"))? {
        found.extend(entries(&tablespace)?);
    }
    found.retain(|path| path.file_name().is_some_and(|name| name.to_string_lossy().starts_with(&ours)));
    Ok(found)
}

/// The files of relations and their lengths, by their names in the data directory.
fn relation_files(data: &DataDirectory) -> Result<BTreeMap<PathBuf, u64>, PostgresError> {
    let mut files = BTreeMap::new();
    let mut directories: Vec<PathBuf> = RELATION_DIRECTORIES.iter().map(|name| data.file(name)).collect();
    directories.extend(in_tablespaces(data)?);
    while let Some(directory) = directories.pop() {
        for path in entries(&directory)? {
            let found = match fs::metadata(&path) {
                Err(error) if error.kind() == ErrorKind::NotFound => continue,
                found => found.map_err(failed("look at", &path))?,
            };
            if found.is_dir() {
                directories.push(path);
            } else if let Ok(name) = path.strip_prefix(data.path()) {
                files.insert(name.to_owned(), found.len());
            }
        }
    }
    Ok(files)
}

/// Removes relations' files that were not there when the list was made, and what has been added to those that were.
fn trim(data: &DataDirectory, list: &Path) -> Result<(), PostgresError> {
    let text = fs::read(list).map_err(failed("read", list))?;
    let line = |line: &[u8]| {
        let at = line.iter().position(|byte| *byte == b' ')?;
        let length: u64 = std::str::from_utf8(&line[..at]).ok()?.parse().ok()?;
        Some((PathBuf::from(OsStr::from_bytes(&line[at + 1..])), length))
    };
    let known: BTreeMap<PathBuf, u64> = text.split(|byte| *byte == b'\n').filter_map(line).collect();
    for (name, length) in relation_files(data)? {
        let path = data.file("").join(&name);
        match known.get(&name) {
            None => fs::remove_file(&path).map_err(failed("remove", &path))?,
            Some(before) if *before < length => {
                let file = OpenOptions::new().write(true).open(&path);
                file.and_then(|file| file.set_len(*before)).map_err(failed("shorten", &path))?;
            }
            Some(_) => {}
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_rewind_has_changed_is_undone_where_it_must_be() {
        let here = tempfile::tempdir().unwrap();
        let (pgdata, place) = (here.path().join("data"), here.path().join("evidence"));
        let write = |name: &str, text: &str| {
            let path = pgdata.join(name);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        };
        let read = |name: &str| fs::read_to_string(pgdata.join(name)).ok();
        fs::create_dir_all(&place).unwrap();
        for (name, text) in [
            ("PG_VERSION", "15"),
            ("base/5/1", "relation"),
            ("global/pg_control", "control"),
            ("pg_tblspc/1/PG_15_1/5/1", "relation"),
            ("pg_tblspc/1/PG_17_1/5/1", "another instance's"),
            ("pg_wal/000000010000000000000001", "old"),
            ("pg_wal/000000010000000000000002", "wal"),
            ("pg_wal/00000002.history", "history"),
            ("postgresql.conf", "ours"),
            ("conf.d/a.conf", "ours"),
        ] {
            write(name, text);
        }
        let data = DataDirectory::new(&pgdata);
        let kept = Kept { data: &data, place };
        let wal = kept.wal_from("0000000000000002").unwrap();
        assert_eq!(wal.len(), 2);
        kept.save(&wal, &|| true).unwrap();
        assert_eq!(kept.mismatch().unwrap(), None);
        for (name, text) in [
            ("base/5/1", "RELATION, longer"),
            ("base/5/2", "new"),
            ("pg_tblspc/1/PG_15_1/5/2", "new"),
            ("pg_tblspc/1/PG_17_1/5/1", "another instance's, longer"),
            ("pg_tblspc/1/PG_17_1/5/2", "another instance's"),
            ("global/pg_control", "theirs"),
            ("pg_wal/000000010000000000000002", "theirs"),
            ("postgresql.conf", "theirs"),
            ("pgsqlms.conf", "now"),
            ("ident.conf", "theirs"),
        ] {
            write(name, text);
        }
        fs::remove_file(pgdata.join("pg_wal/00000002.history")).unwrap();
        fs::remove_dir_all(pgdata.join("conf.d")).unwrap();
        kept.put_back().unwrap();
        for (name, text) in [
            ("base/5/1", Some("RELATION")),
            ("base/5/2", None),
            ("pg_tblspc/1/PG_15_1/5/2", None),
            ("pg_tblspc/1/PG_17_1/5/1", Some("another instance's, longer")),
            ("pg_tblspc/1/PG_17_1/5/2", Some("another instance's")),
            ("global/pg_control", Some("control")),
            ("pg_wal/000000010000000000000002", Some("wal")),
            ("pg_wal/00000002.history", Some("history")),
            ("postgresql.conf", Some("ours")),
            ("pgsqlms.conf", Some("now")),
            ("ident.conf", None),
            ("conf.d/a.conf", Some("ours")),
        ] {
            assert_eq!(read(name).as_deref(), text, "{name}");
        }
        assert_eq!(kept.mismatch().unwrap(), None);
        fs::rename(pgdata.join("PG_VERSION"), pgdata.join("before")).unwrap();
        write("PG_VERSION", "15");
        assert!(kept.mismatch().unwrap().is_some());
    }
}
