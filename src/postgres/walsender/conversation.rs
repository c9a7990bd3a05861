//! PostgreSQL's protocol as far as one question to a walsender needs it. Nothing is ever confirmed to it, so it never takes us
//! for a standby that commits may wait for.

use bytes::{Buf, Bytes, BytesMut};
use postgres_protocol::authentication::md5_hash;
use postgres_protocol::authentication::sasl::{ChannelBinding, SCRAM_SHA_256, ScramSha256};
use postgres_protocol::message::frontend;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};

use crate::rules::primary_wal::Sent;

/// Longer than any message that a walsender sends.
const LONGEST: usize = 1 << 24;

/// The name by which a server says whether it is a standby.
const IN_HOT_STANDBY: &[u8] = b"in_hot_standby\0";

/// The server, and the account of the conversation.
pub(super) struct Login<'a> {
    /// Besides `replication`.
    pub(super) parameters: &'a [(&'a str, &'a str)],
    /// Where SQL is to be asked.
    pub(super) database: Option<&'a str>,
    pub(super) user: &'a str,
    pub(super) password: Option<&'a str>,
    /// Whether a password may be sent as it is.
    pub(super) in_clear: bool,
}

/// A connection to a walsender.
pub(super) struct Conversation<S> {
    stream: S,
    input: BytesMut,
    /// What the server says of itself when it lets one in. Before PostgreSQL 14 it does not.
    in_hot_standby: Option<bool>,
}

fn broken(error: impl std::fmt::Display) -> Sent {
    Sent::Nothing(error.to_string())
}

/// The text up to a zero byte, and what follows.
fn text(body: &mut Bytes) -> String {
    let end = body.iter().position(|byte| *byte == 0).unwrap_or(body.len());
    let text = String::from_utf8_lossy(&body.split_to(end)).into_owned();
    body.advance(body.len().min(1));
    text
}

/// The fields of an ErrorResponse: its code and its text.
fn error(mut body: Bytes) -> Sent {
    let (mut sqlstate, mut message) = (String::new(), String::new());
    while body.first().is_some_and(|kind| *kind != 0) {
        match body.get_u8() {
            b'C' => sqlstate = text(&mut body),
            b'M' => message = text(&mut body),
            _ => drop(text(&mut body)),
        }
    }
    Sent::Error { sqlstate, message }
}

impl<S: AsyncRead + AsyncWrite + Unpin> Conversation<S> {
    /// Logs in.
    pub(super) async fn open(stream: S, login: &Login<'_>) -> Result<Self, Sent> {
        let mut opened = Self { stream, input: BytesMut::new(), in_hot_standby: None };
        let (database, replication) = login.database.map_or(("replication", "true"), |name| (name, "database"));
        let parameters = [("user", login.user), ("database", database), ("replication", replication)];
        let parameters = parameters.into_iter().chain(login.parameters.iter().copied());
        opened.send(|buffer| frontend::startup_message(parameters, buffer)).await?;
        loop {
            match opened.read().await? {
                (b'R', body) => opened.prove(login, body).await?,
                (b'S', body) if body.starts_with(IN_HOT_STANDBY) => {
                    opened.in_hot_standby = Some(body[IN_HOT_STANDBY.len()..].starts_with(b"on\0"));
                }
                (b'E', body) => return Err(error(body)),
                (b'Z', _) => return Ok(opened),
                _ => {}
            }
        }
    }

    /// Answers a request to authenticate.
    async fn prove(&mut self, login: &Login<'_>, mut body: Bytes) -> Result<(), Sent> {
        let missing = || broken("the primary asks for a password, and there is none");
        let password = || login.password.ok_or_else(missing);
        if body.len() < 4 {
            return Err(broken("the primary does not speak PostgreSQL's protocol"));
        }
        match body.get_u32() {
            0 => Ok(()),
            3 if login.in_clear => {
                let password = password()?;
                self.send(|buffer| frontend::password_message(password.as_bytes(), buffer)).await
            }
            3 => Err(broken("the primary asks for a password in clear text")),
            5 if body.len() >= 4 => {
                let mut salt = [0; 4];
                body.copy_to_slice(&mut salt);
                let hash = md5_hash(login.user.as_bytes(), password()?.as_bytes(), salt);
                self.send(|buffer| frontend::password_message(hash.as_bytes(), buffer)).await
            }
            10 => self.prove_by_scram(password()?, body).await,
            method => {
                Err(broken(format!("the primary asks for authentication method {method}, which pgsqlms does not know")))
            }
        }
    }

    async fn prove_by_scram(&mut self, password: &str, mut body: Bytes) -> Result<(), Sent> {
        let mut offered = false;
        while body.first().is_some_and(|byte| *byte != 0) {
            offered |= text(&mut body) == SCRAM_SHA_256;
        }
        if !offered {
            return Err(broken("the primary does not offer SCRAM-SHA-256"));
        }
        let mut scram = ScramSha256::new(password.as_bytes(), ChannelBinding::unsupported());
        self.send(|buffer| frontend::sasl_initial_response(SCRAM_SHA_256, scram.message(), buffer)).await?;
        let challenge = self.sasl(11).await?;
        scram.update(&challenge).map_err(broken)?;
        self.send(|buffer| frontend::sasl_response(scram.message(), buffer)).await?;
        // The server proves that it knows the password, too.
        let proof = self.sasl(12).await?;
        scram.finish(&proof).map_err(broken)
    }

    /// The next step of SASL, which must be this one.
    async fn sasl(&mut self, step: u32) -> Result<Bytes, Sent> {
        match self.read().await? {
            (b'E', body) => Err(error(body)),
            (b'R', body) if body.starts_with(&step.to_be_bytes()) => Ok(body.slice(4..)),
            _ => Err(broken("the primary does not follow SASL")),
        }
    }

    /// Whether the server is a standby.
    pub(super) async fn in_recovery(&mut self) -> Result<Option<bool>, Sent> {
        if self.in_hot_standby.is_some() {
            return Ok(self.in_hot_standby);
        }
        // A standby is always read-only. A primary is so by its configuration: then nothing is known.
        let row = self.row("SHOW transaction_read_only").await?;
        Ok((row.first().and_then(Option::as_deref) == Some("off")).then_some(false))
    }

    /// The first row that a command returns.
    pub(super) async fn row(&mut self, command: &'static str) -> Result<Vec<Option<String>>, Sent> {
        self.send(|buffer| frontend::query(command, buffer)).await?;
        let (mut row, mut failed) = (Vec::new(), None);
        loop {
            match self.read().await? {
                (b'D', body) if row.is_empty() => row = columns(body),
                (b'E', body) => failed = Some(error(body)),
                (b'Z', _) => return failed.map_or(Ok(row), Err),
                _ => {}
            }
        }
    }

    /// What it sends when it is to send WAL: `command` is START_REPLICATION.
    pub(super) async fn first_wal(&mut self, command: &str) -> Result<Sent, Sent> {
        self.send(|buffer| frontend::query(command, buffer)).await?;
        loop {
            match self.read().await? {
                (b'E', body) => return Ok(error(body)),
                (b'd', body) if body.first() == Some(&b'w') => return Ok(Sent::Wal),
                (b'Z', _) => return Ok(Sent::Nothing("the primary's timeline ends there".to_owned())),
                _ => {}
            }
        }
    }

    /// Takes leave, so that the server logs nothing.
    pub(super) async fn close(mut self) {
        let mut buffer = BytesMut::new();
        frontend::terminate(&mut buffer);
        let _ = self.stream.write_all(&buffer).await;
    }

    async fn send(&mut self, write: impl FnOnce(&mut BytesMut) -> std::io::Result<()>) -> Result<(), Sent> {
        let mut buffer = BytesMut::new();
        write(&mut buffer).map_err(broken)?;
        self.stream.write_all(&buffer).await.map_err(broken)
    }

    /// The next message: its kind and what it holds.
    async fn read(&mut self) -> Result<(u8, Bytes), Sent> {
        loop {
            if let Some((kind, mut rest)) = self.input.split_first().filter(|(_, rest)| rest.len() >= 4) {
                let (kind, length) = (*kind, rest.get_u32() as usize);
                if !(4..=LONGEST).contains(&length) {
                    return Err(broken("the primary does not speak PostgreSQL's protocol"));
                }
                if self.input.len() > length {
                    let mut message = self.input.split_to(length + 1).freeze();
                    message.advance(5);
                    return Ok((kind, message));
                }
            }
            if self.stream.read_buf(&mut self.input).await.map_err(broken)? == 0 {
                return Err(broken("the primary has closed the connection"));
            }
        }
    }
}

/// The columns of a DataRow.
fn columns(mut body: Bytes) -> Vec<Option<String>> {
    let count = if body.len() >= 2 { body.get_u16() } else { 0 };
    let mut column = || {
        let length = if body.len() >= 4 { usize::try_from(body.get_i32()).ok()? } else { return None };
        let value = body.split_to(length.min(body.len()));
        Some(String::from_utf8_lossy(&value).into_owned())
    };
    (0..count).map(|_| column()).collect()
}
