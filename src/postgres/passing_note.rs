//! Notes from one monitor to the next, where they do not outlive the machine.

use std::fs;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

/// Root's, so that nobody can put a link in the way.
const DIRECTORY: &str = "/run/pgsqlms";

/// What a note is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum About {
    /// Since when nothing is received.
    Break,
    /// What Pacemaker was told last.
    Told,
}

/// The note on the instance in `datadir`.
fn path(datadir: &Path, about: About) -> PathBuf {
    let name = datadir.to_string_lossy().trim_matches('/').replace('/', "-");
    // The end tells more than the beginning, and a file's name has a bound.
    let from = name.char_indices().rev().map(|(at, _)| at).take_while(|at| name.len() - at <= 200).last().unwrap_or(0);
    let extension = match about {
        About::Break => "break",
        About::Told => "told",
    };
    Path::new(DIRECTORY).join(format!("{}.{extension}", &name[from..]))
}

/// What is noted, if anything.
pub fn read(datadir: &Path, about: About) -> Option<String> {
    fs::read_to_string(path(datadir, about)).ok()
}

/// Notes this, and tells whether that was possible: it is not for somebody other than root.
pub fn write(datadir: &Path, about: About, text: &str) -> bool {
    let path = path(datadir, about);
    let write = || {
        fs::DirBuilder::new().recursive(true).mode(0o755).create(DIRECTORY)?;
        let mut file = fs::File::options().write(true).create(true).truncate(true).mode(0o600).open(&path)?;
        std::io::Write::write_all(&mut file, text.as_bytes())
    };
    write().inspect_err(|error| log::debug!("{}: {error}", path.display())).is_ok()
}

/// Notes nothing any more.
pub fn forget(datadir: &Path, about: About) -> bool {
    match fs::remove_file(path(datadir, about)) {
        // Usually there is none.
        Err(error) => error.kind() == std::io::ErrorKind::NotFound,
        Ok(()) => true,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_note_is_a_file_in_its_directory_whatever_the_data_directory_is_called() {
        for datadir in ["/var/lib/postgresql/17/main", "/", "", "/../../etc/passwd", "/a\nb", &"/ä".repeat(300)] {
            let paths = [About::Break, About::Told].map(|about| path(Path::new(datadir), about));
            for path in &paths {
                assert_eq!(path.parent(), Some(Path::new(DIRECTORY)), "{path:?}");
                assert!(path.file_name().is_some_and(|name| name.len() < 250), "{path:?}");
            }
            assert_ne!(paths[0], paths[1]);
        }
    }
}
