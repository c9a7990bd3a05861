//! Whether a proxy may send clients here: what `pgsqlms check` answers.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use crate::rules::status::{Role, Status, Trouble};
use crate::rules::synchronous::waiting::Waiting;

/// How far a standby may be behind and still be read from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MaxLag {
    /// In bytes of WAL.
    Bytes(u64),
    /// In time.
    Time(Duration),
}

/// How a standby follows, as it sees it itself.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Following {
    /// Whether WAL comes in.
    pub source: Source,
    /// What it has not replayed of the WAL that it knows of.
    pub bytes: Option<u64>,
    /// How old the last replayed commit is; nothing if it has replayed all.
    pub time: Option<Duration>,
}

/// Where a standby's WAL comes from.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Source {
    /// A server sends it.
    Stream,
    /// An archive only, whose end is unknown: no `primary_conninfo`.
    Archive,
    /// No server and no archive.
    #[default]
    None,
}

/// The answer to a proxy.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Health {
    /// Send clients.
    Up(String),
    /// Send none.
    Down(String),
}

/// Whether clients that want `role` may be sent to an instance that does `status` and, as a standby, follows so. Commits that wait
/// on a primary are said, and no reason to send clients elsewhere: no other node would take them.
pub fn health(
    role: Role,
    max_lag: Option<MaxLag>,
    status: &Status,
    following: Option<&Following>,
    waiting: Waiting,
) -> Health {
    match (role, status) {
        // A server that does not admit the check may admit clients: it may be full, or one database be locked, and there is no other
        // primary to send clients to.
        (
            Role::Primary,
            Status::Running { role: Role::Primary, trouble: None | Some(Trouble::Refused(_) | Trouble::Hangs(_)) },
        ) => Health::Up(if waiting.is_long() { format!("{status}; {waiting}") } else { status.to_string() }),
        (Role::Standby, Status::Running { role: Role::Standby, trouble: None }) => standby(max_lag, following),
        _ => Health::Down(status.to_string()),
    }
}

fn standby(max_lag: Option<MaxLag>, following: Option<&Following>) -> Health {
    let Some(following) = following else {
        return Health::Down("it is a standby whose replication state is unknown".to_owned());
    };
    if following.source == Source::None {
        return Health::Down(
            "it is a standby that receives nothing: there is no primary, or it has diverged".to_owned(),
        );
    }
    let unknown = || Health::Down("it is a standby that does not know how far it is behind".to_owned());
    let within = match max_lag {
        None => true,
        Some(MaxLag::Bytes(most)) => match following.bytes {
            Some(bytes) => bytes <= most,
            None => return unknown(),
        },
        Some(MaxLag::Time(most)) => match following.time {
            Some(time) => time <= most,
            None => return unknown(),
        },
    };
    let text = format!("it is a standby{following}");
    if within { Health::Up(text) } else { Health::Down(text) }
}

impl Health {
    /// Whether clients may be sent.
    pub fn is_up(&self) -> bool {
        matches!(self, Health::Up(_))
    }

    /// The same without line breaks and the like.
    #[must_use]
    pub fn on_one_line(self) -> Health {
        let one_line = |text: String| text.split(char::is_control).map(str::trim).collect::<Vec<_>>().join(" ");
        match self {
            Health::Up(why) => Health::Up(one_line(why)),
            Health::Down(why) => Health::Down(one_line(why)),
        }
    }

    /// Why.
    pub fn reason(&self) -> &str {
        match self {
            Health::Up(reason) | Health::Down(reason) => reason,
        }
    }
}

impl fmt::Display for Following {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(bytes) = self.bytes {
            write!(f, ", {bytes} bytes behind")?;
        }
        if let Some(time) = self.time.filter(|time| !time.is_zero()) {
            write!(f, ", {:.1} s behind", time.as_secs_f64())?;
        }
        Ok(())
    }
}

/// Text that is no lag.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("expected bytes such as 16777216 or 16MB, or seconds such as 10s")]
pub struct BadLag;

impl FromStr for MaxLag {
    type Err = BadLag;

    /// Bytes, with or without one of PostgreSQL's units of memory, or whole seconds.
    fn from_str(text: &str) -> Result<Self, BadLag> {
        let digits = text.bytes().take_while(u8::is_ascii_digit).count();
        let (number, unit) = text.split_at(digits);
        let number: u64 = number.parse().map_err(|_| BadLag)?;
        let bytes = |shift: u32| number.checked_mul(1 << shift).map(Self::Bytes).ok_or(BadLag);
        match unit {
            "s" => Ok(Self::Time(Duration::from_secs(number))),
            "" | "B" => bytes(0),
            "kB" => bytes(10),
            "MB" => bytes(20),
            "GB" => bytes(30),
            _ => Err(BadLag),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_is_one_line() {
        let health = Health::Down("no: FATAL\r\nDETAIL: x\n\tHINT: y".to_owned());
        assert_eq!(health.on_one_line(), Health::Down("no: FATAL  DETAIL: x  HINT: y".to_owned()));
    }
    use crate::rules::table;

    const ANY: &str = "";
    const STREAMING: Option<Following> = following(Source::Stream, Some(100), Some(2));

    const fn following(source: Source, bytes: Option<u64>, seconds: Option<u64>) -> Option<Following> {
        let time = match seconds {
            Some(seconds) => Some(Duration::from_secs(seconds)),
            None => None,
        };
        Some(Following { source, bytes, time })
    }

    fn runs(role: Role, trouble: Option<Trouble>) -> Status {
        Status::Running { role, trouble }
    }

    fn up((role, max_lag, status, following): (Role, &str, Status, Option<Following>)) -> bool {
        let max_lag = (!max_lag.is_empty()).then(|| max_lag.parse().unwrap());
        health(role, max_lag, &status, following.as_ref(), Waiting::default()).is_up()
    }

    use Role::{Primary, Standby};

    table! { up;
        a_primary: (Primary, ANY, runs(Primary, None), None) => true;
        a_standby_is_no_primary: (Primary, ANY, runs(Standby, None), STREAMING) => false;
        a_primary_is_no_standby: (Standby, ANY, runs(Primary, None), None) => false;
        a_full_primary: (Primary, ANY, runs(Primary, Some(Trouble::Refused("53300".into()))), None) => true;
        a_primary_without_a_socket: (Primary, ANY, runs(Primary, Some(Trouble::NoListener("/s".into()))), None) => false;
        a_primary_that_restarts_itself: (Primary, ANY, runs(Primary, Some(Trouble::Restarting)), None) => false;
        a_stopped_instance: (Primary, ANY, Status::Stopped, None) => false;
        a_crashed_primary: (Primary, ANY, Status::Crashed(Primary), None) => false;
        a_frozen_instance: (Primary, ANY, Status::Unresponsive { pid: 1, waited: None }, None) => false;
        an_instance_that_shuts_down: (Primary, ANY, Status::Stopping, None) => false;
        a_primary_that_recovers: (Primary, ANY, Status::Starting(Primary), None) => false;
        a_stopped_standby: (Standby, ANY, Status::Stopped, STREAMING) => false;
        a_standby_that_starts: (Standby, ANY, Status::Starting(Standby), STREAMING) => false;
        a_full_standby: (Standby, ANY, runs(Standby, Some(Trouble::Refused("53300".into()))), None) => false;
        a_standby_without_connections: (Standby, ANY, runs(Standby, Some(Trouble::WarmStandby)), None) => false;
        a_standby: (Standby, ANY, runs(Standby, None), STREAMING) => true;
        a_standby_of_unknown_state: (Standby, ANY, runs(Standby, None), None) => false;
        a_standby_that_has_diverged: (Standby, ANY, runs(Standby, None), following(Source::None, None, None)) => false;
        a_standby_that_receives_nothing_has_no_lag:
            (Standby, "1GB", runs(Standby, None), following(Source::None, Some(0), Some(0))) => false;
        as_far_behind_as_it_may_be: (Standby, "100", runs(Standby, None), STREAMING) => true;
        a_byte_too_far_behind: (Standby, "99", runs(Standby, None), STREAMING) => false;
        as_late_as_it_may_be: (Standby, "2s", runs(Standby, None), STREAMING) => true;
        too_late: (Standby, "1s", runs(Standby, None), STREAMING) => false;
        an_unknown_lag_in_bytes: (Standby, "1GB", runs(Standby, None), following(Source::Stream, None, Some(0))) => false;
        an_unknown_lag_in_time: (Standby, "99s", runs(Standby, None), following(Source::Stream, Some(0), None)) => false;
        an_archive_has_no_lag: (Standby, "1GB", runs(Standby, None), following(Source::Archive, None, None)) => false;
        an_archive_will_do: (Standby, ANY, runs(Standby, None), following(Source::Archive, None, None)) => true;
        // The limit is for standbys.
        a_primary_has_no_lag: (Primary, "1", runs(Primary, None), None) => true;
    }

    fn read(text: &str) -> Result<MaxLag, BadLag> {
        text.parse()
    }

    table! { read;
        bytes: "16777216" => Ok(MaxLag::Bytes(16_777_216));
        megabytes: "16MB" => Ok(MaxLag::Bytes(16_777_216));
        kilobytes: "1kB" => Ok(MaxLag::Bytes(1024));
        seconds: "10s" => Ok(MaxLag::Time(Duration::from_secs(10)));
        none_at_all: "0" => Ok(MaxLag::Bytes(0));
        nothing: "" => Err(BadLag);
        a_unit_alone: "s" => Err(BadLag);
        a_sign: "-1" => Err(BadLag);
        another_unit: "1h" => Err(BadLag);
        too_much: "99999999999GB" => Err(BadLag);
    }

    #[test]
    fn the_reason_says_how_far_it_is_behind() {
        let following = following(Source::Stream, Some(5), Some(2));
        let health = health(Standby, None, &runs(Standby, None), following.as_ref(), Waiting::default());
        assert_eq!(health.reason(), "it is a standby, 5 bytes behind, 2.0 s behind");
    }

    #[test]
    fn a_primary_whose_commits_wait_is_up_and_says_so() {
        let waiting = Waiting { sessions: 2, longest: Duration::from_secs(12) };
        let health = health(Primary, None, &runs(Primary, None), None, waiting);
        let words = "PostgreSQL runs as a primary; commits wait for a synchronous standby (2, for up to 12 s)";
        assert_eq!(health, Health::Up(words.to_owned()));
    }
}
