//! What it is and what it is run with, as far as its files and programs show.

use std::rc::Rc;

use super::Instance;
use crate::command::Invocation;
use crate::postgres::control::{ControlData, ControlError, DbState, WalLevel};
use crate::postgres::layout::DataDirectory;
use crate::postgres::{PostgresError, Returning};
use crate::rules::rejoin::Stage;
use crate::rules::setup;

impl Instance {
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

    pub(super) fn control_state(&mut self) -> Option<DbState> {
        self.control().map_err(|error| log::debug!("{error}")).ok().map(|control| control.state)
    }

    pub(super) fn look_at_setup(&mut self) -> Result<setup::Node, PostgresError> {
        let minimal_wal = match self.control() {
            // pg_rewind of PostgreSQL 13 leaves an empty one if it is killed at the end. Going on puts the old one back.
            Err(PostgresError::Content { .. }) if self.notes()?.stage == Stage::Rewinding => false,
            control => control?.wal_level == WalLevel::Minimal,
        };
        let template = self.config.recovery_template();
        let bindir = self.config.bindir.clone();
        let (runtime, patience) = (Rc::clone(&self.runtime), self.patience());
        self.as_user(|data| {
            let version = data.major_version()?;
            let found = data.bindir(bindir.as_deref())?;
            // The other usual places have the version in their names.
            if bindir.is_none() && !found.to_string_lossy().contains(&version) {
                let said = Invocation::new(found.join("postgres")).arg("--version").run(&runtime, patience)?;
                if setup::major_of(&said).is_some_and(|major| major != version) {
                    let looked_in = format!("{} has {}", found.display(), said.trim());
                    return Err(PostgresError::NoPrograms { version, looked_in });
                }
            }
            let recovery_template = template.symlink_metadata().is_ok().then_some(template);
            Ok(setup::Node { version, recovery_template, minimal_wal })
        })
    }
}
