//! What a server says: while it starts, and of its connection to the primary. The caller acts as the PostgreSQL user.

use std::fs::{self, File};
use std::io::{Read, Seek, SeekFrom};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use nix::fcntl::OFlag;

use super::PostgresError;
use crate::rules::server_words;

/// The most that is read back.
const MOST: u64 = 64 << 10;

/// Where a server speaks: on its standard error, which goes to a file of ours, all it says before it has read its own
/// logging configuration, and everything if that says no more than "standard error"; else in a file of its own.
#[derive(Debug, Clone)]
pub struct ServerLog {
    datadir: PathBuf,
    ours: Option<PathBuf>,
    /// How long our file and its own were when we began to listen.
    from: [u64; 2],
    its_own: Option<PathBuf>,
}

impl ServerLog {
    /// Opens our file for a start of the instance in `datadir`: beside Debian's logs where there are any, so that it is
    /// rotated like them, else in the data directory.
    ///
    /// # Errors
    ///
    /// When neither can be written.
    pub fn open(datadir: &Path) -> Result<(ServerLog, File), PostgresError> {
        let [shared, local] = ours(datadir);
        let (path, file) = append(shared).or_else(|_| append(local))?;
        Ok((Self::at(datadir, Some(path)), file))
    }

    /// Listens to a server that runs.
    pub fn listen(datadir: &Path) -> Self {
        Self::at(datadir, ours(datadir).into_iter().find(|path| path.exists()))
    }

    fn at(datadir: &Path, ours: Option<PathBuf>) -> Self {
        let its_own = its_own(datadir);
        let length =
            |path: &Option<PathBuf>| path.as_ref().and_then(|path| path.metadata().ok()).map_or(0, |it| it.len());
        Self { datadir: datadir.to_owned(), from: [length(&ours), length(&its_own)], ours, its_own }
    }

    /// What tells most of what the server said since.
    pub fn last_words(&self) -> Option<String> {
        let now = its_own(&self.datadir);
        // A server begins a file with each start, or goes on with the one that it had.
        let from = if now == self.its_own { self.from[1] } else { 0 };
        let ours = self.ours.as_ref().map(|path| text_from(path, self.from[0]));
        let its_own = now.map(|path| text_from(&path, from));
        let texts: Vec<String> = [ours, its_own].into_iter().flatten().collect();
        server_words::most_telling(&texts)
    }
}

/// Why the standby in `datadir` last failed to receive WAL, as far as its log can be read.
pub fn receiver_error(datadir: &Path) -> Option<String> {
    let files = its_own(datadir).into_iter().chain(ours(datadir));
    let tail = |path: PathBuf| text_from(&path, path.metadata().ok()?.len().saturating_sub(MOST)).into();
    files.filter_map(tail).find_map(|text: String| server_words::receiver_error(&text))
}

fn ours(datadir: &Path) -> [PathBuf; 2] {
    let instance = datadir.to_string_lossy().trim_matches('/').replace('/', "-");
    [PathBuf::from(format!("/var/log/postgresql/pgsqlms-{instance}.log")), datadir.join("pgsqlms.log")]
}

/// The file of the server's logging collector (`current_logfiles`), if it writes one for people.
fn its_own(datadir: &Path) -> Option<PathBuf> {
    let list = fs::read_to_string(datadir.join("current_logfiles")).ok()?;
    let file = list.lines().find_map(|line| line.strip_prefix("stderr "))?;
    Some(datadir.join(file))
}

fn text_from(path: &Path, from: u64) -> String {
    let read = || {
        let mut file = File::open(path)?;
        file.seek(SeekFrom::Start(from))?;
        let mut bytes = Vec::new();
        file.take(MOST).read_to_end(&mut bytes)?;
        Ok::<_, std::io::Error>(String::from_utf8_lossy(&bytes).into_owned())
    };
    read().unwrap_or_default()
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
        assert_eq!(log.last_words().as_deref(), Some("no such directory"));
    }

    #[test]
    fn what_a_collector_wrote_is_read_too() {
        let here = tempfile::tempdir().unwrap();
        fs::create_dir(here.path().join("log")).unwrap();
        let (log, mut file) = ServerLog::open(here.path()).unwrap();
        writeln!(file, "LOG:  redirecting log output to logging collector process").unwrap();
        fs::write(here.path().join("current_logfiles"), "csvlog log/a.csv\nstderr log/a.log\n").unwrap();
        let refused = "FATAL:  could not connect to the primary server: no route\n";
        fs::write(here.path().join("log/a.log"), format!("FATAL:  recovery aborted\n{refused}")).unwrap();
        assert_eq!(log.last_words().as_deref(), Some("recovery aborted"));
        let expected = "could not connect to the primary server: no route";
        assert_eq!(receiver_error(here.path()).as_deref(), Some(expected));
    }
}
