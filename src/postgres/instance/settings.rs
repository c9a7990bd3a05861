//! The agent's own configuration file, and what the server makes of it.

use std::time::Duration;

use nix::sys::signal::Signal;

use super::Instance;
use crate::postgres::managed::{self, Managed, Setting};
use crate::postgres::{PostgresError, layout};
use crate::rules::managed::{InForce, Line, Source};
use crate::rules::names;

/// Every statement that names our file does so by its end: the server may know the data directory by another path.
const SETTING: &str = "WITH lines AS MATERIALIZED (\
       SELECT seqno, setting, applied, sourcefile, sourceline, \
              pg_catalog.right(sourcefile, 13) = '/pgsqlms.conf' AS ours \
       FROM pg_catalog.pg_file_settings WHERE pg_catalog.lower(name) = $1), \
     mine AS (SELECT seqno, applied FROM lines WHERE ours ORDER BY seqno DESC LIMIT 1), \
     other AS (SELECT seqno, setting, sourcefile, sourceline FROM lines WHERE NOT ours ORDER BY seqno DESC LIMIT 1) \
     SELECT now.setting, now.source, now.sourcefile, other.setting, mine.applied::text, \
            (other.seqno > mine.seqno)::text, other.sourcefile, other.sourceline::text \
     FROM pg_catalog.pg_settings now LEFT JOIN mine ON true LEFT JOIN other ON true WHERE now.name = $1";

/// The longest that the server program is asked for settings.
const PATIENCE: Duration = Duration::from_secs(5);

impl Instance {
    /// By which name a primary would know it; none if that is unknown.
    pub(super) fn look_at_name(&mut self) -> Option<String> {
        let until = self.deadline.or_after(self.clock.as_ref(), PATIENCE);
        let read = self
            .with_rewind(until, |rewind| Ok((rewind.setting("primary_conninfo")?, rewind.setting("cluster_name")?)));
        // What is wrong with the configuration, the server says itself.
        let (conninfo, cluster_name) = read.map_err(|error| log::debug!("{error}")).ok()?;
        names::known_as(&conninfo, &cluster_name)
    }

    pub(super) fn read_managed(&mut self) -> Result<Managed, PostgresError> {
        self.as_user(|data| {
            let path = data.file(managed::FILE);
            match std::fs::read_to_string(&path) {
                Ok(text) => Ok(Managed::parse(&text)),
                Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(Managed::default()),
                // It is replaced as a whole.
                Err(error) if error.kind() == std::io::ErrorKind::InvalidData => Ok(Managed::default()),
                Err(source) => Err(PostgresError::File { doing: "read", path, source }),
            }
        })
    }

    pub(super) fn replace_managed(&mut self, managed: &Managed) -> Result<(), PostgresError> {
        self.as_user(|data| layout::replace(&data.file(managed::FILE), &managed.text()))?;
        self.reload()
    }

    /// What the files and the command line say. The server is made to read its files: it is what then is in force.
    pub(super) fn in_force_without_session(&mut self, setting: Setting) -> Result<InForce, PostgresError> {
        self.reload()?;
        let until = self.deadline.or_after(self.clock.as_ref(), PATIENCE);
        let value = self.with_rewind(until, |rewind| rewind.setting(setting.name()))?;
        Ok(InForce { value, source: Source::Other, theirs: None, ours: Line::Used })
    }

    fn reload(&mut self) -> Result<(), PostgresError> {
        let Some(postmaster) = self.processes().postmaster else { return Ok(()) };
        postmaster.signal(Signal::SIGHUP).map_err(|source| PostgresError::Signal { pid: postmaster.pid, source })
    }

    pub(super) fn in_force(&mut self, setting: Setting) -> Result<InForce, PostgresError> {
        let row = match self.ask_with(SETTING, &[setting.name()]) {
            Ok(row) => row,
            Err(error) => {
                log::warn!("{}: what its files say counts, since {error}", setting.name());
                return self.in_force_without_session(setting);
            }
        };
        let column = |number: usize| row.get(number).and_then(Option::as_deref);
        let yes = |number: usize| column(number).map(|value| value == "true");
        let text = |number: usize| column(number).unwrap_or_default().to_owned();
        Ok(InForce {
            value: text(0),
            source: match (column(1), column(2)) {
                (Some("command line"), _) => Source::CommandLine,
                (_, Some(file)) if file.ends_with("/postgresql.auto.conf") => Source::AutoConf,
                _ => Source::Other,
            },
            theirs: column(3).map(str::to_owned),
            ours: match (yes(4), yes(5)) {
                (None, _) => Line::Unseen,
                (Some(true), _) => Line::Used,
                (Some(false), Some(true)) => Line::Beaten { path: text(6), line: text(7) },
                (Some(false), _) => Line::Refused,
            },
        })
    }
}
