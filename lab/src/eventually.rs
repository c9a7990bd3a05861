//! The only ways to wait for the cluster: until something holds, or while something must hold.

use std::cell::RefCell;
use std::fmt::Debug;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use anyhow::{Result, anyhow, bail};

use crate::clock::{self, Deadline};
use crate::interrupt;

/// How often conditions are looked at.
const INTERVAL: Duration = Duration::from_millis(100);

/// Asks `attempt` again and again until it succeeds, at most for `limit`. The error names the awaited condition and why the
/// last attempt failed.
///
/// ```
/// # use std::time::Duration;
/// let mut tries = 0;
/// let third = lab::eventually(Duration::from_secs(5), "the third try", || {
///     tries += 1;
///     if tries < 3 { anyhow::bail!("only {tries} tries so far") }
///     Ok(tries)
/// });
/// assert_eq!(third.unwrap(), 3);
/// ```
pub fn eventually<T>(limit: Duration, what: &str, mut attempt: impl FnMut() -> Result<T>) -> Result<T> {
    let deadline = Deadline::after(limit);
    loop {
        interrupt::hold();
        match attempt() {
            Ok(value) => return Ok(value),
            Err(error) if deadline.passed() => {
                return Err(anyhow!("waited {} s for {what}: {error:#}", limit.as_secs_f32()));
            }
            Err(_) => clock::sleep(INTERVAL.min(deadline.left())),
        }
    }
}

/// Like [`eventually`], for a state that is looked at and a condition on it; the error shows the last state seen.
pub fn eventually_is<S: Debug>(
    limit: Duration,
    what: &str,
    mut look: impl FnMut() -> Result<S>,
    condition: impl Fn(&S) -> bool,
) -> Result<S> {
    eventually(limit, what, || {
        let state = look()?;
        if condition(&state) { Ok(state) } else { Err(anyhow!("last seen: {state:#?}")) }
    })
}

/// Carries out `action` while `invariant` is checked again and again; fails when it was ever violated.
pub fn throughout<T>(
    mut invariant: impl FnMut() -> Result<()> + Send,
    action: impl FnOnce() -> Result<T>,
) -> Result<T> {
    let done = AtomicBool::new(false);
    let violation = RefCell::new(None);
    let result = thread::scope(|scope| {
        let watcher = scope.spawn(|| {
            loop {
                let finished = done.load(Ordering::Acquire);
                // Checked once more after the end, so that even an instant action is looked at.
                invariant()?;
                if finished {
                    return Ok(());
                }
                clock::sleep(INTERVAL);
            }
        });
        let stop = SetOnDrop(&done);
        let result = action();
        drop(stop);
        *violation.borrow_mut() = match watcher.join() {
            Ok(Ok(())) => None,
            Ok(Err(error)) => Some(error),
            Err(_) => Some(anyhow!("the check itself panicked")),
        };
        result
    });
    if let Some(error) = violation.into_inner() {
        match result {
            Ok(_) => bail!("violated meanwhile: {error:#}"),
            Err(failure) => bail!("violated meanwhile: {error:#}; and the action failed: {failure:#}"),
        }
    }
    result
}

/// Ends the watcher even when the action panics: the scope would wait for it for ever.
struct SetOnDrop<'a>(&'a AtomicBool);

impl Drop for SetOnDrop<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Release);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_the_awaited_condition_and_the_last_failure() {
        let error = eventually_is(Duration::ZERO, "a large number", || Ok(7), |number| *number > 100).unwrap_err();
        assert_eq!(error.to_string(), "waited 0 s for a large number: last seen: 7");
    }

    #[test]
    fn a_violated_invariant_fails_a_successful_action() {
        let error = throughout(|| bail!("two writers"), || Ok(())).unwrap_err();
        assert_eq!(error.to_string(), "violated meanwhile: two writers");
        assert_eq!(throughout(|| Ok(()), || Ok(5)).unwrap(), 5);
    }
}
