//! One question to another instance, over a replication connection without a slot: does it still send the WAL that this node needs
//! next, as the WAL receiver asks it; or its identity. tokio-postgres does not speak that part of the protocol. The caller acts as
//! the PostgreSQL user.

mod conversation;
mod endpoint;
#[cfg(test)]
mod tests;

use std::path::Path;
use std::task::Poll;
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpStream, UnixStream};
use tokio::runtime::Runtime;

use super::conninfo::{Conninfo, Password};
use crate::location::{Lsn, SystemId, Timeline};
use crate::parameters::Host;
use crate::rules::primary_wal::{Answers, PrimaryWal, Sent, judge};
use conversation::{Conversation, Login};
use endpoint::Endpoint;

/// What a node needs next.
#[derive(Debug, Clone, Copy)]
pub(super) struct Need {
    /// Its database.
    pub(super) system: SystemId,
    /// The timeline that its WAL ends on.
    pub(super) timeline: Timeline,
    /// The beginning of the segment that its WAL ends in.
    pub(super) segment: Lsn,
}

/// The identity of an instance, and its position.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Identity {
    /// Its database.
    pub system: Option<SystemId>,
    /// The timeline that it writes or replays.
    pub timeline: Option<Timeline>,
    /// Where it writes, or how far it has received.
    pub lsn: Option<Lsn>,
    /// Whether it is a standby. Nothing where it does not say.
    pub in_recovery: Option<bool>,
    /// What commits wait for there, or would.
    pub synchronous: Option<String>,
}

/// The server to ask, and the account.
pub(super) struct Asking<'a> {
    /// Where, without the password.
    pub(super) conninfo: &'a Conninfo,
    /// That password, if it is known.
    pub(super) password: Option<&'a Password>,
    /// The account, whose name is the role where none is given.
    pub(super) account: &'a str,
    /// Its home.
    pub(super) home: &'a Path,
}

/// What is asked.
#[derive(Debug, Clone, Copy)]
enum Question {
    /// Whether it sends this.
    Wal(Need),
    /// Its identity.
    Identity,
    /// What waits for a restart.
    Pending,
    /// What it does, and who replicates from it.
    Details,
}

impl Question {
    /// What is asked in SQL: one row.
    fn sql(self) -> Option<&'static str> {
        match self {
            Question::Pending => Some(PENDING),
            Question::Details => Some(DETAILS),
            Question::Wal(_) | Question::Identity => None,
        }
    }
}

/// Such a connection takes SQL, with the rights of its role, if it names a database. All roles may see this.
const PENDING: &str =
    "SELECT pg_catalog.string_agg(name, ' ' ORDER BY name) FROM pg_catalog.pg_settings WHERE pending_restart";

/// Everybody may see that, and the names of the connections of one's own role. Names may have blanks.
const DETAILS: &str = "SELECT CASE WHEN standby THEN pg_catalog.pg_last_wal_replay_lsn() END, \
     CASE WHEN standby THEN pg_catalog.pg_is_wal_replay_paused() ELSE false END, \
     (SELECT pg_catalog.string_agg(application_name, E'\\n') FROM pg_catalog.pg_stat_replication), \
     (SELECT pg_catalog.string_agg(name, ' ' ORDER BY name) FROM pg_catalog.pg_settings WHERE pending_restart), \
     (SELECT pg_catalog.string_agg(name || '=' || setting, ' ') FROM pg_catalog.pg_settings WHERE name IN ('max_connections', \
         'max_worker_processes', 'max_wal_senders', 'max_prepared_transactions', 'max_locks_per_transaction')) \
     FROM (SELECT pg_catalog.pg_is_in_recovery() AS standby) one";

/// Which is there on every server, and which a role that rewinds must be let in to.
const DATABASE: &str = "postgres";

/// What is heard.
#[derive(Debug, Default)]
struct Heard {
    identity: Identity,
    /// What was asked in SQL.
    row: Vec<Option<String>>,
    /// What it sends, or why it says nothing more.
    sent: Option<Sent>,
}

impl Heard {
    fn nothing(why: String) -> Self {
        Self { sent: Some(Sent::Nothing(why)), ..Self::default() }
    }

    fn answers(self) -> Answers {
        let Identity { system, in_recovery, .. } = self.identity;
        Answers { system, in_recovery, sent: self.sent.unwrap_or(Sent::Nothing("it was not asked".to_owned())) }
    }
}

/// What the primary says about that, within `patience`.
pub(super) fn ask(runtime: &Runtime, asking: &Asking, need: Need, patience: Duration) -> PrimaryWal {
    let endpoints = match endpoint::all(asking.conninfo) {
        Ok(endpoints) => endpoints,
        Err(why) => return PrimaryWal::Unknown(why),
    };
    let answer = async {
        let mut last = PrimaryWal::default();
        for endpoint in &endpoints {
            last = judge(need.system, &connect(asking, endpoint, Question::Wal(need)).await.answers());
            if !matches!(last, PrimaryWal::Unknown(_)) {
                break;
            }
        }
        last
    };
    let silent = || PrimaryWal::Unknown(format!("no answer within {:.1} s", patience.as_secs_f64()));
    runtime.block_on(async { tokio::time::timeout(patience, answer).await }).unwrap_or_else(|_| silent())
}

/// The identity of the instance there, within `patience`.
///
/// # Errors
///
/// The reason why the node does not answer.
pub(super) fn identify(runtime: &Runtime, asking: &Asking, patience: Duration) -> Result<Identity, String> {
    Ok(hear(runtime, asking, Question::Identity, patience)?.identity)
}

/// The names of the settings that wait for a restart there, within `patience`.
///
/// # Errors
///
/// The reason why the node does not answer.
pub(super) fn pending(runtime: &Runtime, asking: &Asking, patience: Duration) -> Result<String, String> {
    Ok(hear(runtime, asking, Question::Pending, patience)?.row.into_iter().next().flatten().unwrap_or_default())
}

/// Who is at each of these places, and what it does in columns of [`DETAILS`]: all are asked at once, within `patience`.
pub(super) fn look(
    runtime: &Runtime,
    asking: &[Asking],
    patience: Duration,
) -> Vec<(Result<Identity, String>, Details)> {
    let ask = |asking| {
        let both = [Question::Identity, Question::Details].map(|question| heard(asking, question, patience));
        Box::pin(all(both.into()))
    };
    let heard = runtime.block_on(all(asking.iter().map(ask).collect()));
    let pair = |heard: Vec<Result<Heard, String>>| {
        let mut heard = heard.into_iter();
        let mut next = || heard.next().unwrap_or_else(|| Err("it was not asked".to_owned()));
        (next().map(|heard| heard.identity), next().map(|heard| heard.row))
    };
    heard.into_iter().map(pair).collect()
}

/// The columns of [`DETAILS`].
pub(super) type Details = Result<Vec<Option<String>>, String>;

/// All of them at once.
async fn all<F: Future>(futures: Vec<F>) -> Vec<F::Output> {
    let mut pending: Vec<_> = futures.into_iter().map(|future| (Box::pin(future), None)).collect();
    std::future::poll_fn(|context| {
        for (future, done) in pending.iter_mut().filter(|(_, done)| done.is_none()) {
            if let Poll::Ready(output) = future.as_mut().poll(context) {
                *done = Some(output);
            }
        }
        if pending.iter().all(|(_, done)| done.is_some()) { Poll::Ready(()) } else { Poll::Pending }
    })
    .await;
    pending.into_iter().filter_map(|(_, done)| done).collect()
}

/// What the first place says that says anything.
fn hear(runtime: &Runtime, asking: &Asking, question: Question, patience: Duration) -> Result<Heard, String> {
    runtime.block_on(heard(asking, question, patience))
}

async fn heard(asking: &Asking<'_>, question: Question, patience: Duration) -> Result<Heard, String> {
    let endpoints = endpoint::all(asking.conninfo)?;
    let answer = async {
        let mut last = "there is nowhere to ask".to_owned();
        for endpoint in &endpoints {
            let heard = connect(asking, endpoint, question).await;
            last = match heard.sent {
                None => return Ok(heard),
                Some(Sent::Error { message, .. } | Sent::Nothing(message)) => message,
                Some(Sent::Wal) => "it sends WAL that was not requested".to_owned(),
            };
        }
        Err(last)
    };
    let silent = |_| Err(format!("no answer within {:.1} s", patience.as_secs_f64()));
    tokio::time::timeout(patience, answer).await.unwrap_or_else(silent)
}

/// What one of the places says.
async fn connect(asking: &Asking<'_>, endpoint: &Endpoint, question: Question) -> Heard {
    let failed = |error: std::io::Error| Heard::nothing(format!("{}: {error}", endpoint.name));
    match &endpoint.host {
        Host::Directory(directory) => {
            match UnixStream::connect(directory.join(format!(".s.PGSQL.{}", endpoint.port))).await {
                Ok(stream) => converse(stream, asking, endpoint, question).await,
                Err(error) => failed(error),
            }
        }
        Host::Name(_) if needs_tls(asking.conninfo) => {
            Heard::nothing("primary_conninfo asks for TLS, which pgsqlms does not speak".to_owned())
        }
        Host::Name(name) => match TcpStream::connect((name.as_str(), endpoint.port)).await {
            Ok(stream) => converse(stream, asking, endpoint, question).await,
            Err(error) => failed(error),
        },
    }
}

/// Whether libpq would connect over TCP by TLS only.
fn needs_tls(conninfo: &Conninfo) -> bool {
    !matches!(conninfo.get("sslmode"), None | Some("disable" | "allow" | "prefer"))
}

/// What the server at the other end says.
async fn converse<S>(stream: S, asking: &Asking<'_>, endpoint: &Endpoint, question: Question) -> Heard
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    let conninfo = asking.conninfo;
    let user = conninfo.get("user").unwrap_or(asking.account);
    let password = asking.password.map(|password| password.reveal().to_owned());
    let password = password.or_else(|| endpoint.password(conninfo, user, asking.home));
    // No node is called so: a name has no spaces. And no two nodes that ask at once are called alike.
    let name = format!("pgsqlms asks {}", std::process::id());
    let options = conninfo.get("options").map(|options| ("options", options));
    let parameters: Vec<(&str, &str)> = [("application_name", name.as_str())].into_iter().chain(options).collect();
    let database = question.sql().map(|_| DATABASE);
    let (password, in_clear) = (password.as_deref(), !endpoint.is_remote());
    let login = Login { parameters: &parameters, database, user, password, in_clear };
    let mut heard = Heard::default();
    heard.sent = put(stream, &login, question, &mut heard).await.unwrap_or_else(Some);
    heard
}

/// Puts the question; returns the answer. The identity of the server is noted in any case.
async fn put<S>(stream: S, login: &Login<'_>, question: Question, heard: &mut Heard) -> Result<Option<Sent>, Sent>
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    let mut conversation = Conversation::open(stream, login).await?;
    let row = conversation.row("IDENTIFY_SYSTEM").await?;
    let column = |number: usize| row.get(number).and_then(Option::as_deref);
    let identity = &mut heard.identity;
    identity.system = column(0).and_then(|id| id.parse().ok()).map(SystemId);
    identity.timeline = column(1).and_then(|timeline| timeline.parse().ok()).map(Timeline);
    identity.lsn = column(2).and_then(|lsn| lsn.parse().ok());
    let sent = match question {
        Question::Identity => {
            identity.in_recovery = conversation.in_recovery().await?;
            let row = conversation.row("SHOW synchronous_standby_names").await?;
            identity.synchronous = row.into_iter().next().flatten();
            None
        }
        Question::Pending | Question::Details => {
            heard.row = conversation.row(question.sql().unwrap_or_default()).await?;
            None
        }
        Question::Wal(need) if identity.system != Some(need.system) => {
            Some(Sent::Nothing("it has another database".to_owned()))
        }
        Question::Wal(need) => {
            identity.in_recovery = conversation.in_recovery().await?;
            let command = format!("START_REPLICATION PHYSICAL {} TIMELINE {}", need.segment, need.timeline);
            Some(conversation.first_wal(&command).await?)
        }
    };
    conversation.close().await;
    Ok(sent)
}
