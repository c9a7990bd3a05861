//! Time: the only file that reads the clock and sleeps.

use std::cell::Cell;
use std::time::Duration;

/// Time that only moves forward, counted from when the agent started.
pub trait Clock {
    /// Time since the agent started.
    fn now(&self) -> Duration;
    /// Waits for `pause`.
    fn sleep(&self, pause: Duration);
    /// Time since the machine was started, by which one action can measure from another one.
    fn uptime(&self) -> Duration {
        self.now()
    }
    /// Seconds since 1970 by the machine's calendar clock, which may jump.
    fn unix_time(&self) -> u64;
}

/// The machine's monotonic clock.
#[derive(Debug)]
pub struct SystemClock {
    started: std::time::Instant,
}

impl SystemClock {
    /// A clock that starts now.
    #[expect(clippy::disallowed_methods, reason = "the one place that meets real time")]
    pub fn start() -> Self {
        Self { started: std::time::Instant::now() }
    }
}

impl Clock for SystemClock {
    fn now(&self) -> Duration {
        self.started.elapsed()
    }

    #[expect(clippy::disallowed_methods, reason = "the one place that meets real time")]
    fn sleep(&self, pause: Duration) {
        std::thread::sleep(pause);
    }

    fn uptime(&self) -> Duration {
        let text = std::fs::read_to_string("/proc/uptime").unwrap_or_default();
        let seconds: Option<f64> = text.split(' ').next().and_then(|seconds| seconds.parse().ok());
        seconds.and_then(|seconds| Duration::try_from_secs_f64(seconds).ok()).unwrap_or_default()
    }

    #[expect(clippy::disallowed_methods, reason = "the one place that meets real time")]
    fn unix_time(&self) -> u64 {
        std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).map_or(0, |since| since.as_secs())
    }
}

/// A time in seconds since 1970, as people write it: `2026-11-27 19:25:53 UTC`.
pub fn utc(seconds: u64) -> String {
    let time = i64::try_from(seconds).ok().and_then(|it| time::OffsetDateTime::from_unix_timestamp(it).ok());
    let time = time.unwrap_or(time::OffsetDateTime::UNIX_EPOCH);
    let ((year, month, day), (hour, minute, second)) = (time.to_calendar_date(), time.to_hms());
    format!("{year:04}-{:02}-{day:02} {hour:02}:{minute:02}:{second:02} UTC", u8::from(month))
}

/// The point in an action's life by which it must have answered.
///
/// Pacemaker kills an action at its timeout and the reason is lost, so the agent answers at 85 % of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Deadline {
    at: Duration,
}

impl Deadline {
    /// The deadline of an action that Pacemaker kills `timeout` after its start.
    pub fn within(timeout: Duration) -> Self {
        Self { at: timeout.mul_f64(0.85) }
    }

    /// The moment `wait` from now, or this deadline if that comes first.
    pub fn or_after(self, clock: &dyn Clock, wait: Duration) -> Self {
        Self { at: self.at.min(clock.now() + wait) }
    }

    /// The moment at which `share` (0 to 1) of what is left now has passed.
    pub fn share(self, clock: &dyn Clock, share: f64) -> Self {
        Self { at: clock.now() + self.left(clock).mul_f64(share) }
    }

    /// What is left until the deadline; zero once it has passed.
    pub fn left(self, clock: &dyn Clock) -> Duration {
        self.at.saturating_sub(clock.now())
    }

    /// Whether the deadline has passed.
    pub fn has_passed(self, clock: &dyn Clock) -> bool {
        self.left(clock).is_zero()
    }
}

/// A clock for tests: it moves only when the code under test sleeps.
#[derive(Debug, Default)]
pub struct VirtualClock(Cell<Duration>);

impl Clock for VirtualClock {
    fn now(&self) -> Duration {
        self.0.get()
    }

    fn sleep(&self, pause: Duration) {
        self.0.set(self.0.get() + pause);
    }

    fn unix_time(&self) -> u64 {
        self.0.get().as_secs()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_agent_answers_before_pacemaker_kills_it() {
        let clock = VirtualClock::default();
        let deadline = Deadline::within(Duration::from_secs(10));
        assert_eq!(deadline.left(&clock), Duration::from_millis(8500));
        clock.sleep(Duration::from_secs(9));
        assert!(deadline.has_passed(&clock));
    }

    #[test]
    fn a_part_of_an_action_never_outlives_it() {
        let clock = VirtualClock::default();
        let deadline = Deadline::within(Duration::from_secs(10));
        assert_eq!(deadline.or_after(&clock, Duration::from_secs(60)), deadline);
        assert_eq!(deadline.or_after(&clock, Duration::from_secs(1)).left(&clock), Duration::from_secs(1));
        assert_eq!(deadline.share(&clock, 0.5).left(&clock), Duration::from_millis(4250));
    }
}
