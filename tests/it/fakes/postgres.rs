//! The seam to PostgreSQL, on top of a modelled instance.

/// An instance as probes see it.
mod seen;

use std::time::Duration;

use pgsqlms::clock::Deadline;
use pgsqlms::location::{DirectoryId, SystemId, Timeline};
use pgsqlms::node::NodeName;
use pgsqlms::postgres::control::DbState;
use pgsqlms::postgres::history::TimelineHistory;
use pgsqlms::postgres::managed::{Managed, Setting};
use pgsqlms::postgres::{About, End, Links, Postgres, PostgresError, Replication, Returning, Upstream};
use pgsqlms::record::Record;
use pgsqlms::rules::cut_off::{self, CutOff};
use pgsqlms::rules::managed::{InForce, Line, Source};
use pgsqlms::rules::memory::Memory;
use pgsqlms::rules::progress::Mark;
use pgsqlms::rules::room::Room;
use pgsqlms::rules::status::{Evidence, Phase};
use pgsqlms::rules::synchronous::SyncSetting;
use pgsqlms::rules::{setup, slots};
use pgsqlms::vote::Vote;

use super::commits::Synchronous;
use super::instance::{self, Process, SEGMENT};
use super::wal::Begun;
use super::{Planted, Run, State, log, replication};

use seen::{base_backup, evidence, phase, refuses, replica, vote};

/// The instance of one node, as one agent meets it.
pub struct FakePostgres<'a> {
    pub run: &'a Run<'a>,
}

impl FakePostgres<'_> {
    /// Makes a call: nothing happens between looking and doing.
    fn call<T>(&self, ask: impl FnOnce(&mut State, usize) -> T) -> T {
        self.run.step();
        ask(&mut self.run.cluster.state.borrow_mut(), self.run.node)
    }

    /// Makes a call that can fail.
    fn tried<T>(&self, ask: impl FnOnce(&mut State, usize) -> Result<T, PostgresError>) -> Result<T, PostgresError> {
        self.run.step();
        if self.run.fails() {
            return Err(PostgresError::NoSession("it does not want to".to_owned()));
        }
        ask(&mut self.run.cluster.state.borrow_mut(), self.run.node)
    }

    fn asked<T>(&self, ask: impl FnOnce(&mut State, usize) -> Option<T>) -> Result<T, PostgresError> {
        let refused = || PostgresError::NoSession("it does not run as that".to_owned());
        self.tried(|state, node| ask(state, node).ok_or_else(refused))
    }

    /// Asks in a session, which it may refuse.
    fn in_session<T>(&self, ask: impl FnOnce(&mut State, usize) -> Option<T>) -> Result<T, PostgresError> {
        self.asked(|state, node| if refuses(state, node) { None } else { ask(state, node) })
    }
}

/// PostgreSQL's log line about a foreign primary.
pub const OTHER_SYSTEM: &str = "database system identifier differs between the primary and standby";

/// Its process title.
pub const BASE_BACKUP: &str = "pg_basebackup";

impl Returning for FakePostgres<'_> {}

impl Postgres for FakePostgres<'_> {
    fn setup(&mut self) -> Result<setup::Node, PostgresError> {
        self.tried(|_, _| Ok(setup::Node { version: "17".to_owned(), recovery_template: None, minimal_wal: false }))
    }

    fn evidence(&mut self) -> Evidence {
        self.call(|state, node| evidence(state, node))
    }

    fn phase(&mut self) -> Option<Phase> {
        self.call(|state, node| phase(&state.nodes[node].postgres))
    }

    fn room(&mut self) -> Option<Room> {
        self.call(|state, node| {
            let free = if state.nodes[node].full { 0 } else { u64::MAX };
            Some(Room { free, segment: SEGMENT })
        })
    }

    fn recovery(&mut self) -> Option<Mark> {
        self.call(|state, node| match state.nodes[node].postgres.process {
            Process::Starting { .. } => {
                let work = u64::try_from(state.now.as_millis()).unwrap_or(u64::MAX);
                Some(Mark { file: None, work })
            }
            _ => None,
        })
    }

    fn titles(&mut self) -> Vec<String> {
        Vec::new()
    }

    fn vote(&mut self, _until: Deadline) -> Result<Vote, PostgresError> {
        self.asked(|state, node| {
            state.votes += 1;
            Some(vote(state, node))
        })
    }

    fn system(&mut self) -> Option<SystemId> {
        self.call(|state, node| {
            let system = SystemId(state.wal.branch(state.nodes[node].postgres.end.branch).system);
            Some(system).filter(|_| state.planted != Some(Planted::DatabasesAreAlike))
        })
    }

    fn memory(&mut self) -> Memory {
        self.call(|state, node| {
            let memory = state.nodes[node].memory.clone();
            match state.planted {
                Some(Planted::IgnoresTheRecord) => Memory { promotions: Record::default(), ..memory },
                Some(Planted::IgnoresPromises) => Memory { synchronous: None, ..memory },
                _ => memory,
            }
        })
    }

    fn remember(&mut self, memory: &Memory) {
        self.call(|state, node| state.nodes[node].memory = memory.clone());
    }

    fn vouch(&mut self) -> Result<(), PostgresError> {
        self.in_session(|state, node| {
            let postgres = &state.nodes[node].postgres;
            let has_all = |upstream: usize| postgres.end.lsn >= state.nodes[upstream].postgres.end.lsn;
            if postgres.process == Process::Primary || postgres.upstream.is_some_and(has_all) {
                state.nodes[node].memory.directory = Some(DirectoryId(postgres.directory));
            }
            Some(())
        })
    }

    fn forked(&mut self) -> Option<NodeName> {
        self.call(|state, node| {
            let (directory, from) = state.nodes[node].memory.forked.clone()?;
            let is_it = directory == DirectoryId(state.nodes[node].postgres.directory);
            Some(from).filter(|_| is_it && state.planted != Some(Planted::ForgetsForks))
        })
    }

    fn note_fork(&mut self, from: Option<&NodeName>) {
        self.call(|state, node| {
            let directory = DirectoryId(state.nodes[node].postgres.directory);
            state.nodes[node].memory.forked = from.map(|from| (directory, from.clone()));
        });
    }

    fn passing_note(&mut self, about: About) -> Option<String> {
        self.call(|state, node| state.nodes[node].notes.get(&about).cloned())
    }

    fn pass_on(&mut self, about: About, text: Option<&str>) -> bool {
        self.call(|state, node| match text {
            Some(text) => drop(state.nodes[node].notes.insert(about, text.to_owned())),
            None => drop(state.nodes[node].notes.remove(&about)),
        });
        true
    }

    fn history(&mut self, timeline: Timeline) -> Result<TimelineHistory, PostgresError> {
        self.tried(|state, node| Ok(state.wal.history(state.nodes[node].postgres.end.branch).up_to(timeline)))
    }

    fn synchronous_standby_names(&mut self) -> Result<String, PostgresError> {
        self.in_session(|state, node| Some(state.nodes[node].postgres.synchronous.text()))
    }

    fn managed(&mut self) -> Result<Managed, PostgresError> {
        self.tried(|state, node| Ok(state.nodes[node].postgres.managed.clone()))
    }

    fn write_managed(&mut self, managed: &Managed) -> Result<(), PostgresError> {
        self.tried(|state, node| {
            state.nodes[node].postgres.managed = managed.clone();
            let Some(names) = managed.get(Setting::SynchronousStandbyNames) else { return Ok(()) };
            log!(state, "{}: synchronous_standby_names = {names}", state.nodes[node].name);
            state.nodes[node].postgres.synchronous = Synchronous::read(names);
            Ok(())
        })
    }

    fn setting(&mut self, setting: Setting) -> Result<InForce, PostgresError> {
        let (value, theirs) = match setting {
            Setting::SynchronousStandbyNames => (self.synchronous_standby_names()?, None),
            _ => {
                let managed = self.managed()?;
                let theirs = "host=vip".to_owned();
                (managed.get(setting).map_or_else(|| theirs.clone(), str::to_owned), Some(theirs))
            }
        };
        let value = match setting {
            Setting::SynchronousStandbyNames => value.parse::<SyncSetting>().unwrap().to_string(),
            _ => value,
        };
        Ok(InForce { value, source: Source::Other, theirs, ours: Line::Used })
    }

    fn change_slot(&mut self, _step: &slots::Step) -> Result<(), PostgresError> {
        unreachable!("before PostgreSQL 13 no slots are kept")
    }

    fn links(&mut self) -> Result<Links, PostgresError> {
        self.in_session(|state, node| {
            let postgres = &state.nodes[node].postgres;
            let host = postgres.managed.get(Setting::PrimaryConninfo).unwrap_or("host=vip");
            let just_connected = postgres.upstream.is_some() && state.now < postgres.since + Duration::from_secs(20);
            let cluster_name = state.nodes[node].name.to_string();
            Some(Links { conninfo: host.to_owned(), cluster_name, just_connected, ..Links::default() })
        })
    }

    fn replication(&mut self) -> Result<Replication, PostgresError> {
        self.in_session(|state, node| {
            let postgres = &state.nodes[node].postgres;
            (postgres.process == Process::Primary).then(|| Replication {
                current: postgres.end.lsn,
                timeline: Timeline(state.wal.branch(postgres.end.branch).timeline),
                synchronous_standby_names: postgres.synchronous.text(),
                synchronous_commit: "on".to_owned(),
                overridden: false,
                replicas: (0..state.nodes.len())
                    .filter_map(|other| replica(state, node, other))
                    .chain(state.backed_up.then(|| base_backup(state.planted)))
                    .collect(),
            })
        })
    }

    fn upstream(&mut self) -> Result<Upstream, PostgresError> {
        self.in_session(|state, node| {
            let postgres = &state.nodes[node].postgres;
            let upstream = if postgres.upstream.is_some() { Upstream::Streaming } else { Upstream::Disconnected };
            matches!(postgres.process, Process::Standby | Process::Promoting { .. }).then_some(upstream)
        })
    }

    fn cut_off(&mut self, streams: bool) -> Option<CutOff> {
        let gap = || CutOff { lasted: cut_off::PATIENCE, logged: Some(OTHER_SYSTEM.to_owned()) };
        self.call(|state, node| (!streams && replication::is_foreign(state, node)).then(gap))
    }

    fn checkpoint(&mut self, _patience: Duration) -> Result<(), PostgresError> {
        self.in_session(|_, _| Some(()))
    }

    fn launch_standby(&mut self) -> Result<(), PostgresError> {
        self.asked(|state, node| {
            let left = &state.nodes[node].postgres;
            let crashed = matches!(left.control, DbState::InProduction | DbState::InArchiveRecovery);
            let long = crashed && state.recovers_long && state.random.one_in(4);
            let until = state.now
                + match long {
                    true => state.random.milliseconds(60_000, 150_000),
                    false => state.random.milliseconds(100, 4000),
                };
            let until = if state.nodes[node].toils { until + Duration::from_secs(600) } else { until };
            let broken = state.nodes[node].broken;
            let postgres = &mut state.nodes[node].postgres;
            if postgres.process != Process::None {
                return None;
            }
            // As the real one does: placeholders for others' timelines go, unless a timeline that leads on comes after.
            while let Some(filler) = postgres.fillers.last().copied().filter(|it| postgres.timelines.last() == Some(it))
            {
                postgres.fillers.remove(&filler);
                postgres.timelines.remove(&filler);
            }
            postgres.standby_signal = true;
            if broken {
                log!(state, "{}: ends at once: its configuration is wrong", state.nodes[node].name);
                return Some(());
            }
            postgres.backup_label = false;
            postgres.control = DbState::InArchiveRecovery;
            postgres.received = None;
            postgres.process = Process::Starting { until };
            state.nodes[node].notes.remove(&About::Reported);
            log!(state, "{}: starts as a standby", state.nodes[node].name);
            Some(())
        })
    }

    fn last_words(&mut self) -> Option<String> {
        None
    }

    fn end(&mut self, how: End) -> Result<(), PostgresError> {
        self.tried(|state, node| {
            let process = state.nodes[node].postgres.process;
            match how {
                End::Fast if !matches!(process, Process::None | Process::Stopping { .. }) => {
                    log!(state, "{}: shuts down", state.nodes[node].name);
                    instance::shut_down(state, node);
                }
                End::Fast => {}
                End::Immediate | End::Kill => state.nodes[node].postgres.crash(),
            }
            Ok(())
        })
    }

    fn newest_timeline(&mut self) -> Result<Timeline, PostgresError> {
        self.tried(|state, node| Ok(Timeline(state.nodes[node].postgres.timelines.last().copied().unwrap_or(1))))
    }

    fn take_timelines(&mut self, timeline: Timeline, next: Timeline) -> Result<(), PostgresError> {
        self.tried(|state, node| {
            let postgres = &mut state.nodes[node].postgres;
            for number in timeline.0 + 1..next.0 {
                if postgres.timelines.insert(number) {
                    postgres.fillers.insert(number);
                }
            }
            Ok(())
        })
    }

    fn promote(&mut self) -> Result<(), PostgresError> {
        self.tried(|state, node| {
            let until = state.now + state.random.milliseconds(50, 1500);
            let process = &mut state.nodes[node].postgres.process;
            match process {
                Process::Standby => *process = Process::Promoting { until, by: Begun::ByAgent },
                // A person may have been first: it is the agent's promotion, too.
                Process::Promoting { by, .. } => *by = Begun::ByAgent,
                Process::Primary => {}
                Process::None | Process::Starting { .. } | Process::Stopping { .. } => {
                    return Err(PostgresError::NoPostmaster);
                }
            }
            log!(state, "{}: is being promoted", state.nodes[node].name);
            Ok(())
        })
    }
}
