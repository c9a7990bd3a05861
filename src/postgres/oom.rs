//! What a DBA expects of the kernel when memory runs out: that it takes a backend, not the postmaster.

use std::fs;

/// This process's share of the kernel's choice; it takes root to lower it.
const FILE: &str = "/proc/self/oom_score_adj";

/// What Debian's unit gives the postmaster.
const POSTMASTER: &str = "-900";

/// The variable that makes the server give its children 0 again (`src/backend/postmaster/fork_process.c`).
pub const ENVIRONMENT: [(&str, &str); 2] = [("PG_OOM_ADJUST_FILE", FILE), ("PG_OOM_ADJUST_VALUE", "0")];

/// As long as this lives, what is started inherits a postmaster's score instead of Pacemaker's.
#[derive(Debug)]
pub struct Protection(Option<String>);

impl Protection {
    /// Begins it; where the kernel does not let us, the server runs as it would have anyway.
    pub fn begin() -> Self {
        let before = fs::read_to_string(FILE).ok();
        Self(before.filter(|_| fs::write(FILE, POSTMASTER).is_ok()))
    }
}

impl Drop for Protection {
    fn drop(&mut self) {
        if let Some(Err(error)) = self.0.as_ref().map(|before| fs::write(FILE, before.trim())) {
            log::debug!("{FILE}: {error}");
        }
    }
}
