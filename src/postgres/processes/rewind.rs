//! A `pg_rewind` that a person has started: which data directory it rewrites, and whether it does.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use super::process::{Kind, ServerProcess, command_line, path};

impl ServerProcess {
    /// Whether it is a pg_rewind that changes something.
    pub fn rewrites(&self) -> bool {
        let tries = |argument: &Vec<u8>| argument == b"-n" || argument.starts_with(b"--dry");
        self.kind == Kind::Rewind && !arguments(self.pid).iter().any(tries)
    }
}

/// Whether it is a pg_rewind that was started with one of these directories, wherever that was.
pub(super) fn is_for(pid: i32, directories: &[&Path]) -> bool {
    target(&arguments(pid)).is_some_and(|target| directories.contains(&target))
}

fn arguments(pid: i32) -> Vec<Vec<u8>> {
    command_line(&path(pid)).split(|byte| *byte == 0).map(<[u8]>::to_vec).collect()
}

/// The directory that a pg_rewind with these arguments rewrites.
fn target(arguments: &[Vec<u8>]) -> Option<&Path> {
    let named = |at: usize| {
        let (argument, next) = (arguments[at].as_slice(), arguments.get(at + 1).map(Vec::as_slice));
        match argument {
            b"-D" | b"--target-pgdata" => next,
            _ => argument.strip_prefix(b"--target-pgdata=").or_else(|| argument.strip_prefix(b"-D")),
        }
    };
    let path = (1..arguments.len()).find_map(named)?;
    Some(Path::new(OsStr::from_bytes(path.strip_suffix(b"/").unwrap_or(path))))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_directory_that_is_rewound_is_known() {
        let named = |command: &str| {
            let words: Vec<Vec<u8>> = command.split(' ').map(|word| word.as_bytes().to_vec()).collect();
            target(&words).map(|path| path.display().to_string())
        };
        let data = Some("/d".to_owned());
        for command in ["-D /d --source-server=x", "-D/d/", "-P --target-pgdata=/d", "--target-pgdata /d"] {
            assert_eq!(named(&format!("pg_rewind {command}")), data, "{command}");
        }
        assert_eq!(named("pg_rewind --source-pgdata=/d"), None);
    }
}
