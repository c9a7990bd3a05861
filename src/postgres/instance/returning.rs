//! How the real instance comes back after it has left the cluster's history.

use std::path::PathBuf;

use super::Instance;
use crate::clock::Deadline;
use crate::command::Invocation;
use crate::postgres::{Outlook, Place, Postgres, PostgresError, Returning, rewind};
use crate::rules::rebuild::{Job, Order, Sites};
use crate::rules::rejoin::{Divergence, Notes};
use crate::vote::Vote;

const RESTORES: &str = "SELECT pg_catalog.current_setting('restore_command') <> ''";

impl Returning for Instance {
    fn notes(&mut self) -> Result<Notes, PostgresError> {
        let evidence = self.evidence.clone();
        self.as_user(|_| evidence.notes())
    }

    fn note(&mut self, notes: &Notes) -> Result<(), PostgresError> {
        let (evidence, user) = (self.evidence.clone(), self.user()?);
        evidence.prepare(&user)?;
        self.as_user(|_| evidence.note(notes))
    }

    fn obstacle(&mut self) -> Option<String> {
        let control = self.control().map_err(|error| log::debug!("{error}")).ok()?;
        self.as_user(|data| Ok(rewind::obstacle(data, &control))).ok().flatten()
    }

    fn at_stake(&mut self, divergence: &Divergence) -> Result<String, PostgresError> {
        let (Some(at), history) = (divergence.at, self.vote()?.history) else { return Ok(String::new()) };
        self.with_rewind(self.deadline, |rewind| rewind.transactions(&history, at, divergence.end))
    }

    fn rewind(&mut self, divergence: Option<&Divergence>, until: Deadline) -> Result<Notes, PostgresError> {
        let notes = self.notes()?;
        self.forget_pid_files();
        let user = self.user()?;
        self.evidence.prepare(&user)?;
        self.with_rewind(until, |rewind| rewind.run(divergence, notes))
    }

    fn order(&mut self) -> Result<Order, PostgresError> {
        let evidence = self.evidence.clone();
        self.as_user(|_| evidence.order())
    }

    fn put_order(&mut self, order: &Order) -> Result<(), PostgresError> {
        self.write_order(order)
    }

    fn sites(&mut self) -> Result<Sites, PostgresError> {
        self.see_sites()
    }

    fn outlook(&mut self) -> Result<Outlook, PostgresError> {
        self.look_ahead()
    }

    fn copy(&mut self, tell: &mut dyn FnMut(&str)) -> Result<Vote, PostgresError> {
        self.copy_primary(tell)
    }

    fn job(&mut self) -> Result<Job, PostgresError> {
        self.see_job()
    }

    fn claim_job(&mut self) -> Result<(), PostgresError> {
        self.claim()
    }

    fn leave_rebuilding(&mut self) -> Result<(), PostgresError> {
        Ok(Invocation::ourselves(&["rebuild", "--yes", "--unattended"]).option("resource", &self.resource).detach()?)
    }

    fn has_archive(&mut self) -> Result<bool, PostgresError> {
        Ok(self.ask(RESTORES)?.first().and_then(Option::as_deref) != Some("f"))
    }

    fn keep(&mut self, divergence: &Divergence) -> Result<PathBuf, PostgresError> {
        self.keep_dropped(divergence)
    }

    fn change_place(&mut self, change: Place) -> Result<(), PostgresError> {
        self.change_directory(change)
    }
}
