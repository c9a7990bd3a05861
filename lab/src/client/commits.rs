//! One client that commits row after row through the virtual IP.

use tokio_postgres::{Row, Statement};

use super::outcome::{self, Stage};
use super::session::{Patience, Session, SessionError, within};
use super::{Work, tables};
use crate::history::{Attempt, Event, Instance, Moment};

/// Commits until the writer is stopped. Every attempt has a number of its own and leaves one record.
pub(super) async fn write(work: Work, client: i32) {
    let patience = Patience::new(&work);
    let mut committer = Committer { work, client, ready: None, patience };
    let mut seq = 0;
    while !committer.work.stopped() {
        seq += 1;
        let attempt = committer.attempt(seq).await;
        committer.work.journal.record(Event::Attempt(attempt));
        let config = &committer.work.config;
        tokio::time::sleep(if committer.ready.is_some() { config.pace } else { config.reconnect_pause }).await;
    }
}

struct Committer {
    work: Work,
    client: i32,
    ready: Option<Ready>,
    patience: Patience,
}

/// A connection that is ready to commit.
struct Ready {
    session: Session,
    commit: Statement,
}

/// The server's answer to a commit.
struct Answer {
    instance: Instance,
    seen: Option<i64>,
    warnings: Vec<String>,
}

impl Committer {
    /// Any failure ends the connection: the next attempt connects to the node that holds the virtual IP by then.
    async fn attempt(&mut self, seq: i64) -> Attempt {
        let began = self.work.journal.now();
        let ready = match self.connected().await {
            Ok(ready) => ready,
            Err(error) => return self.failed(seq, began, Stage::Connecting, &error),
        };
        let sent = self.work.journal.now();
        match self.commit(&ready, seq).await {
            Ok(answer) => {
                self.ready = Some(ready);
                self.answered(seq, sent, answer)
            }
            Err(error) => self.failed(seq, sent, Stage::Sent, &error),
        }
    }

    async fn connected(&mut self) -> Result<Ready, SessionError> {
        if let Some(ready) = self.ready.take().filter(|ready| !ready.session.is_closed()) {
            return Ok(ready);
        }
        let config = &self.work.config;
        let session = Session::open_eagerly(&config.access, &config.host, config.connect_limit).await?;
        let commit = within(config.connect_limit, session.client.prepare(tables::COMMIT)).await?;
        Ok(Ready { session, commit })
    }

    async fn commit(&mut self, ready: &Ready, seq: i64) -> Result<Answer, SessionError> {
        let Ready { session, commit } = ready;
        session.take_warnings();
        let row: Row = self.patience.wait(session.client.query_one(commit, &[&self.client, &seq])).await?;
        Ok(Answer {
            instance: tables::instance(&row, &self.work.config.host)?,
            seen: row.try_get(3).map_err(SessionError::Postgres)?,
            warnings: session.take_warnings(),
        })
    }

    fn answered(&self, seq: i64, sent: Moment, answer: Answer) -> Attempt {
        Attempt {
            client: self.client,
            seq,
            sent,
            ended: self.work.journal.now(),
            outcome: outcome::of_success(&answer.warnings),
            instance: Some(answer.instance),
            seen: answer.seen,
            reason: answer.warnings.into_iter().next(),
        }
    }

    fn failed(&self, seq: i64, sent: Moment, stage: Stage, error: &SessionError) -> Attempt {
        Attempt {
            client: self.client,
            seq,
            sent,
            ended: self.work.journal.now(),
            outcome: outcome::of_failure(stage, error.code()),
            instance: None,
            seen: None,
            reason: Some(error.to_string()),
        }
    }
}
