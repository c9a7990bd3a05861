//! The agent's own configuration file in the data directory. `postgresql.conf` includes it as its last line if the agent is
//! to set anything.

use std::collections::BTreeMap;
use std::fmt::{self, Write as _};

/// Its name.
pub const FILE: &str = "pgsqlms.conf";

/// The setting of no consequence by which it can be seen whether the server reads the file.
const HEAD: &str = "# Written by pgsqlms. Changes are lost.\npgsqlms.managed = 'on'\n";

/// What the agent may set.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Setting {
    /// What commits wait for.
    SynchronousStandbyNames,
    /// The server that a standby follows.
    PrimaryConninfo,
    /// The slot that it streams from.
    PrimarySlotName,
}

impl Setting {
    /// Every one.
    const ALL: [Setting; 3] = [Setting::SynchronousStandbyNames, Setting::PrimaryConninfo, Setting::PrimarySlotName];

    /// PostgreSQL's name of it.
    pub fn name(self) -> &'static str {
        match self {
            Setting::SynchronousStandbyNames => "synchronous_standby_names",
            Setting::PrimaryConninfo => "primary_conninfo",
            Setting::PrimarySlotName => "primary_slot_name",
        }
    }
}

/// The contents of the file. All of it is the agent's: what it does not know is dropped.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Managed(BTreeMap<Setting, String>);

impl Managed {
    /// Reads the file's text.
    pub fn parse(text: &str) -> Self {
        let line = |line: &str| {
            let (name, value) = line.split_once(" = ")?;
            let setting = Setting::ALL.into_iter().find(|setting| setting.name() == name)?;
            Some((setting, unquoted(value.strip_prefix('\'')?.strip_suffix('\'')?)))
        };
        Self(text.lines().filter_map(line).collect())
    }

    /// The file's text.
    pub fn text(&self) -> String {
        self.0.iter().fold(HEAD.to_owned(), |mut text, (setting, value)| {
            let _ = writeln!(text, "{} = '{}'", setting.name(), quoted(value));
            text
        })
    }

    /// What is set.
    pub fn get(&self, setting: Setting) -> Option<&str> {
        self.0.get(&setting).map(String::as_str)
    }

    /// Sets it, or leaves it to `postgresql.conf`.
    #[must_use]
    pub fn with(mut self, setting: Setting, value: Option<String>) -> Self {
        match value {
            Some(value) => self.0.insert(setting, value),
            None => self.0.remove(&setting),
        };
        self
    }
}

/// Without the values: there may be a password among them.
impl fmt::Debug for Managed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.0.keys()).finish()
    }
}

/// A value between quotes as `guc-file.l` reads it: on one line.
fn quoted(value: &str) -> String {
    value.replace('\\', r"\\").replace('\'', "''").replace('\n', r"\n").replace('\r', r"\r")
}

fn unquoted(text: &str) -> String {
    let mut value = String::new();
    let mut chars = text.chars();
    while let Some(c) = chars.next() {
        match (c, if matches!(c, '\\' | '\'') { chars.next() } else { Some(c) }) {
            ('\\', Some('n')) => value.push('\n'),
            ('\\', Some('r')) => value.push('\r'),
            (_, Some(c)) => value.push(c),
            (_, None) => {}
        }
    }
    value
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_value_comes_back_on_one_line() {
        for value in ["", "ANY 1 (srv1, \"srv 2\")", "it's", r"a\b\\", "''", "a\nb\r", r"\n", "'", r"password='it\'s'"]
        {
            let managed = Managed::default()
                .with(Setting::PrimaryConninfo, Some(value.to_owned()))
                .with(Setting::SynchronousStandbyNames, Some("*".to_owned()));
            let text = managed.text();
            assert_eq!(text.lines().count(), 4, "{text}");
            assert_eq!(Managed::parse(&text).get(Setting::PrimaryConninfo), Some(value), "{text}");
            assert_eq!(Managed::parse(&text), managed);
            let without = managed.with(Setting::PrimaryConninfo, None);
            assert_eq!(Managed::parse(&without.text()).get(Setting::PrimaryConninfo), None);
        }
    }

    #[test]
    fn what_is_not_ours_is_no_setting() {
        for text in
            ["", "fsync = 'off'\n", "primary_conninfo = \n", "primary_conninfo = 'x\n", "# primary_conninfo = 'x'\n"]
        {
            assert_eq!(Managed::parse(text), Managed::default(), "{text:?}");
        }
    }

    #[test]
    fn no_value_is_shown() {
        let managed = Managed::default().with(Setting::PrimaryConninfo, Some("password=secret".to_owned()));
        assert_eq!(format!("{managed:?}"), "{PrimaryConninfo}");
    }
}
