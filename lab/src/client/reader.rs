//! Looking at the servers once the writing is over.

use std::thread;
use std::time::Duration;

use tokio_postgres::Row;

use super::access::block_on;
use super::session::{Session, SessionError, within};
use super::{Access, ClientError, NodeAddress};
use crate::clock::Deadline;
use crate::history::{NodeState, Nodes, RowId};

/// How long one question may take.
const ANSWER_LIMIT: Duration = Duration::from_secs(10);
/// How often to ask again.
const PAUSE: Duration = Duration::from_millis(100);

/// By sequential scan: an index may hide a row that is there twice.
const NO_INDEX: &str = "SET enable_indexscan = off; SET enable_indexonlyscan = off; SET enable_bitmapscan = off";

const ROWS: &str = "SELECT client, seq FROM lab_commits";

const POSITION: &str = "SELECT pg_is_in_recovery(), (CASE WHEN pg_is_in_recovery() THEN pg_last_wal_replay_lsn() \
     ELSE pg_current_wal_flush_lsn() END - '0/0'::pg_lsn)::bigint";

/// The query for the columns of [`NodeState`] that follow the position.
const STATE: &str = "SELECT (SELECT system_identifier FROM pg_control_system()),
     CASE WHEN pg_is_in_recovery() THEN (SELECT received_tli FROM pg_stat_wal_receiver)
     ELSE ('x' || left(pg_walfile_name(pg_current_wal_insert_lsn()), 8))::bit(32)::bigint END,
     count(*), coalesce(md5(string_agg(line, E'\\n' ORDER BY line COLLATE \"C\")), '')
     FROM (SELECT c::text FROM lab_commits c UNION ALL SELECT w::text FROM lab_writable w
           UNION ALL SELECT a::text FROM lab_ackable a) AS lines (line)";

/// Reads which rows the commit table holds, as the server at `host` sees it. Tries again for `limit`.
pub fn read_rows(access: &Access, host: &str, limit: Duration) -> Result<Vec<RowId>, ClientError> {
    on_own_thread(access, async || {
        persistently(limit, &format!("the rows on {host}"), async || {
            let session = Session::open(access, host, ANSWER_LIMIT).await?;
            within(ANSWER_LIMIT, session.client.batch_execute(NO_INDEX)).await?;
            let rows = within(ANSWER_LIMIT, session.client.query(ROWS, &[])).await?;
            rows.iter().map(row_id).collect::<Result<Vec<RowId>, _>>().map_err(SessionError::Postgres)
        })
        .await
    })
}

/// Looks at all nodes once every standby has replayed the primary's present WAL, or `limit` is over.
///
/// No client may write meanwhile. [`Nodes::differences`] shows whether all is well. A node that does not answer within
/// `limit` is an error. The role must be allowed to read `pg_stat_wal_receiver` (`pg_monitor`).
pub fn compare_nodes(access: &Access, nodes: &[NodeAddress], limit: Duration) -> Result<Nodes, ClientError> {
    on_own_thread(access, async || {
        let deadline = Deadline::after(limit);
        let mut target = 0;
        for node in nodes {
            let (in_recovery, lsn) = position(access, node, limit).await?;
            target = if in_recovery { target } else { lsn.max(target) };
        }
        let mut states = Vec::new();
        for node in nodes {
            let mut state = state(access, node, limit).await?;
            while state.in_recovery && !settled(&state, target) && !deadline.passed() {
                tokio::time::sleep(PAUSE).await;
                state = self::state(access, node, limit).await?;
            }
            states.push(state);
        }
        Ok(Nodes { states, target })
    })
}

fn settled(standby: &NodeState, target: u64) -> bool {
    standby.lsn >= target && standby.timeline.is_some()
}

async fn position(access: &Access, node: &NodeAddress, limit: Duration) -> Result<(bool, u64), ClientError> {
    persistently(limit, &format!("the position of {}", node.name), async || {
        let session = Session::open(access, &node.host, ANSWER_LIMIT).await?;
        read_position(&session).await
    })
    .await
}

async fn read_position(session: &Session) -> Result<(bool, u64), SessionError> {
    let row = within(ANSWER_LIMIT, session.client.query_one(POSITION, &[])).await?;
    let lsn: Option<i64> = row.try_get(1).map_err(SessionError::Postgres)?;
    Ok((row.try_get(0).map_err(SessionError::Postgres)?, u64::try_from(lsn.unwrap_or_default()).unwrap_or_default()))
}

async fn state(access: &Access, node: &NodeAddress, limit: Duration) -> Result<NodeState, ClientError> {
    persistently(limit, &format!("the state of {}", node.name), async || {
        let session = Session::open(access, &node.host, ANSWER_LIMIT).await?;
        within(ANSWER_LIMIT, session.client.batch_execute(NO_INDEX)).await?;
        // The position first: the content is then at least as new.
        let (in_recovery, lsn) = read_position(&session).await?;
        let row = within(ANSWER_LIMIT, session.client.query_one(STATE, &[])).await?;
        node_state(node, in_recovery, lsn, &row).map_err(SessionError::Postgres)
    })
    .await
}

fn node_state(node: &NodeAddress, in_recovery: bool, lsn: u64, row: &Row) -> Result<NodeState, tokio_postgres::Error> {
    let timeline: Option<i64> = row.try_get(1)?;
    Ok(NodeState {
        node: node.name.clone(),
        in_recovery,
        system_identifier: row.try_get(0)?,
        timeline: timeline.and_then(|timeline| u32::try_from(timeline).ok()),
        lsn,
        rows: row.try_get(2)?,
        digest: row.try_get(3)?,
    })
}

fn row_id(row: &Row) -> Result<RowId, tokio_postgres::Error> {
    Ok(RowId { client: row.try_get(0)?, seq: row.try_get(1)? })
}

/// Tries until it works, at most for `limit`.
async fn persistently<T>(
    limit: Duration,
    what: &str,
    mut attempt: impl AsyncFnMut() -> Result<T, SessionError>,
) -> Result<T, ClientError> {
    let deadline = Deadline::after(limit);
    loop {
        match attempt().await {
            Ok(answer) => return Ok(answer),
            Err(error) if deadline.passed() => {
                return Err(ClientError::Late { what: what.to_owned(), limit, reason: error.to_string() });
            }
            Err(_) => tokio::time::sleep(PAUSE).await,
        }
    }
}

fn on_own_thread<T: Send>(
    access: &Access,
    work: impl AsyncFnOnce() -> Result<T, ClientError> + Send,
) -> Result<T, ClientError> {
    thread::scope(|scope| scope.spawn(|| block_on(access, work())?).join().unwrap_or(Err(ClientError::Panicked)))
}
