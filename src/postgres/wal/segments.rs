//! Where segments come from: `pg_wal`, or a test's memory.

use std::fs::OpenOptions;
use std::io::{self, BufReader, Read, Seek};
use std::os::unix::fs::OpenOptionsExt;
use std::path::PathBuf;

use super::geometry::Geometry;
use crate::location::Timeline;

/// An open segment.
pub trait SegmentFile: Read + Seek {}

impl<T: Read + Seek> SegmentFile for T {}

/// Segments by timeline and number.
pub trait Segments {
    /// Opens a segment; none if there is no such file.
    ///
    /// # Errors
    ///
    /// The file is there but cannot be opened.
    fn open(&self, timeline: Timeline, number: u64) -> io::Result<Option<Box<dyn SegmentFile>>>;
}

/// The segments in a directory: an instance's `pg_wal`, itself possibly a link.
///
/// To be used only after privileges have been dropped to those of the instance's owner: links are followed.
#[derive(Debug, Clone)]
pub struct WalDirectory {
    path: PathBuf,
    geometry: Geometry,
}

impl WalDirectory {
    /// Reads segments from `path`; opens nothing yet.
    pub fn new(path: impl Into<PathBuf>, geometry: Geometry) -> WalDirectory {
        WalDirectory { path: path.into(), geometry }
    }
}

impl Segments for WalDirectory {
    /// Never blocks, even on a named pipe in a segment's place.
    fn open(&self, timeline: Timeline, number: u64) -> io::Result<Option<Box<dyn SegmentFile>>> {
        let path = self.path.join(self.geometry.segment_name(timeline, number));
        let file = OpenOptions::new().read(true).custom_flags(nix::fcntl::OFlag::O_NONBLOCK.bits()).open(path);
        match file {
            Ok(file) if file.metadata()?.is_file() => Ok(Some(Box::new(BufReader::with_capacity(1 << 18, file)) as _)),
            Ok(_) => Err(io::Error::new(io::ErrorKind::InvalidInput, "not a regular file")),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error),
        }
    }
}

/// Fills `page`; false if the file ends first.
pub(super) fn read_page(file: &mut dyn SegmentFile, page: &mut [u8]) -> io::Result<bool> {
    match file.read_exact(page) {
        Ok(()) => Ok(true),
        Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => Ok(false),
        Err(error) => Err(error),
    }
}
