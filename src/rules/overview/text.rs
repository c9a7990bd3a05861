//! The report, for a terminal: ASCII, and at most 100 columns.

use super::{Cure, Facts, Finding, Level, Row, Verdict, rows};

/// How wide it may be.
const WIDTH: usize = 100;

/// How many findings are printed.
const MOST: usize = 5;

/// Where what follows the level begins.
const INDENT: usize = 8;

/// Where a command begins, and where what it costs does.
const BESIDE: usize = 10;
const COSTS: usize = 55;

/// The whole report.
pub fn report(facts: &Facts, verdict: &Verdict) -> String {
    let mut findings: Vec<String> = verdict.findings.iter().take(MOST).flat_map(lines).collect();
    findings.insert(0, plain(&title(facts)));
    let mut lines = Vec::new();
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
    findings.extend(lines.iter().map(|line| plain(line.trim_end())));
    findings.join("\n")
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

/// What it is in the first line, and what helps in the next, so that three lines of a terminal say both. A long reason follows.
fn lines(finding: &Finding) -> Vec<String> {
    let (head, sentence) = (format!("{:<INDENT$}", finding.level), finding.sentence());
    let fits = INDENT + sentence.chars().count() <= WIDTH;
    let (text, after) = match &finding.why {
        Some(why) if !fits && !finding.cures.is_empty() => (&finding.text, Some(why)),
        _ => (&sentence, None),
    };
    let finished = |lines: Vec<String>| lines.into_iter().map(|line| plain(line.trim_end()));
    let mut lines: Vec<String> = finished(wrapped(&head, text, INDENT)).collect();
    lines.extend(finding.cures.iter().flat_map(cure).map(|line| printable(line.trim_end())));
    lines.extend(after.into_iter().flat_map(|why| finished(wrapped(&" ".repeat(INDENT), why, INDENT))));
    lines
}

/// A command, and what it costs: beside it where there is room. A command is never cut. A long one goes on in the next line, where a
/// shell reads on.
fn cure(cure: &Cure) -> Vec<String> {
    let mut lines: Vec<String> = Vec::new();
    let steps: Vec<&str> = cure.command.split(" && ").collect();
    for (number, step) in steps.iter().enumerate() {
        let step = if number + 1 < steps.len() { format!("{step} &&") } else { (*step).to_owned() };
        match lines.last_mut() {
            Some(line) if line.chars().count() + 1 + step.chars().count() <= WIDTH => *line = format!("{line} {step}"),
            _ => lines.push(format!("{:BESIDE$}{step}", "")),
        }
    }
    let last = lines.pop().unwrap_or_default();
    match format!("{last:<COSTS$}  {}", cure.costs) {
        both if both.chars().count() <= WIDTH => lines.push(both),
        _ if cure.costs.chars().count() + last.chars().count() + 2 <= WIDTH => {
            lines.push(format!("{last}  {}", cure.costs))
        }
        _ => {
            lines.push(last);
            lines.extend(wrapped(&" ".repeat(BESIDE + 2), &cure.costs, BESIDE + 2));
        }
    }
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
    let mut line = printable(line);
    if line.len() > WIDTH {
        line.truncate(WIDTH - 3);
        line.push_str("...");
    }
    line
}

/// The same, however long it is.
fn printable(line: &str) -> String {
    line.chars().map(|c| if c == ' ' || c.is_ascii_graphic() { c } else { '?' }).collect()
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
