//! What the agent asks of the local PostgreSQL instance.

pub mod conninfo;
pub mod control;
mod environment;
mod error;
pub mod evidence;
pub mod history;
pub mod instance;
pub mod layout;
pub mod managed;
mod mounts;
pub mod oom;
pub mod passing_note;
pub mod peers;
pub mod pid_file;
pub mod processes;
mod returning;
mod rewind;
pub mod server_log;
pub mod session;
pub mod storage;
pub mod unit;
pub mod wal;
pub mod wal_end;
mod walsender;

use std::time::Duration;

use crate::clock::Deadline;
use crate::location::{Lsn, SystemId, Timeline};
use crate::node::NodeName;
use crate::rules::cut_off::CutOff;
use crate::rules::fitness::TooLow;
use crate::rules::leftovers::Leftovers;
use crate::rules::logical::Logical;
use crate::rules::managed::InForce;
use crate::rules::memory::Memory;
use crate::rules::progress::Mark;
use crate::rules::room::Room;
use crate::rules::scores::Replica;
use crate::rules::status::{Evidence, Phase};
use crate::rules::synchronous::waiting::Waiting;
use crate::rules::synchronous::weak::Override;
use crate::rules::{setup, slots};
use crate::vote::Vote;
pub use error::PostgresError;
use history::TimelineHistory;
use managed::{Managed, Setting};
pub use passing_note::About;
pub use returning::{Outlook, Place, Returning};
pub use walsender::Identity;

/// The local instance.
pub trait Postgres: Returning {
    /// What start needs to know about this node.
    ///
    /// # Errors
    ///
    /// When the data directory cannot be read or there are no programs for it.
    fn setup(&mut self) -> Result<setup::Node, PostgresError>;

    /// The evidence about its state, within a few seconds in any state.
    fn evidence(&mut self) -> Evidence;

    /// How far it says it has come; nothing when no process uses the data directory. Cheaper than [`Postgres::evidence`]
    /// and no burden on the server, so this is what waits ask.
    fn phase(&mut self) -> Option<Phase>;

    /// The room for more WAL; nothing if it cannot be determined.
    fn room(&mut self) -> Option<Room>;

    /// How far recovery has come, while it starts or is promoted; nothing where that cannot be seen.
    fn recovery(&mut self) -> Option<Mark>;

    /// What its processes say about themselves in their titles.
    fn titles(&mut self) -> Vec<String>;

    /// What was wrong with the files of the server that [`Postgres::evidence`] saw last.
    fn leftovers(&mut self) -> Leftovers {
        Leftovers::default()
    }

    /// Whether its processes have no postmaster: nothing is left that a clean shutdown could be asked of.
    fn is_orphaned(&mut self) -> bool {
        false
    }

    /// How far its WAL reaches, whether it runs or not. What cannot be read until `until` is left to the next vote, which
    /// reads on: the vote says so.
    ///
    /// # Errors
    ///
    /// When nothing at all is known.
    fn vote(&mut self, until: Deadline) -> Result<Vote, PostgresError>;

    /// Its database; nothing if it cannot be determined.
    fn system(&mut self) -> Option<SystemId>;

    /// What this node remembers of the cluster; nothing where that cannot be read.
    fn memory(&mut self) -> Memory;

    /// Remembers this. What cannot be remembered is logged.
    fn remember(&mut self, memory: &Memory);

    /// Notes that its data directory has everything that the primary has acknowledged: it is the primary, or a standby that
    /// has received all WAL. Does nothing where that is not so, or is noted already.
    ///
    /// # Errors
    ///
    /// When the server does not say how far it is, or the note cannot be written.
    fn vouch(&mut self) -> Result<(), PostgresError>;

    /// The node whose timeline this data directory has written by itself, as far as that was noted: [`Memory::forked`].
    fn forked(&mut self) -> Option<NodeName>;

    /// Notes that this data directory has written the timeline of that node by itself, or that it has not.
    fn note_fork(&mut self, from: Option<&NodeName>);

    /// What an earlier action on this node has noted, since it was booted.
    fn passing_note(&mut self, about: About) -> Option<String>;

    /// Notes this for a later action, or that there is nothing to note. Whether it could.
    fn pass_on(&mut self, about: About, text: Option<&str>) -> bool;

    /// How `timeline` came about.
    ///
    /// # Errors
    ///
    /// When its history file cannot be read or understood.
    fn history(&mut self, timeline: Timeline) -> Result<TimelineHistory, PostgresError>;

    /// Its `synchronous_standby_names`. It must run. Where it admits no session, it is made to read its files, and what those say
    /// counts.
    ///
    /// # Errors
    ///
    /// When it does not say.
    fn synchronous_standby_names(&mut self) -> Result<String, PostgresError>;

    /// The contents of the agent's own configuration file; nothing if there is none.
    ///
    /// # Errors
    ///
    /// When it cannot be read.
    fn managed(&mut self) -> Result<Managed, PostgresError>;

    /// Replaces the agent's own configuration file, and has the server read it if it runs.
    ///
    /// # Errors
    ///
    /// When it cannot be written, or the server cannot be signalled.
    fn write_managed(&mut self, managed: &Managed) -> Result<(), PostgresError>;

    /// Where a setting stands, and where else. It must run. Where it admits no session, it is made to read its files, and what
    /// those say counts.
    ///
    /// # Errors
    ///
    /// When it does not say.
    fn setting(&mut self, setting: Setting) -> Result<InForce, PostgresError>;

    /// How it is linked to other nodes. It must run.
    ///
    /// # Errors
    ///
    /// When it does not say.
    fn links(&mut self) -> Result<Links, PostgresError>;

    /// Changes one of its slots.
    ///
    /// # Errors
    ///
    /// When it refuses.
    fn change_slot(&mut self, step: &slots::Step) -> Result<(), PostgresError>;

    /// The standbys that replicate from it. It must be the primary.
    ///
    /// # Errors
    ///
    /// When it does not say.
    fn replication(&mut self) -> Result<Replication, PostgresError>;

    /// By which name a primary would know it, whether it runs or not; none where it follows no primary, or the name is unknown.
    fn known_as(&mut self) -> Option<String> {
        None
    }

    /// Whether it receives WAL from a primary. It must be a standby.
    ///
    /// # Errors
    ///
    /// When it does not say.
    fn upstream(&mut self) -> Result<Upstream, PostgresError>;

    /// Whether a WAL sender does stream to it, not only the receiver tries: a message has arrived. It must be a standby.
    ///
    /// # Errors
    ///
    /// When it does not say.
    fn follows(&mut self) -> Result<bool, PostgresError> {
        Ok(self.upstream()? == Upstream::Streaming)
    }

    /// Makes a standby that waits for its next attempt to reach its primary (`wal_retrieve_retry_interval`) try now. On any other it
    /// changes nothing. Returns whether there was one that waits.
    ///
    /// # Errors
    ///
    /// When the process that waits may not be signalled.
    fn try_now(&mut self) -> Result<bool, PostgresError> {
        Ok(false)
    }

    /// That a standby that `streams` or not has received nothing for long; nothing where that is not so.
    fn cut_off(&mut self, streams: bool) -> Option<CutOff>;

    /// The commits that wait for a synchronous standby now. It must run as a primary.
    ///
    /// # Errors
    ///
    /// When it does not say.
    fn waiting(&mut self) -> Result<Waiting, PostgresError> {
        Ok(Waiting::default())
    }

    /// Where `synchronous_commit` has another value than the configuration's. It must run.
    ///
    /// # Errors
    ///
    /// When it does not say.
    fn overrides(&mut self) -> Result<Vec<Override>, PostgresError> {
        Ok(Vec::new())
    }

    /// Writes a checkpoint, so that the shutdown to come is short. Gives up after `patience`.
    ///
    /// # Errors
    ///
    /// When it is refused or takes longer; harmless.
    fn checkpoint(&mut self, patience: Duration) -> Result<(), PostgresError>;

    /// Starts it as a standby and does not wait for it.
    ///
    /// # Errors
    ///
    /// When the server program cannot be started.
    fn launch_standby(&mut self) -> Result<(), PostgresError>;

    /// What the server said since [`Postgres::launch_standby`], in one line: why it did not come up.
    fn last_words(&mut self) -> Option<String>;

    /// Asks or forces it to end, and does not wait for it.
    ///
    /// # Errors
    ///
    /// When a process cannot be signalled.
    fn end(&mut self, how: End) -> Result<(), PostgresError>;

    /// The newest timeline of which it has a history file, or its first.
    ///
    /// # Errors
    ///
    /// When `pg_wal` cannot be read.
    fn newest_timeline(&mut self) -> Result<Timeline, PostgresError>;

    /// Makes it begin `next`, and no earlier timeline, when it is promoted from `timeline`.
    ///
    /// # Errors
    ///
    /// When a file in `pg_wal` cannot be written.
    fn take_timelines(&mut self, timeline: Timeline, next: Timeline) -> Result<(), PostgresError>;

    /// Asks it to become the primary and does not wait for it.
    ///
    /// # Errors
    ///
    /// When it cannot be asked.
    fn promote(&mut self) -> Result<(), PostgresError>;
}

/// How to end an instance; each needs nothing but its processes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum End {
    /// Disconnect clients, write the shutdown checkpoint, wait until it is sent: SIGINT.
    Fast,
    /// End at once; the next start recovers: SIGQUIT.
    Immediate,
    /// SIGKILL to every process that uses the data directory.
    Kill,
}

/// The standbys that replicate from a primary.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Replication {
    /// Where the primary writes now.
    pub current: Lsn,
    /// Its timeline.
    pub timeline: Timeline,
    /// Its `synchronous_standby_names`.
    pub synchronous_standby_names: String,
    /// The `synchronous_commit` of the agent's session.
    pub synchronous_commit: String,
    /// Whether that has another value for some role or database: [`Postgres::overrides`].
    pub overridden: bool,
    /// All rows of `pg_stat_replication`.
    pub replicas: Vec<Replica>,
}

/// Where a standby's WAL comes from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Upstream {
    /// A primary, or another standby, sends it.
    Streaming,
    /// No server sends it WAL.
    Disconnected,
    /// From an archive only: no `primary_conninfo`.
    ArchiveOnly,
}

/// How an instance is linked to other nodes.
#[derive(Clone, Default)]
pub struct Links {
    /// Its `primary_conninfo`, with its secrets.
    pub conninfo: String,
    /// Its `cluster_name`.
    pub cluster_name: String,
    /// It is a standby whose replay is paused, and these settings are below what the primary had when it wrote the WAL.
    pub too_low: Vec<TooLow>,
    /// It receives WAL over a connection that is younger than 20 s.
    pub just_connected: bool,
    /// What it is set up for, and its slots.
    pub setup: slots::Setup,
    /// The last checkpoint was written less than half a minute ago.
    pub checkpointed: bool,
    /// Its logical slots that are to outlive the primary.
    pub logical: Logical,
}
