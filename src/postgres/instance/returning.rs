//! How the real instance comes back after it has left the cluster's history.

use std::path::PathBuf;
use std::rc::Rc;
use std::time::Duration;

use super::Instance;
use crate::clock::Deadline;
use crate::command::Invocation;
use crate::postgres::rewind::places::Places;
use crate::postgres::{Outlook, Place, PostgresError, Returning, processes, rewind};
use crate::rules::primary_wal::PrimaryWal;
use crate::rules::rebuild::{Job, Order, Sites};
use crate::rules::rejoin::{Divergence, Notes};
use crate::vote::{Extent, Vote};

const RESTORES: &str = "SELECT pg_catalog.current_setting('restore_command') <> ''";

/// Reading the own WAL gets this share of the time that is left, where the primary is asked for what comes next.
const SHARE_OF_ASKING: f64 = 0.3;

/// The primary may take so long to answer.
const PRIMARY_PATIENCE: Duration = Duration::from_secs(4);

/// How long a process waits for the lock of the rebuild.
const CLAIM_PATIENCE: Duration = Duration::from_secs(1);

/// Looking for the end of the WAL gets this share of the time that is left, when the WAL at stake is to be described.
const SHARE_OF_READING: f64 = 0.3;

/// How soon that is tried again.
const CLAIM_PAUSE: Duration = Duration::from_millis(50);

impl Instance {
    fn places(&self) -> Places {
        Places::of(self.data.path())
    }
}

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

    fn hindrance(&mut self, divergence: &Divergence) -> Result<Option<String>, PostgresError> {
        self.with_rewind(self.deadline, |rewind| Ok(rewind.hindrance(divergence)))
    }

    fn lacks_room(&mut self, divergence: &Divergence) -> Result<Option<String>, PostgresError> {
        self.with_rewind(self.deadline, |rewind| Ok(rewind.lacks_room(divergence)))
    }

    fn at_stake(&mut self, divergence: &Divergence) -> Result<String, PostgresError> {
        let Some(at) = divergence.at else { return Ok(String::new()) };
        let until = self.deadline.share(self.clock.as_ref(), SHARE_OF_READING);
        let history = self.look_at_wal(until)?.history;
        self.with_rewind(self.deadline, |rewind| rewind.transactions(&history, at, divergence.end))
    }

    fn rewind(&mut self, divergence: Option<&Divergence>, until: Deadline) -> Result<Notes, PostgresError> {
        let notes = self.notes()?;
        self.forget_pid_files();
        self.forget_what_was_read();
        let user = self.user()?;
        self.evidence.prepare(&user)?;
        self.with_rewind(until, |rewind| rewind.run(divergence, notes))
    }

    fn order(&mut self) -> Result<Order, PostgresError> {
        let evidence = self.evidence.clone();
        self.as_user(|_| evidence.order())
    }

    fn put_order(&mut self, order: &Order) -> Result<(), PostgresError> {
        let (evidence, user) = (self.evidence.clone(), self.user()?);
        evidence.prepare(&user)?;
        self.as_user(|_| evidence.put_order(order))
    }

    fn sites(&mut self) -> Result<Sites, PostgresError> {
        let places = self.places();
        self.as_user(|_| Ok(places.sites()))
    }

    fn outlook(&mut self) -> Result<Outlook, PostgresError> {
        let places = self.places();
        let copying = self.look(|_, _| processes::copies_into(&places.beside));
        let user = self.user()?;
        let (obstacle, (free, size)) = self.as_user(|_| Ok((places.obstacle(user.name()), places.room()?)))?;
        let source = self.with_rewind(self.deadline, |rewind| Ok(rewind.source_of_copy()))?;
        let obstacle = obstacle.or(source.clone().err());
        let source = source.unwrap_or_default();
        Ok(Outlook { source, beside: places.beside, old: places.old, free, size, copying, obstacle })
    }

    fn copy(&mut self, on_line: &mut dyn FnMut(&str)) -> Result<Vote, PostgresError> {
        let (places, evidence) = (self.places(), self.evidence.clone());
        self.claim_job()?;
        // What an earlier order says does not hold for the copy that is made now.
        let order = self.as_user(|_| evidence.order())?.anew();
        self.put_order(&order)?;
        let copied = self.with_rewind(self.deadline, |rewind| Ok(rewind.copy(&places, on_line)))?;
        copied.map_err(|why| {
            if let Err(error) = self.as_user(|_| places.remove_beside()) {
                log::warn!("{error}");
            }
            PostgresError::Copy(why)
        })
    }

    fn job(&mut self) -> Result<Job, PostgresError> {
        let (places, evidence, user) = (self.places(), self.evidence.clone(), self.user()?);
        self.as_user(|_| {
            let (at_work, percent) = (evidence.is_rebuilt()?, places.percent());
            Ok(Job { at_work, percent, obstacle: places.obstacle(user.name()) })
        })
    }

    // Until this process ends: the process that has copied goes on to mark the copy as complete. A process that only looks holds
    // it for a moment.
    fn claim_job(&mut self) -> Result<(), PostgresError> {
        if self.rebuilds.is_some() {
            return Ok(());
        }
        let (evidence, user) = (self.evidence.clone(), self.user()?);
        evidence.prepare(&user)?;
        let until = self.deadline.or_after(self.clock.as_ref(), CLAIM_PATIENCE);
        self.rebuilds = Some(loop {
            match self.as_user(|_| evidence.lock_rebuild()) {
                Err(PostgresError::Copy(_)) if !until.has_passed(self.clock.as_ref()) => self.clock.sleep(CLAIM_PAUSE),
                locked => break locked?,
            }
        });
        Ok(())
    }

    fn leave_rebuilding(&mut self) -> Result<(), PostgresError> {
        Ok(Invocation::ourselves(&["rebuild", "--yes", "--unattended"]).option("resource", &self.resource).detach()?)
    }

    fn primary_wal(&mut self) -> Result<PrimaryWal, PostgresError> {
        let clock = Rc::clone(&self.clock);
        let vote = self.look_at_wal(self.deadline.share(clock.as_ref(), SHARE_OF_ASKING))?;
        // Further back the primary may have removed WAL that this node has.
        if vote.extent != Extent::Exact {
            return Ok(PrimaryWal::Unknown("this node's WAL is not read to its end".to_owned()));
        }
        let user = self.user()?;
        let until = self.deadline.share(clock.as_ref(), SHARE_OF_ASKING).or_after(clock.as_ref(), PRIMARY_PATIENCE);
        self.with_rewind(until, |rewind| rewind.ask_for_wal(&vote, &user))
    }

    fn has_archive(&mut self) -> Result<bool, PostgresError> {
        let running = self.ask(RESTORES).unwrap_or_default();
        let configured = self.with_rewind(self.deadline, |rewind| rewind.setting("restore_command"))?;
        Ok(!configured.is_empty() || running.first().and_then(Option::as_deref) == Some("t"))
    }

    fn keep(&mut self, divergence: &Divergence) -> Result<PathBuf, PostgresError> {
        let user = self.user()?;
        self.evidence.prepare(&user)?;
        self.with_rewind(self.deadline, |rewind| rewind.keep_diverged(divergence))
    }

    fn change_place(&mut self, change: Place) -> Result<(), PostgresError> {
        let places = self.places();
        self.forget_what_was_read();
        if change == Place::Aside {
            self.forget_pid_files();
        }
        self.as_user(|_| match change {
            Place::Aside => places.put_aside(),
            Place::Into => places.put_in_place(),
            Place::Back => places.put_back(),
            Place::DropOld => places.remove_old(),
            Place::DropCopy => places.remove_beside(),
        })
    }
}
