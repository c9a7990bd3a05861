//! How its server is started.

use std::fs::File;
use std::os::unix::process::ExitStatusExt;
use std::process::Child;

use nix::sys::signal::Signal;

use super::Instance;
use crate::command::Invocation;
use crate::postgres::oom::Protection;
use crate::postgres::server_log::ServerLog;
use crate::postgres::unit::{Served, Unit};
use crate::postgres::{PostgresError, environment, layout, passing_note, wal_end};
use crate::privileges::SystemUser;

/// A server that was started here.
pub(super) enum Launched {
    /// By this process.
    Child(Child),
    /// In a unit of its own.
    Served(Served),
}

impl Instance {
    /// Starts it as a standby, and does not wait for it.
    pub(super) fn launch(&mut self) -> Result<(), PostgresError> {
        self.part_from_server();
        passing_note::forget_a_life(self.data.path());
        self.forget_dead_postmaster();
        self.pid_file = None;
        let user = self.user()?;
        let (server, log, file) = user.act(|| {
            layout::create(&self.data.file("standby.signal"))?;
            self.data.forget_recovery_signal()?;
            wal_end::forget_taken(&self.data)?;
            let bindir = self.data.bindir(self.config.bindir.as_deref())?;
            let server = Invocation::new(bindir.join("postgres")).arg("-D").arg(&self.config.pgdata);
            let server = self.recovery_options()?.iter().fold(server, |server, word| server.arg(word));
            let server = self.config.start_opts.iter().fold(server, |server, word| server.arg(word));
            let (log, file) = ServerLog::open(self.data.path())?;
            Ok::<_, PostgresError>((server, log, file))
        })??;
        self.launched = Some(match self.in_unit(&server, &user) {
            Some(served) => Launched::Served(served),
            None => Launched::Child(self.directly(server, &user, file)?),
        });
        self.log = Some(log);
        Ok(())
    }

    /// Starts it in a unit of its own, where that is possible. Nothing else may depend on that.
    fn in_unit(&self, server: &Invocation, user: &SystemUser) -> Option<Served> {
        let unit = Unit::of(&self.resource)?;
        let directories = (self.config.pgdata.as_path(), self.data.path());
        match unit.start(server, user, directories, (&self.runtime, self.clock.as_ref(), self.deadline)) {
            Ok(served) => {
                log::debug!("PostgreSQL runs in {}", served.name());
                Some(served)
            }
            Err(error) => {
                log::warn!("PostgreSQL gets no unit of its own, and Pacemaker sees its end by the monitor: {error}");
                None
            }
        }
    }

    /// Starts it as a process of the agent's, which goes on when that ends.
    fn directly(&self, server: Invocation, user: &SystemUser, log: File) -> Result<Child, PostgresError> {
        let _protection = Protection::begin();
        let started = user.act(|| {
            environment::of_server(server, user, &self.config.pgdata, self.data.path())
                .leave_running(log, self.data.path())
        })?;
        Ok(started?)
    }

    /// What a server is started with that would not start along the newest timeline in `pg_wal`.
    fn recovery_options(&self) -> Result<Vec<String>, PostgresError> {
        let Ok(control) = self.data.control()? else { return Ok(Vec::new()) };
        let Some(own) = wal_end::own_timeline(&self.data, &control)? else { return Ok(Vec::new()) };
        log::warn!(
            "the newest timeline in pg_wal does not lead on from this node's data: it recovers along timeline {own}"
        );
        Ok(vec!["-c".to_owned(), format!("recovery_target_timeline={own}")])
    }

    /// Whether the server that was started here goes on. /proc may still show it as the agent: the kernel lets the parent of a new
    /// process go on a moment before the process has its new program (`exec_mmap`, `fs/exec.c`). And a script may lead to it.
    pub(super) fn launched_lives(&mut self) -> bool {
        self.launched.as_mut().is_some_and(|server| match server {
            Launched::Child(child) => matches!(child.try_wait(), Ok(None)),
            Launched::Served(served) => served.lives(),
        })
    }

    /// The signal that has ended the server that was started here.
    pub(super) fn what_ended_it(&mut self) -> Option<String> {
        let signal = match self.launched.as_mut()? {
            Launched::Child(child) => child.try_wait().ok()??.signal(),
            Launched::Served(served) => served.signal(&self.runtime),
        };
        signal.map(|signal| format!("signal {signal} has ended it"))
    }

    /// The most informative message of the server since it was started or promoted here.
    pub(super) fn what_it_said(&mut self) -> Option<String> {
        let log = self.log.clone()?;
        self.as_user(|_| Ok(log.last_words())).ok().flatten()
    }

    /// Has it end its recovery, and does not wait for that.
    pub(super) fn trigger_promotion(&mut self) -> Result<(), PostgresError> {
        let postmaster = self.postmaster()?;
        self.log = Some(self.as_user(|data| Ok(ServerLog::listen(data.path())))?);
        self.as_user(|data| layout::create(&data.file("promote")))?;
        postmaster.signal(Signal::SIGUSR1).map_err(|source| PostgresError::Signal { pid: postmaster.pid, source })
    }
}
