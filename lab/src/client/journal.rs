//! The journal: every event in memory, and at once in a file, so that the end of this process forgets no
//! acknowledgement. One clock for all of it.

use std::fs::{self, File};
use std::io::Write;
use std::mem;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use super::ClientError;
use crate::clock;
use crate::history::{Event, History, Moment, Outcome};

/// The journal of one writer, shared by all its clients.
#[derive(Debug, Clone)]
pub(super) struct Journal {
    path: PathBuf,
    started: Instant,
    /// The same moment in microseconds since 1970.
    began: u64,
    pages: Arc<Mutex<Pages>>,
}

#[derive(Debug)]
struct Pages {
    file: File,
    history: History,
    acknowledged: usize,
    /// The first failure to write the file.
    failure: Option<std::io::Error>,
}

impl Journal {
    /// Starts an empty journal. Time begins now.
    pub(super) fn create(path: &Path) -> Result<Self, ClientError> {
        let failed = |source| ClientError::Journal { path: path.to_owned(), source };
        path.parent().map_or(Ok(()), fs::create_dir_all).map_err(failed)?;
        let file = File::create(path).map_err(failed)?;
        let pages = Pages { file, history: History::default(), acknowledged: 0, failure: None };
        Ok(Self {
            path: path.to_owned(),
            started: clock::now(),
            began: clock::unix_micros(),
            pages: Arc::new(Mutex::new(pages)),
        })
    }

    pub(super) fn now(&self) -> Moment {
        Moment::after(clock::now().duration_since(self.started))
    }

    pub(super) fn began(&self) -> u64 {
        self.began
    }

    pub(super) fn acknowledged(&self) -> usize {
        self.pages().acknowledged
    }

    pub(super) fn record(&self, event: Event) {
        let mut pages = self.pages();
        let written = serde_json::to_vec(&event).map_err(std::io::Error::from).and_then(|mut line| {
            line.push(b'\n');
            pages.file.write_all(&line)
        });
        if let Err(error) = written {
            pages.failure.get_or_insert(error);
        }
        if matches!(&event, Event::Attempt(attempt) if attempt.outcome == Outcome::Ok) {
            pages.acknowledged += 1;
        }
        pages.history.push(event);
    }

    /// Writes the last line and hands over everything.
    pub(super) fn finish(&self) -> Result<History, ClientError> {
        self.record(Event::End { at: self.now() });
        let mut pages = self.pages();
        match pages.failure.take() {
            Some(source) => Err(ClientError::Journal { path: self.path.clone(), source }),
            None => Ok(mem::take(&mut pages.history)),
        }
    }

    fn pages(&self) -> MutexGuard<'_, Pages> {
        self.pages.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
