//! The real instance: its files, its processes, its signals, one session.

mod asking;
mod ending;
mod following;
mod links;
mod pid_files;
mod replication;
mod returning;
mod settings;

use std::fs::File;
use std::rc::Rc;
use std::time::Duration;

use nix::fcntl::Flock;
use nix::sys::signal::Signal;
use tokio::runtime::Runtime;

use super::control::{ControlData, ControlError, DbState, WalLevel};
use super::evidence::EvidenceDirectory;
use super::history::TimelineHistory;
use super::layout::{self, DataDirectory};
use super::managed::{Managed, Setting};
use super::oom::{self, Protection};
use super::passing_note::About;
use super::pid_file::PidFile;
use super::processes::{self, Processes, ServerProcess};
use super::rewind::Rewind;
use super::server_log::ServerLog;
use super::session::{Row, Session};
use super::{End, Links, Postgres, PostgresError, Replication, Returning, Upstream, passing_note, wal_end};
use crate::clock::{Clock, Deadline};
use crate::command::Invocation;
use crate::location::{Lsn, Timeline};
use crate::parameters::Config;
use crate::privileges::{PrivilegeError, SystemUser};
use crate::rules::check::Source;
use crate::rules::managed::InForce;
use crate::rules::progress::Mark;
use crate::rules::rejoin::Stage;
use crate::rules::room::Room;
use crate::rules::shown::Note;
use crate::rules::status::{Answer, Evidence, Phase};
use crate::rules::{setup, slots};
use crate::vote::{Reach, Vote};

const SYNCHRONOUS: &str = "SELECT pg_catalog.current_setting('synchronous_standby_names')";

const REACH: &str = "SELECT pg_catalog.pg_last_wal_receive_lsn(), pg_catalog.pg_last_wal_replay_lsn()";

/// The longest that WAL on disk is read for a vote.
const SCAN_PATIENCE: Duration = Duration::from_secs(3);

/// The instance that the resource's parameters name.
pub struct Instance {
    config: Config,
    data: DataDirectory,
    evidence: EvidenceDirectory,
    resource: String,
    user: Option<SystemUser>,
    runtime: Rc<Runtime>,
    clock: Rc<dyn Clock>,
    deadline: Deadline,
    session: Option<Session>,
    /// `postmaster.pid` as it was when its processes were looked for last, for the question that follows.
    pid_file: Option<PidFile>,
    /// Where the server that was started here speaks.
    log: Option<ServerLog>,
    /// Nobody else rebuilds it meanwhile.
    rebuilds: Option<Flock<File>>,
}

impl Instance {
    /// The instance of `config`, which belongs to `resource`, and whose questions are all given up at `deadline`.
    pub fn new(config: Config, resource: &str, runtime: Rc<Runtime>, clock: Rc<dyn Clock>, deadline: Deadline) -> Self {
        let data = DataDirectory::new(config.datadir());
        let evidence = EvidenceDirectory::new(&config.evidence_dir, resource);
        let resource = resource.to_owned();
        let (user, session, pid_file, log, rebuilds) = (None, None, None, None, None);
        Self { config, data, evidence, resource, user, runtime, clock, deadline, session, pid_file, log, rebuilds }
    }

    fn user(&mut self) -> Result<SystemUser, PrivilegeError> {
        if self.user.is_none() {
            self.user = Some(SystemUser::find(&self.config.system_user)?);
        }
        self.user.clone().ok_or_else(|| PrivilegeError::UnknownUser(self.config.system_user.clone()))
    }

    /// Does `work` on the data directory as the PostgreSQL user.
    fn as_user<T>(
        &mut self,
        work: impl FnOnce(&DataDirectory) -> Result<T, PostgresError>,
    ) -> Result<T, PostgresError> {
        let user = self.user()?;
        user.act(|| work(&self.data))?
    }

    fn processes(&mut self) -> Processes {
        self.pid_file = self.as_user(|data| Ok(data.pid_file())).ok().flatten();
        let hint = self.pid_file.as_ref().and_then(|file| file.pid);
        processes::of_instance(self.data.path(), &self.config.pgdata, hint)
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

    fn postmaster(&mut self) -> Result<ServerProcess, PostgresError> {
        self.processes().postmaster.ok_or(PostgresError::NoPostmaster)
    }

    /// What `pg_control` says, through pg_controldata where its format is of a version that we do not know.
    ///
    /// # Errors
    ///
    /// When neither can be read.
    pub fn control(&mut self) -> Result<ControlData, PostgresError> {
        let path = self.data.file("global/pg_control");
        let not_understood = |error: ControlError| PostgresError::Content { path, why: error.to_string() };
        match self.as_user(DataDirectory::control)? {
            Err(ControlError::UnknownVersion(_)) => {
                let text = self.control_text()?;
                ControlData::from_pg_controldata(&text).map_err(not_understood)
            }
            read => read.map_err(not_understood),
        }
    }

    fn control_text(&mut self) -> Result<String, PostgresError> {
        let (bindir, runtime, patience) = (self.config.bindir.clone(), Rc::clone(&self.runtime), self.patience());
        self.as_user(|data| {
            let program = data.bindir(bindir.as_deref())?.join("pg_controldata");
            Ok(Invocation::new(program).arg("-D").arg(data.path()).run(&runtime, patience)?)
        })
    }

    fn control_state(&mut self) -> Option<DbState> {
        self.control().map_err(|error| log::debug!("{error}")).ok().map(|control| control.state)
    }

    /// How far a postmaster that has just been found says it has come. A pid file that is not its own says nothing.
    fn phase_of(&self, postmaster: ServerProcess) -> Phase {
        let file = self.pid_file.as_ref();
        file.filter(|file| file.pid == Some(postmaster.pid)).map_or(Phase::Unknown, |file| file.phase)
    }
}

impl Postgres for Instance {
    fn setup(&mut self) -> Result<setup::Node, PostgresError> {
        let minimal_wal = match self.control() {
            // pg_rewind of PostgreSQL 13 leaves an empty one if it is killed at the end. Going on puts the old one back.
            Err(PostgresError::Content { .. }) if self.notes()?.stage == Stage::Rewinding => false,
            control => control?.wal_level == WalLevel::Minimal,
        };
        let template = self.config.recovery_template();
        let bindir = self.config.bindir.clone();
        self.as_user(|data| {
            data.bindir(bindir.as_deref())?;
            let recovery_template = template.symlink_metadata().is_ok().then_some(template);
            Ok(setup::Node { version: data.major_version()?, recovery_template, minimal_wal })
        })
    }

    fn evidence(&mut self) -> Evidence {
        let processes = self.processes();
        let signal_files = self.as_user(|data| Ok((data.has("backup_label"), data.has("standby.signal"))));
        let (backup_label, standby_signal) = signal_files.unwrap_or_default();
        let Some(postmaster) = processes.postmaster else {
            if !processes.orphans.is_empty() {
                return Evidence::Orphans { count: processes.orphans.len() };
            }
            return Evidence::NoProcess { control: self.control_state(), backup_label, standby_signal };
        };
        let phase = self.phase_of(postmaster);
        let answer = if postmaster.frozen { Answer::NotYet } else { self.patient_answer() };
        let control = if matches!(answer, Answer::Role(_)) { None } else { self.control_state() };
        let ServerProcess { pid, frozen, .. } = postmaster;
        Evidence::Postmaster { pid, frozen, phase, answer, control, standby_signal }
    }

    fn phase(&mut self) -> Option<Phase> {
        let Processes { postmaster, orphans } = self.processes();
        match postmaster {
            Some(postmaster) => Some(self.phase_of(postmaster)),
            None => (!orphans.is_empty()).then_some(Phase::Unknown),
        }
    }

    fn room(&mut self) -> Option<Room> {
        let segment = self.control().ok()?.wal_segment_size.into();
        let free = self.as_user(|data| data.free("pg_wal")).map_err(|error| log::debug!("{error}")).ok()?;
        Some(Room { free, segment })
    }

    fn recovery(&mut self) -> Option<Mark> {
        processes::recovery(self.data.path(), &self.config.pgdata)
    }

    fn titles(&mut self) -> Vec<String> {
        processes::titles(self.data.path(), &self.config.pgdata)
    }

    fn vote(&mut self) -> Result<Vote, PostgresError> {
        let control = self.control()?;
        let row = self.ask(REACH).unwrap_or_else(|error| {
            log::debug!("voting by the WAL on disk alone: {error}");
            Row::new()
        });
        let lsn = |column: usize| -> Option<Lsn> { row.get(column)?.as_deref()?.parse().ok() };
        let (received, replayed) = (lsn(0), lsn(1));
        let clock = Rc::clone(&self.clock);
        let patience = self.deadline.share(clock.as_ref(), 0.3).or_after(clock.as_ref(), SCAN_PATIENCE);
        let mut keep_going = || !patience.has_passed(clock.as_ref());
        self.as_user(|data| match wal_end::on_disk(data, &control, replayed, &mut keep_going) {
            Ok(end) => Ok(Vote { history: end.history, reach: Reach { received, replayed, on_disk: Some(end.lsn) } }),
            Err(error) if received.or(replayed).is_some() => {
                log::warn!("voting without the WAL on disk: {error}");
                let timeline = control.min_recovery_timeline.unwrap_or(control.timeline).max(control.timeline);
                Ok(Vote { history: data.history(timeline)?, reach: Reach { received, replayed, on_disk: None } })
            }
            Err(error) => Err(error),
        })
    }

    fn history(&mut self, timeline: Timeline) -> Result<TimelineHistory, PostgresError> {
        self.as_user(|data| data.history(timeline))
    }

    fn synchronous_standby_names(&mut self) -> Result<String, PostgresError> {
        Ok(self.ask(SYNCHRONOUS)?.into_iter().next().flatten().unwrap_or_default())
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

    fn upstream(&mut self) -> Result<Upstream, PostgresError> {
        self.see_upstream()
    }

    fn follows(&mut self) -> Result<bool, PostgresError> {
        Ok(self.following()?.source == Source::Stream)
    }

    fn cut_off(&mut self, streams: bool) -> Option<String> {
        self.see_break(streams)
    }

    fn told(&mut self) -> Option<Note> {
        passing_note::read(self.data.path(), About::Told).and_then(|text| Note::read(&text))
    }

    fn note_told(&mut self, note: Option<&Note>) -> bool {
        match note {
            Some(note) => passing_note::write(self.data.path(), About::Told, &note.to_string()),
            None => passing_note::forget(self.data.path(), About::Told),
        }
    }

    fn checkpoint(&mut self, patience: Duration) -> Result<(), PostgresError> {
        self.connect().map_err(|answer| PostgresError::NoSession(answer.to_string()))?;
        match &self.session {
            Some(session) => session.query("CHECKPOINT", patience).map(drop),
            None => Ok(()),
        }
    }

    fn launch_standby(&mut self) -> Result<(), PostgresError> {
        self.session = None;
        // It may have been the primary since somebody noted that it receives nothing.
        passing_note::forget(self.data.path(), About::Break);
        self.forget_dead_postmaster();
        self.pid_file = None;
        let user = self.user()?;
        let _protection = Protection::begin();
        self.log = Some(user.act(|| {
            layout::create(&self.data.file("standby.signal"))?;
            wal_end::forget_taken(&self.data)?;
            let bindir = self.data.bindir(self.config.bindir.as_deref())?;
            let server = Invocation::new(bindir.join("postgres")).arg("-D").arg(&self.config.pgdata);
            let server = self.config.start_opts.iter().fold(server, |server, word| server.arg(word));
            let server = oom::ENVIRONMENT.iter().fold(server, |server, (name, value)| server.env(name, value));
            let (log, file) = ServerLog::open(self.data.path())?;
            server.leave_running(file, self.data.path())?;
            Ok::<_, PostgresError>(log)
        })??);
        Ok(())
    }

    fn last_words(&mut self) -> Option<String> {
        let log = self.log.clone()?;
        self.as_user(|_| Ok(log.last_words())).ok().flatten()
    }

    fn end(&mut self, how: End) -> Result<(), PostgresError> {
        self.make_it_end(how)
    }

    fn take_timelines(&mut self, timeline: Timeline, next: Timeline) -> Result<(), PostgresError> {
        self.as_user(|data| wal_end::take_timelines(data, timeline, next))
    }

    fn promote(&mut self) -> Result<(), PostgresError> {
        let postmaster = self.postmaster()?;
        self.log = Some(self.as_user(|data| Ok(ServerLog::listen(data.path())))?);
        self.as_user(|data| layout::create(&data.file("promote")))?;
        processes::signal(postmaster.pid, Signal::SIGUSR1)
            .map_err(|source| PostgresError::Signal { pid: postmaster.pid, source })
    }
}
