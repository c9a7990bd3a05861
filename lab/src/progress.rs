//! One line on stderr per step that takes time, with the time since the program started.

use std::sync::OnceLock;
use std::time::Instant;

use crate::clock;

static START: OnceLock<Instant> = OnceLock::new();

/// Says what happens now.
pub fn step(what: impl AsRef<str>) {
    let elapsed = START.get_or_init(clock::now).elapsed().as_secs_f64();
    eprintln!("[{elapsed:6.1} s] {}", what.as_ref());
}
