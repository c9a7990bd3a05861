//! Replacing the data directory by a copy of the primary's, made by pg_basebackup: the copy. The caller acts as the PostgreSQL
//! user.

use std::fs;
use std::io::ErrorKind;
use std::path::Path;
use std::time::Duration;

use super::keep::MANAGED;
use super::places::{Places, failed, is_directory};
use super::{Hindered, Rewind, SPARE, own};
use crate::command::Invocation;
use crate::location::SystemId;
use crate::postgres::PostgresError;
use crate::postgres::conninfo::{Conninfo, Password};
use crate::postgres::evidence::sync;
use crate::postgres::layout::{self, DataDirectory};
use crate::postgres::wal_end::{self, Positions};
use crate::rules::rebuild::Copying;
use crate::rules::rejoin::Stage;
use crate::vote::{Extent, Reach, Vote};

/// So long pg_basebackup may say nothing: while the primary writes a checkpoint, and while everything is synced to disk.
const SILENCE: Duration = Duration::from_secs(3600);

impl Rewind<'_> {
    /// Where the primary is copied from, without secrets.
    pub(crate) fn source_of_copy(&self) -> Result<String, String> {
        self.primary().map(|(source, _)| source.to_string())
    }

    /// Where the primary is copied from.
    fn primary(&self) -> Result<(Conninfo, Option<Password>), String> {
        let (mut source, password) = self.upstream("pg_basebackup").map_err(Hindered::why)?;
        source.remove("dbname");
        Ok((source, password))
    }

    /// Copies the server that this node replicates from, with this node's own configuration; returns how far the copy reaches.
    pub(crate) fn copy(&self, places: &Places, on_line: &mut dyn FnMut(&str)) -> Result<Vote, String> {
        let said = |error: PostgresError| error.to_string();
        let notes = self.evidence.notes().map_err(said)?;
        if notes.stage == Stage::Rewinding && !notes.evidence.is_empty() {
            // Until a rewind is over, the configuration may be the primary's.
            own::put_back(self.data, Path::new(&notes.evidence), &[MANAGED]).map_err(said)?;
        }
        let (source, password) = self.primary()?;
        let program = self.data.bindir(self.config.bindir.as_deref()).map_err(said)?.join("pg_basebackup");
        places.begin().map_err(said)?;
        let (free, _) = places.room().map_err(said)?;
        // It is the primary's disk, and its clients' time.
        let copies = Invocation::new("nice")
            .arg("--adjustment=10")
            .arg(program)
            .option("dbname", source.text())
            .option("pgdata", &places.copy)
            .arg("--wal-method=stream")
            .arg("--checkpoint=fast")
            .arg("--progress")
            .arg("--no-password")
            .password(password)
            .working_in(&places.beside);
        let copies = match self.config.copy_max_rate {
            Some(rate) => copies.option("max-rate", rate.to_string()),
            None => copies,
        };
        let copies = match places.wal_of_copy() {
            Some(wal) => copies.option("waldir", wal),
            None => copies,
        };
        let mut percent = None;
        copies
            .relay(self.runtime, SILENCE, &mut |line| {
                let copying = Copying::read(line);
                if copying.is_none() || copying.map(|copying| copying.percent) != percent {
                    on_line(line);
                }
                let is_first = percent.is_none();
                if let Some(copying) = copying.filter(|copying| Some(copying.percent) != percent) {
                    places.note_percent(copying.percent);
                    percent = Some(copying.percent);
                }
                copying.filter(|_| is_first)?.refusal(free, SPARE)
            })
            .map_err(|error| error.to_string())?;
        self.adopt(places).map_err(said)?;
        let copy = DataDirectory::new(&places.copy);
        let path = copy.file("global/pg_control");
        let control = copy.control().map_err(said)?.map_err(|error| format!("{}: {error}", path.display()))?;
        let end = wal_end::on_disk(&copy, &control, Positions::default(), None, &mut || true);
        if let Extent::Unread(why) = end.extent {
            return Err(format!("the copy's WAL cannot be read: {why}"));
        }
        let reach = Reach { received: None, replayed: None, on_disk: Some(end.lsn) };
        let system = Some(SystemId(control.system_identifier));
        Ok(Vote { system, replaced: true, history: end.history, reach, extent: Extent::Exact })
    }

    /// Makes this node's standby of the copy.
    fn adopt(&self, places: &Places) -> Result<(), PostgresError> {
        let copy = DataDirectory::new(&places.copy);
        own::save(self.data, &places.beside)?;
        own::put_back(&copy, &places.beside, &[])?;
        keep_links(self.data.path(), copy.path())?;
        layout::create(&copy.file("standby.signal"))?;
        sync(copy.path())
    }
}

/// What is a link in the data directory is the same one in the copy: configuration that is kept elsewhere.
fn keep_links(from: &Path, to: &Path) -> Result<(), PostgresError> {
    for entry in fs::read_dir(from).map_err(failed("read", from))?.flatten() {
        let (path, new) = (entry.path(), to.join(entry.file_name()));
        let Ok(target) = fs::read_link(&path) else { continue };
        if entry.file_name() == "pg_wal" {
            // The copy has its own.
            continue;
        }
        match fs::remove_file(&new) {
            Err(error) if error.kind() == ErrorKind::NotFound => {}
            // A directory of the primary's.
            Err(_) if is_directory(&new) => continue,
            removed => removed.map_err(failed("replace", &new))?,
        }
        std::os::unix::fs::symlink(target, &new).map_err(failed("create", &new))?;
    }
    Ok(())
}
