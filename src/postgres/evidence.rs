//! What is kept of an instance outside its data directory: notes about a rewind, and what it drops.
//!
//! Root makes no more than the directory, and only where the PostgreSQL user may not; all else happens as that user.

use std::fs::{self, DirBuilder, File, OpenOptions, Permissions};
use std::io::ErrorKind;
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::str::FromStr;

use nix::fcntl::{Flock, FlockArg, OFlag};

use super::{PostgresError, layout};
use crate::privileges::SystemUser;
use crate::rules::memory::Memory;
use crate::rules::rebuild::Order;
use crate::rules::rejoin::Notes;

/// The file of notes.
pub const NOTES: &str = "rewind";

/// The file with what the node remembers of the cluster.
const MEMORY: &str = "memory";

/// The file with what was ordered about a rebuild.
const REBUILD: &str = "rebuild";

/// The file that is locked during a rebuild.
const LOCK: &str = "rebuild.lock";

/// As many links as a path may have.
const MOST_LINKS: usize = 20;

/// The directory of one resource.
#[derive(Debug, Clone)]
pub struct EvidenceDirectory {
    path: PathBuf,
}

impl EvidenceDirectory {
    /// That of `resource` in the directory `all`, also for a resource name with special characters.
    pub fn new(all: &Path, resource: &str) -> Self {
        let plain = |c: char| c.is_ascii_alphanumeric() || "-_.".contains(c);
        let name: String = resource.chars().map(|c| if plain(c) { c } else { '_' }).collect();
        let name = if name.trim_matches('.').is_empty() { "_".to_owned() } else { name };
        Self { path: all.join(name) }
    }

    /// Its path.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Makes the directory, if there is none, for `user`.
    ///
    /// Where the user cannot, root does: then the user cannot interfere in what is above it either. To be called by root,
    /// or by the user.
    ///
    /// # Errors
    ///
    /// When there is none and none can be made.
    pub fn prepare(&self, user: &SystemUser) -> Result<(), PostgresError> {
        let failed = |source| PostgresError::File { doing: "create", path: self.path.clone(), source };
        match user.act(|| DirBuilder::new().recursive(true).mode(0o700).create(&self.path))? {
            Err(error) if error.kind() == ErrorKind::PermissionDenied => {}
            made => return made.map_err(failed),
        }
        if !is_roots_alone(&self.path, MOST_LINKS) {
            let why = "users other than root could redirect it: create it by hand, for the PostgreSQL user";
            return Err(failed(std::io::Error::new(ErrorKind::PermissionDenied, why)));
        }
        let above: Vec<&Path> = self.path.ancestors().skip(1).collect();
        for directory in above.into_iter().rev().filter(|directory| directory.symlink_metadata().is_err()) {
            let made = DirBuilder::new().create(directory).and_then(|()| open_directory(directory));
            made.and_then(|made| made.set_permissions(Permissions::from_mode(0o755))).map_err(failed)?;
        }
        match DirBuilder::new().mode(0o700).create(&self.path) {
            Ok(()) => open_directory(&self.path).and_then(|made| user.give(&made)).map_err(failed),
            // It belongs to another user: the next step reports that.
            Err(error) if error.kind() == ErrorKind::AlreadyExists => Ok(()),
            Err(error) => Err(failed(error)),
        }
    }

    /// What is noted; nothing if there are no notes. The caller acts as the PostgreSQL user.
    ///
    /// # Errors
    ///
    /// When there are notes that cannot be read or understood: then the state of the data directory is unknown.
    pub fn notes(&self) -> Result<Notes, PostgresError> {
        self.read(NOTES)
    }

    /// The node's memory of the cluster; nothing if there is no such file. The caller acts as the PostgreSQL user.
    ///
    /// # Errors
    ///
    /// When the file cannot be read.
    pub fn memory(&self) -> Result<Memory, PostgresError> {
        self.read(MEMORY)
    }

    /// Remembers this, so that it survives a loss of power. The caller acts as the PostgreSQL user.
    ///
    /// # Errors
    ///
    /// When it cannot be written.
    pub fn remember(&self, memory: &Memory) -> Result<(), PostgresError> {
        layout::replace(&self.path.join(MEMORY), &memory.to_string())?;
        sync(&self.path)
    }

    /// The order for a rebuild; nothing if there is none. The caller acts as the PostgreSQL user.
    ///
    /// # Errors
    ///
    /// When there is an order that cannot be read or understood.
    pub fn order(&self) -> Result<Order, PostgresError> {
        self.read(REBUILD)
    }

    /// Orders this, so that it survives a loss of power. The caller acts as the PostgreSQL user.
    ///
    /// # Errors
    ///
    /// When it cannot be written.
    pub fn put_order(&self, order: &Order) -> Result<(), PostgresError> {
        layout::replace(&self.path.join(REBUILD), &order.to_string())?;
        sync(&self.path)
    }

    /// Locks the rebuild until the returned lock, or the process, is gone. The caller acts as the
    /// PostgreSQL user.
    ///
    /// # Errors
    ///
    /// When another process holds the lock.
    pub fn lock_rebuild(&self) -> Result<Flock<File>, PostgresError> {
        let busy = |_| PostgresError::Copy("another `pgsqlms rebuild` is at work on this node".to_owned());
        let file = self.open_lock(true).map_err(|source| self.no_lock(source))?;
        Flock::lock(file, FlockArg::LockExclusiveNonblock).map_err(busy)
    }

    /// Whether a process rebuilds it. The caller acts as the PostgreSQL user.
    ///
    /// # Errors
    ///
    /// When that cannot be seen.
    pub fn is_rebuilt(&self) -> Result<bool, PostgresError> {
        match self.open_lock(false) {
            Ok(file) => Ok(Flock::lock(file, FlockArg::LockSharedNonblock).is_err()),
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(false),
            Err(source) => Err(self.no_lock(source)),
        }
    }

    fn open_lock(&self, create: bool) -> std::io::Result<File> {
        let mut options = OpenOptions::new();
        options.write(true).create(create).mode(0o600).custom_flags(OFlag::O_NOFOLLOW.bits()).open(self.path.join(LOCK))
    }

    fn no_lock(&self, source: std::io::Error) -> PostgresError {
        PostgresError::File { doing: "open", path: self.path.join(LOCK), source }
    }

    fn read<T: FromStr<Err: std::fmt::Display> + Default>(&self, name: &str) -> Result<T, PostgresError> {
        let path = self.path.join(name);
        match fs::read_to_string(&path) {
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(T::default()),
            Err(source) => Err(PostgresError::File { doing: "read", path, source }),
            Ok(text) => text.parse().map_err(|error: T::Err| PostgresError::Content { path, why: error.to_string() }),
        }
    }

    /// Notes this, so that it survives a loss of power at any moment from now on. The caller acts as the PostgreSQL user.
    ///
    /// # Errors
    ///
    /// When it cannot be written.
    pub fn note(&self, notes: &Notes) -> Result<(), PostgresError> {
        layout::replace(&self.path.join(NOTES), &notes.to_string())?;
        sync(&self.path)
    }

    /// Makes a directory in it, for what is about to be dropped. The caller acts as the PostgreSQL user.
    ///
    /// # Errors
    ///
    /// When it cannot be made.
    pub fn begin(&self, name: &str) -> Result<PathBuf, PostgresError> {
        let path = self.path.join(name);
        let made = DirBuilder::new().recursive(true).mode(0o700).create(&path);
        made.map_err(|source| PostgresError::File { doing: "create", path: path.clone(), source })?;
        Ok(path)
    }
}

/// Whether only root decides where a path leads: the existing part belongs to root, and no other user may write to it.
fn is_roots_alone(path: &Path, most_links: usize) -> bool {
    let mut above: Vec<&Path> = path.ancestors().skip(1).collect();
    above.reverse();
    let mut may_be_made_by_anybody = false;
    for place in above {
        let Ok(found) = place.symlink_metadata() else { return !may_be_made_by_anybody };
        if found.uid() != 0 {
            return false;
        }
        if found.is_symlink() {
            let Ok(target) = fs::read_link(place) else { return false };
            // What comes after the link is looked at there.
            let (Some(parent), Ok(rest)) = (place.parent(), path.strip_prefix(place)) else { return false };
            return most_links > 0 && is_roots_alone(&parent.join(target).join(rest), most_links - 1);
        }
        may_be_made_by_anybody = found.mode() & 0o022 != 0;
        // In a directory like /tmp no other user replaces a file of root.
        if may_be_made_by_anybody && found.mode() & 0o1000 == 0 {
            return false;
        }
    }
    !may_be_made_by_anybody
}

/// Opens a directory, never through a link.
fn open_directory(path: &Path) -> std::io::Result<File> {
    OpenOptions::new().read(true).custom_flags((OFlag::O_DIRECTORY | OFlag::O_NOFOLLOW).bits()).open(path)
}

/// Makes what was created, renamed or removed in a directory last.
///
/// # Errors
///
/// When the disk does not take it.
pub fn sync(directory: &Path) -> Result<(), PostgresError> {
    let synced = File::open(directory).and_then(|directory| directory.sync_all());
    synced.map_err(|source| PostgresError::File { doing: "sync", path: directory.to_owned(), source })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rules::rejoin::Stage;

    #[test]
    fn each_resource_name_is_a_directory() {
        let name = |resource: &str| EvidenceDirectory::new(Path::new("/e"), resource).path().display().to_string();
        assert_eq!(name("pgsqld"), "/e/pgsqld");
        assert_eq!(name("../etc"), "/e/.._etc");
        assert_eq!(name(".."), "/e/_");
        assert_eq!(name(""), "/e/_");
    }

    /// Root's tests only: what an ordinary user has made is never root's.
    #[test]
    fn root_makes_nothing_where_another_user_could_redirect_it() {
        if !nix::unistd::geteuid().is_root() {
            return;
        }
        let here = tempfile::tempdir_in("/root").or_else(|_| tempfile::tempdir_in("/var/lib")).unwrap();
        let [theirs, ours, link] = ["theirs", "ours", "link"].map(|name| here.path().join(name));
        fs::create_dir(&theirs).unwrap();
        fs::create_dir(&ours).unwrap();
        std::os::unix::fs::symlink("/etc", theirs.join("evidence")).unwrap();
        std::os::unix::fs::chown(&theirs, Some(65534), None).unwrap();
        std::os::unix::fs::symlink("theirs", &link).unwrap();
        let is_safe = |path: &Path| is_roots_alone(&path.join("evidence/pgsqld"), MOST_LINKS);
        assert!(is_safe(&ours) && !is_safe(&theirs) && !is_safe(&link));
        fs::set_permissions(&ours, Permissions::from_mode(0o777)).unwrap();
        assert!(!is_safe(&ours));
        fs::set_permissions(&ours, Permissions::from_mode(0o1777)).unwrap();
        assert!(!is_safe(&ours));
        fs::create_dir(ours.join("evidence")).unwrap();
        assert!(is_safe(&ours));
    }

    #[test]
    fn only_one_rebuilds() {
        let here = tempfile::tempdir().unwrap();
        let evidence = EvidenceDirectory::new(here.path(), "pgsqld");
        fs::create_dir(evidence.path()).unwrap();
        assert!(!evidence.is_rebuilt().unwrap());
        let lock = evidence.lock_rebuild().unwrap();
        assert!(evidence.lock_rebuild().is_err() && evidence.is_rebuilt().unwrap());
        drop(lock);
        assert!(!evidence.is_rebuilt().unwrap());
        assert!(evidence.lock_rebuild().is_ok());
    }

    #[test]
    fn notes_are_kept() {
        let here = tempfile::tempdir().unwrap();
        let evidence = EvidenceDirectory::new(here.path(), "pgsqld");
        assert_eq!(evidence.notes().unwrap(), Notes::default());
        fs::create_dir(evidence.path()).unwrap();
        let notes = Notes { stage: Stage::Ordered, ..Notes::default() };
        evidence.note(&notes).unwrap();
        assert_eq!(evidence.notes().unwrap(), notes);
        fs::write(evidence.path().join(NOTES), "gibberish").unwrap();
        assert!(evidence.notes().is_err());
    }
}
