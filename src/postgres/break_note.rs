//! Since when a standby receives nothing: a note from one monitor to the next, where it does not outlive the machine.

use std::fs;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::rules::cut_off::Break;

/// Root's, so that nobody can put a link in the way.
const DIRECTORY: &str = "/run/pgsqlms";

/// The note on the instance in `datadir`.
fn path(datadir: &Path) -> PathBuf {
    let name = datadir.to_string_lossy().trim_matches('/').replace('/', "-");
    // The end tells more than the beginning, and a file's name has a bound.
    let from = name.char_indices().rev().map(|(at, _)| at).take_while(|at| name.len() - at <= 200).last().unwrap_or(0);
    Path::new(DIRECTORY).join(format!("{}.break", &name[from..]))
}

/// Notes that nothing is received at `now`, and tells for how long if that is too long. Where nothing can be noted, as for
/// somebody other than root, there is nothing to tell.
pub fn note(datadir: &Path, now: Duration) -> Option<Duration> {
    let path = path(datadir);
    let seen = Break::seen(fs::read_to_string(&path).ok().and_then(|text| Break::read(&text)), now);
    let write = || {
        fs::DirBuilder::new().recursive(true).mode(0o755).create(DIRECTORY)?;
        let mut file = fs::File::options().write(true).create(true).truncate(true).mode(0o600).open(&path)?;
        std::io::Write::write_all(&mut file, seen.to_string().as_bytes())
    };
    if let Err(error) = write() {
        log::debug!("{}: {error}", path.display());
    }
    seen.too_long()
}

/// Something is received.
pub fn forget(datadir: &Path) {
    // Usually there is none.
    let _ = fs::remove_file(path(datadir));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_note_is_a_file_in_its_directory_whatever_the_data_directory_is_called() {
        for datadir in ["/var/lib/postgresql/17/main", "/", "", "/../../etc/passwd", "/a\nb", &"/ä".repeat(300)] {
            let path = path(Path::new(datadir));
            assert_eq!(path.parent(), Some(Path::new(DIRECTORY)), "{path:?}");
            assert!(path.file_name().is_some_and(|name| name.len() < 250), "{path:?}");
        }
    }
}
