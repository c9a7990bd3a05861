//! What a rebuild asks of the real instance.

use std::path::PathBuf;
use std::time::Duration;

use super::Instance;
use crate::postgres::rewind::rebuild::Places;
use crate::postgres::{Outlook, Place, PostgresError, processes};
use crate::rules::rebuild::{Job, Order, Sites};
use crate::rules::rejoin::Divergence;
use crate::vote::Vote;

/// How long one waits to be the only one who rebuilds.
const CLAIM_PATIENCE: Duration = Duration::from_secs(1);

/// How soon that is tried again.
const CLAIM_PAUSE: Duration = Duration::from_millis(50);

impl Instance {
    fn places(&self) -> Places {
        Places::of(self.data.path())
    }

    pub(super) fn write_order(&mut self, order: &Order) -> Result<(), PostgresError> {
        let (evidence, user) = (self.evidence.clone(), self.user()?);
        evidence.prepare(&user)?;
        self.as_user(|_| evidence.put_order(order))
    }

    pub(super) fn see_sites(&mut self) -> Result<Sites, PostgresError> {
        let places = self.places();
        self.as_user(|_| Ok(places.sites()))
    }

    /// Until this process ends: whoever has copied goes on to say that the copy is whole. Who only looks holds it for a
    /// moment.
    pub(super) fn claim(&mut self) -> Result<(), PostgresError> {
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

    pub(super) fn see_job(&mut self) -> Result<Job, PostgresError> {
        let (places, evidence, user) = (self.places(), self.evidence.clone(), self.user()?);
        self.as_user(|_| {
            let (at_work, percent) = (evidence.is_rebuilt()?, places.percent());
            Ok(Job { at_work, percent, obstacle: places.obstacle(user.name()) })
        })
    }

    pub(super) fn keep_dropped(&mut self, divergence: &Divergence) -> Result<PathBuf, PostgresError> {
        let user = self.user()?;
        self.evidence.prepare(&user)?;
        self.with_rewind(self.deadline, |rewind| rewind.keep_diverged(divergence))
    }

    pub(super) fn look_ahead(&mut self) -> Result<Outlook, PostgresError> {
        let places = self.places();
        let copying = processes::copies_into(&places.beside);
        let user = self.user()?;
        let (obstacle, (free, size)) = self.as_user(|_| Ok((places.obstacle(user.name()), places.room()?)))?;
        let source = self.with_rewind(self.deadline, |rewind| Ok(rewind.source_of_copy()))?;
        let obstacle = obstacle.or(source.clone().err());
        let source = source.unwrap_or_default();
        Ok(Outlook { source, beside: places.beside, old: places.old, free, size, copying, obstacle })
    }

    pub(super) fn copy_primary(&mut self, tell: &mut dyn FnMut(&str)) -> Result<Vote, PostgresError> {
        let (places, evidence) = (self.places(), self.evidence.clone());
        self.claim()?;
        // What an earlier order says does not hold for the copy that is made now.
        let order = self.as_user(|_| evidence.order())?.anew();
        self.write_order(&order)?;
        let copied = self.with_rewind(self.deadline, |rewind| Ok(rewind.copy(&places, tell)))?;
        copied.map_err(|why| {
            if let Err(error) = self.as_user(|_| places.remove_beside()) {
                log::warn!("{error}");
            }
            PostgresError::Copy(why)
        })
    }

    pub(super) fn change_directory(&mut self, change: Place) -> Result<(), PostgresError> {
        let places = self.places();
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
