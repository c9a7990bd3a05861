//! `postmaster.pid`: the postmaster's entries about itself (`src/include/utils/pidfile.h`).

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::PathBuf;

use crate::rules::status::Phase;

/// The contents of `postmaster.pid`, each line as far as it is there and makes sense.
///
/// It is a hint: it may be stale, and its process number may belong to another process by now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PidFile {
    /// The postmaster's process.
    pub pid: Option<i32>,
    /// The data directory.
    pub data_directory: Option<PathBuf>,
    /// The port it listens on.
    pub port: Option<u16>,
    /// The directory of its first Unix socket.
    pub socket_directory: Option<PathBuf>,
    /// The first address it listens on.
    pub listen_address: Option<String>,
    /// How far it has come.
    pub phase: Phase,
}

impl PidFile {
    /// The file that keeps other postmasters off its first Unix socket; it begins like this one.
    pub fn socket_lock(&self) -> Option<PathBuf> {
        Some(self.socket_directory.as_ref()?.join(format!(".s.PGSQL.{}.lock", self.port?)))
    }

    /// The entries that a server's first Unix socket shows if the file is gone.
    pub fn from_socket(socket: PathBuf) -> Self {
        let name = socket.file_name().and_then(OsStr::to_str);
        Self {
            port: name.and_then(|name| name.strip_prefix(".s.PGSQL.")?.parse().ok()),
            socket_directory: socket.parent().map(PathBuf::from),
            ..Self::parse(b"")
        }
    }

    /// Reads the file, whose paths need not be text.
    pub fn parse(bytes: &[u8]) -> Self {
        let lines: Vec<&[u8]> = bytes.split(|byte| *byte == b'\n').map(<[u8]>::trim_ascii).collect();
        let bytes = |number: usize| lines.get(number - 1).copied().filter(|line| !line.is_empty());
        let line = |number: usize| bytes(number).and_then(|line| std::str::from_utf8(line).ok());
        let path = |number: usize| bytes(number).map(|path| PathBuf::from(OsStr::from_bytes(path)));
        Self {
            // Single-user mode writes a negative one.
            pid: line(1).and_then(|pid| pid.parse().ok()).filter(|pid| *pid > 0),
            data_directory: path(2),
            port: line(4).and_then(|port| port.parse().ok()),
            socket_directory: path(5),
            listen_address: line(6).map(str::to_owned),
            phase: match line(8) {
                Some("starting") => Phase::Starting,
                Some("stopping") => Phase::Stopping,
                Some("ready") => Phase::Ready,
                Some("standby") => Phase::WarmStandby,
                Some(_) | None => Phase::Unknown,
            },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_running_postmaster() {
        let text = "4242\n/var/lib/postgresql/17/main\n1700000000\n5433\n/var/run/postgresql\n*\n 123 456\nready   \n";
        let expected = PidFile {
            pid: Some(4242),
            data_directory: Some("/var/lib/postgresql/17/main".into()),
            port: Some(5433),
            socket_directory: Some("/var/run/postgresql".into()),
            listen_address: Some("*".to_owned()),
            phase: Phase::Ready,
        };
        assert_eq!(PidFile::parse(text.as_bytes()), expected);
    }

    #[test]
    fn a_socket_shows_where_a_server_is() {
        let file = PidFile::from_socket("/run/postgresql/.s.PGSQL.5433".into());
        assert_eq!((file.pid, file.port, file.socket_directory), (None, Some(5433), Some("/run/postgresql".into())));
    }

    #[test]
    fn no_listen_addresses_leave_an_empty_line() {
        let file = PidFile::parse(b"1\n/d\n0\n5432\n/s\n\n 1 2\nstandby \n");
        assert_eq!((file.listen_address, file.phase), (None, Phase::WarmStandby));
    }

    #[test]
    fn half_a_file_and_nonsense_are_no_facts() {
        let nothing = PidFile::parse(b"");
        assert_eq!((nothing.pid, nothing.port, nothing.phase), (None, None, Phase::Unknown));
        for text in ["\n\n\n", "-17\n", "x\n\nz\n99999\n", "99999999999999"] {
            assert_eq!(PidFile::parse(text.as_bytes()), nothing, "{text:?}");
        }
    }
}
