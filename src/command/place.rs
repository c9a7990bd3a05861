//! A program that another process becomes: by systemd, or this one.

use std::ffi::{OsStr, OsString};
use std::os::unix::process::CommandExt;
use std::path::Path;

use super::{CommandError, Invocation};

impl Invocation {
    /// The program and its arguments.
    pub fn words(&self) -> impl Iterator<Item = &OsStr> {
        [&self.program].into_iter().chain(&self.arguments).map(OsString::as_os_str)
    }

    /// Becomes the program, which writes to `log` and works in `directory`. Returns only where that fails.
    pub fn take_our_place(&self, log: std::fs::File, directory: &Path) -> CommandError {
        match log.try_clone() {
            Ok(errors) => {
                let mut command = self.prepared().into_std();
                self.not_started(command.stdout(log).stderr(errors).current_dir(directory).exec())
            }
            Err(source) => self.not_started(source),
        }
    }
}
