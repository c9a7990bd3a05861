//! The mounts, as listed by `/proc/PID/mountinfo`: to ask a file system itself may take for ever. Nothing is removed or
//! renamed across a mount: what is behind it is not the instance's alone, and after the next boot the mount would be somewhere else.

use std::ffi::OsString;
use std::fs;
use std::io::ErrorKind;
use std::os::unix::ffi::OsStringExt;
use std::path::{Path, PathBuf};

use super::PostgresError;

const MOUNTINFO: &str = "/proc/self/mountinfo";

/// The device numbers and the mount points in such a file (proc_pid_mountinfo(5): the third field, and the fifth, in which white
/// space is written in octal).
fn mounts(text: &[u8]) -> impl Iterator<Item = (&[u8], PathBuf)> {
    text.split(|byte| *byte == b'\n').filter_map(|line| {
        let mut fields = line.split(|byte| *byte == b' ');
        Some((fields.nth(2)?, unescaped(fields.nth(1)?)))
    })
}

fn points(text: &[u8]) -> Vec<PathBuf> {
    mounts(text).map(|(_, point)| point).collect()
}

/// The device numbers of the file system that `path` lies on, from a text like `/proc/self/mountinfo`.
pub(super) fn device(mountinfo: &[u8], path: &Path) -> Option<Vec<u8>> {
    // What was mounted last hides what was mounted there before.
    let above = mounts(mountinfo).filter(|(_, point)| path.starts_with(point));
    above.max_by_key(|(_, point)| point.as_os_str().len()).map(|(device, _)| device.to_vec())
}

fn unescaped(field: &[u8]) -> PathBuf {
    let (mut plain, mut rest) = (Vec::new(), field);
    while let Some((first, more)) = rest.split_first() {
        let octal = more.get(..3).and_then(|digits| std::str::from_utf8(digits).ok());
        match octal.filter(|_| *first == b'\\').and_then(|digits| u8::from_str_radix(digits, 8).ok()) {
            Some(byte) => {
                plain.push(byte);
                rest = &more[3..];
            }
            None => {
                plain.push(*first);
                rest = more;
            }
        }
    }
    PathBuf::from(OsString::from_vec(plain))
}

fn all() -> Result<Vec<PathBuf>, PostgresError> {
    let failed = |source| PostgresError::File { doing: "read", path: MOUNTINFO.into(), source };
    Ok(points(&fs::read(MOUNTINFO).map_err(failed)?))
}

fn real(path: &Path) -> PathBuf {
    path.canonicalize().unwrap_or_else(|_| path.to_owned())
}

/// Whether something is mounted there, be it the same file system once more.
///
/// # Errors
///
/// When that is not known.
pub(super) fn is_point(path: &Path) -> Result<bool, PostgresError> {
    Ok(all()?.contains(&real(path)))
}

/// What is mounted below a directory. Links that lead out of it are not followed.
///
/// # Errors
///
/// When that is not known.
pub(super) fn below(directory: &Path) -> Result<Vec<PathBuf>, PostgresError> {
    let directory = real(directory);
    let inside = |point: &PathBuf| *point != directory && point.starts_with(&directory);
    Ok(all()?.into_iter().filter(inside).collect())
}

/// Fails where something is mounted at, or below, a directory.
///
/// # Errors
///
/// See above.
pub(super) fn check(doing: &'static str, directory: &Path) -> Result<(), PostgresError> {
    if is_point(directory)? || !below(directory)?.is_empty() {
        return Err(PostgresError::File {
            doing,
            path: directory.to_owned(),
            source: ErrorKind::CrossesDevices.into(),
        });
    }
    Ok(())
}

/// Removes a directory with everything in it, if nothing is mounted there.
///
/// # Errors
///
/// When something is, or something cannot be removed.
pub(super) fn remove_tree(directory: &Path) -> Result<(), PostgresError> {
    check("remove", directory)?;
    let failed = |source| PostgresError::File { doing: "remove", path: directory.to_owned(), source };
    fs::remove_dir_all(directory).map_err(failed)
}

#[cfg(test)]
mod tests {
    use super::*;

    const MOUNTS: &[u8] = b"22 1 8:1 / / rw - ext4 /dev/sda1 rw\n30 22 0:45 / /srv/my\\040data rw - nfs x:/ rw\n\
        31 22 0:46 / /srv rw - tmpfs t rw\n32 31 0:47 / /srv rw - tmpfs t rw\nnonsense\n";

    #[test]
    fn the_longest_mount_point_above_it_counts_and_of_several_the_last() {
        let device = |path: &str| device(MOUNTS, Path::new(path)).map(|it| String::from_utf8(it).unwrap());
        for (path, expected) in [
            ("/", "8:1"),
            ("/var/lib", "8:1"),
            ("/srv", "0:47"),
            ("/srv/my", "0:47"),
            ("/srv/my data", "0:45"),
            ("/srv/my data/pg", "0:45"),
            ("/srv/my database", "0:47"),
            ("/srvx (deleted)", "8:1"),
        ] {
            assert_eq!(device(path).as_deref(), Some(expected), "{path}");
        }
        assert_eq!(super::device(b"", Path::new("/")), None);
    }

    #[test]
    fn mount_points_are_read_with_their_white_space() {
        let text = b"22 27 0:21 / /proc rw,relatime - proc proc rw\n\
            23 22 8:1 / /srv/pg\\040data/pg_wal rw shared:1 - ext4 /dev/sda1 rw\n\
            24 22 8:2 / /srv/a\\134b\\011 rw - ext4 /dev/sda2 rw\n";
        let expected = ["/proc", "/srv/pg data/pg_wal", "/srv/a\\b\t"];
        assert_eq!(points(text), expected.map(PathBuf::from));
    }

    #[test]
    fn what_is_mounted_is_found() {
        assert!(is_point(Path::new("/proc")).unwrap());
        assert!(below(Path::new("/")).unwrap().contains(&PathBuf::from("/proc")));
        let here = tempfile::tempdir().unwrap();
        assert!(!is_point(here.path()).unwrap());
        assert_eq!(below(here.path()).unwrap(), Vec::<PathBuf>::new());
        check("rename", here.path()).unwrap();
        assert!(check("rename", Path::new("/proc")).is_err());
    }
}
