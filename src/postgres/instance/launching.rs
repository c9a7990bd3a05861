//! How its server is started.

use std::os::unix::process::ExitStatusExt;

use nix::sys::signal::Signal;

use super::Instance;
use crate::command::Invocation;
use crate::postgres::oom::{self, Protection};
use crate::postgres::server_log::ServerLog;
use crate::postgres::{PostgresError, environment, layout, passing_note, wal_end};

impl Instance {
    /// Starts it as a standby, and does not wait for it.
    pub(super) fn launch(&mut self) -> Result<(), PostgresError> {
        self.part_from_server();
        passing_note::forget_a_life(self.data.path());
        self.forget_dead_postmaster();
        self.pid_file = None;
        let user = self.user()?;
        let _protection = Protection::begin();
        let (log, launched) = user.act(|| {
            layout::create(&self.data.file("standby.signal"))?;
            self.data.forget_recovery_signal()?;
            wal_end::forget_taken(&self.data)?;
            let bindir = self.data.bindir(self.config.bindir.as_deref())?;
            let server = Invocation::new(bindir.join("postgres")).arg("-D").arg(&self.config.pgdata);
            let server = self.recovery_options()?.iter().fold(server, |server, word| server.arg(word));
            let server = self.config.start_opts.iter().fold(server, |server, word| server.arg(word));
            let server = oom::ENVIRONMENT.iter().fold(server, |server, (name, value)| server.env(*name, *value));
            let server = server.env("HOME", user.home()).env("USER", user.name()).env("LOGNAME", user.name());
            let variables = environment::of_debian(&self.config.pgdata, self.data.path());
            let server = variables.into_iter().fold(server, |server, (name, value)| server.env(name, value));
            let (log, file) = ServerLog::open(self.data.path())?;
            let launched = server.leave_running(file, self.data.path())?;
            Ok::<_, PostgresError>((log, launched))
        })??;
        (self.log, self.launched) = (Some(log), Some(launched));
        Ok(())
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
        self.launched.as_mut().is_some_and(|server| matches!(server.try_wait(), Ok(None)))
    }

    /// The signal that has ended the server that was started here.
    pub(super) fn what_ended_it(&mut self) -> Option<String> {
        let ended = self.launched.as_mut()?.try_wait().ok()??;
        ended.signal().map(|signal| format!("signal {signal} has ended it"))
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
