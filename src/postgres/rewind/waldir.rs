//! A `pg_wal` that is a link. The WAL of the copy goes beside the directory that it leads to, under another name, and stays
//! there: so the data directory and its WAL change places by the same rename. The caller acts as the PostgreSQL user.

use std::ffi::{OsStr, OsString};
use std::fs;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::{Path, PathBuf};

use super::places::{is_directory, is_empty, is_mount_point, is_there, mounted_below};
use crate::postgres::{PostgresError, mounts};

/// The suffix of one of the two names of a WAL directory, of which one is in use and the other is free.
const SUFFIX: &str = ".pgsqlms";

/// Where the WAL of an instance is, and where that of its copy goes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct WalDir {
    now: PathBuf,
    pub(super) next: PathBuf,
}

/// The directory that a `pg_wal` leads to, if it is a link that leads somewhere.
fn target(data: &Path) -> Option<PathBuf> {
    let link = data.join("pg_wal");
    if link.symlink_metadata().is_ok_and(|found| found.is_symlink()) { link.canonicalize().ok() } else { None }
}

/// Whether WAL is kept there: not everything that a link leads to is to be removed.
fn holds_wal(directory: &Path) -> bool {
    is_directory(directory) && is_directory(&directory.join("archive_status"))
}

impl WalDir {
    /// That of the instance in `data`; none where WAL is kept in the data directory, or the link leads nowhere.
    pub(super) fn of(data: &Path) -> Option<Self> {
        let now = target(data)?;
        let name = now.file_name()?.as_bytes();
        let name = match name.strip_suffix(SUFFIX.as_bytes()) {
            Some(plain) if !plain.is_empty() => OsStr::from_bytes(plain).to_owned(),
            _ => OsString::from_vec([name, SUFFIX.as_bytes()].concat()),
        };
        Some(Self { next: now.with_file_name(name), now })
    }

    /// Why WAL cannot be kept beside it, if so. `ours` is where that of an earlier copy is.
    pub(super) fn obstacle(&self, ours: Option<&Path>, user: &str) -> Option<String> {
        let (now, next) = (self.now.display(), self.next.display());
        let parent = self.now.parent()?;
        if is_mount_point(&self.now, parent) {
            return Some(format!("pg_wal leads to {now}, a mount point: link it to a directory in there"));
        }
        if mounted_below(&self.now).is_some() {
            return Some(format!("pg_wal leads to {now}, in which something is mounted"));
        }
        if is_there(&self.next) && ours != Some(&self.next) && !is_empty(&self.next) {
            return Some(format!("{next} is in the way: move it elsewhere, or remove it"));
        }
        let writable = nix::unistd::eaccess(parent, nix::unistd::AccessFlags::W_OK).is_ok();
        (!writable).then(|| format!("{} is not writable for {user}: `chown {user}` it", parent.display()))
    }
}

/// What is noted in `file` about where the WAL of a copy is.
pub(super) fn noted(file: &Path) -> Option<PathBuf> {
    let path = PathBuf::from(OsString::from_vec(fs::read(file).ok()?));
    path.is_absolute().then_some(path)
}

/// Removes the WAL of a copy that is not used; never that of `data` or `old`.
pub(super) fn remove_unused(wal: &Path, data: &Path, old: &Path) -> Result<(), PostgresError> {
    let used = |by: &Path| target(by).is_some_and(|target| target == wal);
    if used(data) || used(old) || !is_directory(wal) {
        return Ok(());
    }
    mounts::remove_tree(wal)
}

/// Removes the WAL of the old data; never that of `data`.
pub(super) fn remove_of(old: &Path, data: &Path) -> Result<(), PostgresError> {
    match target(old) {
        Some(wal) if target(data).as_ref() != Some(&wal) && holds_wal(&wal) => mounts::remove_tree(&wal),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::symlink;

    /// A data directory and the old one, whose WAL is in directories beside them.
    fn linked() -> (tempfile::TempDir, PathBuf, PathBuf) {
        let here = tempfile::tempdir().unwrap();
        let (data, old) = (here.path().join("data"), here.path().join("old"));
        for (place, wal) in [(&data, "wal"), (&old, "wal.pgsqlms")] {
            fs::create_dir(place).unwrap();
            fs::create_dir_all(here.path().join(wal).join("archive_status")).unwrap();
            symlink(here.path().join(wal), place.join("pg_wal")).unwrap();
        }
        (here, data, old)
    }

    #[test]
    fn the_two_names_take_turns() {
        let (here, data, old) = linked();
        assert_eq!(WalDir::of(&data).unwrap().next, here.path().join("wal.pgsqlms"));
        assert_eq!(WalDir::of(&old).unwrap().next, here.path().join("wal"));
        fs::remove_file(data.join("pg_wal")).unwrap();
        fs::create_dir(data.join("pg_wal")).unwrap();
        assert_eq!(WalDir::of(&data), None);
    }

    #[test]
    fn what_is_there_already_is_in_the_way() {
        let (here, data, _) = linked();
        let (wal, next) = (WalDir::of(&data).unwrap(), here.path().join("wal.pgsqlms"));
        assert!(wal.obstacle(None, "me").unwrap().contains("wal.pgsqlms is in the way"));
        assert_eq!(wal.obstacle(Some(&next), "me"), None);
        fs::remove_dir_all(next).unwrap();
        assert_eq!(wal.obstacle(None, "me"), None);
        fs::remove_file(data.join("pg_wal")).unwrap();
        symlink("/proc", data.join("pg_wal")).unwrap();
        assert!(WalDir::of(&data).unwrap().obstacle(None, "me").unwrap().contains("a mount point"));
    }

    #[test]
    fn wal_that_is_used_is_never_removed() {
        let (here, data, old) = linked();
        let (used, unused) = (here.path().join("wal"), here.path().join("wal.pgsqlms"));
        remove_unused(&used, &data, &old).unwrap();
        remove_unused(&unused, &data, &old).unwrap();
        assert!(used.exists() && unused.exists());
        remove_of(&old, &data).unwrap();
        assert!(used.exists() && !unused.exists());
        remove_of(&old, &data).unwrap();
        remove_of(&data, &data).unwrap();
        assert!(used.exists());
    }

    #[test]
    fn only_wal_is_removed_behind_a_link() {
        let (here, data, old) = linked();
        let elsewhere = here.path().join("elsewhere");
        fs::create_dir(&elsewhere).unwrap();
        fs::remove_file(old.join("pg_wal")).unwrap();
        symlink(&elsewhere, old.join("pg_wal")).unwrap();
        remove_of(&old, &data).unwrap();
        assert!(elsewhere.exists());
    }
}
