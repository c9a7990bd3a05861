//! How its processes are made to end.

use nix::sys::signal::Signal;

use super::Instance;
use crate::postgres::processes::{self, Processes, ServerProcess};
use crate::postgres::{End, PostgresError};

impl Instance {
    /// Asks or forces its processes to end.
    pub(super) fn make_it_end(&mut self, how: End) -> Result<(), PostgresError> {
        self.session = None;
        let Processes { postmaster, orphans } = self.processes();
        let signal = |process: &ServerProcess, signal: Signal| {
            processes::signal(process.pid, signal).map_err(|source| PostgresError::Signal { pid: process.pid, source })
        };
        match (how, &postmaster) {
            (End::Kill, _) => {
                postmaster.iter().try_for_each(|process| signal(process, Signal::SIGKILL))?;
                // Only now are there no new ones. Its children would follow it by themselves, if they are not stopped.
                let left = processes::all_of(self.data.path(), &self.config.pgdata);
                left.iter().try_for_each(|process| signal(process, Signal::SIGKILL))
            }
            (End::Fast | End::Immediate, Some(process)) => {
                signal(process, if how == End::Fast { Signal::SIGINT } else { Signal::SIGQUIT })?;
                // One that was frozen acts on the signal only when it runs again, and then before anything else.
                if process.frozen { signal(process, Signal::SIGCONT) } else { Ok(()) }
            }
            (End::Fast | End::Immediate, None) => {
                orphans.iter().try_for_each(|process| signal(process, Signal::SIGQUIT))
            }
        }
    }
}
