//! One SQL session with the local instance: the only async code beside [`crate::command`].

mod pinned;
pub mod socket;

use std::error::Error;
use std::ffi::OsString;
use std::net::{SocketAddr, ToSocketAddrs};
use std::os::unix::ffi::OsStringExt;
use std::path::PathBuf;
use std::rc::Rc;
use std::time::Duration;

use tokio::runtime::Runtime;
use tokio_postgres::error::SqlState;
use tokio_postgres::types::{ToSql, Type};
use tokio_postgres::{Client, Config, NoTls, SimpleQueryMessage};

use super::PostgresError;
use crate::parameters::Host;
use crate::rules::status::Answer;

/// The longest a connection attempt or a question may take: a frozen postmaster takes connections and never answers.
pub const PATIENCE: Duration = Duration::from_secs(3);

/// How a session is tried.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Attempt {
    database: &'static str,
    /// With the options that only a superuser may set.
    is_superuser: bool,
}

/// What is tried first.
const FIRST: Attempt = Attempt { database: "postgres", is_superuser: true };

/// The database that is asked where the usual one does not exist or admits no session.
const OTHER_DATABASE: &str = "template1";

type Connection = tokio_postgres::Connection<tokio_postgres::Socket, tokio_postgres::tls::NoTlsStream>;

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
    /// No session can create a database while this session lasts.
    pub is_borrowed: bool,
}

/// One row: a text, or NULL, for each column.
pub type Row = Vec<Option<String>>;

impl Session {
    /// Connects as the database role named like the system user, which must be the effective user now. The settings that the
    /// session relies on are passed as far as a server of this major `version` knows them.
    ///
    /// # Errors
    ///
    /// How the instance answered instead: [`Answer::NotYet`], [`Answer::Refused`], [`Answer::NoListener`],
    /// [`Answer::Unresolved`] or [`Answer::Silent`].
    pub fn open(
        runtime: Rc<Runtime>,
        at: &Address,
        role: &str,
        version: u32,
        patience: Duration,
    ) -> Result<Self, Answer> {
        let mut config = Config::new();
        config.port(at.port).user(role).application_name("pgsqlms");
        match &at.host {
            Host::Directory(_) => {
                config.host_path(at.socket_directory());
            }
            Host::Name(name) => resolve(name, at.port, patience)?.into_iter().for_each(|found| {
                config.host(name).hostaddr(found.ip());
            }),
        }
        let enter = async { tokio::time::timeout(patience, enter(config, version)).await };
        let (client, connection, is_borrowed) = runtime
            .block_on(enter)
            .map_err(|_| Answer::Silent(patience))?
            .map_err(|error| answer_in(&error, at, patience))?;
        runtime.spawn(async move {
            // Its end shows in the client's next statement.
            let _ = connection.await;
        });
        Ok(Self { runtime, client, is_borrowed })
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

/// Connects with all options and to the usual database, and with fewer options or to the other database where the server insists.
/// What it said first is the reason if nothing helps.
async fn enter(mut config: Config, version: u32) -> Result<(Client, Connection, bool), tokio_postgres::Error> {
    let (mut attempt, mut first) = (FIRST, None);
    loop {
        config.dbname(attempt.database).options(pinned::options(version, attempt.is_superuser));
        let error = match config.connect(NoTls).await {
            Ok((client, connection)) => return Ok((client, connection, attempt.database != FIRST.database)),
            Err(error) => error,
        };
        let next = error.code().and_then(|code| attempt.next(code));
        let error = first.take().unwrap_or(error);
        match next {
            Some(next) => attempt = next,
            None => return Err(error),
        }
        first = Some(error);
    }
}

impl Attempt {
    /// What to try when the server has refused this with `code`.
    fn next(self, code: &SqlState) -> Option<Attempt> {
        // The role may not set an option, or not connect to the database.
        if *code == SqlState::INSUFFICIENT_PRIVILEGE && self.is_superuser {
            return Some(Attempt { is_superuser: false, ..self });
        }
        // It does not exist, allows no connections, or pg_hba.conf rejects it.
        let closed = [
            SqlState::INSUFFICIENT_PRIVILEGE,
            SqlState::INVALID_CATALOG_NAME,
            SqlState::OBJECT_NOT_IN_PREREQUISITE_STATE,
            SqlState::INVALID_AUTHORIZATION_SPECIFICATION,
        ];
        let is_other = self.database == OTHER_DATABASE;
        (closed.contains(code) && !is_other).then_some(Attempt { database: OTHER_DATABASE, ..self })
    }
}

/// The addresses of a host. The look-up runs beside: there is no end to one whose name server is gone, and the agent must not wait
/// for it, not even when it ends.
fn resolve(name: &str, port: u16, patience: Duration) -> Result<Vec<SocketAddr>, Answer> {
    if let Ok(address) = name.parse() {
        return Ok(vec![SocketAddr::new(address, port)]);
    }
    let (sender, receiver) = std::sync::mpsc::channel();
    let asked = name.to_owned();
    std::thread::spawn(move || sender.send((asked.as_str(), port).to_socket_addrs().map(Vec::from_iter)));
    let unresolved = |why: String| Answer::Unresolved { name: name.to_owned(), why };
    match receiver.recv_timeout(patience) {
        Ok(Ok(found)) if !found.is_empty() => Ok(found),
        Ok(Ok(_)) => Err(unresolved("it has no address".to_owned())),
        Ok(Err(error)) => Err(unresolved(error.to_string())),
        Err(_) => Err(unresolved(format!("no answer within {:.1} s", patience.as_secs_f64()))),
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
            Answer::NoListener(at.to_string())
        }
        // A Unix socket whose queue is full: the server takes no connections from it.
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

impl Address {
    /// The directory of its socket as the kernel knows it: PostgreSQL writes the mark of an abstract socket as `@`.
    fn socket_directory(&self) -> PathBuf {
        let Host::Directory(directory) = &self.host else { return PathBuf::new() };
        match directory.as_os_str().as_encoded_bytes().strip_prefix(b"@") {
            Some(rest) => PathBuf::from(OsString::from_vec([b"\0", rest].concat())),
            None => directory.clone(),
        }
    }

    fn socket_path(&self) -> PathBuf {
        self.socket_directory().join(format!(".s.PGSQL.{}", self.port))
    }
}

impl std::fmt::Display for Address {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match &self.host {
            Host::Directory(directory) => write!(f, "{}/.s.PGSQL.{}", directory.display(), self.port),
            Host::Name(name) => write!(f, "{name}:{}", self.port),
        }
    }
}
