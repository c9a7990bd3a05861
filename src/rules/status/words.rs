//! What a status is called in reasons and in the log.

use std::fmt;

use super::{Answer, Role, Status, Trouble, Unclear};

impl fmt::Display for Role {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Role::Primary => "primary",
            Role::Standby => "standby",
        })
    }
}

impl fmt::Display for Answer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Answer::Role(role) => write!(f, "it is a {role}"),
            Answer::NotYet => write!(f, "it accepts no connections"),
            Answer::Refused(why) => write!(f, "it refuses the agent's connection: {why}"),
            Answer::NoListener(whence) => write!(f, "nothing listens at {whence}"),
            Answer::Unresolved { name, why } => write!(f, "the name {name} (pghost) is not resolved: {why}"),
            Answer::Hangs(hang) => write!(f, "it {hang}"),
            Answer::StorageHangs(lasted) => write!(f, "its storage has not answered for {:.0} s", lasted.as_secs_f64()),
            Answer::Silent(waited) => write!(f, "it did not answer within {:.1} s", waited.as_secs_f64()),
        }
    }
}

impl fmt::Display for Status {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Status::Stopped => write!(f, "PostgreSQL is stopped"),
            Status::Crashed(role) => {
                write!(f, "no PostgreSQL process is left, and pg_control says that it ran as a {role}: it crashed")
            }
            Status::Orphaned { count, .. } => {
                write!(f, "the postmaster is gone and {count} of its processes still use the data directory")
            }
            Status::Unclear(unclear) => write!(f, "{unclear}"),
            Status::Starting(role) => write!(f, "PostgreSQL is starting as a {role} and recovers"),
            Status::Stopping => write!(f, "PostgreSQL is shutting down"),
            Status::Running { role, trouble: None } => write!(f, "PostgreSQL runs as a {role}"),
            Status::Running { role, trouble: Some(trouble) } => write!(f, "PostgreSQL runs as a {role}, but {trouble}"),
            Status::Obscure { why } => {
                write!(f, "PostgreSQL runs, and neither it nor pg_control shows its role: {why}")
            }
            Status::StorageHangs { lasted } => write!(f, "storage has not answered for {:.0} s", lasted.as_secs_f64()),
            Status::Unresponsive { pid, waited: None } => {
                write!(f, "the postmaster (process {pid}) is frozen by a signal: `kill -CONT {pid}` resumes it")
            }
            Status::Unresponsive { pid, waited: Some(waited) } => {
                write!(f, "the postmaster (process {pid}) did not answer within {:.1} s", waited.as_secs_f64())
            }
        }
    }
}

impl fmt::Display for Unclear {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Unclear::SingleUser { pid } => {
                write!(f, "`postgres --single` (process {pid}) runs in the data directory: end it")
            }
            Unclear::Hidden { pid } => {
                write!(f, "process {pid} may be the server, and cannot be looked at: the agent needs CAP_SYS_PTRACE")
            }
        }
    }
}

impl fmt::Display for Trouble {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Trouble::Refused(why) => write!(f, "refuses the agent's connection: {why}"),
            Trouble::NoListener(whence) => {
                write!(f, "nothing listens at {whence}: check pghost and pgport, or restart it to get its socket back")
            }
            Trouble::Unresolved { name, why } => {
                write!(f, "the name {name} is not resolved: set pghost to a directory or an address ({why})")
            }
            Trouble::Hangs(hang) => write!(f, "{hang}"),
            Trouble::Restarting => write!(f, "restarts itself after the crash of one of its processes"),
            Trouble::WarmStandby => write!(f, "accepts no connections: set hot_standby = on"),
        }
    }
}
