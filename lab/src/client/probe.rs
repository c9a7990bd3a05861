//! The probe for a second primary: does this very node accept writes now?
//!
//! Two connections for each node, to its own address: one asks whether it accepts writes at all, the other whether it
//! acknowledges commits as its configuration demands. A node that does not is left alone until the next beat.

use std::sync::Arc;

use tokio_postgres::Statement;

use super::session::{Patience, Session, SessionError, within};
use super::{NodeAddress, Work, tables};
use crate::history::{Beat, Event, Proof};

/// Asks `node` again and again whether it accepts writes, be it locally only.
pub(super) async fn writable(work: Work, node: NodeAddress) {
    let setup = "SET synchronous_commit = local";
    let patience = Patience::new(&work);
    Probe { work, node, proof: Proof::Writable, setup, write: tables::WRITABLE, patience }.run().await;
}

/// Asks `node` again and again whether it acknowledges commits.
pub(super) async fn ackable(work: Work, node: NodeAddress) {
    let patience = Patience::new(&work);
    Probe { work, node, proof: Proof::Ackable, setup: "", write: tables::ACKABLE, patience }.run().await;
}

struct Probe {
    work: Work,
    node: NodeAddress,
    proof: Proof,
    setup: &'static str,
    write: &'static str,
    patience: Patience,
}

impl Probe {
    async fn run(mut self) {
        while !self.work.stopped() {
            // The next attempt shows whether the node is up: the reason why this connection ended does not matter.
            let _ = self.beat_while_connected().await;
            tokio::time::sleep(self.work.config.probe_period).await;
        }
    }

    async fn beat_while_connected(&mut self) -> Result<(), SessionError> {
        let config = Arc::clone(&self.work.config);
        let session = Session::open(&config.access, &self.node.host, config.connect_limit).await?;
        within(config.connect_limit, session.client.batch_execute(self.setup)).await?;
        let mut write = None;
        while !self.work.stopped() {
            if self.is_primary(&session).await? {
                if write.is_none() {
                    write = Some(within(config.connect_limit, session.client.prepare(self.write)).await?);
                }
                if let Some(write) = &write {
                    self.beat(&session, write).await?;
                }
            }
            tokio::time::sleep(config.probe_period).await;
        }
        Ok(())
    }

    /// Asked first only to spare a standby's log a refused write every period; it proves nothing.
    async fn is_primary(&self, session: &Session) -> Result<bool, SessionError> {
        let limit = self.work.config.connect_limit;
        within(limit, async { session.client.query_one("SELECT NOT pg_is_in_recovery()", &[]).await?.try_get(0) }).await
    }

    async fn beat(&mut self, session: &Session, write: &Statement) -> Result<(), SessionError> {
        session.take_warnings();
        let sent = self.work.journal.now();
        let row = self.patience.wait(session.client.query_one(write, &[&self.node.name])).await?;
        let acked = self.work.journal.now();
        if session.take_warnings().is_empty() {
            let instance = tables::instance(&row, &self.node.name)?;
            self.work.journal.record(Event::Beat(Beat { instance, proof: self.proof, sent, acked }));
        }
        Ok(())
    }
}
