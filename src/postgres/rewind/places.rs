//! The directories of a rebuild, and what becomes of them. The caller acts as the PostgreSQL user.
//!
//! The copy is made in a directory beside the data directory, with a file in it that names its owner: only such a one is
//! ever removed. The directories that exist, and those that do not, show how far the renames have come.

use std::fs::{self, DirBuilder};
use std::io::ErrorKind;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{DirBuilderExt, MetadataExt};
use std::path::{Path, PathBuf};

use super::waldir::{self, WalDir};
use crate::postgres::evidence::sync;
use crate::postgres::layout::{self, DataDirectory};
use crate::postgres::{PostgresError, mounts};
use crate::rules::rebuild::Sites;

/// The file that makes a directory ours.
const MARKER: &str = "pgsqlms-rebuild";

/// The file that says where the WAL of the copy is, if not in it.
const WAL_ELSEWHERE: &str = "pgsqlms-waldir";

/// The directories that are concerned.
#[derive(Debug, Clone)]
pub(crate) struct Places {
    data: PathBuf,
    /// Where the copy is made.
    pub(crate) beside: PathBuf,
    /// The copy.
    pub(super) copy: PathBuf,
    /// The old data.
    pub(crate) old: PathBuf,
}

pub(super) fn failed(doing: &'static str, path: &Path) -> impl FnOnce(std::io::Error) -> PostgresError {
    let path = path.to_owned();
    move |source| PostgresError::File { doing, path, source }
}

pub(super) fn is_directory(path: &Path) -> bool {
    path.symlink_metadata().is_ok_and(|found| found.is_dir())
}

pub(super) fn is_there(path: &Path) -> bool {
    path.symlink_metadata().is_ok()
}

impl Places {
    /// Those of the instance in `data`.
    pub(crate) fn of(data: &Path) -> Self {
        let named = |suffix: &str| {
            let mut name = data.file_name().unwrap_or_default().to_owned();
            name.push(suffix);
            data.with_file_name(name)
        };
        let beside = named(".pgsqlms-new");
        Self { data: data.to_owned(), copy: beside.join("data"), beside, old: named(".pgsqlms-old") }
    }

    /// Which of them are there.
    pub(crate) fn sites(&self) -> Sites {
        Sites { data: is_there(&self.data), copy: is_directory(&self.copy) && self.is_ours(), old: is_there(&self.old) }
    }

    /// Where the WAL of the copy is, if not in it.
    pub(super) fn wal_of_copy(&self) -> Option<PathBuf> {
        if self.is_ours() { waldir::noted(&self.beside.join(WAL_ELSEWHERE)) } else { None }
    }

    fn is_ours(&self) -> bool {
        is_directory(&self.beside) && is_there(&self.beside.join(MARKER))
    }

    /// Why the data directory cannot be replaced, if so. `user` is for people.
    pub(crate) fn obstacle(&self, user: &str) -> Option<String> {
        let (data, parent) = (self.data.display(), self.data.parent()?);
        if !is_directory(&self.data) {
            return Some(format!("{data} is not a directory, or a link to one: set pgdata to the directory itself"));
        }
        if is_mount_point(&self.data, parent) {
            return Some(format!("{data} is a mount point, which cannot be renamed: rebuild by pg_basebackup by hand"));
        }
        if let Some(mounted) = mounted_below(&self.data) {
            return Some(format!("{mounted}: rebuild by pg_basebackup by hand"));
        }
        if is_there(&self.old) {
            return Some(format!("{} is in the way: move it elsewhere, or remove it", self.old.display()));
        }
        if is_there(&self.beside) && !self.is_ours() {
            return Some(format!("{} is in the way, and is none of pgsqlms: move it elsewhere", self.beside.display()));
        }
        if nix::unistd::eaccess(parent, nix::unistd::AccessFlags::W_OK).is_err() {
            return Some(format!("{} is not writable for {user}: `chown {user}` it", parent.display()));
        }
        let wal = WalDir::of(&self.data);
        if let Some(obstacle) = wal.as_ref().and_then(|wal| wal.obstacle(self.wal_of_copy().as_deref(), user)) {
            return Some(obstacle);
        }
        if wal.is_none() && !is_directory(&self.data.join("pg_wal")) {
            return Some(
                "pg_wal is neither a directory nor a link to one: rebuild by pg_basebackup by hand".to_owned(),
            );
        }
        let tablespaces = fs::read_dir(self.data.join("pg_tblspc"));
        if tablespaces.is_ok_and(|mut entries| entries.next().is_some()) {
            return Some("it has tablespaces, which is not supported: rebuild by pg_basebackup by hand".to_owned());
        }
        None
    }

    /// The bytes that are free where the copy goes, and those that the data directory takes.
    pub(crate) fn room(&self) -> Result<(u64, u64), PostgresError> {
        let parent = self.data.parent().unwrap_or(&self.data);
        Ok((DataDirectory::new(parent).free("")?, size(&self.data)))
    }

    /// Makes the directory for the copy, empty. The one of an earlier attempt goes.
    pub(super) fn begin(&self) -> Result<(), PostgresError> {
        self.remove_beside()?;
        DirBuilder::new().mode(0o700).create(&self.beside).map_err(failed("create", &self.beside))?;
        layout::create(&self.beside.join(MARKER))?;
        if let Some(wal) = WalDir::of(&self.data) {
            if is_there(&wal.next) && !is_empty(&wal.next) {
                return Err(failed("use", &wal.next)(ErrorKind::AlreadyExists.into()));
            }
            let note = self.beside.join(WAL_ELSEWHERE);
            fs::write(&note, wal.next.as_os_str().as_bytes()).map_err(failed("write", &note))?;
        }
        sync(&self.beside)?;
        self.sync_parent()
    }

    /// How much of the primary has been copied there, as far as that is known.
    pub(crate) fn percent(&self) -> Option<u64> {
        fs::read_to_string(self.beside.join(MARKER)).ok()?.trim().parse().ok()
    }

    pub(super) fn note_percent(&self, percent: u64) {
        if let Err(error) = fs::write(self.beside.join(MARKER), format!("{percent}\n")) {
            log::debug!("{error}");
        }
    }

    /// Removes the directory for the copy, if it is ours; the marker last, so that it stays ours until then.
    pub(crate) fn remove_beside(&self) -> Result<(), PostgresError> {
        if !is_there(&self.beside) {
            return Ok(());
        }
        if !self.is_ours() && !is_empty(&self.beside) {
            let why = "it is none of pgsqlms: move it elsewhere".to_owned();
            return Err(PostgresError::Content { path: self.beside.clone(), why });
        }
        mounts::check("remove", &self.beside)?;
        if let Some(wal) = self.wal_of_copy() {
            waldir::remove_unused(&wal, &self.data, &self.old)?;
        }
        for entry in fs::read_dir(&self.beside).map_err(failed("read", &self.beside))?.flatten() {
            let path = entry.path();
            if entry.file_name() == MARKER {
                continue;
            }
            if is_directory(&path) {
                mounts::remove_tree(&path)?;
            } else {
                fs::remove_file(&path).map_err(failed("remove", &path))?;
            }
        }
        mounts::remove_tree(&self.beside)
    }

    /// Removes the old data.
    pub(crate) fn remove_old(&self) -> Result<(), PostgresError> {
        if is_directory(&self.old) {
            // First: then the rest still shows where it was.
            mounts::check("remove", &self.old)?;
            waldir::remove_of(&self.old, &self.data)?;
            mounts::remove_tree(&self.old)
        } else {
            Ok(())
        }
    }

    /// The data directory gets another name. A mount in it would go along, and come back elsewhere with the next boot.
    pub(crate) fn put_aside(&self) -> Result<(), PostgresError> {
        mounts::check("rename", &self.data)?;
        self.rename(&self.data, &self.old)
    }

    /// The old data gets its name back.
    pub(crate) fn put_back(&self) -> Result<(), PostgresError> {
        self.rename(&self.old, &self.data)
    }

    /// The copy gets the data directory's name.
    pub(crate) fn put_in_place(&self) -> Result<(), PostgresError> {
        self.rename(&self.copy, &self.data)?;
        sync(&self.beside)
    }

    /// Never over anything that is there.
    fn rename(&self, from: &Path, to: &Path) -> Result<(), PostgresError> {
        let renamed = if is_there(to) { Err(ErrorKind::AlreadyExists.into()) } else { fs::rename(from, to) };
        renamed.map_err(failed("rename", from))?;
        self.sync_parent()
    }

    fn sync_parent(&self) -> Result<(), PostgresError> {
        self.data.parent().map_or(Ok(()), sync)
    }
}

pub(super) fn is_empty(directory: &Path) -> bool {
    is_directory(directory) && fs::read_dir(directory).is_ok_and(|mut entries| entries.next().is_none())
}

/// Also where the same file system is mounted once more. If that cannot be determined, it may be one.
pub(super) fn is_mount_point(data: &Path, parent: &Path) -> bool {
    let device = |path: &Path| path.metadata().map(|found| found.dev()).ok();
    device(data) != device(parent) || mounts::is_point(data).unwrap_or(true)
}

/// What is mounted below a data directory, for people.
pub(super) fn mounted_below(data: &Path) -> Option<String> {
    match mounts::below(data) {
        Ok(points) => points.first().map(|point| format!("{} is mounted in the data directory", point.display())),
        Err(error) => Some(error.to_string()),
    }
}

/// The bytes of all files in a directory, links not followed; what cannot be read counts as nothing.
fn size(directory: &Path) -> u64 {
    let (mut sum, mut directories) = (0, vec![directory.to_owned()]);
    while let Some(directory) = directories.pop() {
        for entry in fs::read_dir(&directory).into_iter().flatten().flatten() {
            match entry.metadata() {
                Ok(found) if found.is_dir() => directories.push(entry.path()),
                Ok(found) => sum += found.len(),
                Err(_) => {}
            }
        }
    }
    sum
}

#[cfg(test)]
mod tests {
    use super::*;

    fn places() -> (tempfile::TempDir, Places) {
        let here = tempfile::tempdir().unwrap();
        let places = Places::of(&here.path().join("data"));
        fs::create_dir_all(places.data.join("pg_wal")).unwrap();
        (here, places)
    }

    #[test]
    fn only_our_own_directory_is_replaced() {
        let (_here, places) = places();
        assert_eq!(places.obstacle("me"), None);
        fs::create_dir(&places.beside).unwrap();
        fs::write(places.beside.join("theirs"), "").unwrap();
        assert!(places.obstacle("me").unwrap().contains("is none of pgsqlms"));
        assert!(places.begin().is_err());
        assert!(places.beside.join("theirs").exists());
        fs::write(places.beside.join(MARKER), "").unwrap();
        assert_eq!(places.obstacle("me"), None);
        places.begin().unwrap();
        assert!(!places.beside.join("theirs").exists());
    }

    #[test]
    fn a_link_is_neither_followed_nor_removed() {
        let (here, places) = places();
        fs::create_dir(here.path().join("elsewhere")).unwrap();
        fs::write(here.path().join("elsewhere").join(MARKER), "").unwrap();
        for link in [&places.beside, &places.old] {
            std::os::unix::fs::symlink(here.path().join("elsewhere"), link).unwrap();
        }
        assert!(places.begin().is_err());
        places.remove_old().unwrap();
        assert!(here.path().join("elsewhere").join(MARKER).exists());
        assert!(places.put_aside().is_err());
        assert!(places.old.is_symlink() && places.data.is_dir());
    }

    #[test]
    fn an_obstacle_to_the_exchange_is_reported() {
        let (here, places) = places();
        fs::remove_dir(places.data.join("pg_wal")).unwrap();
        std::os::unix::fs::symlink(here.path().join("nowhere"), places.data.join("pg_wal")).unwrap();
        assert!(places.obstacle("me").unwrap().starts_with("pg_wal is neither"));
        fs::remove_file(places.data.join("pg_wal")).unwrap();
        fs::create_dir(places.data.join("pg_wal")).unwrap();
        fs::create_dir_all(places.data.join("pg_tblspc/1")).unwrap();
        assert!(places.obstacle("me").unwrap().starts_with("it has tablespaces"));
        fs::create_dir(&places.old).unwrap();
        assert!(places.obstacle("me").unwrap().contains("is in the way"));
        assert!(Places::of(Path::new("/proc")).obstacle("me").unwrap().contains("mount point"));
        let link = here.path().join("link");
        std::os::unix::fs::symlink(&places.data, &link).unwrap();
        assert!(Places::of(&link).obstacle("me").unwrap().contains("a link to one"));
    }
}
