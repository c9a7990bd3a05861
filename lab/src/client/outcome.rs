//! The outcome of a commit that a client may conclude from an answer.

use crate::history::Outcome;

/// How far a commit had come when it failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Stage {
    /// Nothing that could commit had been sent.
    Connecting,
    /// The statement, which commits by itself, had been sent.
    Sent,
}

/// The class of a failed commit, given the server's error code if there was one.
///
/// Only an error that rules the commit out makes it refused. The end of the connection, silence, and a shutdown that
/// interrupts the wait for a standby (57P01, 57P02) leave it open.
pub(super) fn of_failure(stage: Stage, code: Option<&str>) -> Outcome {
    match (stage, code) {
        (Stage::Connecting, _) => Outcome::Fail,
        (Stage::Sent, Some("25006" | "40001" | "40P01" | "57P03" | "53300")) => Outcome::Fail,
        (Stage::Sent, Some(code)) if code.starts_with("28") => Outcome::Fail,
        (Stage::Sent, _) => Outcome::Info,
    }
}

/// The class of a successful answer that came with `warnings`.
///
/// PostgreSQL answers a commit whose wait for a standby was cancelled with success and a warning: the commit is on the
/// primary only.
pub(super) fn of_success(warnings: &[String]) -> Outcome {
    if warnings.is_empty() { Outcome::Ok } else { Outcome::Info }
}

#[cfg(test)]
mod tests {
    use super::*;
    use Outcome::{Fail, Info};

    macro_rules! failures {
        ($($name:ident: $stage:ident, $code:expr => $outcome:ident;)*) => {
            $(#[test]
            fn $name() {
                assert_eq!(of_failure(Stage::$stage, $code), $outcome);
            })*
        };
    }

    failures! {
        no_server_listens:               Connecting, None          => Fail;
        starting_up:                  Connecting, Some("57P03") => Fail;
        shut_down_while_connecting:   Connecting, Some("57P01") => Fail;
        read_only:                    Sent,       Some("25006") => Fail;
        serialization_failure:        Sent,       Some("40001") => Fail;
        deadlock:                     Sent,       Some("40P01") => Fail;
        recovering_from_a_crash:      Sent,       Some("57P03") => Fail;
        too_many_connections:         Sent,       Some("53300") => Fail;
        not_allowed:                  Sent,       Some("28000") => Fail;
        wrong_password:               Sent,       Some("28P01") => Fail;
        shut_down_while_committing:   Sent,       Some("57P01") => Info;
        crashed_while_committing:     Sent,       Some("57P02") => Info;
        disk_full_while_committing:   Sent,       Some("53100") => Info;
        connection_lost:              Sent,       None          => Info;
    }

    #[test]
    fn a_cancelled_wait_for_a_standby_is_not_an_acknowledgement() {
        let warning = "canceling wait for synchronous replication due to user request".to_owned();
        assert_eq!(of_success(&[warning]), Info);
        assert_eq!(of_success(&[]), Outcome::Ok);
    }
}
