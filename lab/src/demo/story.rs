//! How the story looks: aligned plain text, colours on a terminal only, the elapsed time before each step.

use std::io::{IsTerminal, Write};
use std::time::Duration;

use crate::clock::unix_micros;
use crate::{env, progress};

/// As wide as the elapsed time, for lines that have none of their own.
const MARGIN: &str = "           ";

/// Something that happened.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Step {
    /// When, in microseconds since 1970.
    pub(super) at: u64,
    /// Its title, and further lines below it.
    pub(super) what: Vec<String>,
}

impl Step {
    /// This happened then.
    pub(super) fn new(at: u64, what: impl Into<String>) -> Self {
        Self { at, what: vec![what.into()] }
    }
}

/// How a finding is to be taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Tone {
    /// As it should be.
    Good,
    /// Not as it should be.
    Bad,
    /// Neither.
    Plain,
}

/// A finding at the end.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Finding {
    /// The subject of the check.
    pub(super) label: String,
    /// The observed value.
    pub(super) value: String,
    /// The verdict.
    pub(super) tone: Tone,
}

impl Finding {
    /// A finding without a judgement.
    pub(super) fn plain(label: impl Into<String>, value: impl Into<String>) -> Self {
        Self { label: label.into(), value: value.into(), tone: Tone::Plain }
    }

    /// A finding that is good or bad.
    pub(super) fn judged(label: impl Into<String>, value: impl Into<String>, good: bool) -> Self {
        let tone = if good { Tone::Good } else { Tone::Bad };
        Self { label: label.into(), value: value.into(), tone }
    }
}

/// Whether there are colours.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Ink {
    Colours,
    Plain,
}

impl Ink {
    fn paint(self, code: &str, text: &str) -> String {
        match self {
            Self::Colours => format!("\x1b[{code}m{text}\x1b[0m"),
            Self::Plain => text.to_owned(),
        }
    }
}

/// Prints the demonstration on standard output.
#[derive(Debug)]
pub(super) struct Story {
    ink: Ink,
    /// The beginning, in microseconds since 1970.
    began: u64,
}

impl Story {
    /// The story begins with the program.
    pub(super) fn begin() -> Self {
        let dumb = env::variable("TERM").is_some_and(|term| term == "dumb");
        let colours = std::io::stdout().is_terminal() && env::variable("NO_COLOR").is_none() && !dumb;
        let ink = if colours { Ink::Colours } else { Ink::Plain };
        Self { ink, began: unix_micros() - progress::elapsed().as_micros() as u64 }
    }

    /// A new chapter.
    pub(super) fn chapter(&self, title: &str) {
        print(&format!("\n{} {}", self.stamp(unix_micros()), self.ink.paint("1", title)));
    }

    /// One step that happens now.
    pub(super) fn say(&self, text: impl AsRef<str>) {
        print(&format!("{} {}", self.stamp(unix_micros()), text.as_ref()));
    }

    /// Prints a program's output.
    pub(super) fn quote(&self, text: &str) {
        print(&quoted(self.ink, text));
    }

    /// Steps that have happened since `from`.
    pub(super) fn steps(&self, from: u64, steps: &[Step]) {
        let lines = steps.iter().flat_map(|step| step_lines(self.began, from, step));
        lines.for_each(|line| print(&line));
    }

    /// The one thing to remember of a chapter.
    pub(super) fn sum(&self, text: &str) {
        print(&format!("{} {}", self.stamp(unix_micros()), self.ink.paint("1;36", text)));
    }

    /// Prints the findings at the end.
    pub(super) fn findings(&self, findings: &[Finding]) {
        table(self.ink, findings).iter().for_each(|line| print(line));
    }

    fn stamp(&self, at: u64) -> String {
        self.ink.paint("2", &stamp(at.saturating_sub(self.began)))
    }
}

/// A closed pipe must not stop the clean-up.
fn print(text: &str) {
    let _ = writeln!(std::io::stdout(), "{text}");
}

/// A duration as people want to read it.
pub(super) fn seconds(duration: Duration) -> String {
    format!("{:.2} s", duration.as_secs_f64())
}

fn stamp(elapsed: u64) -> String {
    format!("[{:6.1} s]", Duration::from_micros(elapsed).as_secs_f64())
}

fn step_lines(began: u64, from: u64, step: &Step) -> Vec<String> {
    let since = step.at as f64 / 1e6 - from as f64 / 1e6;
    let time = format!("{since:+.2} s");
    let mut lines = Vec::new();
    for (index, text) in step.what.iter().enumerate() {
        lines.push(match index {
            0 => format!("{} {time:>9}  {text}", stamp(step.at.saturating_sub(began))),
            _ => format!("{MARGIN}{:>9}    {text}", ""),
        });
    }
    lines
}

fn quoted(ink: Ink, text: &str) -> String {
    let lines = text.lines().map(str::trim_end).filter(|line| !line.is_empty());
    lines.map(|line| format!("{MARGIN}  {}", ink.paint("2", &line.replace('\t', " ")))).collect::<Vec<_>>().join("\n")
}

/// The labels end, and the values begin, in the same column.
fn table(ink: Ink, findings: &[Finding]) -> Vec<String> {
    let width = findings.iter().map(|finding| finding.label.chars().count()).max().unwrap_or_default();
    let row = |Finding { label, value, tone }: &Finding| {
        let value = match tone {
            Tone::Good => ink.paint("1;32", value),
            Tone::Bad => ink.paint("1;31", value),
            Tone::Plain => value.clone(),
        };
        format!("{MARGIN}{label:>width$}: {value}")
    };
    findings.iter().map(row).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn steps_show_when_they_happened_and_how_long_it_took() {
        let step = Step { at: 1_062_345_678, what: vec!["srv2 promoted".into(), "as ordered".into()] };
        let lines = step_lines(1_000_000_000, 1_061_000_000, &step);
        assert_eq!(lines, ["[  62.3 s]   +1.35 s  srv2 promoted", "                        as ordered"]);
    }

    #[test]
    fn a_step_before_the_fault_has_a_negative_time() {
        let lines = step_lines(0, 5_000_000, &Step::new(4_990_000, "last commit"));
        assert_eq!(lines, ["[   5.0 s]   -0.01 s  last commit"]);
    }

    #[test]
    fn findings_are_aligned_and_can_be_searched_for() {
        let lost = Finding::judged("acknowledged commits lost", "0", true);
        let lines = table(Ink::Plain, &[Finding::plain("commits", "7"), lost.clone()]);
        assert_eq!(lines[0].find(": "), lines[1].find(": "));
        assert!(lines[1].ends_with("acknowledged commits lost: 0"), "{}", lines[1]);
        assert!(table(Ink::Colours, &[lost])[0].ends_with("lost: \x1b[1;32m0\x1b[0m"));
    }

    #[test]
    fn quotes_are_indented_and_have_no_empty_lines() {
        assert_eq!(quoted(Ink::Plain, "Node List:\n\n  * Online: [ srv1 ]\n").lines().count(), 2);
        assert!(!quoted(Ink::Plain, "text").contains('\x1b'));
    }
}
