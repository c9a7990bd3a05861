//! What lies in the data directory of a running server, or does not, and will end or change it one day.

/// What `postmaster.pid` is for the server that runs.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum LockFile {
    /// Its own, or unknown.
    #[default]
    Own,
    /// There is none.
    Missing {
        /// The postmaster.
        pid: i32,
    },
    /// Another process's.
    Foreign {
        /// The postmaster.
        pid: i32,
    },
}

/// What was seen of it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Leftovers {
    /// Its `postmaster.pid`.
    pub lock_file: LockFile,
    /// A `recovery.signal` is there.
    pub recovery_signal: bool,
}

/// The reason for the operator, the worse first.
pub fn reason(left: Leftovers) -> Option<String> {
    // RecheckDataDirLockFile in src/backend/utils/init/miscinit.c: it looks for its number only.
    let ends =
        |what: &str, pid: i32| format!("{what}: PostgreSQL ends itself within a minute unless its first line is {pid}");
    match left.lock_file {
        LockFile::Missing { pid } => return Some(ends("postmaster.pid was removed", pid)),
        LockFile::Foreign { pid } => return Some(ends("postmaster.pid was overwritten", pid)),
        LockFile::Own => {}
    }
    // readRecoverySignalFile in src/backend/access/transam/xlogrecovery.c: read again when a backend has crashed.
    let recovers = "recovery.signal is left in the data directory: remove it, or the next crash begins a recovery from the archive";
    left.recovery_signal.then(|| recovers.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::logging::LONGEST_REASON;
    use crate::rules::table;

    fn said((lock_file, recovery_signal): (LockFile, bool)) -> Option<&'static str> {
        let reason = reason(Leftovers { lock_file, recovery_signal })?;
        assert!(reason.len() <= LONGEST_REASON, "{reason}");
        ["postmaster.pid was removed", "postmaster.pid was overwritten", "recovery.signal"]
            .into_iter()
            .find(|beginning| reason.starts_with(beginning))
    }

    table! { said;
        nothing_is_left: (LockFile::Own, false) => None;
        the_lock_file_is_gone: (LockFile::Missing { pid: 4194303 }, false) => Some("postmaster.pid was removed");
        the_lock_file_is_anothers: (LockFile::Foreign { pid: 4194303 }, false) => Some("postmaster.pid was overwritten");
        a_restore_has_left_its_signal: (LockFile::Own, true) => Some("recovery.signal");
        what_ends_it_first_comes_first: (LockFile::Missing { pid: 1 }, true) => Some("postmaster.pid was removed");
    }
}
