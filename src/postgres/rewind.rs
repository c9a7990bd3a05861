//! Rewinding an instance that does not run, with pg_rewind. The caller acts as the PostgreSQL user.
//!
//! The order of steps is such that each of them may be the last for now: before the data directory is rewritten everything
//! is kept that is needed to begin anew, and that it is being rewritten is noted outside of it.

mod dropped;
mod hindered;
mod keep;
mod output;
mod own;
pub(super) mod places;
mod rebuild;
mod source;
mod surroundings;
mod waldir;

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use tokio::runtime::Runtime;

use super::PostgresError;
use super::conninfo::{Conninfo, Password};
use super::control::{ControlData, DbState};
use super::evidence::{self, EvidenceDirectory};
use super::layout::{self, DataDirectory};
use super::wal::{Geometry, Kind, Next, WalDirectory, WalReader};
use crate::clock::{Clock, Deadline};
use crate::command::{Invocation, Printed};
use crate::location::{Lsn, Timeline};
use crate::parameters::Config;
use crate::rules::rejoin::{Divergence, Notes, Stage};
use hindered::{Hindered, SPARE, has_room};
use keep::Kept;
use output::{Lasts, Plan};

/// How long a source that is not ready yet is waited for.
const SOURCE_PATIENCE: Duration = Duration::from_secs(10);

/// How soon the source is asked again.
const PAUSE: Duration = Duration::from_millis(300);

/// Everything that a rewind needs.
pub(super) struct Rewind<'a> {
    pub(super) data: &'a DataDirectory,
    pub(super) config: &'a Config,
    pub(super) evidence: &'a EvidenceDirectory,
    pub(super) runtime: &'a Runtime,
    pub(super) clock: &'a dyn Clock,
    pub(super) until: Deadline,
}

/// Why an instance with this pg_control cannot be rewound at all.
pub(super) fn obstacle(data: &DataDirectory, control: &ControlData) -> Option<String> {
    let why = if !control.can_be_rewound() {
        "it has neither data checksums nor wal_log_hints, so pg_rewind cannot help"
    } else if data.has("backup_label") {
        "it is a backup that was never recovered: it has a backup_label"
    } else {
        return None;
    };
    Some(why.to_owned())
}

impl Rewind<'_> {
    /// Rewinds the instance, or goes on with it; what is to be noted then, and is noted.
    ///
    /// # Errors
    ///
    /// When nothing can be noted.
    pub(super) fn run(&self, divergence: Option<&Divergence>, mut notes: Notes) -> Result<Notes, PostgresError> {
        if let (Some(divergence), false) = (divergence, notes.stage == Stage::Rewinding) {
            notes = notes.about(divergence.timeline, divergence.switch);
        }
        let before = notes.attempts;
        match self.attempt(divergence, &mut notes) {
            Ok(()) => {}
            Err(hindered) if notes.stage == Stage::Rewinding => {
                let hopeless = matches!(hindered, Hindered::Hopeless(_));
                notes = notes.interrupted(before, hindered.why(), hopeless);
            }
            Err(Hindered::Passing(why)) => {
                notes.attempts += 1;
                notes.why = why;
            }
            Err(Hindered::Lasting(why)) => {
                notes.stage = Stage::Blocked;
                notes.why = why;
            }
            Err(Hindered::Hopeless(why)) => {
                notes.stage = Stage::Hopeless;
                notes.why = why;
            }
        }
        self.evidence.note(&notes)?;
        Ok(notes)
    }

    fn attempt(&self, divergence: Option<&Divergence>, notes: &mut Notes) -> Result<(), Hindered> {
        let program = self.data.bindir(self.config.bindir.as_deref())?.join("pg_rewind");
        if !program.exists() {
            return Err(Hindered::Lasting(format!("{} is missing: install it", program.display())));
        }
        let resumed = notes.stage == Stage::Rewinding;
        let mut kept = Kept { data: self.data, place: PathBuf::from(&notes.evidence) };
        if resumed {
            if let Some(mismatch) = kept.mismatch()? {
                let notes = self.evidence.path().join(evidence::NOTES);
                let remove = format!("remove {} if it is a fresh copy of the primary", notes.display());
                return Err(Hindered::Lasting(format!("{remove}; {mismatch}")));
            }
            self.check_surroundings()?;
            log::warn!("going on with a rewind that was interrupted: {}", kept.place.display());
            kept.put_back()?;
        } else {
            self.check_surroundings()?;
            self.recover()?;
        }
        let (source, password) = self.source()?;
        let rewind = |more: &[&str]| self.pg_rewind(&program, &source, password.as_ref(), more);
        let (plan, planned) = self.plan(&rewind)?;
        self.check_source_wal(&plan, &planned)?;
        if !resumed {
            kept.place = self.keep(divergence, &plan)?;
            notes.evidence = kept.place.display().to_string();
        }
        notes.stage = Stage::Rewinding;
        notes.attempts += 1;
        notes.why = "it was interrupted".to_owned();
        self.evidence.note(notes)?;
        log::warn!("rewinding to {} on timeline {}: {source}", plan.fork, plan.fork_timeline);
        output::done(&rewind(&[])?).map_err(Hindered::Passing)?;
        self.finish(&kept, &plan)?;
        notes.stage = Stage::Rewound;
        notes.why = String::new();
        log::info!("rewound; what was dropped is in {}", kept.place.display());
        Ok(())
    }

    /// Lets an instance that crashed recover, without becoming a standby or anything else: pg_rewind wants that. The WAL
    /// from before is kept; the checkpoint at the end would remove what leads to the fork.
    fn recover(&self) -> Result<(), Hindered> {
        let control = self.control()?;
        if matches!(control.state, DbState::ShutDown | DbState::ShutDownInRecovery) {
            return Ok(());
        }
        let signal = self.data.file("standby.signal");
        match fs::remove_file(&signal) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                return Err(PostgresError::File { doing: "remove", path: signal, source: error }.into());
            }
            _ => evidence::sync(self.data.path())?,
        }
        let keep = if self.version()? >= 13 { "wal_keep_size=2147483647" } else { "wal_keep_segments=2147483647" };
        let options = [keep, "log_destination=stderr", "lc_messages=C"];
        let server = options.iter().fold(self.postgres(&["--single"])?, |server, option| server.arg("-c").arg(*option));
        let server = server.arg("template1");
        log::info!("the instance was left by a crash: PostgreSQL recovers it first");
        let said = server.listen(self.runtime, self.left()).map_err(PostgresError::from)?;
        if !said.status.success() {
            let fatal = said.stderr.lines().find(|line| line.contains("FATAL:") || line.contains("PANIC:"));
            let why = fatal.unwrap_or("it gave no reason");
            return Err(Hindered::Passing(format!("it does not recover from its crash: {why}")));
        }
        Ok(())
    }

    fn control(&self) -> Result<ControlData, PostgresError> {
        let path = self.data.file("global/pg_control");
        self.data.control()?.map_err(|error| PostgresError::Content { path, why: error.to_string() })
    }

    fn version(&self) -> Result<u32, PostgresError> {
        Ok(self.data.major_version()?.split('.').next().and_then(|major| major.parse().ok()).unwrap_or(0))
    }

    fn left(&self) -> Duration {
        self.until.left(self.clock)
    }

    /// The server program with this instance's options; these first.
    fn postgres(&self, first: &[&str]) -> Result<Invocation, PostgresError> {
        let program = self.data.bindir(self.config.bindir.as_deref())?.join("postgres");
        let server = first.iter().fold(Invocation::new(program), |server, word| server.arg(*word));
        let server = server.arg("-D").arg(&self.config.pgdata);
        Ok(self.config.start_opts.iter().fold(server, |server, word| server.arg(word)))
    }

    fn pg_rewind(
        &self,
        program: &Path,
        source: &Conninfo,
        password: Option<&Password>,
        more: &[&str],
    ) -> Result<Printed, Hindered> {
        let mut rewind = Invocation::new(program)
            .option("target-pgdata", self.data.path())
            .option("source-server", source.text())
            .arg("--progress")
            .password(password.cloned())
            .working_in(self.data.path());
        if self.version()? >= 13 {
            rewind = rewind.arg("--no-ensure-shutdown");
            if !self.setting("restore_command")?.is_empty() {
                let config = self.setting("config_file")?;
                rewind =
                    restoring(self.version()?, self.data.path(), &config).into_iter().fold(rewind, Invocation::arg);
            }
        }
        let rewind = more.iter().fold(rewind, |rewind, word| rewind.arg(*word));
        Ok(rewind.listen(self.runtime, self.left()).map_err(PostgresError::from)?)
    }

    /// What pg_rewind is going to do, once the source is ready for it.
    fn plan(&self, rewind: &dyn Fn(&[&str]) -> Result<Printed, Hindered>) -> Result<(Plan, Printed), Hindered> {
        let patience = self.until.share(self.clock, 0.3).or_after(self.clock, SOURCE_PATIENCE);
        loop {
            let printed = rewind(&["--dry-run", "--debug"])?;
            match output::plan(&printed) {
                Ok(plan) => return Ok((plan, printed)),
                Err(hindrance) if hindrance.lasts == Lasts::Shortly && !patience.has_passed(self.clock) => {
                    self.clock.sleep(PAUSE)
                }
                Err(hindrance) => return Err(hindrance.into()),
            }
        }
    }

    /// The source must still have the WAL from the fork on: it is replayed first of all.
    fn check_source_wal(&self, plan: &Plan, planned: &Printed) -> Result<(), Hindered> {
        let needed = self.segment(plan.fork)?;
        let Some(copied) = output::copied_segments(planned) else { return Ok(()) };
        if output::has(&copied, plan.fork_timeline, &needed) || !self.setting("restore_command")?.is_empty() {
            return Ok(());
        }
        Err(Hindered::Hopeless(format!("the primary has removed the WAL from {} on", plan.fork)))
    }

    /// The name of the segment that `lsn` is in, without its timeline.
    fn segment(&self, lsn: Lsn) -> Result<String, PostgresError> {
        let geometry = self.geometry()?;
        Ok(geometry.segment_name(Timeline(0), geometry.segment_of(lsn))[8..].to_owned())
    }

    fn geometry(&self) -> Result<Geometry, PostgresError> {
        let path = self.data.file("global/pg_control");
        let why = "impossible segment size".to_owned();
        Geometry::of(&self.control()?).ok_or(PostgresError::Content { path, why })
    }

    /// Keeps what is about to be dropped, and what it takes to begin anew.
    fn keep(&self, divergence: Option<&Divergence>, plan: &Plan) -> Result<PathBuf, Hindered> {
        let from = self.redo_of(plan)?.min(plan.checkpoint);
        let name =
            format!("{}-{}.{}", plan.fork_timeline, plan.fork.to_string().replace('/', "-"), self.clock.unix_time());
        let kept = Kept { data: self.data, place: self.evidence.begin(&name)? };
        let wal = kept.wal_from(&self.segment(from)?)?;
        self.check_room_for(&kept.place, &wal)?;
        has_room(self.data.path(), plan.bytes, "for what is copied from the primary")?;
        self.describe(divergence, plan.fork, &kept.place)?;
        kept.save(&wal, &|| !self.until.has_passed(self.clock))?;
        evidence::sync(self.evidence.path())?;
        Ok(kept.place)
    }

    /// Keeps what is dropped when the data directory is replaced. Where it is not known from where on that is, all WAL there is.
    pub(super) fn keep_diverged(&self, divergence: &Divergence) -> Result<PathBuf, PostgresError> {
        let (timeline, fork) = (divergence.timeline, divergence.at.unwrap_or_default());
        let name = format!(
            "{timeline}-{}.{}.rebuild",
            divergence.switch.to_string().replace('/', "-"),
            self.clock.unix_time()
        );
        let kept = Kept { data: self.data, place: self.evidence.begin(&name)? };
        let wal = kept.wal_from(&self.segment(fork)?)?;
        self.check_room_for(&kept.place, &wal).map_err(|hindered| PostgresError::NotKept(hindered.why()))?;
        self.describe(Some(divergence), fork, &kept.place)?;
        kept.save(&wal, &|| !self.until.has_passed(self.clock))?;
        evidence::sync(self.evidence.path())?;
        Ok(kept.place)
    }

    /// Where replay from the last common checkpoint begins.
    fn redo_of(&self, plan: &Plan) -> Result<Lsn, PostgresError> {
        let (geometry, path) = (self.geometry()?, self.data.file("pg_wal"));
        let history = self.data.history(plan.fork_timeline)?;
        let segments = WalDirectory::new(&path, geometry);
        let mut go_on = || true;
        let reader = WalReader::new(&segments, geometry, &history, plan.checkpoint, &mut go_on);
        let read = reader.and_then(|mut reader| reader.next_record());
        match read.map_err(|error| PostgresError::Content { path: path.clone(), why: error.to_string() })? {
            Next::Record(record) => match record.kind {
                Kind::OnlineCheckpoint(checkpoint) | Kind::ShutdownCheckpoint(checkpoint) => Ok(checkpoint.redo),
                _ => Ok(plan.checkpoint),
            },
            Next::End { .. } => Ok(plan.checkpoint),
        }
    }

    /// Makes a standby of the rewound data, with the node's own configuration.
    fn finish(&self, kept: &Kept, plan: &Plan) -> Result<(), Hindered> {
        own::put_back(self.data, &kept.place, &[])?;
        let fork = self.segment(plan.fork)?;
        kept.put_common_wal_back(&fork)?;
        layout::create(&self.data.file("standby.signal"))?;
        evidence::sync(self.data.path())?;
        Ok(())
    }
}

/// With which arguments pg_rewind of this version has WAL restored that this node lacks. It runs the server to learn the
/// restore_command, and before PostgreSQL 15 has no option for the place of the configuration, if that is not in the data directory.
fn restoring(version: u32, data: &Path, config: &str) -> Vec<String> {
    let restore = "--restore-target-wal".to_owned();
    match (Path::new(config).parent() == Some(data), version >= 15) {
        (true, _) => vec![restore],
        (false, true) => vec![restore, format!("--config-file={config}")],
        (false, false) => Vec::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rules::table;

    fn restores((version, config): (u32, &str)) -> String {
        restoring(version, Path::new("/d"), config).join(" ")
    }

    table! { restores;
        the_configuration_is_in_the_data_directory: (13, "/d/postgresql.conf") => "--restore-target-wal";
        it_is_elsewhere: (15, "/etc/p.conf") => "--restore-target-wal --config-file=/etc/p.conf";
        it_is_elsewhere_and_cannot_be_named: (14, "/etc/p.conf") => "";
    }
}
