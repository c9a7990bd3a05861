//! What the nodes have written into their journals.

use anyhow::{Context, Result};
use serde_json::Value;

use crate::node::Node;

/// The programs whose words matter.
const PROGRAMS: [&str; 3] = ["pacemaker-controld", "pacemaker-fenced", AGENT];

/// The name under which the agent writes.
pub(super) const AGENT: &str = "pgsqlms";

/// One line of a journal.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Entry {
    /// When it was written, in microseconds since 1970.
    pub(super) at: u64,
    /// On which node.
    pub(super) node: String,
    /// By which program.
    pub(super) program: String,
    /// What it says.
    pub(super) message: String,
}

/// What the nodes that are on have written since then, the oldest first.
pub(super) fn since<'a>(nodes: impl IntoIterator<Item = &'a Node>, from: u64) -> Result<Vec<Entry>> {
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

/// Reads what `journalctl --output=json` printed. Lines that are no text of a program are left out.
pub(super) fn parse(node: &str, text: &str) -> Vec<Entry> {
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

#[cfg(test)]
mod tests {
    use super::*;

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
