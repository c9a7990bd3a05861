//! Whether the primary still has the WAL that a standby needs next, by what it answers on a replication connection. No line
//! of a log counts: any client that can connect can have one written.

use std::fmt;

use crate::location::SystemId;

/// The SQLSTATE of a walsender that does not find the segment it is to send: undefined_file.
const UNDEFINED_FILE: &str = "58P01";

/// What a server answers that is asked to send WAL from one position on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answers {
    /// The database that it has.
    pub system: Option<SystemId>,
    /// Whether it is a standby itself.
    pub in_recovery: Option<bool>,
    /// How it went on.
    pub sent: Sent,
}

/// What a walsender sends.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Sent {
    /// WAL.
    Wal,
    /// An error.
    Error {
        /// Its code.
        sqlstate: String,
        /// Its text, for people.
        message: String,
    },
    /// Neither, and this is why.
    Nothing(String),
}

/// What is known of the WAL that this node needs next.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PrimaryWal {
    /// The primary sends it.
    Held,
    /// The primary has removed it.
    Removed,
    /// The server has another database.
    OtherDatabase,
    /// Nothing is known, and this is why.
    Unknown(String),
}

impl Default for PrimaryWal {
    fn default() -> Self {
        Self::Unknown("it was not asked".to_owned())
    }
}

/// For the operator, who decides.
impl fmt::Display for PrimaryWal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            PrimaryWal::Held => {
                f.write_str("The primary still has the WAL that is needed next: see first why it is not received.")
            }
            PrimaryWal::Removed => f.write_str("The primary has removed the WAL that is needed next."),
            PrimaryWal::OtherDatabase => f.write_str("primary_conninfo leads to another database."),
            PrimaryWal::Unknown(why) => {
                write!(f, "Whether the primary has the WAL that is needed next is not known: {why}.")
            }
        }
    }
}

/// What these answers mean to a node whose database is `own`. Only a primary of the same database that says so has removed the WAL:
/// a standby may have less, and every other error leaves it open.
pub fn judge(own: SystemId, answers: &Answers) -> PrimaryWal {
    match (answers.system, answers.in_recovery, &answers.sent) {
        (Some(system), ..) if system != own => PrimaryWal::OtherDatabase,
        (Some(_), Some(false), Sent::Wal) => PrimaryWal::Held,
        (Some(_), Some(false), Sent::Error { sqlstate, .. }) if sqlstate == UNDEFINED_FILE => PrimaryWal::Removed,
        (_, _, Sent::Error { sqlstate, message }) if sqlstate != UNDEFINED_FILE => {
            PrimaryWal::Unknown(format!("{message} (SQLSTATE {sqlstate})"))
        }
        (_, _, Sent::Nothing(why)) => PrimaryWal::Unknown(why.clone()),
        (_, Some(true), _) => PrimaryWal::Unknown("primary_conninfo leads to a standby".to_owned()),
        _ => PrimaryWal::Unknown("the server does not say what it is".to_owned()),
    }
}

/// Why a node that has not diverged is not rebuilt without a person, if so.
pub fn hindrance(wal: &PrimaryWal, has_archive: bool) -> Option<String> {
    match wal {
        PrimaryWal::Removed if has_archive => Some("its WAL may come from the archive (restore_command)".to_owned()),
        PrimaryWal::Removed => None,
        PrimaryWal::Held => Some("the primary has the WAL that it needs".to_owned()),
        PrimaryWal::OtherDatabase => Some("primary_conninfo leads to another database".to_owned()),
        PrimaryWal::Unknown(why) => Some(format!("the primary does not say that it has removed WAL: {why}")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rules::table;

    /// The server's database, whether it is a standby, its error or nothing → what is known.
    fn known((system, in_recovery, sent): (Option<u64>, Option<bool>, &str)) -> String {
        let sent = match sent {
            "wal" => Sent::Wal,
            "" => Sent::Nothing("silence".to_owned()),
            sqlstate => Sent::Error { sqlstate: sqlstate.to_owned(), message: "has already been removed".to_owned() },
        };
        match judge(SystemId(7), &Answers { system: system.map(SystemId), in_recovery, sent }) {
            PrimaryWal::Unknown(why) => format!("unknown: {why}"),
            known => format!("{known:?}"),
        }
    }

    const PRIMARY: (Option<u64>, Option<bool>) = (Some(7), Some(false));

    fn from_primary(sent: &str) -> String {
        known((PRIMARY.0, PRIMARY.1, sent))
    }

    table! { from_primary;
        wal_that_is_sent_is_there: "wal" => "Held";
        undefined_file_means_that_it_is_gone: "58P01" => "Removed";
        an_internal_error_does_not: "XX000" => "unknown: has already been removed (SQLSTATE XX000)";
        nor_a_missing_slot: "42704" => "unknown: has already been removed (SQLSTATE 42704)";
        nor_a_slot_in_use: "55000" => "unknown: has already been removed (SQLSTATE 55000)";
        nor_too_many_connections: "53300" => "unknown: has already been removed (SQLSTATE 53300)";
        nor_a_wrong_password: "28P01" => "unknown: has already been removed (SQLSTATE 28P01)";
        nor_silence: "" => "unknown: silence";
    }

    table! { known;
        another_database: (Some(8), Some(false), "58P01") => "OtherDatabase";
        another_database_that_sends: (Some(8), Some(false), "wal") => "OtherDatabase";
        a_standby_may_have_less: (Some(7), Some(true), "58P01") => "unknown: primary_conninfo leads to a standby";
        a_standby_is_no_primary: (Some(7), Some(true), "wal") => "unknown: primary_conninfo leads to a standby";
        a_role_that_is_not_known: (Some(7), None, "58P01") => "unknown: the server does not say what it is";
        a_database_that_is_not_known: (None, Some(false), "58P01") => "unknown: the server does not say what it is";
        refused_at_the_door: (None, None, "28000") => "unknown: has already been removed (SQLSTATE 28000)";
    }

    fn goes_on((wal, has_archive): (PrimaryWal, bool)) -> bool {
        hindrance(&wal, has_archive).is_none()
    }

    table! { goes_on;
        gone: (PrimaryWal::Removed, false) => true;
        gone_and_perhaps_archived: (PrimaryWal::Removed, true) => false;
        there: (PrimaryWal::Held, false) => false;
        another_primary: (PrimaryWal::OtherDatabase, false) => false;
        not_known: (PrimaryWal::default(), false) => false;
    }
}
