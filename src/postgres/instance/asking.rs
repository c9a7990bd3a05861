//! Questions to the running server, over one session.

use std::path::PathBuf;
use std::rc::Rc;
use std::time::Duration;

use super::Instance;
use crate::parameters::Host;
use crate::postgres::passing_note::{self, About};
use crate::postgres::pid_file::PidFile;
use crate::postgres::session::socket::{self, Reaction};
use crate::postgres::session::{self, Address, Row, Session};
use crate::postgres::{PostgresError, processes};
use crate::privileges::PrivilegeError;
use crate::rules::status::{self, Answer, Hang, Role};

/// And, of a primary, how far its WAL is on the disk, and how far there is any. Only a primary has those.
const ROLE: &str = "SELECT standby, CASE WHEN NOT standby THEN pg_catalog.pg_current_wal_flush_lsn() END, \
     CASE WHEN NOT standby THEN pg_catalog.pg_current_wal_insert_lsn() END \
     FROM (SELECT pg_catalog.pg_is_in_recovery() AS standby) one";

/// A session gets this share of the time to report the role, but never less than this.
const SESSION: f64 = 0.35;
const SHORTEST: Duration = Duration::from_millis(600);

/// Then the socket gets this share of what is left, which is more than half of the action's time, and at most this: no fork takes
/// that long.
const SOCKET: f64 = 0.8;
const LONGEST: Duration = Duration::from_secs(15);

impl Instance {
    /// Where to connect: as configured, or where the postmaster says that it listens.
    fn address(&mut self) -> Address {
        // What was read a moment ago counts once: it may have been restarted by the next question.
        let file = self.pid_file.take().or_else(|| self.as_user(|data| Ok(data.pid_file())).ok().flatten());
        let (host, port) = (self.config.pghost.clone(), self.config.pgport);
        let (own_host, own_port) = file.as_ref().map_or((None, None), |file| (listening_at(file), file.port));
        Address {
            host: host.or(own_host).unwrap_or_else(|| Host::Directory(PathBuf::from("/tmp"))),
            port: port.or(own_port).unwrap_or(5432),
        }
    }

    /// Where the postmaster says that it listens.
    fn own_address(&mut self) -> Option<Address> {
        let file = self.as_user(|data| Ok(data.pid_file())).ok().flatten()?;
        Some(Address { host: listening_at(&file)?, port: file.port? })
    }

    pub(super) fn patience(&self) -> Duration {
        session::PATIENCE.min(self.deadline.left(self.clock.as_ref()))
    }

    /// How long a session may take to report the role: the step below gets more than half of the time.
    fn patience_for_role(&self) -> Duration {
        let left = self.deadline.left(self.clock.as_ref());
        session::PATIENCE.min(left.mul_f64(SESSION).max(SHORTEST))
    }

    fn connect_within(&mut self, patience: Duration) -> Result<(), Answer> {
        if self.session.is_some() {
            return Ok(());
        }
        // What hung once hangs again, and each attempt leaves a process to the server.
        if let Some(answer) = &self.hung {
            return Err(answer.clone());
        }
        let (at, runtime) = (self.address(), Rc::clone(&self.runtime));
        let refused = |error: PrivilegeError| Answer::Refused(error.to_string());
        let user = self.user().map_err(refused)?;
        let data = &self.data;
        let open = || {
            let version = data.major_version().ok().and_then(|it| it.split('.').next()?.parse().ok()).unwrap_or(0);
            Session::open(runtime, &at, user.name(), version, patience)
        };
        let opened = user.act(open).map_err(refused)?;
        if let Err(answer @ Answer::Silent(_)) = &opened {
            self.hung = Some(answer.clone());
        }
        self.session = Some(opened?);
        Ok(())
    }

    /// What was seen of this server says nothing about the next one.
    pub(super) fn part_from_server(&mut self) {
        (self.session, self.hung) = (None, None);
    }

    /// How it reacts. The session comes first; only if it hangs, the steps below it are asked: a lock, a slow login or a crowd are
    /// no death, and a machine that stood still for a moment, as a virtual one does when it is moved, answers then.
    pub(super) fn answer_in_steps(&mut self, postmaster: i32) -> Answer {
        // What hung before this action leaves a process to the server each time, until what holds it ends.
        let hung_before = self.hung.is_none() && passing_note::read(self.data.path(), About::Hung).is_some();
        let is_crowded = hung_before && status::is_crowded(&processes::titles(self.data.path(), &self.config.pgdata));
        let answer = if is_crowded { Answer::Silent(Duration::ZERO) } else { self.answer() };
        let Answer::Silent(waited) = answer else {
            if hung_before {
                passing_note::forget(self.data.path(), About::Hung);
            }
            return answer;
        };
        let answer = self.answer_of_socket(postmaster, waited);
        if matches!(answer, Answer::Hangs(_)) {
            passing_note::write(self.data.path(), About::Hung, "");
        }
        self.hung = Some(answer.clone());
        answer
    }

    /// How the postmaster reacts at its own socket, wherever the session was tried, after that had waited for nothing.
    fn answer_of_socket(&mut self, postmaster: i32, waited: Duration) -> Answer {
        let left = self.deadline.left(self.clock.as_ref());
        let patience = left.mul_f64(SOCKET).min(LONGEST);
        let (at, runtime) = (self.own_address().unwrap_or_else(|| self.address()), Rc::clone(&self.runtime));
        let before = processes::switches(postmaster);
        let knock = self.user().and_then(|user| user.act(|| socket::knock(&runtime, &at, patience)));
        match knock {
            Ok(Reaction::Answer) => Answer::Hangs(self.hang(waited)),
            // More connect than it can take: one that is frozen does not run in between.
            Ok(Reaction::FullQueue) if processes::switches(postmaster) != before => Answer::Hangs(self.hang(waited)),
            Ok(Reaction::FullQueue | Reaction::Silence) => Answer::Silent(waited + patience),
            Ok(Reaction::NoListener) => Answer::NoListener(at.to_string()),
            Err(error) => Answer::Refused(error.to_string()),
        }
    }

    fn hang(&mut self, waited: Duration) -> Hang {
        Hang {
            waited,
            waits_for_lock: status::waits_for_lock(&processes::titles(self.data.path(), &self.config.pgdata)),
        }
    }

    fn answer(&mut self) -> Answer {
        let patience = self.patience_for_role();
        if let Err(answer) = self.connect_within(patience) {
            return answer;
        }
        let role = self.ask_within(ROLE, patience);
        match role.as_deref().map(|rows| rows.first().map(Vec::as_slice)) {
            Ok(Some([Some(standby), ..])) if standby == "t" => Answer::Role(Role::Standby),
            Ok(Some([Some(_), flushed, inserted])) => {
                let lsn = |text: &Option<String>| text.as_deref().and_then(|text| text.parse().ok());
                if let (Some(flushed), Some(inserted)) = (lsn(flushed), lsn(inserted)) {
                    self.watch_wal(flushed, inserted);
                }
                Answer::Role(Role::Primary)
            }
            Ok(_) => Answer::Refused("pg_is_in_recovery() returned nothing".to_owned()),
            Err(PostgresError::Slow { after, .. }) => Answer::Silent(*after),
            Err(error) => Answer::Refused(error.to_string()),
        }
    }

    pub(super) fn ask(&mut self, sql: &'static str) -> Result<Row, PostgresError> {
        Ok(self.ask_all(sql)?.into_iter().next().unwrap_or_default())
    }

    pub(super) fn ask_with(&mut self, sql: &'static str, values: &[&str]) -> Result<Row, PostgresError> {
        let patience = self.patience();
        let rows = self.in_session(patience, |session| session.query_with(sql, values, patience))?;
        Ok(rows.into_iter().next().unwrap_or_default())
    }

    pub(super) fn ask_all(&mut self, sql: &'static str) -> Result<Vec<Row>, PostgresError> {
        self.ask_within(sql, self.patience())
    }

    pub(super) fn ask_within(&mut self, sql: &'static str, patience: Duration) -> Result<Vec<Row>, PostgresError> {
        self.in_session(patience, |session| session.query(sql, patience))
    }

    fn in_session<T>(
        &mut self,
        patience: Duration,
        ask: impl FnOnce(&Session) -> Result<T, PostgresError>,
    ) -> Result<T, PostgresError> {
        self.connect_within(patience.min(self.patience()))
            .map_err(|answer| PostgresError::NoSession(answer.to_string()))?;
        let Some(session) = &self.session else { return Err(PostgresError::NoSession("no session".to_owned())) };
        let (answer, is_borrowed) = (ask(session), session.is_borrowed);
        // The server it was asked of may have been restarted: the next question is asked anew.
        if answer.is_err() || is_borrowed {
            self.session = None;
        }
        answer
    }
}

/// Its socket directory, or the address it listens on.
fn listening_at(file: &PidFile) -> Option<Host> {
    let address = || match file.listen_address.as_deref()? {
        "*" | "0.0.0.0" => Some(Host::Name("127.0.0.1".to_owned())),
        "::" => Some(Host::Name("::1".to_owned())),
        address => Some(Host::Name(address.to_owned())),
    };
    file.socket_directory.clone().map(Host::Directory).or_else(address)
}
