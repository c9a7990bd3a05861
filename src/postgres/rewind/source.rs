//! The server that this node replicates from: the source of a rewind and of a copy, and the one that is asked before.

use super::hindered::Hindered;
use super::{Geometry, Rewind};
use crate::location::SystemId;
use crate::postgres::PostgresError;
use crate::postgres::conninfo::{Conninfo, Password};
use crate::postgres::walsender::{self, Asking, Need};
use crate::privileges::SystemUser;
use crate::rules::primary_wal::PrimaryWal;
use crate::vote::Vote;

impl Rewind<'_> {
    /// What a setting will be.
    pub(in crate::postgres) fn setting(&self, name: &str) -> Result<String, PostgresError> {
        let server = self.postgres(&[])?;
        Ok(server.arg("-C").arg(name).run(self.runtime, self.left())?.trim_end_matches('\n').to_owned())
    }

    /// The server to rewind from: the one that this node replicates from; and the password, which goes another way.
    pub(super) fn source(&self) -> Result<(Conninfo, Option<Password>), Hindered> {
        let (mut source, password) = self.upstream("pg_rewind")?;
        source.set("dbname", "postgres");
        if let Some(user) = &self.config.rejoin_user {
            source.set("user", user.as_str());
        }
        Ok((source, password))
    }

    /// How `program` connects to the server that this node replicates from, and the password, which goes another way.
    pub(super) fn upstream(&self, program: &str) -> Result<(Conninfo, Option<Password>), Hindered> {
        let conninfo: Conninfo = self
            .setting("primary_conninfo")?
            .parse()
            .map_err(|error| Hindered::Lasting(format!("primary_conninfo: {error}")))?;
        if conninfo.iter().next().is_none() {
            return Err(Hindered::Lasting("primary_conninfo is not set: there is no server to copy from".to_owned()));
        }
        let (mut source, password) = conninfo.split();
        source.remove("replication");
        source.set("application_name", program);
        if source.get("connect_timeout").is_none() {
            source.set("connect_timeout", "5");
        }
        Ok((source, password))
    }

    /// Whether the server that this node replicates from still has the WAL after the end of this node's WAL, which is `vote`'s. It is
    /// asked as the WAL receiver asks: from the beginning of the segment on.
    pub(in crate::postgres) fn ask_for_wal(&self, vote: &Vote, user: &SystemUser) -> Result<PrimaryWal, PostgresError> {
        let (conninfo, password) = match self.upstream("pgsqlms") {
            Ok(upstream) => upstream,
            Err(hindered) => return Ok(PrimaryWal::Unknown(hindered.why())),
        };
        let geometry: Geometry = self.geometry()?;
        let need = Need {
            system: SystemId(geometry.system_identifier()),
            timeline: vote.history.timeline_at(vote.lsn()),
            segment: geometry.segment_start(vote.lsn()),
        };
        let asking =
            Asking { conninfo: &conninfo, password: password.as_ref(), account: user.name(), home: user.home() };
        let answer = walsender::ask(self.runtime, &asking, need, self.left());
        log::debug!("asked for WAL from {} on timeline {}: {answer:?}", need.segment, need.timeline);
        Ok(answer)
    }
}
