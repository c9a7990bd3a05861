//! The seam to PostgreSQL, on top of a modelled instance.

use std::time::Duration;

use pgsqlms::location::Timeline;
use pgsqlms::postgres::history::TimelineHistory;
use pgsqlms::postgres::managed::{Managed, Setting};
use pgsqlms::postgres::{End, Links, Postgres, PostgresError, Replication, Returning, Upstream};
use pgsqlms::rules::managed::{InForce, Line, Source};
use pgsqlms::rules::progress::Mark;
use pgsqlms::rules::room::Room;
use pgsqlms::rules::scores::{Replica, SenderState};
use pgsqlms::rules::status::{Answer, Evidence, Phase, Role};
use pgsqlms::rules::synchronous::SyncSetting;
use pgsqlms::rules::{setup, slots};
use pgsqlms::vote::{Reach, Vote};

use super::instance::{self, Instance, Process, SEGMENT, Synchronous};
use super::{Planted, Run, State, tell};

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
}

fn phase(postgres: &Instance) -> Option<Phase> {
    match postgres.process {
        Process::None => None,
        Process::Starting { .. } => Some(Phase::Starting),
        Process::Standby | Process::Promoting { .. } | Process::Primary => Some(Phase::Ready),
        Process::Stopping { .. } => Some(Phase::Stopping),
    }
}

fn evidence(postgres: &Instance) -> Evidence {
    let Some(phase) = phase(postgres) else {
        let Instance { control, standby_signal, .. } = *postgres;
        return Evidence::NoProcess { control: Some(control), backup_label: false, standby_signal };
    };
    let answer = match postgres.process {
        Process::Standby | Process::Promoting { .. } => Answer::Role(Role::Standby),
        Process::Primary => Answer::Role(Role::Primary),
        Process::None | Process::Starting { .. } | Process::Stopping { .. } => Answer::NotYet,
    };
    let Instance { control, standby_signal, .. } = *postgres;
    Evidence::Postmaster { pid: 1, frozen: false, phase, answer, control: Some(control), standby_signal }
}

fn replica(state: &State, primary: usize, node: usize) -> Option<Replica> {
    let standby = &state.nodes[node].postgres;
    (standby.upstream == Some(primary)).then(|| Replica {
        name: match (state.planted, state.nodes[node].name.as_str()) {
            (Some(Planted::MatchesNamesByPrefix), "srv10") => "srv1".to_owned(),
            (_, name) => name.to_owned(),
        },
        state: if standby.streaming { SenderState::Streaming } else { SenderState::Catchup },
        flushed: Some(standby.end.lsn),
        synchronous: state.nodes[primary].postgres.synchronous.required > 0 && standby.streaming,
    })
}

impl Returning for FakePostgres<'_> {}

impl Postgres for FakePostgres<'_> {
    fn setup(&mut self) -> Result<setup::Node, PostgresError> {
        self.tried(|_, _| Ok(setup::Node { version: "17".to_owned(), recovery_template: None, minimal_wal: false }))
    }

    fn evidence(&mut self) -> Evidence {
        self.call(|state, node| evidence(&state.nodes[node].postgres))
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
        None
    }

    fn titles(&mut self) -> Vec<String> {
        Vec::new()
    }

    fn vote(&mut self) -> Result<Vote, PostgresError> {
        self.asked(|state, node| {
            let postgres = &state.nodes[node].postgres;
            let runs = matches!(postgres.process, Process::Standby | Process::Promoting { .. });
            let mut reach = Reach {
                received: postgres.received.filter(|_| runs),
                replayed: runs.then_some(postgres.replayed),
                on_disk: Some(postgres.end.lsn),
            };
            if state.planted == Some(Planted::VotesWithReceivedOnly) {
                reach = Reach { received: Some(reach.received?), ..Reach::default() };
            }
            Some(Vote { history: state.wal.history(postgres.end.branch).clone(), reach })
        })
    }

    fn history(&mut self, timeline: Timeline) -> Result<TimelineHistory, PostgresError> {
        self.tried(|state, node| Ok(state.wal.history(state.nodes[node].postgres.end.branch).up_to(timeline)))
    }

    fn synchronous_standby_names(&mut self) -> Result<String, PostgresError> {
        self.tried(|state, node| Ok(state.nodes[node].postgres.synchronous.text()))
    }

    fn managed(&mut self) -> Result<Managed, PostgresError> {
        Ok(Managed::default())
    }

    fn write_managed(&mut self, managed: &Managed) -> Result<(), PostgresError> {
        let Some(names) = managed.get(Setting::SynchronousStandbyNames) else { return Ok(()) };
        self.tried(|state, node| {
            tell!(state, "{}: synchronous_standby_names = {names}", state.nodes[node].name);
            state.nodes[node].postgres.synchronous = Synchronous::read(names);
            Ok(())
        })
    }

    fn setting(&mut self, setting: Setting) -> Result<InForce, PostgresError> {
        assert_eq!(setting, Setting::SynchronousStandbyNames, "nobody asked the agent to follow by name");
        let text = self.synchronous_standby_names()?;
        let value = text.parse::<SyncSetting>().unwrap().to_string();
        Ok(InForce { value, source: Source::Other, theirs: None, ours: Line::Used })
    }

    fn change_slot(&mut self, _step: &slots::Step) -> Result<(), PostgresError> {
        unreachable!("before PostgreSQL 13 no slots are kept")
    }

    fn links(&mut self) -> Result<Links, PostgresError> {
        Ok(Links::default())
    }

    fn replication(&mut self) -> Result<Replication, PostgresError> {
        self.asked(|state, node| {
            let postgres = &state.nodes[node].postgres;
            (postgres.process == Process::Primary).then(|| Replication {
                current: postgres.end.lsn,
                timeline: Timeline(state.wal.branch(postgres.end.branch).timeline),
                synchronous_standby_names: postgres.synchronous.text(),
                replicas: (0..state.nodes.len()).filter_map(|other| replica(state, node, other)).collect(),
            })
        })
    }

    fn upstream(&mut self) -> Result<Upstream, PostgresError> {
        self.asked(|state, node| {
            let postgres = &state.nodes[node].postgres;
            let upstream = if postgres.upstream.is_some() { Upstream::Streaming } else { Upstream::Disconnected };
            matches!(postgres.process, Process::Standby | Process::Promoting { .. }).then_some(upstream)
        })
    }

    fn cut_off(&mut self, _streams: bool) -> Option<String> {
        None
    }

    fn checkpoint(&mut self, _patience: Duration) -> Result<(), PostgresError> {
        self.tried(|_, _| Ok(()))
    }

    fn launch_standby(&mut self) -> Result<(), PostgresError> {
        self.asked(|state, node| {
            let until = state.now + state.random.milliseconds(100, 4000);
            let postgres = &mut state.nodes[node].postgres;
            if postgres.process != Process::None {
                return None;
            }
            // As the real one does: what stands for others' numbers goes, unless a timeline that leads on comes after.
            while let Some(filler) = postgres.fillers.last().copied().filter(|it| postgres.timelines.last() == Some(it))
            {
                postgres.fillers.remove(&filler);
                postgres.timelines.remove(&filler);
            }
            postgres.standby_signal = true;
            postgres.control = pgsqlms::postgres::control::DbState::InArchiveRecovery;
            postgres.received = None;
            postgres.process = Process::Starting { until };
            tell!(state, "{}: starts as a standby", state.nodes[node].name);
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
                    tell!(state, "{}: shuts down", state.nodes[node].name);
                    instance::shut_down(state, node);
                }
                End::Fast => {}
                End::Immediate | End::Kill => state.nodes[node].postgres.crash(),
            }
            Ok(())
        })
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
                Process::Standby => *process = Process::Promoting { until },
                Process::Promoting { .. } | Process::Primary => {}
                Process::None | Process::Starting { .. } | Process::Stopping { .. } => {
                    return Err(PostgresError::NoPostmaster);
                }
            }
            tell!(state, "{}: is being promoted", state.nodes[node].name);
            Ok(())
        })
    }
}
