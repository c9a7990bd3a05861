//! The processes that use a data directory, as /proc shows them.

use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use crate::rules::progress::Mark;

/// A process that uses the data directory.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ServerProcess {
    /// Its number.
    pub pid: i32,
    parent: i32,
    /// It was stopped by a signal or a debugger.
    pub frozen: bool,
    /// It is no server: a `pg_rewind` that rewrites the data directory.
    rewinds: bool,
}

/// All processes that use the data directory.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Processes {
    /// The one that started the others.
    pub postmaster: Option<ServerProcess>,
    /// Those whose postmaster is gone; empty while there is one.
    pub orphans: Vec<ServerProcess>,
}

/// The data directory as the kernel knows it.
#[derive(Debug)]
struct Directory {
    path: PathBuf,
    inode: Option<(u64, u64)>,
}

/// Looks for the processes of the instance in `datadir`, whose server is started with `-D` and `pgdata`.
///
/// A process belongs to it when it is PostgreSQL by its executable and works in that directory: every PostgreSQL
/// process does (`ChangeToDataDir`, `src/backend/utils/init/miscinit.c`), and so does the `pg_rewind` that the agent starts.
/// That cannot be mistaken for a recycled process number, and needs no readable `postmaster.pid`. Where nobody works there,
/// the directory may have been renamed or unmounted under its server: then one counts that was started with its path, and whoever works where that one does.
/// `hint` is where to look first; a hit there saves looking at all processes.
pub fn of_instance(datadir: &Path, pgdata: &Path, hint: Option<i32>) -> Processes {
    let directory = Directory::of(datadir);
    if let Some(process) = hint.and_then(|pid| directory.process(pid)) {
        if !process.rewinds && directory.process(process.parent).is_none() {
            return Processes { postmaster: Some(process), orphans: Vec::new() };
        }
    }
    let found = all_of(datadir, pgdata);
    // Orphans end up below init or a reaper; a postmaster was started by somebody else and has children or a pid file.
    let leads = |process: &&ServerProcess| {
        !process.rewinds && (Some(process.pid) == hint || found.iter().any(|other| other.parent == process.pid))
    };
    match found.iter().find(leads).or(lone_postmaster(&found)) {
        Some(postmaster) => Processes { postmaster: Some(*postmaster), orphans: Vec::new() },
        None => Processes { postmaster: None, orphans: found },
    }
}

/// All processes of the instance; see [`of_instance`].
pub fn all_of(datadir: &Path, pgdata: &Path) -> Vec<ServerProcess> {
    let all =
        |directory: Directory| -> Vec<ServerProcess> { all_pids().filter_map(|pid| directory.process(pid)).collect() };
    let here = all(Directory::of(datadir));
    if !here.is_empty() {
        return here;
    }
    let started_with =
        |process: &PathBuf| is_server(process) && shares(process, "mnt") && names(process, &[datadir, pgdata]);
    let elsewhere = all_pids().map(|pid| PathBuf::from(format!("/proc/{pid}"))).find(started_with);
    elsewhere.map(|process| all(Directory::that_of(&process))).unwrap_or_default()
}

/// Whether a server was started with `-D` and one of these directories.
fn names(process: &Path, directories: &[&Path]) -> bool {
    let command_line = std::fs::read(process.join("cmdline")).unwrap_or_default();
    serves(&command_line, directories)
}

/// Whether that is the command line of a server in one of these directories. With `-C` it only tells a setting and ends.
fn serves(command_line: &[u8], directories: &[&Path]) -> bool {
    let arguments: Vec<&[u8]> = command_line.split(|byte| *byte == 0).collect();
    let given = |name: &[u8]| directories.iter().any(|directory| directory.as_os_str().as_bytes() == name);
    arguments.windows(2).any(|pair| pair[0] == b"-D" && given(pair[1])) && !arguments.contains(&b"-C".as_slice())
}

/// Whether a server works in `datadir`, also one that only a container sees: its process numbers are not ours.
pub fn is_in_use_anywhere(datadir: &Path) -> bool {
    let directory = Directory::of(datadir);
    all_pids().map(|pid| PathBuf::from(format!("/proc/{pid}"))).any(|it| is_server(&it) && directory.has_inode(&it))
}

/// A `pg_basebackup` that was started in `directory`.
pub fn copies_into(directory: &Path) -> Option<i32> {
    let directory = Directory::of(directory);
    let copies = |pid: &i32| {
        let process = PathBuf::from(format!("/proc/{pid}"));
        program(&process).is_some_and(|name| name == "pg_basebackup") && directory.has_inode(&process)
    };
    all_pids().find(copies)
}

/// How far the recovery of the instance has come: what its startup process shows in its title, and its processor time.
pub fn recovery(datadir: &Path, pgdata: &Path) -> Option<Mark> {
    let found = all_of(datadir, pgdata).into_iter().filter_map(|process| Some((process.pid, title(process.pid)?)));
    let (pid, title) = found.into_iter().find(|(_, title)| title.split(' ').any(|word| word == "startup"))?;
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    let is_file = |word: &&str| word.len() == 24 && word.bytes().all(|byte| byte.is_ascii_hexdigit());
    Some(Mark { file: title.split(' ').find(is_file).map(str::to_owned), work: processor_time(&stat) })
}

/// What the processes of the instance say about themselves, such as `archiver archiving 000000010000000000000002`.
pub fn titles(datadir: &Path, pgdata: &Path) -> Vec<String> {
    all_of(datadir, pgdata).into_iter().filter_map(|process| title(process.pid)).collect()
}

/// The title that a child of a postmaster has given itself (`update_process_title`).
fn title(pid: i32) -> Option<String> {
    let command_line = std::fs::read(format!("/proc/{pid}/cmdline")).ok()?;
    let command_line = String::from_utf8_lossy(&command_line);
    Some(command_line.strip_prefix("postgres: ")?.trim_end_matches(['\0', ' ']).to_owned())
}

/// User and system time from `/proc/PID/stat`, whose second field may hold anything.
fn processor_time(stat: &str) -> u64 {
    let fields = stat.rsplit_once(')').map_or("", |(_, fields)| fields).split_whitespace();
    fields.skip(11).take(2).filter_map(|ticks| ticks.parse::<u64>().ok()).sum()
}

/// A single process whose command line has the postmaster's arguments: children overwrite theirs with a title.
fn lone_postmaster(found: &[ServerProcess]) -> Option<&ServerProcess> {
    found.iter().find(|process| !process.rewinds && title(process.pid).is_none())
}

fn all_pids() -> impl Iterator<Item = i32> {
    std::fs::read_dir("/proc").into_iter().flatten().filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok())
}

impl Directory {
    fn of(datadir: &Path) -> Self {
        let path = datadir.canonicalize().unwrap_or_else(|_| datadir.to_owned());
        let inode = std::fs::metadata(&path).ok().map(|found| (found.dev(), found.ino()));
        Self { path, inode }
    }

    /// The one that a process works in. Its path says nothing where it is not mounted any more.
    fn that_of(process: &Path) -> Self {
        let inode = std::fs::metadata(process.join("cwd")).ok().map(|found| (found.dev(), found.ino()));
        Self { path: PathBuf::new(), inode }
    }

    /// The process `pid`, if it is a living part of the instance.
    fn process(&self, pid: i32) -> Option<ServerProcess> {
        let process = PathBuf::from(format!("/proc/{pid}"));
        let name = program(&process)?;
        let rewinds = name == "pg_rewind";
        let is_ours = rewinds || name == "postgres";
        if !is_ours || !shares_our_namespace(&process) || !self.is_cwd_of(&process) {
            return None;
        }
        let (state, parent) = state_and_parent(&std::fs::read(process.join("stat")).ok()?)?;
        (state != 'Z' && state != 'X').then_some(ServerProcess {
            pid,
            parent,
            frozen: matches!(state, 'T' | 't'),
            rewinds,
        })
    }

    fn is_cwd_of(&self, process: &Path) -> bool {
        self.has_inode(process) || std::fs::read_link(process.join("cwd")).is_ok_and(|path| path == self.path)
    }

    fn has_inode(&self, process: &Path) -> bool {
        let same = |found: std::fs::Metadata| self.inode == Some((found.dev(), found.ino()));
        std::fs::metadata(process.join("cwd")).is_ok_and(same)
    }
}

/// Whether a process is one of PostgreSQL's server.
fn is_server(process: &Path) -> bool {
    program(process).is_some_and(|name| name == "postgres")
}

/// The name of a process's executable. After an upgrade that is "postgres (deleted)".
fn program(process: &Path) -> Option<String> {
    let executable = std::fs::read_link(process.join("exe")).ok()?;
    executable.file_name()?.to_str()?.split(' ').next().map(str::to_owned)
}

/// Whether the process is in the agent's PID namespace: the instance of a container, or of a nested machine, may work in a
/// directory of the same name.
pub fn shares_our_namespace(process: &Path) -> bool {
    shares(process, "pid")
}

fn shares(process: &Path, kind: &str) -> bool {
    let namespace = |process: &Path| std::fs::read_link(process.join("ns").join(kind)).ok();
    namespace(process) == namespace(Path::new("/proc/self"))
}

/// State and parent from `/proc/PID/stat`, whose second field may hold anything, blanks and brackets included.
pub fn state_and_parent(stat: &[u8]) -> Option<(char, i32)> {
    let after_name = stat.rsplit(|byte| *byte == b')').next().filter(|rest| rest.len() < stat.len())?;
    let mut fields = std::str::from_utf8(after_name).ok()?.split_whitespace();
    Some((fields.next()?.chars().next()?, fields.next()?.parse().ok()?))
}

/// Sends `signal` to a process; one that is already gone is no error.
///
/// # Errors
///
/// When the agent may not signal it.
pub fn signal(pid: i32, signal: Signal) -> Result<(), nix::Error> {
    match kill(Pid::from_raw(pid), signal) {
        Err(nix::Error::ESRCH) => Ok(()),
        result => result,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_process_name_cannot_confuse() {
        assert_eq!(state_and_parent(b"12 (a) R 1) S 7 12 12 0"), Some(('S', 7)));
        assert_eq!(state_and_parent(b"12 (\xFF\n) S 7 12 12 0"), Some(('S', 7)));
        assert_eq!(state_and_parent(b"12 (postgres) T 1 12"), Some(('T', 1)));
        assert_eq!(state_and_parent(b"12 (postgres"), None);
    }

    #[test]
    fn who_only_tells_a_setting_is_no_server() {
        let serves = |command: &str| serves(command.replace(' ', "\0").as_bytes(), &[Path::new("/data")]);
        assert!(serves("postgres -D /data") && serves("postgres -D /data -c port=5433"));
        assert!(!serves("postgres -D /data -C primary_conninfo") && !serves("postgres -D /other"));
    }

    #[test]
    fn a_process_that_is_not_postgresql_is_none_of_ours() {
        let here = tempfile::tempdir().unwrap();
        assert_eq!(of_instance(here.path(), here.path(), Some(std::process::id() as i32)), Processes::default());
        let nowhere = Path::new("/nonexistent");
        assert_eq!(of_instance(nowhere, nowhere, None), Processes::default());
    }
}
