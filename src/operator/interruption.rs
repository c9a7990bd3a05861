//! Signals that end a command: they are taken note of, and the command ends itself once it has cleaned up.

use nix::sys::signal::{SigSet, Signal};
use nix::sys::signalfd::{SfdFlags, SignalFd};

/// What ends a command: a key, another program, or a terminal that is gone.
const ENDING: [Signal; 3] = [Signal::SIGINT, Signal::SIGTERM, Signal::SIGHUP];

/// From its making on such signals end neither this thread nor those that it starts. So it is made before there are others: one that
/// does not know of it would be ended by such a signal, and the process with it.
pub struct Interruptions(SignalFd);

impl Interruptions {
    /// Takes over.
    ///
    /// # Errors
    ///
    /// When the kernel refuses.
    pub fn watch() -> nix::Result<Self> {
        let mut signals = SigSet::empty();
        ENDING.into_iter().for_each(|signal| signals.add(signal));
        signals.thread_block()?;
        Ok(Self(SignalFd::with_flags(&signals, SfdFlags::SFD_NONBLOCK | SfdFlags::SFD_CLOEXEC)?))
    }

    /// The signal that has come since this was asked last, if any.
    pub fn came(&self) -> Option<Signal> {
        let found = self.0.read_signal().ok().flatten()?;
        Signal::try_from(i32::try_from(found.ssi_signo).ok()?).ok()
    }
}
