//! Notes from one action to the next, where they do not outlive the machine.

use std::fs;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use super::layout;

/// Root's, so that no other user can put a link in the way.
const DIRECTORY: &str = "/run/pgsqlms";

/// What a note is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum About {
    /// Since when nothing is received.
    Break,
    /// The last reason that was reported to Pacemaker.
    Reported,
    /// What was logged last.
    Logged,
    /// Which node is waited for, and since when.
    Wait,
    /// How far the WAL of other nodes reaches that were stopped.
    Left,
    /// What the primary before this one promised, and this one does not.
    Predecessor,
    /// Since when commits wait for a synchronous standby that does not answer.
    CommitsWait,
    /// Since when nodes are candidates.
    Candidates,
    /// How far the WAL was read.
    Wal,
    /// Since when no node could follow this primary.
    NoSuccessor,
    /// Since when those that stream from this primary have one name.
    Names,
    /// Since when the agent cannot connect.
    NoSession,
    /// That the agent's last session hung.
    Hung,
    /// Since when the storage does not answer.
    Storage,
    /// Since when no more of the WAL is on the disk.
    Standstill,
    /// That the reason why a promotion of this node would fail has been published.
    Unfit,
    /// That the primary was lost or stopped, and none was promoted since.
    PrimaryLost,
    /// The promotion score that this node is to get.
    Score,
    /// That another node was promoted, and this one has not been seen to stream since.
    Promotion,
    /// What this primary, which no election made, has asked the other nodes.
    Question,
    /// That the agent has left it running: its end is to be reported.
    Runs,
}

impl About {
    /// Every one.
    #[cfg(test)]
    const ALL: [About; About::Runs as usize + 1] = [
        About::Break,
        About::Reported,
        About::Logged,
        About::Wait,
        About::Left,
        About::Predecessor,
        About::CommitsWait,
        About::Candidates,
        About::Wal,
        About::NoSuccessor,
        About::Names,
        About::NoSession,
        About::Hung,
        About::Storage,
        About::Standstill,
        About::Unfit,
        About::PrimaryLost,
        About::Score,
        About::Promotion,
        About::Question,
        About::Runs,
    ];
}

/// The note on the instance in `datadir`.
fn path(datadir: &Path, about: About) -> PathBuf {
    let name = layout::as_file_name(datadir);
    // The end of a path distinguishes more than its beginning, and a file's name has a bound.
    let from = name.char_indices().rev().map(|(at, _)| at).take_while(|at| name.len() - at <= 200).last().unwrap_or(0);
    let extension = match about {
        About::Break => "break",
        About::Reported => "told",
        About::Logged => "logged",
        About::Wait => "wait",
        About::Left => "left",
        About::Predecessor => "predecessor",
        About::CommitsWait => "commits",
        About::Candidates => "candidates",
        About::Wal => "wal",
        About::NoSuccessor => "successor",
        About::Names => "names",
        About::NoSession => "session",
        About::Hung => "hung",
        About::Storage => "storage",
        About::Standstill => "standstill",
        About::Unfit => "unfit",
        About::PrimaryLost => "lost",
        About::Score => "score",
        About::Promotion => "promotion",
        About::Question => "question",
        About::Runs => "runs",
    };
    Path::new(DIRECTORY).join(format!("{}.{extension}", &name[from..]))
}

/// The note on what the name service said of an account.
fn of_account(name: &str) -> PathBuf {
    Path::new(DIRECTORY).join(format!("{}.account", name.replace('/', "-")))
}

/// What the name service said of an account, since the machine was started.
pub fn account(name: &str) -> Option<String> {
    fs::read_to_string(of_account(name)).ok()
}

/// Notes what the name service says of an account.
pub fn keep_account(name: &str, text: &str) {
    put(&of_account(name), text);
}

/// What is noted, if anything.
pub fn read(datadir: &Path, about: About) -> Option<String> {
    fs::read_to_string(path(datadir, about)).ok()
}

/// Writes this note; returns whether that was possible: only root can.
pub fn write(datadir: &Path, about: About, text: &str) -> bool {
    put(&path(datadir, about), text)
}

fn put(path: &Path, text: &str) -> bool {
    let write = || {
        fs::DirBuilder::new().recursive(true).mode(0o755).create(DIRECTORY)?;
        let mut file = fs::File::options().write(true).create(true).truncate(true).mode(0o600).open(path)?;
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

/// An instance begins anew: it may have been something else since this was noted. The list of nodes that Pacemaker does not
/// promote is not about the instance: a node that has failed to be promoted is restarted, and would leave the role to the same one
/// again and again.
pub fn forget_a_life(datadir: &Path) {
    let of_a_life = [
        About::Break,
        // Pacemaker takes note of the first monitor of an instance that it has started, also if it is the same.
        About::Reported,
        About::CommitsWait,
        About::Wal,
        About::NoSuccessor,
        About::Names,
        About::NoSession,
        About::Hung,
        About::Storage,
        About::Standstill,
        About::PrimaryLost,
        About::Score,
        About::Promotion,
        About::Runs,
    ];
    for about in of_a_life {
        forget(datadir, about);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_note_is_a_file_in_its_directory_for_each_name_of_the_data_directory() {
        for datadir in ["/var/lib/postgresql/17/main", "/", "", "/../../etc/passwd", "/a\nb", &"/ä".repeat(300)] {
            let paths = About::ALL.map(|about| path(Path::new(datadir), about));
            for path in &paths {
                assert_eq!(path.parent(), Some(Path::new(DIRECTORY)), "{path:?}");
                assert!(path.file_name().is_some_and(|name| name.len() < 250), "{path:?}");
            }
            let different: std::collections::BTreeSet<_> = paths.iter().collect();
            assert_eq!(different.len(), paths.len());
        }
    }
}
