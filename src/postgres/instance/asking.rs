//! Questions to the running server, over one session.

use std::path::PathBuf;
use std::rc::Rc;
use std::time::Duration;

use super::Instance;
use crate::parameters::Host;
use crate::postgres::PostgresError;
use crate::postgres::session::{self, Address, Row, Session};
use crate::privileges::PrivilegeError;
use crate::rules::status::{Answer, Role};

const ROLE: &str = "SELECT pg_catalog.pg_is_in_recovery()";

impl Instance {
    /// Where to connect: as configured, or where the postmaster says that it listens.
    fn address(&mut self) -> Address {
        // What was read a moment ago counts once: it may have been restarted by the next question.
        let file = self.pid_file.take().or_else(|| self.as_user(|data| Ok(data.pid_file())).ok().flatten());
        let told = file.as_ref();
        let host = self.config.pghost.clone().or_else(|| told?.socket_directory.clone().map(Host::Directory));
        let listens = || match told?.listen_address.as_deref()? {
            "*" | "0.0.0.0" => Some(Host::Name("127.0.0.1".to_owned())),
            "::" => Some(Host::Name("::1".to_owned())),
            address => Some(Host::Name(address.to_owned())),
        };
        Address {
            host: host.or_else(listens).unwrap_or_else(|| Host::Directory(PathBuf::from("/tmp"))),
            port: self.config.pgport.or_else(|| told?.port).unwrap_or(5432),
        }
    }

    pub(super) fn patience(&self) -> Duration {
        session::PATIENCE.min(self.deadline.left(self.clock.as_ref()))
    }

    pub(super) fn connect(&mut self) -> Result<(), Answer> {
        if self.session.is_some() {
            return Ok(());
        }
        let (at, patience) = (self.address(), self.patience());
        let runtime = Rc::clone(&self.runtime);
        let refused = |error: PrivilegeError| Answer::Refused(error.to_string());
        let user = self.user().map_err(refused)?;
        let session = user.act(|| Session::open(runtime, &at, user.name(), patience)).map_err(refused)??;
        self.session = Some(session);
        Ok(())
    }

    /// Asks again if no answer came: a machine that stood still for a moment, as a virtual one does when it is moved,
    /// must not be taken for a dead instance.
    pub(super) fn patient_answer(&mut self) -> Answer {
        match self.answer() {
            Answer::Silent(first) if self.deadline.left(self.clock.as_ref()) > session::PATIENCE => match self.answer()
            {
                Answer::Silent(second) => Answer::Silent(first + second),
                answer => answer,
            },
            answer => answer,
        }
    }

    fn answer(&mut self) -> Answer {
        if let Err(answer) = self.connect() {
            return answer;
        }
        let role = self.ask(ROLE);
        match role.as_deref().map(|row| row.first()) {
            Ok(Some(Some(in_recovery))) if in_recovery == "t" => Answer::Role(Role::Standby),
            Ok(Some(Some(_))) => Answer::Role(Role::Primary),
            Ok(_) => Answer::Refused("pg_is_in_recovery() returned nothing".to_owned()),
            Err(error) => {
                self.session = None;
                match error {
                    PostgresError::Slow { after, .. } => Answer::Silent(*after),
                    error => Answer::Refused(error.to_string()),
                }
            }
        }
    }

    pub(super) fn ask(&mut self, sql: &'static str) -> Result<Row, PostgresError> {
        Ok(self.ask_all(sql)?.into_iter().next().unwrap_or_default())
    }

    pub(super) fn ask_with(&mut self, sql: &'static str, values: &[&str]) -> Result<Row, PostgresError> {
        self.connect().map_err(|answer| PostgresError::NoSession(answer.to_string()))?;
        let patience = self.patience();
        match &self.session {
            Some(session) => Ok(session.query_with(sql, values, patience)?.into_iter().next().unwrap_or_default()),
            None => Err(PostgresError::NoSession("no session".to_owned())),
        }
    }

    pub(super) fn ask_all(&mut self, sql: &'static str) -> Result<Vec<Row>, PostgresError> {
        self.connect().map_err(|answer| PostgresError::NoSession(answer.to_string()))?;
        let patience = self.patience();
        let answer = match &self.session {
            Some(session) => session.query(sql, patience),
            None => Err(PostgresError::NoSession("no session".to_owned())),
        };
        // The server it was asked of may have been restarted: the next question is asked anew.
        if answer.is_err() {
            self.session = None;
        }
        answer
    }
}
