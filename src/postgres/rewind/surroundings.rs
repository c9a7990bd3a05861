//! What a rewind would touch that is not this instance's. It is looked for before anything is changed.

use std::fs;
use std::path::Path;

use super::hindered::Hindered;
use super::keep;
use super::places::failed;
use super::{Kept, Rewind, own};
use crate::postgres::layout::DataDirectory;
use crate::postgres::{PostgresError, mounts};
use crate::rules::rejoin::Divergence;

/// What is mounted in the data directory, if anything is. A `pg_wal` may be: pg_rewind removes nothing but WAL there.
fn mounted(data: &DataDirectory) -> Result<Option<String>, PostgresError> {
    let wal = data.file("pg_wal").canonicalize().unwrap_or_else(|_| data.file("pg_wal"));
    let point = mounts::below(data.path())?.into_iter().find(|point| *point != wal);
    Ok(point.map(|point| format!("{} is mounted in the data directory: unmount it", point.display())))
}

/// How the directory of this instance in a tablespace begins: the rest of its name is the version of the catalog.
pub(super) fn version_directory(data: &DataDirectory) -> Result<String, PostgresError> {
    Ok(format!("PG_{}_", data.major_version()?))
}

/// What is in a tablespace's directory beside this instance's own, if anything is: pg_rewind removes what the primary has not got.
fn shared(data: &DataDirectory) -> Result<Option<String>, PostgresError> {
    let ours = version_directory(data)?;
    for tablespace in keep::entries(&data.file("pg_tblspc"))? {
        for path in keep::entries(&tablespace)? {
            let name = path.file_name().unwrap_or_default().to_string_lossy();
            if !name.starts_with(&ours) && name != "lost+found" {
                let place = fs::read_link(&tablespace).map_err(failed("read", &tablespace))?;
                return Ok(Some(format!("the tablespace {} holds {name} besides: move that", place.display())));
            }
        }
    }
    Ok(None)
}

impl Rewind<'_> {
    /// What keeps this data directory from being rewound until an operator helps: what is not its own, and files that pg_rewind may
    /// not replace, at which it would stop half-way.
    pub(super) fn check_surroundings(&self) -> Result<(), Hindered> {
        if let Some(why) = mounted(self.data)?.map_or_else(|| shared(self.data), |why| Ok(Some(why)))? {
            return Err(Hindered::Lasting(why));
        }
        let foreign = keep::foreign(self.data)?.map(|path| path.display().to_string());
        let user = &self.config.system_user;
        foreign.map_or(Ok(()), |path| Err(Hindered::Lasting(format!("{path} does not belong to {user}"))))
    }

    /// The same, and whether there is room to keep what is dropped: all that can be determined before pg_rewind is asked.
    pub(in crate::postgres) fn hindrance(&self, divergence: &Divergence) -> Option<String> {
        let why = |hindered: Hindered| Some(hindered.why());
        self.check_surroundings().map_or_else(why, |()| self.lacks_room(divergence))
    }

    /// Why what this node alone holds cannot be kept, if so.
    pub(in crate::postgres) fn lacks_room(&self, divergence: &Divergence) -> Option<String> {
        self.check_room(divergence).err().map(Hindered::why)
    }

    fn check_room(&self, divergence: &Divergence) -> Result<(), Hindered> {
        let place = self.evidence.path().ancestors().find(|place| place.exists()).unwrap_or(Path::new("/"));
        let kept = Kept { data: self.data, place: place.to_owned() };
        let wal = kept.wal_from(&self.segment(divergence.at.unwrap_or_default())?)?;
        self.check_room_for(place, &wal)?;
        let writable = nix::unistd::eaccess(place, nix::unistd::AccessFlags::W_OK).is_ok();
        // Else root makes what is missing.
        if place == self.evidence.path() && !writable {
            let user = &self.config.system_user;
            return Err(Hindered::Lasting(format!(
                "{} is not writable for {user}: `chown {user}` it",
                place.display()
            )));
        }
        Ok(())
    }

    /// Whether these files and the node's own fit into `place`.
    pub(super) fn check_room_for(&self, place: &Path, wal: &[std::path::PathBuf]) -> Result<(), Hindered> {
        let size: u64 = wal.iter().filter_map(|file| Some(file.metadata().ok()?.len())).sum();
        super::has_room(place, size + own::size(self.data)?, "to keep what is dropped")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tablespace_directory_that_another_instance_uses_is_reported() {
        let here = tempfile::tempdir().unwrap();
        let (pgdata, place) = (here.path().join("data"), here.path().join("space"));
        fs::create_dir_all(pgdata.join("pg_tblspc")).unwrap();
        fs::write(pgdata.join("PG_VERSION"), "15\n").unwrap();
        fs::create_dir_all(place.join("PG_15_202209061/5")).unwrap();
        fs::create_dir_all(place.join("lost+found")).unwrap();
        std::os::unix::fs::symlink(&place, pgdata.join("pg_tblspc/16385")).unwrap();
        let data = DataDirectory::new(&pgdata);
        assert_eq!(shared(&data).unwrap(), None);
        fs::create_dir(place.join("PG_17_202406281")).unwrap();
        let obstacle = shared(&data).unwrap().unwrap();
        assert!(
            obstacle.ends_with("holds PG_17_202406281 besides: move that") && obstacle.contains("/space"),
            "{obstacle}"
        );
    }
}
