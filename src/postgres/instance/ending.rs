//! How its processes are made to end.

use nix::sys::signal::Signal;

use super::Instance;
use crate::postgres::processes::{self, Processes, ServerProcess};
use crate::postgres::{About, End, PostgresError, Returning, passing_note};
use crate::rules::rejoin::Stage;
use crate::rules::status::Unclear;

impl Instance {
    /// Notes that a pg_rewind is about to be ended that the agent has not begun: it leaves an inconsistent data directory, and
    /// no file there shows that. If the note cannot be written it is ended all the same: stop must end all processes.
    fn note_rewind(&mut self, pid: i32) {
        let noted = self.notes().and_then(|notes| {
            if notes.stage == Stage::Rewinding {
                return Ok(());
            }
            log::warn!("process {pid} is a pg_rewind that pgsqlms has not begun: the data directory is half rewound");
            self.note(&notes.by_hand(pid))
        });
        if let Err(error) = noted {
            log::warn!("do not start PostgreSQL here, a pg_rewind was ended: {error}");
        }
    }

    /// Asks or forces its processes to end.
    pub(super) fn make_it_end(&mut self, how: End) -> Result<(), PostgresError> {
        self.part_from_server();
        // An end by the agent is not to be reported to Pacemaker.
        passing_note::forget(self.data.path(), About::Runs);
        let Processes { postmaster, orphans, unclear } = self.processes();
        if let Some(hidden @ Unclear::Hidden { .. }) = unclear {
            return Err(PostgresError::Hidden(hidden));
        }
        if let Some(rewind) = orphans.iter().find(|process| process.rewrites()) {
            self.note_rewind(rewind.pid);
        }
        let checked =
            |pid: i32, sent: Result<(), nix::Error>| sent.map_err(|source| PostgresError::Signal { pid, source });
        let one = |process: &ServerProcess, signal: Signal| checked(process.pid, process.signal(signal));
        let all = |process: &ServerProcess, signal: Signal| checked(process.pid, process.signal_group(signal));
        match (how, &postmaster) {
            (End::Kill, _) => {
                postmaster.iter().try_for_each(|process| one(process, Signal::SIGKILL))?;
                // Only now are there no new ones. Its children would follow it by themselves, if they are not stopped.
                let left = self.look(|data, pgdata| processes::all_of(data.path(), pgdata));
                left.iter().try_for_each(|process| all(process, Signal::SIGKILL))
            }
            (End::Fast | End::Immediate, Some(process)) => {
                one(process, if how == End::Fast { Signal::SIGINT } else { Signal::SIGQUIT })?;
                // One that was frozen acts on the signal only when it runs again, and then before anything else.
                if process.frozen { one(process, Signal::SIGCONT) } else { Ok(()) }
            }
            // A server without a postmaster shuts down cleanly on it.
            (End::Fast, None) if unclear.is_some() => {
                orphans.iter().try_for_each(|process| one(process, Signal::SIGTERM))
            }
            (End::Fast | End::Immediate, None) => orphans.iter().try_for_each(|process| all(process, Signal::SIGQUIT)),
        }
    }
}
