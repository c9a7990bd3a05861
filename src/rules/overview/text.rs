//! The report, for a terminal: ASCII, and at most 100 columns.

use super::{Facts, Finding, Level, Row, Verdict, rows};

/// How wide it may be.
const WIDTH: usize = 100;

/// How many findings are printed.
const MOST: usize = 5;

/// Where what follows the level begins.
const INDENT: usize = 8;

/// The whole report.
pub fn report(facts: &Facts, verdict: &Verdict) -> String {
    let mut lines = vec![title(facts)];
    verdict.findings.iter().take(MOST).for_each(|finding| lines.extend(described(finding)));
    if verdict.findings.len() > MOST {
        lines.push(format!("{:INDENT$}and {} more, in --json", "", verdict.findings.len() - MOST));
    }
    if verdict.level != Level::Unknown {
        lines.push(String::new());
        lines.extend(table(&rows(facts)));
        lines.push(String::new());
        lines.extend(circumstances(facts));
    }
    lines.extend(not_seen(&verdict.unseen));
    lines.iter().map(|line| plain(line.trim_end())).collect::<Vec<_>>().join("\n")
}

/// What could not be seen, in the last lines.
pub(in crate::rules) fn not_seen(unseen: &[String]) -> Vec<String> {
    let line = |(number, unseen): (usize, &String)| {
        let head = if number == 0 { "not seen" } else { "" };
        wrapped(&format!("{head:<9}"), unseen, 9)
    };
    unseen.iter().enumerate().flat_map(line).collect()
}

fn title(facts: &Facts) -> String {
    let version = facts.report().map_or(String::new(), |report| format!("PostgreSQL {}, ", report.version));
    let nodes = facts.cluster.as_ref().map_or(String::new(), |cluster| format!("{} nodes, ", cluster.nodes.len()));
    format!("{}  {version}{nodes}seen from {}", facts.resource, facts.me)
}

fn described(finding: &Finding) -> Vec<String> {
    let mut lines = wrapped(&format!("{:<INDENT$}", finding.level), &finding.text, INDENT);
    lines.extend(finding.cures.iter().map(|cure| format!("{:10}{:<45}  {}", "", cure.command, cure.costs)));
    lines
}

/// A line, and those that it goes on in.
pub(in crate::rules) fn wrapped(head: &str, text: &str, indent: usize) -> Vec<String> {
    let (mut lines, mut line, mut is_begun) = (Vec::new(), head.to_owned(), false);
    for word in text.split_whitespace() {
        if is_begun && line.chars().count() + 1 + word.chars().count() > WIDTH {
            lines.push(std::mem::replace(&mut line, " ".repeat(indent)));
            is_begun = false;
        }
        if is_begun {
            line.push(' ');
        }
        line.push_str(word);
        is_begun = true;
    }
    lines.push(line);
    lines
}

/// What a terminal takes: no control characters, and nothing that some encoding lacks.
pub(in crate::rules) fn plain(line: &str) -> String {
    let plain = |c: char| if c == ' ' || c.is_ascii_graphic() { c } else { '?' };
    let mut line: String = line.chars().map(plain).collect();
    if line.len() > WIDTH {
        line.truncate(WIDTH - 3);
        line.push_str("...");
    }
    line
}

const HEAD: [&str; 10] = ["", "NODE", "ROLE", "STATE", "TL", "LSN", "LAG", "SYNC", "SCORE", "NOTE"];

/// Those that are numbers.
const TO_THE_RIGHT: [usize; 3] = [4, 6, 8];

fn table(rows: &[Row]) -> Vec<String> {
    let mut cells = vec![HEAD.map(str::to_owned)];
    cells.extend(rows.iter().map(row));
    let widths: [usize; HEAD.len()] =
        std::array::from_fn(|column| cells.iter().map(|row| row[column].chars().count()).max().unwrap_or(0).max(1));
    let line = |row: &[String; HEAD.len()]| {
        let mut line = String::new();
        for (column, (cell, width)) in row.iter().zip(widths).enumerate() {
            let gap = if column < 2 { 1 } else { 2 };
            line.push_str(&" ".repeat(if column == 0 { 0 } else { gap }));
            line.push_str(&match TO_THE_RIGHT.contains(&column) {
                true => format!("{cell:>width$}"),
                false => format!("{cell:<width$}"),
            });
        }
        line
    };
    cells.iter().map(line).collect()
}

fn row(row: &Row) -> [String; HEAD.len()] {
    let text = |value: &Option<String>| value.clone().unwrap_or_default();
    let lag = row.lag_bytes.map(|bytes| match row.lag_tenths {
        Some(tenths) => format!("{} {}.{} s", size(bytes), tenths / 10, tenths % 10),
        None => size(bytes),
    });
    [
        if row.is_here { "*" } else { "" }.to_owned(),
        row.node.clone(),
        row.role.to_owned(),
        row.state.clone(),
        row.timeline.map_or(String::new(), |timeline| timeline.to_string()),
        text(&row.lsn),
        lag.unwrap_or_default(),
        text(&row.sync),
        text(&row.score),
        row.note.clone(),
    ]
}

/// `26 MB`, and bytes only where there are few.
fn size(bytes: u64) -> String {
    let units = [(30, "GB"), (20, "MB"), (10, "kB")];
    let fitting = units.into_iter().find(|(shift, _)| bytes >> shift >= 10);
    fitting.map_or(format!("{bytes} B"), |(shift, unit)| format!("{} {unit}", bytes >> shift))
}

fn circumstances(facts: &Facts) -> Vec<String> {
    let mut lines = Vec::new();
    if let Ok(cluster) = &facts.cluster {
        let online = cluster.nodes.values().filter(|member| member.is_online).count();
        let quorum = if cluster.has_quorum { "yes" } else { "NO" };
        let fencing = if cluster.has_fencing { "on" } else { "OFF" };
        let nodes = cluster.nodes.len();
        lines.push(format!("quorum   {quorum}, {online} of {nodes} nodes online; fencing {fencing}"));
    }
    if let Some(report) = facts.report().filter(|_| facts.primaries().contains(&facts.me)) {
        lines.extend(match report.synchronous.as_str() {
            "" => vec!["commits  wait for no standby: synchronous_standby_names is empty".to_owned()],
            names => wrapped("commits  ", &format!("wait for {names}"), 9),
        });
    }
    lines
}
