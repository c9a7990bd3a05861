//! The exit codes an action may end with.

use std::process::ExitCode;

/// The exit code that an action returns to Pacemaker.
///
/// Codes 0 to 9 are OCF 1.1's, 190 and 191 are Pacemaker's "as 0" and "as 8, but look here": such a monitor counts as
/// a success and is still listed by `crm_mon` with its exit reason (Pacemaker Administration, "OCF Return Codes").
/// `6` ("not configured") is missing on purpose: one such answer from one node stops the resource on all of them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum OcfExitCode {
    /// The action is done, or the instance runs as a standby.
    Success = 0,
    /// The action failed and may be tried again.
    GenericError = 1,
    /// A parameter has no usable value on this node.
    BadArguments = 2,
    /// There is no such action.
    Unimplemented = 3,
    /// The agent lacks the privileges for this.
    NoPermission = 4,
    /// Something that must be installed on this node is missing.
    NotInstalled = 5,
    /// No process uses the data directory.
    NotRunning = 7,
    /// The instance runs as the primary.
    RunningPromoted = 8,
    /// The instance was the primary and has died.
    FailedPromoted = 9,
    /// Runs as a standby, with something that a person should look at.
    Degraded = 190,
    /// Runs as the primary, with something that a person should look at.
    DegradedPromoted = 191,
}

impl From<OcfExitCode> for ExitCode {
    fn from(code: OcfExitCode) -> Self {
        ExitCode::from(code as u8)
    }
}

/// How a command ends that changes something for a person.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum CommandExitCode {
    /// It is done; or would be, without `--yes`.
    Done = 0,
    /// It is refused, and nothing was changed.
    Refused = 1,
    /// It was begun and is not finished.
    Unfinished = 2,
    /// What it takes to decide could not be seen.
    Unseen = 3,
    /// It was called in a way that means nothing.
    Usage = 64,
    /// A signal ended it, and it has cleaned up.
    Interrupted = 130,
}

impl From<CommandExitCode> for ExitCode {
    fn from(code: CommandExitCode) -> Self {
        ExitCode::from(code as u8)
    }
}
