//! What the local instance is doing, from what was seen of it.

mod hang;
#[cfg(test)]
mod tests;
mod words;

use std::time::Duration;

use crate::exit::OcfExitCode;
use crate::postgres::control::DbState;
pub use hang::{Hang, STORAGE_PATIENCE, has_dead_storage, is_crowded, streams, waits_for_lock};

/// The part an instance plays in replication.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Role {
    /// It accepts writes.
    Primary,
    /// It is in recovery and follows a primary.
    Standby,
}

/// How far the postmaster says it has come, in the last line of `postmaster.pid` (`src/include/utils/pidfile.h`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Phase {
    /// Starting up or recovering.
    Starting,
    /// Shutting down.
    Stopping,
    /// Accepting connections.
    Ready,
    /// In recovery, and configured not to accept connections (`hot_standby = off`).
    WarmStandby,
    /// The file is missing or says something else.
    Unknown,
}

/// How the instance reacted to an attempt to connect.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Answer {
    /// It admitted a session, and reported its role.
    Role(Role),
    /// It is there and not accepting connections: SQLSTATE 57P03.
    NotYet,
    /// It is there and refuses us: too many connections, authentication, anything else a live server says.
    Refused(String),
    /// Nothing listens where we looked.
    NoListener(String),
    /// The name of the host where we should look was not resolved.
    Unresolved {
        /// The name.
        name: String,
        /// What the resolver said.
        why: String,
    },
    /// It answers at its socket, and a session got no answer.
    Hangs(Hang),
    /// It admits no session, or completes no commit, and its storage has not answered for this long.
    StorageHangs(Duration),
    /// The connection was taken, or not even that, and no answer came, neither to a session nor at the socket.
    Silent(Duration),
}

/// The reason why it is unknown whether a server runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Unclear {
    /// A server runs without a postmaster, and not as a primary.
    SingleUser {
        /// Its process.
        pid: i32,
    },
    /// The kernel does not let the agent see what a process is that may be the server's.
    Hidden {
        /// Its number.
        pid: i32,
    },
}

/// What was seen of the local instance.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Evidence {
    /// No process uses the data directory.
    NoProcess {
        /// What pg_control says, where it can be read.
        control: Option<DbState>,
        /// A `backup_label` is there: a base backup that has not been started yet.
        backup_label: bool,
        /// A `standby.signal` is there.
        standby_signal: bool,
    },
    /// Server processes use the data directory, and no postmaster is among them.
    Orphans {
        /// How many.
        count: usize,
        /// What pg_control says, where it can be read.
        control: Option<DbState>,
        /// A `standby.signal` is there.
        standby_signal: bool,
    },
    /// Something uses the data directory, or may, that is not Pacemaker's server.
    Unclear(Unclear),
    /// A postmaster uses the data directory.
    Postmaster {
        /// Its process.
        pid: i32,
        /// It was stopped by a signal (SIGSTOP) or a debugger.
        frozen: bool,
        /// How far it says it has come.
        phase: Phase,
        /// How it reacted to us.
        answer: Answer,
        /// What pg_control says; not read when the answer was the role.
        control: Option<DbState>,
        /// A `standby.signal` is there.
        standby_signal: bool,
    },
}

impl Evidence {
    /// Whether nothing runs, and what ran last was a primary. A base backup that was not started yet only looks like that.
    pub fn was_a_primary(&self) -> bool {
        let left = [DbState::ShutDown, DbState::ShuttingDown, DbState::InCrashRecovery, DbState::InProduction];
        matches!(self, Evidence::NoProcess { control: Some(state), backup_label: false, .. } if left.contains(state))
    }
}

/// Something about a running instance that a person should look at.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Trouble {
    /// The server refuses the agent's connection.
    Refused(String),
    /// The server runs, and nothing listens where the agent looks.
    NoListener(String),
    /// The name of the host where the agent looks is not resolved.
    Unresolved {
        /// The name.
        name: String,
        /// What the resolver said.
        why: String,
    },
    /// The server lives, and does not let the agent's session in.
    Hangs(Hang),
    /// It recovers from the crash of one of its backends, by itself.
    Restarting,
    /// It is configured not to accept connections while in recovery.
    WarmStandby,
}

/// What the local instance is doing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Status {
    /// No process uses the data directory, and it was left in good order or never used.
    Stopped,
    /// No process uses the data directory, and it was left as after a crash.
    Crashed(Role),
    /// The postmaster has died and some of its processes are still there.
    Orphaned {
        /// How many.
        count: usize,
        /// As what it ran, where pg_control can be read.
        role: Option<Role>,
    },
    /// It is unknown whether it runs.
    Unclear(Unclear),
    /// It is on its way up.
    Starting(Role),
    /// It is on its way down.
    Stopping,
    /// It runs.
    Running {
        /// As what.
        role: Role,
        /// What a person should look at.
        trouble: Option<Trouble>,
    },
    /// It runs, and neither it nor pg_control can be asked as what.
    Obscure {
        /// What it answered.
        why: String,
    },
    /// It runs, and its storage does not answer.
    StorageHangs {
        /// For how long.
        lasted: Duration,
    },
    /// Its postmaster is there and does not react.
    Unresponsive {
        /// The postmaster.
        pid: i32,
        /// How long it was given; nothing when it cannot react at all.
        waited: Option<Duration>,
    },
}

/// What the local instance is doing.
pub fn status(evidence: &Evidence) -> Status {
    match evidence {
        Evidence::NoProcess { control, backup_label, standby_signal } => {
            left_behind(*control, *backup_label, *standby_signal)
        }
        Evidence::Orphans { count, control, standby_signal } => {
            Status::Orphaned { count: *count, role: control.map(|control| role_of(control, *standby_signal)) }
        }
        Evidence::Unclear(unclear) => Status::Unclear(*unclear),
        Evidence::Postmaster { pid, frozen: true, .. } => Status::Unresponsive { pid: *pid, waited: None },
        Evidence::Postmaster { pid, frozen: false, phase, answer, control, standby_signal } => {
            // Before recovery, pg_control still says what the instance was before.
            let begins = *standby_signal && *phase == Phase::Starting;
            let role = |control: DbState| if begins { Role::Standby } else { role_of(control, *standby_signal) };
            alive(*pid, *phase, answer, control.map(role))
        }
    }
}

fn left_behind(control: Option<DbState>, backup_label: bool, standby_signal: bool) -> Status {
    match control {
        _ if backup_label => Status::Stopped,
        None | Some(DbState::ShutDown | DbState::ShutDownInRecovery) => Status::Stopped,
        Some(control) => Status::Crashed(role_of(control, standby_signal)),
    }
}

fn alive(pid: i32, phase: Phase, answer: &Answer, role: Option<Role>) -> Status {
    let obscure = || Status::Obscure { why: answer.to_string() };
    let running = |trouble| role.map_or_else(obscure, |role| Status::Running { role, trouble: Some(trouble) });
    match (answer, phase) {
        (Answer::Role(role), _) => Status::Running { role: *role, trouble: None },
        (Answer::Silent(waited), _) => Status::Unresponsive { pid, waited: Some(*waited) },
        (Answer::StorageHangs(lasted), _) => Status::StorageHangs { lasted: *lasted },
        (_, Phase::Stopping) => Status::Stopping,
        (Answer::Refused(why), _) => running(Trouble::Refused(why.clone())),
        // One that has not written its own pid file yet is just about to.
        (_, Phase::Starting | Phase::Unknown) => role.map_or_else(obscure, Status::Starting),
        (_, Phase::WarmStandby) => running(Trouble::WarmStandby),
        (Answer::Hangs(hang), Phase::Ready) => running(Trouble::Hangs(*hang)),
        (Answer::Unresolved { name, why }, Phase::Ready) => {
            running(Trouble::Unresolved { name: name.clone(), why: why.clone() })
        }
        // The postmaster got as far as "ready" once: it restarts its children after one of them crashed.
        (Answer::NotYet, Phase::Ready) => running(Trouble::Restarting),
        (Answer::NoListener(whence), Phase::Ready) => running(Trouble::NoListener(whence.clone())),
    }
}

/// The role that an instance has or had, where it could not be asked itself.
fn role_of(control: DbState, standby_signal: bool) -> Role {
    match control {
        DbState::InProduction => Role::Primary,
        DbState::InArchiveRecovery | DbState::ShutDownInRecovery => Role::Standby,
        // Crash recovery comes first also for a standby, and says so in pg_control.
        DbState::StartingUp | DbState::InCrashRecovery | DbState::ShuttingDown | DbState::ShutDown => {
            if standby_signal { Role::Standby } else { Role::Primary }
        }
    }
}

/// The caller that asks for the status.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Asked {
    /// Pacemaker wants to know what is there, having no expectation.
    Probe,
    /// Pacemaker makes sure that the instance still runs.
    Recurring,
    /// An operator, who names no resource: the state is reported, and nothing is written anywhere.
    ByHand,
}

impl Status {
    /// Whether it runs and cannot be asked.
    pub fn admits_no_session(&self) -> bool {
        use Trouble::{Hangs, NoListener, Refused, Unresolved};
        let Status::Running { trouble: Some(trouble), .. } = self else { return false };
        matches!(trouble, Refused(_) | NoListener(_) | Unresolved { .. } | Hangs(_))
    }

    /// What a monitor answers.
    pub fn exit_code(&self, asked: Asked) -> OcfExitCode {
        match (self, asked) {
            (Status::Stopped | Status::Crashed(_), Asked::Probe | Asked::ByHand) => OcfExitCode::NotRunning,
            (Status::Stopped | Status::Crashed(Role::Standby), Asked::Recurring) => OcfExitCode::NotRunning,
            (Status::Crashed(Role::Primary), Asked::Recurring) => OcfExitCode::FailedPromoted,
            (
                Status::Orphaned { .. }
                | Status::Unclear(_)
                | Status::Stopping
                | Status::Obscure { .. }
                | Status::StorageHangs { .. }
                | Status::Unresponsive { .. },
                _,
            ) => OcfExitCode::GenericError,
            (Status::Starting(Role::Standby), _) => OcfExitCode::Degraded,
            (Status::Starting(Role::Primary), _) => OcfExitCode::DegradedPromoted,
            (Status::Running { role: Role::Standby, trouble: None }, _) => OcfExitCode::Success,
            (Status::Running { role: Role::Standby, trouble: Some(_) }, _) => OcfExitCode::Degraded,
            (Status::Running { role: Role::Primary, trouble: None }, _) => OcfExitCode::RunningPromoted,
            (Status::Running { role: Role::Primary, trouble: Some(_) }, _) => OcfExitCode::DegradedPromoted,
        }
    }

    /// Whether the instance runs in `role`, troubled or not.
    pub fn runs_as(&self, role: Role) -> bool {
        matches!(self, Status::Running { role: its, .. } if *its == role)
    }

    /// Whether the server died as a primary, also where some of its processes are still there.
    pub fn is_a_crashed_primary(&self) -> bool {
        matches!(self, Status::Crashed(Role::Primary) | Status::Orphaned { role: Some(Role::Primary), .. })
    }

    /// Whether there is nothing that a person should know.
    pub fn is_well(&self) -> bool {
        matches!(self, Status::Stopped | Status::Running { trouble: None, .. })
    }
}
