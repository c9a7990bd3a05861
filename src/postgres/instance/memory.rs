//! What this node remembers of the cluster, and for which data directory.

use super::Instance;
use crate::location::DirectoryId;
use crate::node::NodeName;
use crate::postgres::PostgresError;
use crate::rules::memory::Memory;

/// A primary has all WAL; a standby once it has flushed what its primary last said it had.
const HAS_ALL: &str = "SELECT NOT pg_catalog.pg_is_in_recovery() \
     OR (SELECT pg_catalog.pg_last_wal_receive_lsn() OPERATOR(pg_catalog.>=) latest_end_lsn \
     FROM pg_catalog.pg_stat_wal_receiver WHERE status OPERATOR(pg_catalog.=) 'streaming')";

impl Instance {
    pub(super) fn recollect(&mut self) -> Memory {
        let evidence = self.evidence.clone();
        self.as_user(|_| evidence.memory()).unwrap_or_else(|error| {
            log::warn!("{error}");
            Memory::default()
        })
    }

    pub(super) fn keep_in_mind(&mut self, memory: &Memory) -> Result<(), PostgresError> {
        let (evidence, user) = (self.evidence.clone(), self.user()?);
        evidence.prepare(&user)?;
        self.as_user(|_| evidence.remember(memory))
    }

    fn directory(&mut self) -> Option<DirectoryId> {
        self.as_user(|data| Ok(data.identity())).ok().flatten()
    }

    /// Whether the data directory is not the one that this node has vouched for. A node that has never vouched for any was
    /// set up anew.
    pub(super) fn is_replaced(&mut self) -> bool {
        let vouched = self.recollect().directory;
        vouched.is_none() || vouched != self.directory()
    }

    pub(super) fn has_forked_from(&mut self) -> Option<NodeName> {
        let (noted, node) = self.recollect().forked?;
        (self.directory() == Some(noted)).then_some(node)
    }

    pub(super) fn remember_fork(&mut self, from: Option<&NodeName>) {
        let forked = from.and_then(|node| Some((self.directory()?, node.clone())));
        let memory = self.recollect();
        if memory.forked == forked {
            return;
        }
        if let Err(error) = self.keep_in_mind(&Memory { forked, ..memory }) {
            log::warn!("whose timeline this data directory has written cannot be remembered: {error}");
        }
    }

    pub(super) fn vouch_for_directory(&mut self) -> Result<(), PostgresError> {
        if !self.is_replaced() {
            return Ok(());
        }
        let has_all = self.ask(HAS_ALL)?.into_iter().next().flatten();
        if has_all.as_deref() != Some("t") {
            return Ok(());
        }
        let memory = Memory { directory: self.directory(), ..self.recollect() };
        self.keep_in_mind(&memory)
    }
}
