//! The real instance: its files, its processes, its signals, one session.

mod asking;
mod ending;
mod following;
mod launching;
mod links;
mod load;
mod looking;
mod memory;
mod outset;
mod overview;
mod pid_files;
mod replication;
mod returning;
mod settings;
mod storage;
mod voting;

use std::fs::File;
use std::rc::Rc;
use std::time::Duration;

use nix::fcntl::Flock;
use tokio::runtime::Runtime;

use super::evidence::EvidenceDirectory;
use super::history::TimelineHistory;
use super::layout::DataDirectory;
use super::managed::{Managed, Setting};
use super::pid_file::PidFile;
use super::processes::{self, Processes, ServerProcess};
use super::rewind::Rewind;
use super::server_log::ServerLog;
use super::session::Session;
use super::{About, End, Links, Postgres, PostgresError, Replication, Upstream, passing_note, wal_end};
use crate::accounts::Lookup;
use crate::clock::{Clock, Deadline};
use crate::location::{SystemId, Timeline};
use crate::node::NodeName;
use crate::parameters::Config;
use crate::privileges::{PrivilegeError, SystemUser};
use crate::rules::check::Source;
use crate::rules::cut_off::CutOff;
use crate::rules::leftovers::Leftovers;
use crate::rules::managed::InForce;
use crate::rules::memory::Memory;
use crate::rules::progress::Mark;
use crate::rules::room::Room;
use crate::rules::status::{Answer, Evidence, Phase};
use crate::rules::synchronous::waiting::Waiting;
use crate::rules::synchronous::weak::Override;
use crate::rules::{setup, slots};
use crate::vote::Vote;

const SYNCHRONOUS: &str = "SELECT pg_catalog.current_setting('synchronous_standby_names')";

/// The instance that the resource's parameters name.
pub struct Instance {
    config: Config,
    data: DataDirectory,
    evidence: EvidenceDirectory,
    resource: String,
    user: Option<Result<SystemUser, PrivilegeError>>,
    /// Where the account may be looked for.
    lookup: Lookup,
    runtime: Rc<Runtime>,
    clock: Rc<dyn Clock>,
    deadline: Deadline,
    session: Option<Session>,
    /// A session hung in this action; what was found then.
    hung: Option<Answer>,
    /// Whether the storage was tried in this action.
    storage_is_tried: bool,
    /// `postmaster.pid` as it was when its processes were looked for last, for the question that follows.
    pid_file: Option<PidFile>,
    /// The kernel does not let root look at the PostgreSQL user's processes.
    is_blind: bool,
    /// What was wrong with its files when it was looked at last.
    leftovers: Leftovers,
    /// Where the server that was started here speaks.
    log: Option<ServerLog>,
    /// The server that was started here.
    launched: Option<launching::Launched>,
    /// No other process rebuilds it meanwhile.
    rebuilds: Option<Flock<File>>,
}

impl Instance {
    /// The instance of `config`, which belongs to `resource`, and whose questions are all given up at `deadline`.
    pub fn new(config: Config, resource: &str, runtime: Rc<Runtime>, clock: Rc<dyn Clock>, deadline: Deadline) -> Self {
        let data = DataDirectory::new(config.datadir());
        let evidence = EvidenceDirectory::new(&config.evidence_dir, resource);
        let (resource, user, lookup) = (resource.to_owned(), None, Lookup::Once);
        let (session, hung, storage_is_tried) = (None, None, false);
        let (pid_file, log, rebuilds) = (None, None, None);
        Self {
            config,
            data,
            evidence,
            resource,
            user,
            lookup,
            runtime,
            clock,
            deadline,
            session,
            hung,
            storage_is_tried,
            pid_file,
            is_blind: false,
            leftovers: Leftovers::default(),
            log,
            launched: None,
            rebuilds,
        }
    }

    /// Looks for the PostgreSQL user there.
    #[must_use]
    pub fn looking_up(self, lookup: Lookup) -> Self {
        Self { lookup, ..self }
    }

    /// The PostgreSQL user, which is looked up once.
    fn user(&mut self) -> Result<SystemUser, PrivilegeError> {
        let (name, lookup) = (&self.config.system_user, self.lookup);
        self.user.get_or_insert_with(|| SystemUser::find(name, lookup)).clone()
    }

    /// Does `work` on the data directory as the PostgreSQL user.
    fn as_user<T>(
        &mut self,
        work: impl FnOnce(&DataDirectory) -> Result<T, PostgresError>,
    ) -> Result<T, PostgresError> {
        let user = self.user()?;
        user.act(|| work(&self.data))?
    }

    /// Does some work of a rewind as the PostgreSQL user.
    fn with_rewind<T>(
        &mut self,
        until: Deadline,
        work: impl FnOnce(&Rewind) -> Result<T, PostgresError>,
    ) -> Result<T, PostgresError> {
        let (config, evidence) = (self.config.clone(), self.evidence.clone());
        let (runtime, clock) = (Rc::clone(&self.runtime), Rc::clone(&self.clock));
        let (runtime, clock) = (runtime.as_ref(), clock.as_ref());
        self.as_user(|data| work(&Rewind { data, config: &config, evidence: &evidence, runtime, clock, until }))
    }
}

impl Postgres for Instance {
    fn setup(&mut self) -> Result<setup::Node, PostgresError> {
        self.look_at_setup()
    }

    fn evidence(&mut self) -> Evidence {
        let processes = self.processes();
        let signal_files = self
            .as_user(|data| Ok((data.has("backup_label"), data.has("standby.signal"), data.has("recovery.signal"))));
        let (backup_label, standby_signal, recovery_signal) = signal_files.unwrap_or_default();
        self.leftovers.recovery_signal = recovery_signal;
        if let Some(unclear) = processes.unclear {
            return Evidence::Unclear(unclear);
        }
        let Some(postmaster) = processes.postmaster else {
            if !processes.orphans.is_empty() {
                let count = processes.orphans.len();
                return Evidence::Orphans { count, control: self.control_state(), standby_signal };
            }
            return Evidence::NoProcess { control: self.control_state(), backup_label, standby_signal };
        };
        let phase = self.phase_of(postmaster);
        let answer = if postmaster.frozen { Answer::NotYet } else { self.answer_in_steps(postmaster.pid) };
        let control = if matches!(answer, Answer::Role(_)) { None } else { self.control_state() };
        let answer = self.blame_storage(answer, control);
        let ServerProcess { pid, frozen, .. } = postmaster;
        Evidence::Postmaster { pid, frozen, phase, answer, control, standby_signal }
    }

    fn phase(&mut self) -> Option<Phase> {
        let Processes { postmaster, orphans, unclear } = self.processes();
        match postmaster {
            Some(postmaster) => Some(self.phase_of(postmaster)),
            None if !orphans.is_empty() || unclear.is_some() => Some(Phase::Unknown),
            None => self.launched_lives().then_some(Phase::Starting),
        }
    }

    fn room(&mut self) -> Option<Room> {
        let segment = self.control().ok()?.wal_segment_size.into();
        let free = self.as_user(|data| data.free("pg_wal")).map_err(|error| log::debug!("{error}")).ok()?;
        Some(Room { free, segment })
    }

    fn recovery(&mut self) -> Option<Mark> {
        self.look(|data, pgdata| processes::recovery(data.path(), pgdata))
    }

    fn titles(&mut self) -> Vec<String> {
        self.look(|data, pgdata| processes::titles(data.path(), pgdata))
    }

    fn leftovers(&mut self) -> Leftovers {
        self.leftovers
    }

    fn is_orphaned(&mut self) -> bool {
        let Processes { orphans, unclear, .. } = self.processes();
        !orphans.is_empty() && unclear.is_none()
    }

    fn vote(&mut self, until: Deadline) -> Result<Vote, PostgresError> {
        self.look_at_wal(until)
    }

    fn system(&mut self) -> Option<SystemId> {
        let control = self.control().map_err(|error| log::debug!("{error}")).ok()?;
        Some(SystemId(control.system_identifier))
    }

    fn memory(&mut self) -> Memory {
        self.recollect()
    }

    fn remember(&mut self, memory: &Memory) {
        if let Err(error) = self.keep_in_mind(memory) {
            log::warn!("what the cluster has recorded cannot be remembered: {error}");
        }
    }

    fn vouch(&mut self) -> Result<(), PostgresError> {
        self.vouch_for_directory()
    }

    fn forked(&mut self) -> Option<NodeName> {
        self.has_forked_from()
    }

    fn note_fork(&mut self, from: Option<&NodeName>) {
        self.remember_fork(from);
    }

    fn passing_note(&mut self, about: About) -> Option<String> {
        passing_note::read(self.data.path(), about)
    }

    fn pass_on(&mut self, about: About, text: Option<&str>) -> bool {
        match text {
            Some(text) => passing_note::write(self.data.path(), about, text),
            None => passing_note::forget(self.data.path(), about),
        }
    }

    fn history(&mut self, timeline: Timeline) -> Result<TimelineHistory, PostgresError> {
        self.as_user(|data| data.history(timeline))
    }

    fn synchronous_standby_names(&mut self) -> Result<String, PostgresError> {
        match self.ask(SYNCHRONOUS) {
            Ok(row) => Ok(row.into_iter().next().flatten().unwrap_or_default()),
            Err(error) => {
                log::warn!("synchronous_standby_names: what its files say counts, since {error}");
                Ok(self.in_force_without_session(Setting::SynchronousStandbyNames)?.value)
            }
        }
    }

    fn managed(&mut self) -> Result<Managed, PostgresError> {
        self.read_managed()
    }

    fn write_managed(&mut self, managed: &Managed) -> Result<(), PostgresError> {
        self.replace_managed(managed)
    }

    fn setting(&mut self, setting: Setting) -> Result<InForce, PostgresError> {
        self.in_force(setting)
    }

    fn change_slot(&mut self, step: &slots::Step) -> Result<(), PostgresError> {
        self.change(step)
    }

    fn links(&mut self) -> Result<Links, PostgresError> {
        self.look_at_links()
    }

    fn replication(&mut self) -> Result<Replication, PostgresError> {
        self.see_replication()
    }

    fn known_as(&mut self) -> Option<String> {
        self.look_at_name()
    }

    fn upstream(&mut self) -> Result<Upstream, PostgresError> {
        self.see_upstream()
    }

    fn follows(&mut self) -> Result<bool, PostgresError> {
        Ok(self.following()?.source == Source::Stream)
    }

    fn try_now(&mut self) -> Result<bool, PostgresError> {
        self.wake_recovery()
    }

    fn cut_off(&mut self, streams: bool) -> Option<CutOff> {
        self.see_break(streams)
    }

    fn waiting(&mut self) -> Result<Waiting, PostgresError> {
        self.see_waiting()
    }

    fn overrides(&mut self) -> Result<Vec<Override>, PostgresError> {
        self.see_overrides()
    }

    fn checkpoint(&mut self, patience: Duration) -> Result<(), PostgresError> {
        self.ask_within("CHECKPOINT", patience).map(drop)
    }

    fn launch_standby(&mut self) -> Result<(), PostgresError> {
        self.launch()
    }

    fn last_words(&mut self) -> Option<String> {
        self.what_it_said().or_else(|| self.what_ended_it())
    }

    fn end(&mut self, how: End) -> Result<(), PostgresError> {
        self.make_it_end(how)
    }

    fn newest_timeline(&mut self) -> Result<Timeline, PostgresError> {
        self.as_user(wal_end::newest_timeline)
    }

    fn take_timelines(&mut self, timeline: Timeline, next: Timeline) -> Result<(), PostgresError> {
        self.as_user(|data| wal_end::take_timelines(data, timeline, next))
    }

    fn promote(&mut self) -> Result<(), PostgresError> {
        self.trigger_promotion()
    }
}
