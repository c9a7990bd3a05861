//! One line on stderr per step that takes time, with the time since the program started.

use std::sync::OnceLock;
use std::time::{Duration, Instant};

use crate::clock;

static START: OnceLock<Instant> = OnceLock::new();

/// The time since the program first asked for it.
pub fn elapsed() -> Duration {
    START.get_or_init(clock::now).elapsed()
}

/// Prints the present step.
pub fn step(what: impl AsRef<str>) {
    let elapsed = elapsed().as_secs_f64();
    eprintln!("[{elapsed:6.1} s] {}", what.as_ref());
}
