//! Where the files and programs of an instance are. The caller acts as the PostgreSQL user.

use std::fs;
use std::io::{Read, Write};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use super::PostgresError;
use super::control::{CONTROL_LEN, ControlData, ControlError};
use super::pid_file::PidFile;
use crate::location::DirectoryId;

/// The directories in which the programs of PostgreSQL `major` are looked for: Debian's, PGDG's for Red Hat, SUSE's, the
/// distribution's own, and where `make install` puts them.
fn usual_bindirs(major: &str) -> [PathBuf; 5] {
    [
        format!("/usr/lib/postgresql/{major}/bin").into(),
        format!("/usr/pgsql-{major}/bin").into(),
        format!("/usr/lib/postgresql{major}/bin").into(),
        "/usr/bin".into(),
        "/usr/local/pgsql/bin".into(),
    ]
}

/// A path as the name of a file, another one for each path: `/srv/pg-a/b` and `/srv/pg/a-b` are not the same.
pub fn as_file_name(path: &Path) -> String {
    let path = path.to_string_lossy();
    let path = path.trim_matches('/');
    path.replace('%', "%25").replace('-', "%2d").replace('/', "-")
}

/// The files of one data directory.
#[derive(Debug, Clone)]
pub struct DataDirectory(PathBuf);

impl DataDirectory {
    /// The data directory at `path`.
    pub fn new(path: impl Into<PathBuf>) -> Self {
        Self(path.into())
    }

    /// Its path.
    pub fn path(&self) -> &Path {
        &self.0
    }

    /// The file `name` in it.
    pub fn file(&self, name: &str) -> PathBuf {
        self.0.join(name)
    }

    /// Whether the file `name` is there.
    pub fn has(&self, name: &str) -> bool {
        self.file(name).symlink_metadata().is_ok()
    }

    /// The major version in `PG_VERSION`: "17".
    ///
    /// # Errors
    ///
    /// When the file cannot be read or holds no version.
    pub fn major_version(&self) -> Result<String, PostgresError> {
        let path = self.file("PG_VERSION");
        let text = fs::read_to_string(&path).map_err(|source| unreadable(&path, source))?;
        let version = text.trim();
        let plausible =
            !version.is_empty() && version.len() < 8 && version.bytes().all(|b| b.is_ascii_digit() || b == b'.');
        if !plausible {
            return Err(PostgresError::Content { path, why: "no version number".to_owned() });
        }
        Ok(version.to_owned())
    }

    /// Which directory this is, by a file that PostgreSQL writes once, when the directory is made.
    pub fn identity(&self) -> Option<DirectoryId> {
        let made = fs::metadata(self.file("PG_VERSION")).ok()?;
        let since_1970 = made.created().ok().and_then(|time| time.duration_since(SystemTime::UNIX_EPOCH).ok());
        let time = since_1970.map_or(0, |time| time.as_secs() ^ u64::from(time.subsec_nanos()).rotate_left(32));
        Some(DirectoryId(made.ino().rotate_left(20) ^ time))
    }

    /// The bytes that an ordinary user may still write where the directory `name` in it is; none if no file can be made.
    ///
    /// # Errors
    ///
    /// When the file system cannot be asked.
    pub fn free(&self, name: &str) -> Result<u64, PostgresError> {
        let path = self.file(name);
        let found = nix::sys::statvfs::statvfs(&path).map_err(|error| PostgresError::File {
            doing: "ask the file system of",
            path,
            source: error.into(),
        })?;
        // Some file systems do not count files.
        let is_writable = !found.flags().contains(nix::sys::statvfs::FsFlags::ST_RDONLY);
        let has_inodes = found.files() == 0 || found.files_available() > 0;
        Ok(if is_writable && has_inodes { found.blocks_available() * found.fragment_size() } else { 0 })
    }

    /// Its `postmaster.pid`, if there is one.
    pub fn pid_file(&self) -> Option<PidFile> {
        pid_file(&self.file("postmaster.pid"))
    }

    /// Removes `postmaster.pid`, which says `dead`, and its like beside the socket.
    ///
    /// # Errors
    ///
    /// When one cannot be removed.
    pub fn remove_pid_files(&self, dead: &PidFile) -> Result<(), PostgresError> {
        let same = |path: &PathBuf| {
            pid_file(path).is_some_and(|its| (its.pid, its.data_directory) == (dead.pid, dead.data_directory.clone()))
        };
        let files = [dead.socket_lock(), Some(self.file("postmaster.pid"))];
        files.into_iter().flatten().filter(same).try_for_each(|path| {
            fs::remove_file(&path).map_err(|source| PostgresError::File { doing: "remove", path, source })
        })
    }

    /// Removes what a restore has left: beside `standby.signal` it counts for nothing, but a promotion leaves it alone, and the
    /// next crash of the primary would make it recover from the archive.
    ///
    /// # Errors
    ///
    /// When it cannot be removed.
    pub fn forget_recovery_signal(&self) -> Result<(), PostgresError> {
        let path = self.file("recovery.signal");
        match fs::remove_file(&path) {
            Ok(()) => log::warn!("recovery.signal, which a restore has left, is removed: this is a standby"),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {}
            Err(source) => return Err(PostgresError::File { doing: "remove", path, source }),
        }
        Ok(())
    }

    /// Its `pg_control`.
    ///
    /// # Errors
    ///
    /// When it cannot be read; [`ControlError`] inside when it can and makes no sense.
    pub fn control(&self) -> Result<Result<ControlData, ControlError>, PostgresError> {
        let path = self.file("global/pg_control");
        let mut bytes = Vec::with_capacity(CONTROL_LEN);
        let file = fs::File::open(&path).map_err(|source| unreadable(&path, source))?;
        file.take(CONTROL_LEN as u64).read_to_end(&mut bytes).map_err(|source| unreadable(&path, source))?;
        Ok(ControlData::parse(&bytes))
    }

    /// The directory with this instance's programs: `given`, or the first usual one that has a server.
    ///
    /// # Errors
    ///
    /// When there is no server program in any of them.
    pub fn bindir(&self, given: Option<&Path>) -> Result<PathBuf, PostgresError> {
        let version = self.major_version()?;
        let candidates = given.map_or_else(|| usual_bindirs(&version).to_vec(), |given| vec![given.to_owned()]);
        let found = candidates.iter().find(|directory| is_executable(&directory.join("postgres")));
        found.cloned().ok_or_else(|| PostgresError::NoPrograms {
            version,
            looked_in: candidates.iter().map(|path| path.display().to_string()).collect::<Vec<_>>().join(", "),
        })
    }
}

fn pid_file(path: &Path) -> Option<PidFile> {
    let mut bytes = Vec::new();
    fs::File::open(path).ok()?.take(16 << 10).read_to_end(&mut bytes).ok()?;
    Some(PidFile::parse(&bytes))
}

/// Creates an empty file, unless one is there, be it root's. Never through a link.
///
/// # Errors
///
/// When it cannot be created.
pub fn create(path: &Path) -> Result<(), PostgresError> {
    if path.symlink_metadata().is_ok_and(|found| found.is_file()) {
        return Ok(());
    }
    write(path, "").map_err(|source| PostgresError::File { doing: "create", path: path.to_owned(), source })
}

/// Replaces a file by one with these contents, at once: a reader sees the old contents or the new.
///
/// # Errors
///
/// When it cannot be written.
pub fn replace(path: &Path, contents: &str) -> Result<(), PostgresError> {
    let mut name = path.as_os_str().to_owned();
    name.push(".new");
    let new = PathBuf::from(name);
    let written = fs::remove_file(&new).or_else(|error| match error.kind() {
        std::io::ErrorKind::NotFound => Ok(()),
        _ => Err(error),
    });
    written
        .and_then(|()| write(&new, contents))
        .and_then(|()| fs::rename(&new, path))
        .map_err(|source| PostgresError::File { doing: "write", path: path.to_owned(), source })
}

fn write(path: &Path, contents: &str) -> std::io::Result<()> {
    let options = fs::OpenOptions::new()
        .write(true)
        .create(true)
        .mode(0o600)
        .custom_flags(nix::fcntl::OFlag::O_NOFOLLOW.bits())
        .clone();
    let mut file = options.open(path)?;
    file.write_all(contents.as_bytes())?;
    file.sync_all()
}

fn is_executable(path: &Path) -> bool {
    nix::unistd::access(path, nix::unistd::AccessFlags::X_OK).is_ok()
}

fn unreadable(path: &Path, source: std::io::Error) -> PostgresError {
    PostgresError::File { doing: "read", path: path.to_owned(), source }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rules::status::Phase;
    use std::os::unix::ffi::OsStrExt;

    fn data_directory(pg_version: &str) -> (tempfile::TempDir, DataDirectory) {
        let directory = tempfile::tempdir().unwrap();
        fs::write(directory.path().join("PG_VERSION"), pg_version).unwrap();
        let data = DataDirectory::new(directory.path());
        (directory, data)
    }

    #[test]
    fn no_two_directories_have_the_same_file_name() {
        assert_eq!(as_file_name(Path::new("/var/lib/postgresql/17/main")), "var-lib-postgresql-17-main");
        let names: std::collections::BTreeSet<String> =
            ["/srv/pg-a/b", "/srv/pg/a-b", "/srv/pg/a%2db", "/srv/pg%2da/b"]
                .map(|path| as_file_name(Path::new(path)))
                .into();
        assert_eq!(names.len(), 4, "{names:?}");
    }

    #[test]
    fn pg_version_is_a_number_or_an_error() {
        assert_eq!(data_directory("17\n").1.major_version().unwrap(), "17");
        for bad in ["", "\n", "../../etc", "17 18"] {
            assert!(data_directory(bad).1.major_version().is_err(), "{bad:?}");
        }
    }

    #[test]
    fn a_pid_file_with_a_path_that_is_not_text_is_read() {
        let (_keep, data) = data_directory("17");
        fs::write(data.file("postmaster.pid"), b"42\n/srv/\xE4\n0\n5433\n/run/\xE4\n\n 1 2\nready   \n").unwrap();
        let file = data.pid_file().unwrap();
        assert_eq!((file.pid, file.port, file.phase), (Some(42), Some(5433), Phase::Ready));
        assert_eq!(file.socket_directory.unwrap().as_os_str().as_bytes(), b"/run/\xE4");
    }

    #[test]
    fn a_missing_server_program_is_reported_with_the_places() {
        let (_keep, data) = data_directory("99");
        let error = data.bindir(Some(Path::new("/nowhere"))).unwrap_err().to_string();
        assert_eq!(
            error,
            "no PostgreSQL 99 programs found: install them or set the parameter bindir (looked in /nowhere)"
        );
    }
}
