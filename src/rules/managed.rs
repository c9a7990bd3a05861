//! Whether a setting in the agent's own configuration file is in force, and what keeps it from being so.

use std::fmt;

/// Where a setting stands now, and where else.
#[derive(Clone, PartialEq, Eq)]
pub struct InForce {
    /// Its value.
    pub value: String,
    /// What decides about it.
    pub source: Source,
    /// The value that stands in the last place other than our file.
    pub theirs: Option<String>,
    /// What the server makes of the line in our file.
    pub ours: Line,
}

/// What decides about a setting.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Source {
    /// The command line: it wins over every file.
    CommandLine,
    /// `postgresql.auto.conf`: it wins over every other file.
    AutoConf,
    /// Any other file, or none.
    Other,
}

/// What the server would make of the line in our file if it read its files now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Line {
    /// It does not see it.
    Unseen,
    /// It would use it.
    Used,
    /// A later line wins.
    Beaten {
        /// The file.
        path: String,
        /// The number of the line.
        line: String,
    },
    /// It uses none of its files because something is wrong with them.
    Refused,
}

/// What is to be done about a setting.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Step {
    /// It is in force.
    Nothing,
    /// Write it into our file and have the server read it.
    Write,
    /// Have the server read its files.
    Reload,
    /// It cannot be brought into force.
    Blocked(Obstacle),
}

/// What keeps a setting from being in force. Displayed as what helps, for the setting `name` and our file at `path`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Obstacle {
    /// The command line.
    CommandLine,
    /// `ALTER SYSTEM`.
    AutoConf,
    /// No line includes our file.
    NotIncluded,
    /// A line after it.
    Beaten {
        /// Its file.
        path: String,
        /// Its number.
        line: String,
    },
    /// An error in some other line.
    Refused,
    /// Nothing that we know of.
    Unknown,
}

/// What is to be done so that `wanted` is in force, where our file says `written`.
pub fn step(wanted: &str, in_force: &InForce, written: Option<&str>) -> Step {
    match (&in_force.source, &in_force.ours) {
        _ if in_force.value == wanted => Step::Nothing,
        (Source::CommandLine, _) => Step::Blocked(Obstacle::CommandLine),
        (Source::AutoConf, _) => Step::Blocked(Obstacle::AutoConf),
        _ if written != Some(wanted) => Step::Write,
        (Source::Other, Line::Unseen) => Step::Blocked(Obstacle::NotIncluded),
        (Source::Other, Line::Used) => Step::Reload,
        (Source::Other, Line::Refused) => Step::Blocked(Obstacle::Refused),
        (Source::Other, Line::Beaten { path, line }) => {
            Step::Blocked(Obstacle::Beaten { path: path.clone(), line: line.clone() })
        }
    }
}

/// An obstacle to the setting `name` in our file at `path`, as an exit reason.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Blocked {
    /// The setting.
    pub name: &'static str,
    /// Our file.
    pub path: String,
    /// What is in the way.
    pub obstacle: Obstacle,
}

impl fmt::Display for Blocked {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { name, path, obstacle } = self;
        match obstacle {
            Obstacle::CommandLine => write!(f, "take {name} out of start_opts: there, it wins over {path}"),
            Obstacle::AutoConf => {
                write!(f, "ALTER SYSTEM RESET {name}; SELECT pg_reload_conf(): postgresql.auto.conf wins over {path}")
            }
            Obstacle::NotIncluded => {
                write!(f, "include_if_exists = '{path}' must be the last line of postgresql.conf: {name} is set there")
            }
            Obstacle::Beaten { path: other, line } => {
                write!(f, "remove {name} from {other}, line {line}: it comes after the include of {path}")
            }
            Obstacle::Refused => {
                write!(f, "correct postgresql.conf: SELECT * FROM pg_file_settings WHERE error > ''; {name} is not set")
            }
            Obstacle::Unknown => write!(f, "{name} in {path} has no effect: see PostgreSQL's log"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rules::table;

    /// `b` is wanted; the value in force, what decides, what our file says, what the server makes of it.
    fn steps((value, source, written, ours): (&str, Source, Option<&str>, Line)) -> Step {
        step("b", &InForce { value: value.to_owned(), source, theirs: None, ours }, written)
    }

    fn later() -> Line {
        Line::Beaten { path: "/e/p.conf".to_owned(), line: "7".to_owned() }
    }

    table! { steps;
        in_force: ("b", Source::Other, Some("b"), Line::Used) => Step::Nothing;
        in_force_without_us: ("b", Source::CommandLine, None, Line::Unseen) => Step::Nothing;
        never_written: ("a", Source::Other, None, Line::Unseen) => Step::Write;
        another_value: ("a", Source::Other, Some("a"), Line::Used) => Step::Write;
        another_value_that_was_beaten: ("a", Source::Other, Some("c"), later()) => Step::Write;
        written_and_not_read: ("a", Source::Other, Some("b"), Line::Used) => Step::Reload;
        not_included: ("a", Source::Other, Some("b"), Line::Unseen) => Step::Blocked(Obstacle::NotIncluded);
        an_error_somewhere: ("a", Source::Other, Some("b"), Line::Refused) => Step::Blocked(Obstacle::Refused);
        a_later_line: ("a", Source::Other, Some("b"), later())
            => Step::Blocked(Obstacle::Beaten { path: "/e/p.conf".to_owned(), line: "7".to_owned() });
        the_command_line: ("a", Source::CommandLine, None, Line::Unseen) => Step::Blocked(Obstacle::CommandLine);
        alter_system: ("a", Source::AutoConf, Some("b"), Line::Unseen) => Step::Blocked(Obstacle::AutoConf);
    }
}
