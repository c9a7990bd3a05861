//! Which processes it has, and how they may be looked at.

use std::path::Path;

use super::Instance;
use crate::postgres::PostgresError;
use crate::postgres::layout::DataDirectory;
use crate::postgres::pid_file::PidFile;
use crate::postgres::processes::{self, Processes, ServerProcess};
use crate::rules::leftovers::LockFile;
use crate::rules::status::{Phase, Unclear};

impl Instance {
    pub(super) fn processes(&mut self) -> Processes {
        let file = self.as_user(|data| Ok(data.pid_file()));
        let is_missing = matches!(file, Ok(None));
        self.pid_file = file.ok().flatten();
        let hint = self.pid_file.as_ref().and_then(|file| file.pid);
        let look = |data: &DataDirectory, pgdata: &Path| processes::of_instance(data.path(), pgdata, hint);
        let mut found = self.look(look);
        if !self.is_blind && matches!(found.unclear, Some(Unclear::Hidden { .. })) {
            self.is_blind = true;
            found = self.look(look);
        }
        self.leftovers.lock_file = match found.postmaster {
            Some(ServerProcess { pid, .. }) if is_missing => LockFile::Missing { pid },
            Some(ServerProcess { pid, .. }) if hint.is_some_and(|hint| hint != pid) => LockFile::Foreign { pid },
            _ => LockFile::Own,
        };
        if let LockFile::Missing { pid } = self.leftovers.lock_file {
            // No other source says where it listens.
            self.pid_file = self.look(|_, _| processes::socket(pid)).map(PidFile::from_socket);
        }
        found
    }

    /// Looks at processes. Where root has no CAP_SYS_PTRACE, as in a container, the PostgreSQL user sees its own all the same.
    pub(super) fn look<T>(&mut self, look: impl Fn(&DataDirectory, &Path) -> T) -> T {
        let user = if self.is_blind { self.user().ok() } else { None };
        let seen = user.and_then(|user| user.act(|| look(&self.data, &self.config.pgdata)).ok());
        seen.unwrap_or_else(|| look(&self.data, &self.config.pgdata))
    }

    pub(super) fn postmaster(&mut self) -> Result<ServerProcess, PostgresError> {
        self.processes().postmaster.ok_or(PostgresError::NoPostmaster)
    }

    /// How far a postmaster that has just been found says it has come. A pid file that is not its own says nothing.
    pub(super) fn phase_of(&self, postmaster: ServerProcess) -> Phase {
        let file = self.pid_file.as_ref();
        file.filter(|file| file.pid == Some(postmaster.pid)).map_or(Phase::Unknown, |file| file.phase)
    }
}
