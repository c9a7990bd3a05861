//! The nodes' journals, and PostgreSQL's logs.

use std::fs;

use anyhow::{Context, Result};
use serde_json::Value;

use crate::lab::{Lab, RESOURCE};
use crate::node::Node;

/// The programs whose log lines matter.
const PROGRAMS: [&str; 5] = [COROSYNC, "pacemaker-controld", "pacemaker-schedulerd", "pacemaker-fenced", AGENT];

/// The name under which the agent writes.
pub const AGENT: &str = "pgsqlms";

/// The name under which Corosync writes.
pub const COROSYNC: &str = "corosync";

/// The name that PostgreSQL's log gets here.
pub const POSTGRES: &str = "postgres";

/// One line of a journal.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// When it was written, in microseconds since 1970.
    pub at: u64,
    /// On which node.
    pub node: String,
    /// By which program.
    pub program: String,
    /// Its text.
    pub message: String,
}

impl Entry {
    /// Its text, without the severity that Pacemaker puts before it, or the name of the agent's resource.
    pub fn text(&self) -> &str {
        let message = self.message.trim_start();
        if self.program == AGENT {
            let unnamed = message.strip_prefix('(').and_then(|rest| rest.strip_prefix(RESOURCE)?.strip_prefix(") "));
            return unnamed.unwrap_or(message);
        }
        ["notice: ", "warning: ", "error: "].iter().find_map(|label| message.strip_prefix(label)).unwrap_or(message)
    }
}

/// The log lines of the nodes that are on, and of all PostgreSQLs, since then, the oldest first.
///
/// # Errors
///
/// When a node does not print its journal.
pub fn everything_since(lab: &Lab, from: u64) -> Result<Vec<Entry>> {
    let mut entries = since(lab.nodes(), from)?;
    for node in lab.nodes() {
        let log = lab.logs().join(node.name()).join("postgresql/postgresql.log");
        let text = fs::read(log).unwrap_or_default();
        entries.extend(parse_log(node.name(), &String::from_utf8_lossy(&text)).into_iter().filter(|it| it.at >= from));
    }
    entries.sort_by_key(|entry| entry.at);
    Ok(entries)
}

/// The log lines of the nodes that are on since then, the oldest first.
///
/// # Errors
///
/// When a node does not print its journal.
pub fn since<'a>(nodes: impl IntoIterator<Item = &'a Node>, from: u64) -> Result<Vec<Entry>> {
    let mut entries = Vec::new();
    for node in nodes.into_iter().filter(|node| node.is_on()) {
        entries.extend(read(node, from).with_context(|| format!("cannot read the journal of {}", node.name()))?);
    }
    entries.retain(|entry: &Entry| entry.at >= from);
    entries.sort_by_key(|entry| entry.at);
    Ok(entries)
}

fn read(node: &Node, from: u64) -> Result<Vec<Entry>> {
    let since = format!("--since=@{}", from / 1_000_000);
    let fields = "--output-fields=MESSAGE,SYSLOG_IDENTIFIER,_SOURCE_REALTIME_TIMESTAMP";
    let programs: Vec<String> = PROGRAMS.iter().map(|program| format!("--identifier={program}")).collect();
    let mut argv = vec!["journalctl", "--quiet", "--no-pager", "--output=json", fields, &since];
    argv.extend(programs.iter().map(String::as_str));
    node.run(&argv).map(|text| parse(node.name(), &text))
}

/// Reads the output of `journalctl --output=json`. Entries without text are left out.
fn parse(node: &str, text: &str) -> Vec<Entry> {
    text.lines().filter_map(|line| entry(node, &serde_json::from_str(line).ok()?)).collect()
}

fn entry(node: &str, line: &Value) -> Option<Entry> {
    let field = |name: &str| line.get(name).and_then(Value::as_str);
    // When it was written; journald may be late to note it.
    let written = field("_SOURCE_REALTIME_TIMESTAMP").or_else(|| field("__REALTIME_TIMESTAMP"))?;
    Some(Entry {
        at: written.parse().ok()?,
        node: node.to_owned(),
        program: field("SYSLOG_IDENTIFIER")?.to_owned(),
        message: field("MESSAGE")?.trim().to_owned(),
    })
}

/// Reads PostgreSQL's log with the prefix `%m [%p] ` in UTC. Lines that begin otherwise are left out.
fn parse_log(node: &str, text: &str) -> Vec<Entry> {
    let entry = |line: &str| {
        let (time, rest) = line.split_once(" UTC [")?;
        let (_, message) = rest.split_once("] ")?;
        let (node, message) = (node.to_owned(), message.trim().to_owned());
        Some(Entry { at: unix_micros(time)?, node, program: POSTGRES.to_owned(), message })
    };
    text.lines().filter_map(entry).collect()
}

/// `2026-11-28 00:27:15.520`, which is UTC, in microseconds since 1970.
fn unix_micros(time: &str) -> Option<u64> {
    let (date, time) = time.split_once(' ')?;
    let mut date = date.split('-').map(str::parse::<u64>);
    let (year, month, day) = (date.next()?.ok()?, date.next()?.ok()?, date.next()?.ok()?);
    // The year begins in March, so that the day that comes and goes is its last one.
    let (year, month) = if month > 2 { (year, month - 3) } else { (year.checked_sub(1)?, month + 9) };
    let days = year * 365 + year / 4 - year / 100 + year / 400 + (153 * month + 2) / 5 + day;
    let mut time = time.split(':');
    let (hours, minutes) = (time.next()?.parse::<u64>().ok()?, time.next()?.parse::<u64>().ok()?);
    let (seconds, millis) = time.next()?.split_once('.')?;
    let (seconds, millis) = (seconds.parse::<u64>().ok()?, millis.parse::<u64>().ok()?);
    let seconds = (days.checked_sub(DAYS_UNTIL_1970)? * 24 + hours) * 3600 + minutes * 60 + seconds;
    Some((seconds * 1000 + millis) * 1000)
}

/// The days until 1 January 1970, as [`unix_micros`] counts them.
const DAYS_UNTIL_1970: u64 = 719_469;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_what_postgresql_logs() {
        let text = "2026-11-28 00:27:15.520 UTC [473] LOG:  fetching timeline history file for timeline 3\n\tdetail\n\
                    1970-01-01 00:00:00.001 UTC [1] LOG:  a\n2024-02-29 12:00:00.000 UTC [1] LOG:  b\n";
        let entries = parse_log("srv3", text);
        assert_eq!(entries.iter().map(|it| it.at).collect::<Vec<_>>(), [1795825635520000, 1000, 1709208000000000]);
        assert_eq!((entries[0].node.as_str(), entries[0].program.as_str()), ("srv3", "postgres"));
        assert_eq!(entries[0].message, "LOG:  fetching timeline history file for timeline 3");
    }

    #[test]
    fn reads_what_journalctl_prints() {
        let text = concat!(
            r#"{"__REALTIME_TIMESTAMP":"1795389858431999","_SOURCE_REALTIME_TIMESTAMP":"1795389858431449","#,
            r#""SYSLOG_IDENTIFIER":"pacemaker-controld","MESSAGE":" notice: Result of promote operation"}"#,
            "\n",
            r#"{"__REALTIME_TIMESTAMP":"1795389858431999","SYSLOG_IDENTIFIER":"pgsqlms","MESSAGE":[1,2]}"#,
            "\n-- No entries --\n",
            r#"{"__REALTIME_TIMESTAMP":"1795389858500000","SYSLOG_IDENTIFIER":"pgsqlms","MESSAGE":"(pgsqld) promoted"}"#,
        );
        let entries = parse("srv2", text);
        assert_eq!(entries.iter().map(|entry| entry.at).collect::<Vec<_>>(), [1795389858431449, 1795389858500000]);
        assert_eq!(entries[0].message, "notice: Result of promote operation");
        assert_eq!((entries[1].node.as_str(), entries[1].program.as_str()), ("srv2", "pgsqlms"));
    }
}
