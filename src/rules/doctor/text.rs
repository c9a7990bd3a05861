//! What was found, for a terminal: ASCII, and at most 100 columns.

use std::fmt::Write as _;

use super::{Diagnosis, Facts, Mistake, Severity, checks};
use crate::rules::overview::{Cure, Level, not_seen, plain, wrapped};

/// Where what follows the level begins.
const INDENT: usize = 8;

/// Where a command begins.
const COMMAND: usize = 10;

/// Where what a command costs begins, if the command is short.
const COSTS: usize = 57;

/// The longest line.
const WIDTH: usize = 100;

/// The whole report.
pub fn report(facts: &Facts, diagnosis: &Diagnosis) -> String {
    let mut lines = vec![format!("{}  seen from {}", facts.seen.resource, facts.seen.me)];
    let checked = diagnosis.checked;
    lines.push(match (diagnosis.level, diagnosis.mistakes.as_slice()) {
        (Level::Unknown, _) => "UNKNOWN nothing could be checked".to_owned(),
        (_, []) => format!("OK      {checked} checks, nothing found"),
        (level, mistakes) => format!("{level:<INDENT$}{checked} checks: {}", counted(mistakes)),
    });
    let mut place = "";
    for mistake in &diagnosis.mistakes {
        if mistake.place != place {
            place = &mistake.place;
            lines.push(String::new());
            lines.push(place.to_owned());
        }
        lines.extend(described(mistake));
    }
    if !diagnosis.unseen.is_empty() {
        lines.push(String::new());
        lines.extend(not_seen(&diagnosis.unseen));
    }
    lines.iter().map(|line| plain(line.trim_end())).collect::<Vec<_>>().join("\n")
}

fn counted(mistakes: &[Mistake]) -> String {
    let words = [(Severity::Failure, "failure"), (Severity::Warning, "warning"), (Severity::Hint, "hint")];
    let counts = words.into_iter().filter_map(|(severity, word)| {
        let count = mistakes.iter().filter(|mistake| mistake.severity == severity).count();
        let plural = if count == 1 { "" } else { "s" };
        (count > 0).then(|| format!("{count} {word}{plural}"))
    });
    counts.collect::<Vec<_>>().join(", ")
}

fn described(Mistake { id, severity, text, cure, .. }: &Mistake) -> Vec<String> {
    let mut lines = wrapped(&format!("{severity:<INDENT$}"), &format!("{id}: {text}"), INDENT);
    let Cure { command, costs } = cure;
    let mut command = pasteable(command);
    match command.as_mut_slice() {
        [only] if only.len() + 2 <= COSTS => {
            let head = format!("{only:<width$}", width = COSTS);
            lines.extend(wrapped(&head, costs, COSTS));
        }
        _ => {
            lines.extend(command);
            let head = " ".repeat(COMMAND + 2);
            lines.extend(wrapped(&head, &format!("({costs})"), COMMAND + 2));
        }
    }
    lines
}

/// A command, in lines that a shell takes for one.
fn pasteable(command: &str) -> Vec<String> {
    let (mut lines, mut line) = (Vec::new(), " ".repeat(COMMAND));
    for word in command.split(' ') {
        // Two columns are for what says that it goes on.
        if line.trim().is_empty() || line.len() + 1 + word.len() + 2 <= WIDTH {
            if !line.trim().is_empty() {
                line.push(' ');
            }
        } else {
            lines.push(line + " \\");
            line = " ".repeat(COMMAND + 2);
        }
        line.push_str(word);
    }
    lines.push(line);
    lines
}

/// All checks, as the documentation shows them.
pub fn markdown_table() -> String {
    let mut table = String::from("| Name | Level | What is wrong |\n|---|---|---|\n");
    for check in checks() {
        let _ = writeln!(table, "| `{}` | {} | {} |", check.id, check.severity, check.about);
    }
    table
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_long_command_can_be_pasted() {
        let command = format!("pcs constraint order promote {} then start vip kind=Mandatory", "x".repeat(70));
        let lines = pasteable(&command);
        let goes_on: Vec<bool> = lines.iter().map(|line| line.ends_with(" \\")).collect();
        assert_eq!(goes_on, [true, true, false], "{lines:?}");
        assert!(lines.iter().all(|line| line.len() <= WIDTH), "{lines:?}");
        let joined = lines.join("\n").replace("\\\n", "");
        assert_eq!(joined.split_whitespace().collect::<Vec<_>>().join(" "), command);
    }
}
