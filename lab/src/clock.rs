//! Time: the only file that reads the clock and sleeps.

use std::time::{Duration, Instant};

/// The machine's monotonic clock.
#[expect(clippy::disallowed_methods, reason = "the one place that meets real time")]
pub fn now() -> Instant {
    Instant::now()
}

/// Waits for `pause`.
#[expect(clippy::disallowed_methods, reason = "the one place that meets real time")]
pub fn sleep(pause: Duration) {
    std::thread::sleep(pause);
}

/// The moment by which something must be done.
#[derive(Debug, Clone, Copy)]
pub struct Deadline {
    at: Instant,
}

impl Deadline {
    /// The moment `limit` from now.
    pub fn after(limit: Duration) -> Self {
        Self { at: now() + limit }
    }

    /// The time that is left, zero once it has passed.
    pub fn left(self) -> Duration {
        self.at.saturating_duration_since(now())
    }

    /// Is it too late?
    pub fn passed(self) -> bool {
        self.left().is_zero()
    }
}

/// Milliseconds since 1970, to write down.
pub fn unix_millis() -> u64 {
    unix_micros() / 1000
}

/// Microseconds since 1970, to compare with the times in logs.
pub fn unix_micros() -> u64 {
    #[expect(clippy::disallowed_methods, reason = "the one place that meets real time")]
    let now = std::time::SystemTime::now();
    now.duration_since(std::time::UNIX_EPOCH).map_or(0, |since| since.as_micros() as u64)
}
