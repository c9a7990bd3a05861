//! One connection, with a limit on everything and an ear for warnings.

use std::error::Error;
use std::fmt;
use std::future::{Future, poll_fn};
use std::pin::pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::task::{JoinHandle, JoinSet};
use tokio::time::timeout;
use tokio_postgres::error::Severity;
use tokio_postgres::tls::NoTlsStream;
use tokio_postgres::{AsyncMessage, Client, Connection, NoTls, Socket};

use super::{Access, Work};

/// Why there was no answer, or a bad one.
#[derive(Debug)]
pub(super) enum SessionError {
    /// Nothing came in time.
    TimedOut(Duration),
    /// The server refused, or the connection broke.
    Postgres(tokio_postgres::Error),
}

impl SessionError {
    /// The server's error code, if it is the server that complains.
    pub(super) fn code(&self) -> Option<&str> {
        match self {
            Self::TimedOut(_) => None,
            Self::Postgres(error) => error.code().map(tokio_postgres::error::SqlState::code),
        }
    }
}

impl fmt::Display for SessionError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::TimedOut(limit) => write!(f, "no answer within {} s", limit.as_secs_f32()),
            Self::Postgres(error) => {
                write!(f, "{error}")?;
                let mut cause = error.source();
                while let Some(error) = cause {
                    write!(f, ": {error}")?;
                    cause = error.source();
                }
                Ok(())
            }
        }
    }
}

/// Waits for `answer`, at most for `limit`.
pub(super) async fn within<T>(
    limit: Duration,
    answer: impl Future<Output = Result<T, tokio_postgres::Error>>,
) -> Result<T, SessionError> {
    match timeout(limit, answer).await {
        Ok(answer) => answer.map_err(SessionError::Postgres),
        Err(_) => Err(SessionError::TimedOut(limit)),
    }
}

/// How long to wait for an acknowledgement: twice as long after every silence, up to eight times.
///
/// A server that waits for its standby keeps each connection that its client gave up, and they are not many.
pub(super) struct Patience {
    limit: Duration,
    silences: u32,
    stop: Arc<AtomicBool>,
}

impl Patience {
    pub(super) fn new(work: &Work) -> Self {
        Self { limit: work.config.ack_limit, silences: 0, stop: Arc::clone(&work.stop) }
    }

    /// Waits for `answer`; once the writer is to stop, no longer than the first limit.
    pub(super) async fn wait<T>(
        &mut self,
        answer: impl Future<Output = Result<T, tokio_postgres::Error>>,
    ) -> Result<T, SessionError> {
        let mut answer = pin!(answer);
        for waited in 1..=2_u32.pow(self.silences) {
            match timeout(self.limit, answer.as_mut()).await {
                Ok(answer) => {
                    self.silences = 0;
                    return answer.map_err(SessionError::Postgres);
                }
                Err(_) if self.stop.load(Ordering::Acquire) => return Err(SessionError::TimedOut(self.limit * waited)),
                Err(_) => {}
            }
        }
        let limit = self.limit * 2_u32.pow(self.silences);
        self.silences = 3.min(self.silences + 1);
        Err(SessionError::TimedOut(limit))
    }
}

/// A connection. Dropping it closes the socket at once, also during a query.
pub(super) struct Session {
    pub(super) client: Client,
    warnings: Arc<Mutex<Vec<String>>>,
    pump: JoinHandle<()>,
}

impl Session {
    pub(super) async fn open(access: &Access, host: &str, limit: Duration) -> Result<Self, SessionError> {
        let (client, connection) = within(limit, access.connection(host, limit).connect(NoTls)).await?;
        let warnings = Arc::new(Mutex::new(Vec::new()));
        let pump = tokio::spawn(pump(connection, Arc::clone(&warnings)));
        Ok(Self { client, warnings, pump })
    }

    /// The same, with another attempt started beside the others every fifth of the limit.
    ///
    /// A lost SYN is repeated after a second only; an attempt made in the meantime reaches the node that has taken the
    /// address over as soon as it has.
    pub(super) async fn open_eagerly(access: &Access, host: &str, limit: Duration) -> Result<Self, SessionError> {
        let mut attempts = JoinSet::new();
        loop {
            let (access, host) = (access.clone(), host.to_owned());
            attempts.spawn(async move { Self::open(&access, &host, limit).await });
            if let Ok(Some(Ok(first))) = timeout(limit / 5, attempts.join_next()).await {
                return first;
            }
        }
    }

    pub(super) fn is_closed(&self) -> bool {
        self.client.is_closed()
    }

    /// The warnings that came since the last call.
    pub(super) fn take_warnings(&self) -> Vec<String> {
        std::mem::take(&mut *self.warnings.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl Drop for Session {
    fn drop(&mut self) {
        self.pump.abort();
    }
}

/// Moves the connection's bytes. A warning is on record before the answer that follows it.
async fn pump(mut connection: Connection<Socket, NoTlsStream>, warnings: Arc<Mutex<Vec<String>>>) {
    while let Some(Ok(message)) = poll_fn(|context| connection.poll_message(context)).await {
        match message {
            AsyncMessage::Notice(notice) if notice.parsed_severity() == Some(Severity::Warning) => {
                warnings.lock().unwrap_or_else(PoisonError::into_inner).push(notice.message().to_owned());
            }
            _ => {}
        }
    }
}
