//! Why an action failed: what Pacemaker and a person are told.

use std::time::Duration;

use crate::exit::OcfExitCode;
use crate::pacemaker::PacemakerError;
use crate::parameters::BadParameter;
use crate::postgres::PostgresError;
use crate::privileges::PrivilegeError;
use crate::rules::election::Better;
use crate::rules::setup::Unfit;
use crate::rules::status::Status;

/// Why an action failed. Its text is the exit reason: what is wrong, where, and what helps.
#[derive(Debug, thiserror::Error)]
pub enum Failure {
    /// The caller asked for something that is no action.
    #[error("{0:?} is not an action of this agent")]
    NoSuchAction(String),
    /// A parameter's value cannot be used.
    #[error(transparent)]
    Parameter(#[from] BadParameter),
    /// This node is not set up as the agent needs it.
    #[error(transparent)]
    Unfit(#[from] Unfit),
    /// The instance is in a state that the action does not touch.
    #[error("cannot {action}: {status}")]
    Unexpected {
        /// The action.
        action: &'static str,
        /// What the instance is doing.
        status: Status,
    },
    /// The server ended while it was starting.
    #[error("PostgreSQL did not start: {0}")]
    Died(String),
    /// The action's time was over.
    #[error("after {:.0} s still waiting for {awaited}", after.as_secs_f64())]
    Deadline {
        /// What for.
        awaited: String,
        /// Since the action began.
        after: Duration,
    },
    /// Another node should be promoted.
    #[error("not promoting this node: {0}")]
    BetterCandidate(Box<Better>),
    /// PostgreSQL did not do what it was asked.
    #[error(transparent)]
    Postgres(#[from] PostgresError),
    /// The cluster did not do what it was asked.
    #[error(transparent)]
    Pacemaker(#[from] PacemakerError),
    /// The operating system refused what waiting needs.
    #[error("cannot begin: {0}")]
    NoRuntime(#[source] std::io::Error),
    /// The PostgreSQL user cannot be used.
    #[error(transparent)]
    Privileges(#[from] PrivilegeError),
}

impl Failure {
    /// What Pacemaker is told. Everything that may pass by itself is a generic error.
    pub fn exit_code(&self) -> OcfExitCode {
        match self {
            Failure::NoSuchAction(_) => OcfExitCode::Unimplemented,
            Failure::Parameter(_) => OcfExitCode::BadArguments,
            Failure::Unfit(unfit) => unfit.exit_code(),
            Failure::Privileges(PrivilegeError::UnknownUser(_))
            | Failure::Postgres(
                PostgresError::NoPrograms { .. } | PostgresError::Privileges(PrivilegeError::UnknownUser(_)),
            ) => OcfExitCode::NotInstalled,
            Failure::Privileges(PrivilegeError::Refused { .. })
            | Failure::Postgres(PostgresError::Privileges(PrivilegeError::Refused { .. })) => OcfExitCode::NoPermission,
            Failure::Unexpected { .. }
            | Failure::Died(_)
            | Failure::Deadline { .. }
            | Failure::BetterCandidate(_)
            | Failure::Postgres(_)
            | Failure::NoRuntime(_)
            | Failure::Pacemaker(_) => OcfExitCode::GenericError,
        }
    }
}
