//! What a server says: while it starts, and of its connection to the primary. The caller acts as the PostgreSQL user.

mod formats;

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{Read, Seek, SeekFrom};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use nix::fcntl::OFlag;

use super::{PostgresError, layout};
use crate::rules::server_words;
use formats::Format;

/// The most that is read back.
const MOST: u64 = 64 << 10;

/// The most files of which it is noted how long they were.
const MOST_FILES: usize = 5000;

/// Where a server speaks: on its standard error, which goes to a file of ours, all it says before it has read its own
/// logging configuration, and everything if that says no more than "standard error"; else in files of its own.
#[derive(Debug, Clone)]
pub struct ServerLog {
    datadir: PathBuf,
    ours: Option<PathBuf>,
    /// How long each file was when we began to listen. A server may go on with one that it wrote a week ago: with
    /// `log_filename = 'postgresql-%a.log'`, Red Hat's default, it does.
    lengths: BTreeMap<PathBuf, u64>,
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
        let its_own = its_own(datadir).into_iter().filter_map(|(_, path)| path.parent().map(Path::to_owned));
        let directories = its_own.chain(["log", "pg_log"].map(|usual| datadir.join(usual)));
        let entries = directories.flat_map(|directory| fs::read_dir(directory).into_iter().flatten().flatten());
        let files = entries.take(MOST_FILES).map(|entry| entry.path()).chain(ours.clone());
        let lengths = files.filter_map(|path| Some((path.clone(), path.metadata().ok()?.len()))).collect();
        Self { datadir: datadir.to_owned(), ours, lengths }
    }

    /// The most informative message of the server since.
    pub fn last_words(&self) -> Option<String> {
        let ours = self.ours.iter().map(|path| (Format::Text, path.clone()));
        let said = |(format, path): (Format, PathBuf)| {
            // What is shorter than it was has been emptied.
            let length = path.metadata().ok()?.len();
            let from = self.lengths.get(&path).copied().filter(|from| *from <= length).unwrap_or(0);
            Some(format.lines(text_from(&path, from.max(length.saturating_sub(MOST)))))
        };
        let texts: Vec<String> = ours.chain(its_own(&self.datadir)).filter_map(said).collect();
        server_words::main_message(&texts)
    }
}

/// Why the standby in `datadir` last failed to receive WAL, as far as its log can be read.
pub fn receiver_error(datadir: &Path) -> Option<String> {
    let files = its_own(datadir).into_iter().chain(ours(datadir).map(|path| (Format::Text, path)));
    let tail = |(format, path): (Format, PathBuf)| {
        let from = path.metadata().ok()?.len().saturating_sub(MOST);
        Some(format.lines(text_from(&path, from)))
    };
    files.filter_map(tail).find_map(|text: String| server_words::receiver_error(&text))
}

fn ours(datadir: &Path) -> [PathBuf; 2] {
    let instance = layout::as_file_name(datadir);
    [PathBuf::from(format!("/var/log/postgresql/pgsqlms-{instance}.log")), datadir.join("pgsqlms.log")]
}

/// The files that the server's logging collector writes now (`current_logfiles`).
fn its_own(datadir: &Path) -> Vec<(Format, PathBuf)> {
    let list = fs::read_to_string(datadir.join("current_logfiles")).unwrap_or_default();
    list.lines().filter_map(Format::of).map(|(format, file)| (format, datadir.join(file))).collect()
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

    #[test]
    fn a_file_of_last_week_that_the_server_goes_on_with_says_nothing_of_today() {
        let here = tempfile::tempdir().unwrap();
        fs::create_dir(here.path().join("log")).unwrap();
        let today = here.path().join("log/postgresql-Mon.log");
        fs::write(&today, "FATAL:  a week ago\n").unwrap();
        fs::write(here.path().join("current_logfiles"), "stderr log/postgresql-Fri.log\n").unwrap();
        let (log, _file) = ServerLog::open(here.path()).unwrap();
        fs::write(here.path().join("current_logfiles"), "stderr log/postgresql-Mon.log\n").unwrap();
        assert_eq!(log.last_words(), None);
        fs::write(&today, "FATAL:  a week ago\nFATAL:  today\n").unwrap();
        assert_eq!(log.last_words().as_deref(), Some("today"));
    }

    #[test]
    fn the_end_of_a_long_log_is_read() {
        let here = tempfile::tempdir().unwrap();
        let (log, mut file) = ServerLog::open(here.path()).unwrap();
        let much = "LOG:  restored log file \"000000010000000000000001\" from archive\n".repeat(2000);
        writeln!(file, "{much}FATAL:  the cause").unwrap();
        assert_eq!(log.last_words().as_deref(), Some("the cause"));
    }

    #[test]
    fn a_server_that_logs_for_programs_is_understood() {
        let here = tempfile::tempdir().unwrap();
        let (log, mut file) = ServerLog::open(here.path()).unwrap();
        writeln!(file, "LOG:  redirecting log output to logging collector process").unwrap();
        fs::write(here.path().join("current_logfiles"), "jsonlog a.json\n").unwrap();
        fs::write(here.path().join("a.json"), "{\"error_severity\":\"FATAL\",\"message\":\"no\"}\n").unwrap();
        assert_eq!(log.last_words().as_deref(), Some("no"));
    }
}
