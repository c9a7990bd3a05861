//! One process: its entry in /proc, and how it is signalled.

use std::io;
use std::path::{Path, PathBuf};

use nix::sys::signal::{Signal, kill, killpg};
use nix::unistd::{Pid, getpgid};
use rustix::process::{PidfdFlags, pidfd_open, pidfd_send_signal};

/// What a process is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// A postmaster or one of its children.
    Server,
    /// A server without a postmaster, which is run at a terminal: `postgres --single`.
    SingleUser,
    /// A `pg_rewind` that rewrites the data directory.
    Rewind,
}

/// A process that uses the data directory.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ServerProcess {
    /// Its number.
    pub pid: i32,
    pub(super) parent: i32,
    /// When it was started, in ticks: numbers are used again.
    began: u64,
    /// It was stopped by a signal or a debugger.
    pub frozen: bool,
    /// What it is for.
    pub kind: Kind,
}

impl ServerProcess {
    /// The process `pid`, if it lives.
    pub(super) fn living(pid: i32, kind: Kind) -> Option<Self> {
        let stat = std::fs::read(path(pid).join("stat")).ok()?;
        let (state, parent) = state_and_parent(&stat)?;
        let frozen = matches!(state, 'T' | 't');
        (state != 'Z' && state != 'X').then_some(Self { pid, parent, began: began(&stat)?, frozen, kind })
    }

    /// Sends a signal to it; it is not an error if it is already gone. Another process that has got its number since is not hit: a
    /// descriptor holds on to the process while it is looked at once more.
    ///
    /// # Errors
    ///
    /// When the agent may not signal it.
    pub fn signal(&self, signal: Signal) -> Result<(), nix::Error> {
        let number = rustix::process::Pid::from_raw(self.pid).ok_or(nix::Error::ESRCH)?;
        let sent = match pidfd_open(number, PidfdFlags::empty()) {
            Ok(held) => match rustix::process::Signal::from_named_raw(signal as i32) {
                Some(named) if self.is_still_there() => {
                    pidfd_send_signal(held, named).map_err(|error| nix::Error::from_raw(error.raw_os_error()))
                }
                _ => Ok(()),
            },
            Err(rustix::io::Errno::SRCH) => Ok(()),
            // Kernels before 5.3 have none, and a sandbox may forbid it.
            Err(_) if self.is_still_there() => kill(Pid::from_raw(self.pid), signal),
            Err(_) => Ok(()),
        };
        gone_is_fine(sent)
    }

    /// Sends a signal to it and to all processes that it has started, such as an `archive_command` that runs in the data
    /// directory: every child of a postmaster leads a process group (`InitPostmasterChild`).
    ///
    /// # Errors
    ///
    /// When the agent may not signal it.
    pub fn signal_group(&self, signal: Signal) -> Result<(), nix::Error> {
        let leader = Pid::from_raw(self.pid);
        if self.is_still_there() && getpgid(Some(leader)) == Ok(leader) {
            return gone_is_fine(killpg(leader, signal));
        }
        self.signal(signal)
    }

    fn is_still_there(&self) -> bool {
        std::fs::read(path(self.pid).join("stat")).is_ok_and(|stat| began(&stat) == Some(self.began))
    }
}

fn gone_is_fine(sent: Result<(), nix::Error>) -> Result<(), nix::Error> {
    match sent {
        Err(nix::Error::ESRCH) => Ok(()),
        sent => sent,
    }
}

/// The directory of a process in /proc.
pub(super) fn path(pid: i32) -> PathBuf {
    PathBuf::from(format!("/proc/{pid}"))
}

/// What a process was started with, each word ended by a zero; nothing where it is gone.
pub(super) fn command_line(process: &Path) -> Vec<u8> {
    std::fs::read(process.join("cmdline")).unwrap_or_default()
}

/// Whether a process is one of PostgreSQL's server.
pub(super) fn is_server(process: &Path) -> bool {
    program(process).is_ok_and(|name| name == "postgres") || is_called_postgres(process)
}

/// The name of a process's executable. After an upgrade that is "postgres (deleted)".
pub(super) fn program(process: &Path) -> io::Result<String> {
    let executable = std::fs::read_link(process.join("exe"))?;
    let name = executable.file_name().and_then(|name| name.to_str()).unwrap_or_default();
    Ok(name.split(' ').next().unwrap_or_default().to_owned())
}

/// Whether it was called as the server: itself, or the script that leads to it.
pub(super) fn is_called_postgres(process: &Path) -> bool {
    is_called(&command_line(process))
}

fn is_called(command_line: &[u8]) -> bool {
    let mut words = command_line.split(|byte| *byte == 0).map(String::from_utf8_lossy);
    let is_it = |word: &str| {
        let name = word.rsplit('/').next().unwrap_or_default();
        name.ends_with("postgres") || name.starts_with("postgres.") || name.starts_with("postgres-")
    };
    let first = words.next().is_some_and(|word| is_it(&word));
    first || words.next().is_some_and(|word| word.starts_with('/') && is_it(&word))
}

/// Whether a server has no postmaster: `postgres --single`, or the `postgres --boot` of an initdb.
pub(super) fn is_single_user(process: &Path) -> bool {
    let command_line = command_line(process);
    let first = command_line.split(|byte| *byte == 0).nth(1);
    [b"--single".as_slice(), b"--boot"].iter().any(|word| first == Some(word))
}

/// The title that a child of a postmaster has given itself (`update_process_title`).
pub(super) fn title(pid: i32) -> Option<String> {
    let command_line = std::fs::read(path(pid).join("cmdline")).ok()?;
    let command_line = String::from_utf8_lossy(&command_line);
    Some(command_line.strip_prefix("postgres: ")?.trim_end_matches(['\0', ' ']).to_owned())
}

/// Whether the process is in the agent's PID namespace: the instance of a container, or of a nested machine, may work in a
/// directory of the same name.
pub fn shares_our_namespace(process: &Path) -> bool {
    shares(process, "pid")
}

/// Whether the process is in a PID namespace below ours, such as a container's: it has a number in each (`NSpid` in
/// `/proc/PID/status`). Unlike the namespace itself, all users may see that.
pub(super) fn is_nested(pid: i32) -> bool {
    let status = std::fs::read(path(pid).join("status")).unwrap_or_default();
    has_several_numbers(&String::from_utf8_lossy(&status))
}

fn has_several_numbers(status: &str) -> bool {
    let numbers = status.lines().find_map(|line| line.strip_prefix("NSpid:"));
    numbers.is_some_and(|numbers| numbers.split_whitespace().nth(1).is_some())
}

pub(super) fn shares(process: &Path, kind: &str) -> bool {
    let namespace = |process: &Path| std::fs::read_link(process.join("ns").join(kind)).ok();
    namespace(process) == namespace(Path::new("/proc/self"))
}

/// State and parent from `/proc/PID/stat`, whose second field may hold anything, blanks and brackets included.
pub fn state_and_parent(stat: &[u8]) -> Option<(char, i32)> {
    let mut fields = after_name(stat)?;
    Some((fields.next()?.chars().next()?, fields.next()?.parse().ok()?))
}

/// When it was started.
fn began(stat: &[u8]) -> Option<u64> {
    after_name(stat)?.nth(19)?.parse().ok()
}

fn after_name(stat: &[u8]) -> Option<impl Iterator<Item = &str>> {
    let after_name = stat.rsplit(|byte| *byte == b')').next().filter(|rest| rest.len() < stat.len())?;
    Some(std::str::from_utf8(after_name).ok()?.split_whitespace())
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
        assert_eq!(began(b"1 (a) b) S 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 19 20 21 22 23"), Some(22));
    }

    #[test]
    fn a_process_of_a_container_has_several_numbers() {
        assert!(has_several_numbers("Name:\tpostgres\nNSpid:\t17419\t45\nNSsid:\t17419\t45\n"));
        assert!(!has_several_numbers("Name:\tpostgres\nNSpid:\t17419\nNSsid:\t1\n") && !has_several_numbers(""));
    }

    #[test]
    fn a_server_is_called_so_by_its_program_or_its_script() {
        let is_called = |command: &str| is_called(command.replace(' ', "\0").as_bytes());
        for server in ["/usr/edb/bin/postgres -D /data", "edb-postgres -D /data", "/bin/sh /usr/bin/postgres -D /data"]
        {
            assert!(is_called(server), "{server}");
        }
        for other in ["pg_ctl -D /data", "/bin/su postgres -c x", "vi /etc/postgresql.conf", "sleep 600", ""] {
            assert!(!is_called(other), "{other}");
        }
    }

    #[test]
    fn a_number_that_another_process_has_by_now_is_not_signalled() {
        let own = ServerProcess::living(std::process::id() as i32, Kind::Server).unwrap();
        let before = ServerProcess { began: own.began - 1, ..own };
        assert_eq!((before.signal(Signal::SIGKILL), before.signal_group(Signal::SIGKILL)), (Ok(()), Ok(())));
        assert_eq!(own.signal(Signal::SIGCONT), Ok(()));
    }
}
