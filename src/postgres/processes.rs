//! The processes that use a data directory, as /proc shows them.

mod directory;
mod process;
mod rewind;
mod sockets;

use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use directory::Directory;
pub use process::{Kind, ServerProcess, shares_our_namespace, state_and_parent};
pub use sockets::socket;

use crate::rules::progress::Mark;
use crate::rules::status::Unclear;

/// All processes that use the data directory.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Processes {
    /// The one that started the others.
    pub postmaster: Option<ServerProcess>,
    /// Those whose postmaster is gone; empty while there is one.
    pub orphans: Vec<ServerProcess>,
    /// The reason why it is unknown whether there is a server, if it is.
    pub unclear: Option<Unclear>,
}

/// Whether a process of this machine, or container, has this name.
pub fn runs(name: &str) -> bool {
    let is_named = |process: std::fs::DirEntry| {
        let comm = std::fs::read_to_string(process.path().join("comm"));
        comm.is_ok_and(|comm| comm.trim() == name) && shares_our_namespace(&process.path())
    };
    std::fs::read_dir("/proc").is_ok_and(|processes| processes.flatten().any(is_named))
}

/// Whether the process `pid` has not ended.
pub fn lives(pid: i32) -> bool {
    pid > 0 && ServerProcess::living(pid, Kind::Server).is_some()
}

/// Looks for the processes of the instance in `datadir`, whose server is started with `-D` and `pgdata`.
///
/// A process belongs to it when it is PostgreSQL by its executable and works in that directory: every PostgreSQL
/// process does (`ChangeToDataDir`, `src/backend/utils/init/miscinit.c`), and so does the `pg_rewind` that the agent starts; one that a
/// person starts may work elsewhere, and names the directory.
/// That cannot be mistaken for a recycled process number, and needs no readable `postmaster.pid`. If no process works there,
/// the directory may have been renamed or unmounted under its server: then a server counts that was started with `-D` and its path,
/// and each process with that server's working directory.
/// `hint` is where to look first; a hit there saves looking at all processes.
pub fn of_instance(datadir: &Path, pgdata: &Path, hint: Option<i32>) -> Processes {
    let directory = Directory::of(datadir, pgdata, hint);
    if let Some(process) = hint.and_then(|pid| directory.process(pid)) {
        if process.kind == Kind::Server && directory.process(process.parent).is_none() {
            return Processes { postmaster: Some(process), ..Processes::default() };
        }
    }
    let found = found_by(directory, datadir, pgdata);
    // Orphans end up below init or a reaper; a postmaster was started by another process and has children or a pid file.
    let leads = |process: &&ServerProcess| {
        process.kind == Kind::Server
            && (Some(process.pid) == hint || found.iter().any(|other| other.parent == process.pid))
    };
    if let Some(postmaster) = found.iter().find(leads).or(lone_postmaster(&found)) {
        return Processes { postmaster: Some(*postmaster), ..Processes::default() };
    }
    let by_hand = found.iter().find(|process| process.kind == Kind::SingleUser);
    let unclear = match by_hand {
        Some(process) => Some(Unclear::SingleUser { pid: process.pid }),
        None if found.is_empty() => hidden(datadir, pgdata, hint).map(|pid| Unclear::Hidden { pid }),
        None => None,
    };
    Processes { postmaster: None, orphans: found, unclear }
}

/// All processes of the instance; see [`of_instance`].
pub fn all_of(datadir: &Path, pgdata: &Path) -> Vec<ServerProcess> {
    found_by(Directory::of(datadir, pgdata, None), datadir, pgdata)
}

fn found_by(directory: Directory, datadir: &Path, pgdata: &Path) -> Vec<ServerProcess> {
    let all =
        |directory: &Directory| -> Vec<ServerProcess> { all_pids().filter_map(|pid| directory.process(pid)).collect() };
    let here = all(&directory);
    if !here.is_empty() {
        return here;
    }
    let started_with = |process: &PathBuf| {
        process::is_server(process) && process::shares(process, "mnt") && names(process, &[datadir, pgdata])
    };
    let elsewhere = all_pids().map(process::path).find(started_with);
    elsewhere.and_then(|process| directory.moved_to(&process)).map(|moved| all(&moved)).unwrap_or_default()
}

/// A process that may be the instance's and that the kernel does not let us look at. One of a container is another instance's.
fn hidden(datadir: &Path, pgdata: &Path, hint: Option<i32>) -> Option<i32> {
    let directory = Directory::of(datadir, pgdata, hint);
    all_pids().find(|pid| directory.may_hide(*pid) && !process::is_nested(*pid))
}

/// Whether a server was started with `-D` and one of these directories.
fn names(process: &Path, directories: &[&Path]) -> bool {
    serves(&process::command_line(process), directories)
}

/// Whether that is the command line of a server in one of these directories. With `-C` it only prints a setting and ends.
fn serves(command_line: &[u8], directories: &[&Path]) -> bool {
    let arguments: Vec<&[u8]> = command_line.split(|byte| *byte == 0).collect();
    let given = |name: &[u8]| directories.iter().any(|directory| directory.as_os_str().as_bytes() == name);
    arguments.windows(2).any(|pair| pair[0] == b"-D" && given(pair[1])) && !arguments.contains(&b"-C".as_slice())
}

/// Whether a server works in `datadir`, also one that only a container sees: its process numbers are not ours. One that cannot be
/// looked at may.
pub fn is_in_use_anywhere(datadir: &Path) -> bool {
    let directory = Directory::of(datadir, datadir, None);
    all_pids().any(|pid| directory.is_cwd_of_server(pid) || directory.may_hide(pid))
}

/// A `pg_basebackup` that was started in `directory`.
pub fn copies_into(directory: &Path) -> Option<i32> {
    let directory = Directory::of(directory, directory, None);
    all_pids().find(|pid| {
        let process = process::path(*pid);
        process::program(&process).is_ok_and(|name| name == "pg_basebackup") && directory.is_cwd_of(&process)
    })
}

/// How far the recovery of the instance has come: what its startup process shows in its title, and its processor time.
pub fn recovery(datadir: &Path, pgdata: &Path) -> Option<Mark> {
    let found = titled(datadir, pgdata).into_iter();
    let (process, title) = found.into_iter().find(|(_, title)| title.split(' ').any(|word| word == "startup"))?;
    let stat = std::fs::read_to_string(process::path(process.pid).join("stat")).ok()?;
    let is_file = |word: &&str| word.len() == 24 && word.bytes().all(|byte| byte.is_ascii_hexdigit());
    Some(Mark { file: title.split(' ').find(is_file).map(str::to_owned), work: processor_time(&stat) })
}

/// What the processes of the instance say about themselves, such as `archiver archiving 000000010000000000000002`.
pub fn titles(datadir: &Path, pgdata: &Path) -> Vec<String> {
    titled(datadir, pgdata).into_iter().map(|(_, title)| title).collect()
}

/// The processes of the instance that say something about themselves, each with what it says.
pub fn titled(datadir: &Path, pgdata: &Path) -> Vec<(ServerProcess, String)> {
    all_of(datadir, pgdata).into_iter().filter_map(|process| Some((process, process::title(process.pid)?))).collect()
}

/// How often a process has been put to run, by itself or by the kernel. One that is frozen is not.
pub fn switches(pid: i32) -> Option<u64> {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
    let counted = status.lines().filter(|line| line.contains("voluntary_ctxt_switches:"));
    Some(counted.filter_map(|line| line.rsplit('\t').next()?.parse::<u64>().ok()).sum())
}

/// User and system time from `/proc/PID/stat`, whose second field may hold anything.
fn processor_time(stat: &str) -> u64 {
    let fields = stat.rsplit_once(')').map_or("", |(_, fields)| fields).split_whitespace();
    fields.skip(11).take(2).filter_map(|ticks| ticks.parse::<u64>().ok()).sum()
}

/// A single process whose command line has the postmaster's arguments: children overwrite theirs with a title.
fn lone_postmaster(found: &[ServerProcess]) -> Option<&ServerProcess> {
    found.iter().find(|process| process.kind == Kind::Server && process::title(process.pid).is_none())
}

fn all_pids() -> impl Iterator<Item = i32> {
    std::fs::read_dir("/proc").into_iter().flatten().filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_process_that_only_prints_a_setting_is_not_a_server() {
        let serves = |command: &str| serves(command.replace(' ', "\0").as_bytes(), &[Path::new("/data")]);
        assert!(serves("postgres -D /data") && serves("postgres -D /data -c port=5433"));
        assert!(!serves("postgres -D /data -C primary_conninfo") && !serves("postgres -D /other"));
    }

    #[test]
    fn a_process_that_is_not_postgresql_is_none_of_ours() {
        let here = tempfile::tempdir().unwrap();
        assert_eq!(of_instance(here.path(), here.path(), Some(std::process::id() as i32)), Processes::default());
    }
}
