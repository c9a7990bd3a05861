//! Pacemaker's reading of an agent's answer.

use pgsqlms::exit::OcfExitCode;

use super::Role;
use crate::fakes::Ended;

/// The role that a probe's answer stands for, and whether the answer is a failure.
pub(super) fn probed(ended: &Ended) -> (Role, bool) {
    match ended {
        Ended::Answered(Ok(outcome)) => match outcome.code {
            OcfExitCode::Success | OcfExitCode::Degraded => (Role::Unpromoted, false),
            OcfExitCode::RunningPromoted | OcfExitCode::DegradedPromoted => (Role::Promoted, false),
            OcfExitCode::FailedPromoted => (Role::Promoted, true),
            OcfExitCode::NotRunning => (Role::Stopped, false),
            _ => (Role::Unpromoted, true),
        },
        Ended::Answered(Err(_)) | Ended::Killed | Ended::Overdue => (Role::Unpromoted, true),
    }
}

/// The role that a recurring monitor reports, if any, and whether its answer is a failure.
pub(super) fn monitored(ended: &Ended) -> (Option<Role>, bool) {
    match ended {
        Ended::Answered(Ok(_)) => {
            let (role, failed) = probed(ended);
            (Some(role), failed)
        }
        Ended::Answered(Err(_)) | Ended::Killed | Ended::Overdue => (None, true),
    }
}
