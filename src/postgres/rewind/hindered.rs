//! Why a rewind is not made now, and whether that will pass.

use std::path::Path;

use super::output::{Hindrance, Lasts};
use crate::postgres::PostgresError;

/// Left over on a disk.
pub(super) const SPARE: u64 = 64 << 20;

/// Why it was not rewound now.
pub(super) enum Hindered {
    /// It may be over soon.
    Passing(String),
    /// It will not be, unless an operator helps.
    Lasting(String),
    /// It never will be.
    Hopeless(String),
}

impl Hindered {
    pub(super) fn why(self) -> String {
        match self {
            Hindered::Passing(why) | Hindered::Lasting(why) | Hindered::Hopeless(why) => why,
        }
    }
}

impl From<PostgresError> for Hindered {
    fn from(error: PostgresError) -> Self {
        Hindered::Passing(error.to_string())
    }
}

impl From<Hindrance> for Hindered {
    fn from(hindrance: Hindrance) -> Self {
        match hindrance.lasts {
            Lasts::Shortly => Hindered::Passing(hindrance.why),
            Lasts::UntilMended => Hindered::Lasting(hindrance.why),
            Lasts::ForEver => Hindered::Hopeless(hindrance.why),
        }
    }
}

/// Whether that many bytes, and some to spare, are free where `directory` is.
pub(super) fn has_room(directory: &Path, bytes: u64, what_for: &str) -> Result<(), Hindered> {
    let failed =
        |error: nix::Error| PostgresError::File { doing: "look at", path: directory.to_owned(), source: error.into() };
    let found = nix::sys::statvfs::statvfs(directory).map_err(failed)?;
    let free = found.blocks_available() * found.fragment_size();
    if free < bytes + SPARE {
        let (free, needed) = (free >> 20, (bytes + SPARE) >> 20);
        let at = directory.display();
        return Err(Hindered::Lasting(format!("{at} has {free} MB free, and {needed} are needed {what_for}")));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_disk_without_room_is_reported() {
        assert!(has_room(Path::new("/"), 0, "").is_ok());
        let Err(Hindered::Lasting(why)) = has_room(Path::new("/"), u64::MAX - SPARE, "to test") else { panic!() };
        assert!(why.starts_with("/ has ") && why.ends_with(" are needed to test"), "{why}");
    }
}
