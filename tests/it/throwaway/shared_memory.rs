//! Shared memory that a killed server leaves behind.

use std::process::{Command, Stdio};

use super::Instance;

impl Instance {
    /// Removes the segment of shared memory that a killed server leaves: the machine has room for 4096, and then no server starts.
    pub(super) fn remove_shared_memory(&self) {
        // Its key and its number.
        let Some(segment) = self.pid_file(7) else { return };
        if let Some(number) = segment.split_whitespace().nth(1) {
            let _ = Command::new("ipcrm").args(["--shmem-id", number]).stderr(Stdio::null()).status();
        }
    }
}
