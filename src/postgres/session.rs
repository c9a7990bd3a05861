//! One SQL session with the local instance: the only async code beside [`crate::command`].

use std::error::Error;
use std::rc::Rc;
use std::time::Duration;

use tokio::runtime::Runtime;
use tokio_postgres::error::SqlState;
use tokio_postgres::types::{ToSql, Type};
use tokio_postgres::{Client, NoTls, SimpleQueryMessage};

use super::PostgresError;
use crate::parameters::Host;
use crate::rules::status::Answer;

/// The longest a connection attempt or a question may take: a frozen postmaster takes connections and never answers.
pub const PATIENCE: Duration = Duration::from_secs(3);

/// Where the instance listens.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Address {
    /// Socket directory or host.
    pub host: Host,
    /// Port.
    pub port: u16,
}

/// An open session. Every statement is given up after a time.
pub struct Session {
    runtime: Rc<Runtime>,
    client: Client,
}

/// One row: a text, or NULL, for each column.
pub type Row = Vec<Option<String>>;

impl Session {
    /// Connects as the database role named like the system user, which must be the effective user now.
    ///
    /// # Errors
    ///
    /// How the instance answered instead: [`Answer::NotYet`], [`Answer::Refused`], [`Answer::NobodyListens`] or
    /// [`Answer::Silent`].
    pub fn open(runtime: Rc<Runtime>, at: &Address, role: &str, patience: Duration) -> Result<Self, Answer> {
        let mut config = tokio_postgres::Config::new();
        match &at.host {
            Host::Directory(directory) => config.host_path(directory),
            Host::Name(name) => config.host(name),
        };
        config.port(at.port).user(role).dbname("postgres").application_name("pgsqlms");
        let connect = async { tokio::time::timeout(patience, config.connect(NoTls)).await };
        let (client, connection) = runtime
            .block_on(connect)
            .map_err(|_| Answer::Silent(patience))?
            .map_err(|error| answer_in(&error, at, patience))?;
        runtime.spawn(async move {
            // Its end shows in the client's next statement.
            let _ = connection.await;
        });
        Ok(Self { runtime, client })
    }

    /// What `sql` returns, all columns as text. `sql` is a constant of this program: no value is ever put into it.
    ///
    /// # Errors
    ///
    /// When it fails, or takes longer than `patience`.
    pub fn query(&self, sql: &'static str, patience: Duration) -> Result<Vec<Row>, PostgresError> {
        let answer = async { tokio::time::timeout(patience, self.client.simple_query(sql)).await };
        let messages = self
            .runtime
            .block_on(answer)
            .map_err(|_| PostgresError::Slow { what: sql, after: patience })?
            .map_err(|error| PostgresError::Sql { what: sql, why: chain(&error) })?;
        let text =
            |row: &tokio_postgres::SimpleQueryRow| (0..row.len()).map(|i| row.get(i).map(str::to_owned)).collect();
        Ok(messages
            .iter()
            .filter_map(|message| match message {
                SimpleQueryMessage::Row(row) => Some(text(row)),
                _ => None,
            })
            .collect())
    }

    /// What `sql` returns for these values of its parameters, which are text, as all columns must be.
    ///
    /// # Errors
    ///
    /// When it fails, or takes longer than `patience`.
    pub fn query_with(
        &self,
        sql: &'static str,
        values: &[&str],
        patience: Duration,
    ) -> Result<Vec<Row>, PostgresError> {
        let parameters: Vec<(&(dyn ToSql + Sync), Type)> =
            values.iter().map(|value| (value as &(dyn ToSql + Sync), Type::TEXT)).collect();
        let answer = async { tokio::time::timeout(patience, self.client.query_typed(sql, &parameters)).await };
        let failed = |error: tokio_postgres::Error| PostgresError::Sql { what: sql, why: chain(&error) };
        let rows = self.runtime.block_on(answer).map_err(|_| PostgresError::Slow { what: sql, after: patience })?;
        let text = |row: &tokio_postgres::Row| (0..row.len()).map(|column| row.try_get(column)).collect();
        rows.map_err(failed)?.iter().map(text).collect::<Result<_, _>>().map_err(failed)
    }
}

/// What a failed connection attempt says about the instance.
fn answer_in(error: &tokio_postgres::Error, at: &Address, patience: Duration) -> Answer {
    if let Some(refusal) = error.as_db_error() {
        return if *refusal.code() == SqlState::CANNOT_CONNECT_NOW {
            Answer::NotYet
        } else {
            Answer::Refused(format!("{} (SQLSTATE {})", refusal.message(), refusal.code().code()))
        };
    }
    match error.source().and_then(|cause| cause.downcast_ref::<std::io::Error>()).map(std::io::Error::kind) {
        Some(std::io::ErrorKind::ConnectionRefused | std::io::ErrorKind::NotFound) => {
            Answer::NobodyListens(at.to_string())
        }
        // A Unix socket whose queue is full: nobody takes connections from it.
        Some(std::io::ErrorKind::WouldBlock | std::io::ErrorKind::TimedOut) => Answer::Silent(patience),
        Some(_) | None => Answer::Refused(chain(error)),
    }
}

/// An error with its causes: tokio-postgres leaves them out of its own text.
fn chain(error: &dyn Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(inner) = cause {
        text.push_str(": ");
        text.push_str(&inner.to_string());
        cause = inner.source();
    }
    text
}

impl std::fmt::Display for Address {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match &self.host {
            Host::Directory(directory) => write!(f, "{}/.s.PGSQL.{}", directory.display(), self.port),
            Host::Name(name) => write!(f, "{name}:{}", self.port),
        }
    }
}
