//! The formats in which a server logs, as the lines that it writes for people: `FATAL:  message`, then `DETAIL:  more`.

use serde_json::Value;

/// How a file is written (`log_destination`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Format {
    /// For people.
    Text,
    /// With commas.
    Csv,
    /// From PostgreSQL 15 on.
    Json,
}

impl Format {
    /// That of a line in `current_logfiles`, and the file that it names.
    pub(super) fn of(line: &str) -> Option<(Format, &str)> {
        let (destination, file) = line.split_once(' ')?;
        let format = match destination {
            "stderr" => Format::Text,
            "csvlog" => Format::Csv,
            "jsonlog" => Format::Json,
            _ => return None,
        };
        Some((format, file))
    }

    /// What it says in lines for people. The first entry may be cut.
    pub(super) fn lines(self, text: String) -> String {
        match self {
            Format::Text => text,
            Format::Csv => records(&text).iter().filter_map(|record| of_csv(record)).collect(),
            Format::Json => text.lines().filter_map(of_json).collect(),
        }
    }
}

fn line(severity: &str, message: &str, detail: Option<&str>) -> String {
    let whole = |text: &str| text.replace('\n', " ");
    let detail = detail.filter(|detail| !detail.is_empty());
    let detail = detail.map_or(String::new(), |detail| format!("DETAIL:  {}\n", whole(detail)));
    format!("{severity}:  {}\n{detail}", whole(message))
}

/// Severity, message and detail are the fields 12, 14 and 15 (`src/backend/utils/error/csvlog.c`).
fn of_csv(fields: &[String]) -> Option<String> {
    Some(line(fields.get(11)?, fields.get(13)?, fields.get(14).map(String::as_str)))
}

fn of_json(entry: &str) -> Option<String> {
    let entry: Value = serde_json::from_str(entry).ok()?;
    let field = |name: &str| entry.get(name)?.as_str();
    Some(line(field("error_severity")?, field("message")?, field("detail")))
}

/// The records of a CSV file; a quoted field may go over lines.
fn records(text: &str) -> Vec<Vec<String>> {
    let mut records = vec![vec![String::new()]];
    let (mut is_quoted, mut rest) = (false, text.chars().peekable());
    while let Some(c) = rest.next() {
        let Some(record) = records.last_mut() else { break };
        let field = record.last_mut();
        match (c, is_quoted) {
            ('"', true) if rest.peek() == Some(&'"') => {
                rest.next();
                field.into_iter().for_each(|field| field.push('"'));
            }
            ('"', _) => is_quoted = !is_quoted,
            (',', false) => record.push(String::new()),
            ('\n', false) => records.push(vec![String::new()]),
            (c, _) => field.into_iter().for_each(|field| field.push(c)),
        }
    }
    records
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_format_says_the_same() {
        let csv = "cut,\"off\"\n2026-11-28 10:00:00.000 UTC,,,42,,6929,2,,2026-11-28 10:00:00 UTC,,0,FATAL,XX000,\
            \"requested \"\"timeline\"\" 2\nis no child\",\"more, and more\",,,,,,,\"\",\"startup\",,0\n";
        let json = "{\"cut\"\n{\"pid\":42,\"error_severity\":\"FATAL\",\"message\":\"requested \\\"timeline\\\" 2\\nis no child\",\
            \"detail\":\"more, and more\"}\n";
        let expected = "FATAL:  requested \"timeline\" 2 is no child\nDETAIL:  more, and more\n";
        assert_eq!(Format::Csv.lines(csv.to_owned()), expected);
        assert_eq!(Format::Json.lines(json.to_owned()), expected);
        assert_eq!(Format::Text.lines(expected.to_owned()), expected);
    }

    #[test]
    fn what_is_no_log_says_nothing() {
        for format in [Format::Csv, Format::Json] {
            assert_eq!(format.lines("\"\n,,\n{}\n[1]".to_owned()), "", "{format:?}");
        }
    }

    #[test]
    fn a_list_of_files_names_their_formats() {
        assert_eq!(Format::of("jsonlog log/a b.json"), Some((Format::Json, "log/a b.json")));
        assert_eq!((Format::of("syslog x"), Format::of("")), (None, None));
    }
}
