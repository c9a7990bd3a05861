//! Whether the storage of an instance answers. A process that waits for a disk cannot be ended, so this is tried in a child: the
//! agent leaves it behind if it does not come back.

use std::ffi::OsString;
use std::fs::{self, File};
use std::io::{self, Read, Write};
use std::os::fd::AsFd;
use std::path::{Path, PathBuf};

use nix::fcntl::{PosixFadviseAdvice, posix_fadvise};

/// What the agent is called with to try the storage: this, [`READ`] or [`WRITE`], and directories.
pub const TRY: &str = "try-storage";

/// Files are read.
pub const READ: &str = "read";

/// Files are read, and one is written and removed.
pub const WRITE: &str = "write";

/// The file that is written. The next attempt removes one that was left.
const FILE: &str = "pgsqlms.alive";

/// Tries the storage as `words` say: it ends, or hangs.
///
/// # Errors
///
/// When it answers that something is wrong. That is an answer.
pub fn attempt(words: &[OsString]) -> io::Result<()> {
    let Some((how, directories)) = words.split_first() else { return Ok(()) };
    for directory in directories.iter().map(Path::new) {
        if let Some(file) = some_file(directory)? {
            read(&file)?;
        }
        if how == WRITE {
            write(&directory.join(FILE))?;
        }
    }
    Ok(())
}

/// PostgreSQL's control file, or any other one: there is always one in `pg_wal`.
fn some_file(directory: &Path) -> io::Result<Option<PathBuf>> {
    let control = directory.join("global/pg_control");
    if control.symlink_metadata().is_ok() {
        return Ok(Some(control));
    }
    let mut entries = fs::read_dir(directory)?.flatten();
    Ok(entries.find(|entry| entry.file_type().is_ok_and(|kind| kind.is_file())).map(|entry| entry.path()))
}

/// From the disk, not from memory.
fn read(path: &Path) -> io::Result<()> {
    let mut file = File::open(path)?;
    posix_fadvise(file.as_fd(), 0, 0, PosixFadviseAdvice::POSIX_FADV_DONTNEED)?;
    file.read(&mut [0; 512]).map(drop)
}

fn write(path: &Path) -> io::Result<()> {
    let mut file = File::create(path)?;
    file.write_all(&[0; 512])?;
    file.sync_all()?;
    fs::remove_file(path)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_reads_what_is_there_and_leaves_nothing() {
        let directory = tempfile::tempdir().unwrap();
        let tried = |how: &str| attempt(&[how.into(), directory.path().into()]);
        tried(WRITE).unwrap();
        fs::create_dir(directory.path().join("archive_status")).unwrap();
        fs::write(directory.path().join("000000010000000000000001"), "WAL").unwrap();
        tried(READ).unwrap();
        tried(WRITE).unwrap();
        assert!(!directory.path().join(FILE).exists());
        assert!(attempt(&[READ.into(), "/nonexistent".into()]).is_err());
    }
}
