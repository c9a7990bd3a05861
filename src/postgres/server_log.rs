//! What a server says while it starts. The caller acts as the PostgreSQL user.

use std::fs::{self, File};
use std::io::{Read, Seek, SeekFrom};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use nix::fcntl::OFlag;

use super::PostgresError;

/// The most that is read back.
const MOST: u64 = 16 << 10;

/// The file that a server's standard error goes to: all it says before it has read its own logging configuration, and
/// everything if that says no more than "standard error".
#[derive(Debug, Clone)]
pub struct ServerLog {
    path: PathBuf,
    /// How long it was before this start.
    from: u64,
}

impl ServerLog {
    /// Opens the log of the instance in `datadir` for a start: beside Debian's logs where there are any, so that it is
    /// rotated like them, else in the data directory.
    ///
    /// # Errors
    ///
    /// When neither can be written.
    pub fn open(datadir: &Path) -> Result<(ServerLog, File), PostgresError> {
        let instance = datadir.to_string_lossy().trim_matches('/').replace('/', "-");
        let shared = PathBuf::from(format!("/var/log/postgresql/pgsqlms-{instance}.log"));
        let (path, file) = append(shared).or_else(|_| append(datadir.join("pgsqlms.log")))?;
        let from = file.metadata().map_or(0, |file| file.len());
        Ok((ServerLog { path, from }, file))
    }

    /// The line that tells most of what the server said since: its first fatal message, or else its last.
    pub fn last_words(&self) -> Option<String> {
        let mut file = File::open(&self.path).ok()?;
        file.seek(SeekFrom::Start(self.from)).ok()?;
        let mut bytes = Vec::new();
        file.take(MOST).read_to_end(&mut bytes).ok()?;
        let text = String::from_utf8_lossy(&bytes);
        let fatal = text.lines().find(|line| line.contains("FATAL:") || line.contains("PANIC:"));
        fatal.or_else(|| text.lines().next_back()).map(|line| line.trim().to_owned())
    }
}

fn append(path: PathBuf) -> Result<(PathBuf, File), PostgresError> {
    let file = fs::OpenOptions::new()
        .append(true)
        .create(true)
        .mode(0o640)
        .custom_flags(OFlag::O_NOFOLLOW.bits())
        .open(&path)
        .map_err(|source| PostgresError::File { doing: "write to", path: path.clone(), source })?;
    Ok((path, file))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write;

    #[test]
    fn only_what_this_start_said_counts_and_fatal_says_most() {
        let here = tempfile::tempdir().unwrap();
        fs::write(here.path().join("pgsqlms.log"), "FATAL:  an older story\n").unwrap();
        let (log, mut file) = ServerLog::open(here.path()).unwrap();
        assert_eq!(log.last_words(), None);
        writeln!(file, "LOG:  starting\nFATAL:  no such directory\nLOG:  database system is shut down").unwrap();
        assert_eq!(log.last_words().as_deref(), Some("FATAL:  no such directory"));
    }
}
