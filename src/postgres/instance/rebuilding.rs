//! What a rebuild asks of the real instance.

use super::Instance;
use crate::postgres::rewind::rebuild::Places;
use crate::postgres::{Outlook, Place, PostgresError, processes};
use crate::rules::rebuild::{Order, Sites};
use crate::vote::Vote;

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
        let (places, user) = (self.places(), self.user()?);
        self.evidence.prepare(&user)?;
        let evidence = self.evidence.clone();
        // Until this process ends: whoever has copied goes on to say that the copy is whole.
        self.rebuilds = Some(self.as_user(|_| evidence.lock_rebuild())?);
        // What an earlier order says does not hold for the copy that is made now.
        self.write_order(&Order::default())?;
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
