//! How running a program can fail.

use std::process::ExitStatus;
use std::time::Duration;

/// Every way in which running a program can fail.
#[derive(Debug, thiserror::Error)]
pub enum CommandError {
    /// It could not be started.
    #[error("cannot run {program}: {source}")]
    NotStarted {
        /// The program.
        program: String,
        /// Why.
        source: std::io::Error,
    },
    /// It ended with an exit code other than 0, or by a signal.
    #[error("{invocation} failed ({status}){}{message}", if .message.is_empty() { "" } else { ": " })]
    Failed {
        /// Program and arguments.
        invocation: String,
        /// How it ended.
        status: ExitStatus,
        /// The last line it wrote to its standard error.
        message: String,
    },
    /// It had not ended in time, and was killed.
    #[error("{invocation} did not end within {:.1} s", after.as_secs_f64())]
    TimedOut {
        /// Program and arguments.
        invocation: String,
        /// How long it was given.
        after: Duration,
    },
    /// It said nothing for too long, and was killed.
    #[error("{invocation} said nothing for {:.0} s", after.as_secs_f64())]
    Silent {
        /// Program and arguments.
        invocation: String,
        /// How long.
        after: Duration,
    },
    /// It was ended on purpose.
    #[error("{program} was ended: {why}")]
    Ended {
        /// The program.
        program: String,
        /// Why.
        why: String,
    },
}
