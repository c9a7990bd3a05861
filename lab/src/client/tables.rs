//! The client's tables, and the statements on them.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use tokio_postgres::Row;

use super::session::{Session, SessionError, within};
use super::{ClientError, WriterConfig};
use crate::clock::Deadline;
use crate::history::Instance;

/// Probes have tables of their own: their rows do not count as acknowledged commits.
const CREATE: &str = "
    CREATE TABLE IF NOT EXISTS lab_commits
        (client int, seq bigint, node text, timeline int, pad text, PRIMARY KEY (client, seq));
    CREATE TABLE IF NOT EXISTS lab_writable (node text PRIMARY KEY, beats bigint);
    CREATE TABLE IF NOT EXISTS lab_ackable (node text, at timestamptz)";

/// Numbers never used before in this table, so that several writers can follow each other.
const FIRST_CLIENT: &str = "SELECT coalesce(max(client), 0) + 1 FROM lab_commits";

/// The timeline that is written to. That of `pg_control` is the last checkpoint's, which may precede a promotion.
macro_rules! timeline {
    () => {
        "('x' || left(pg_walfile_name(pg_current_wal_insert_lsn()), 8))::bit(32)::bigint"
    };
}

/// The columns that identify the answering instance.
macro_rules! instance {
    () => {
        concat!(
            timeline!(),
            ", (extract(epoch FROM pg_postmaster_start_time()) * 1000000)::bigint, current_setting('cluster_name')"
        )
    };
}

/// One transaction by itself. Its own row is not yet visible to its RETURNING, so this returns the row that was there before.
pub(super) const COMMIT: &str = concat!(
    "INSERT INTO lab_commits VALUES ($1, $2, current_setting('cluster_name'), ",
    timeline!(),
    ", repeat('.', 32)) RETURNING ",
    instance!(),
    ", (SELECT max(seq) FROM lab_commits WHERE client = $1)"
);

pub(super) const WRITABLE: &str = concat!(
    "INSERT INTO lab_writable AS w VALUES ($1, 1) ON CONFLICT (node) DO UPDATE SET beats = w.beats + 1 RETURNING ",
    instance!()
);

pub(super) const ACKABLE: &str = concat!("INSERT INTO lab_ackable VALUES ($1, now()) RETURNING ", instance!());

/// Reads the columns of `instance!()`; a server without a cluster name gets `fallback`.
pub(super) fn instance(row: &Row, fallback: &str) -> Result<Instance, SessionError> {
    let get = |error| SessionError::Postgres(error);
    let timeline: i64 = row.try_get(0).map_err(get)?;
    let node: String = row.try_get(2).map_err(get)?;
    Ok(Instance {
        started: row.try_get(1).map_err(get)?,
        timeline: u32::try_from(timeline).unwrap_or_default(),
        node: if node.is_empty() { fallback.to_owned() } else { node },
    })
}

/// Creates the tables where they are missing; gives the number of the writer's first client.
pub(super) async fn prepare(config: &WriterConfig, stop: &AtomicBool, limit: Duration) -> Result<i32, ClientError> {
    let deadline = Deadline::after(limit);
    loop {
        let failure = match try_to_prepare(config).await {
            Ok(first_client) => return Ok(first_client),
            Err(failure) => failure,
        };
        if deadline.passed() || stop.load(Ordering::Acquire) {
            let what = format!("the client's tables on {}", config.host);
            return Err(ClientError::Late { what, limit, reason: failure.to_string() });
        }
        tokio::time::sleep(config.reconnect_pause).await;
    }
}

async fn try_to_prepare(config: &WriterConfig) -> Result<i32, SessionError> {
    let session = Session::open_eagerly(&config.access, &config.host, config.connect_limit).await?;
    within(config.ack_limit, session.client.batch_execute(CREATE)).await?;
    within(config.ack_limit, async { session.client.query_one(FIRST_CLIENT, &[]).await?.try_get(0) }).await
}
