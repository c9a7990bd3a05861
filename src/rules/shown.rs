//! Which reason Pacemaker shows. Of a recurring monitor it takes note only when the code is another one: while 190 follows
//! 190, `crm_mon` keeps the first reason. So a monitor with a reason of another kind says once that all is well, and the
//! next one's reason is shown.

use std::fmt;

use crate::exit::OcfExitCode;

/// As much of a reason as a note keeps.
const LONGEST: usize = 200;

/// What one monitor notes for the next.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Note {
    /// Reasons of these kinds have been given with this code: Pacemaker shows the last one that was not there before.
    Shown(u8, Vec<String>),
    /// This reason was held back, so that the next monitor's is shown.
    Due(u8, String),
}

/// The result that a monitor reports to Pacemaker.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reported {
    /// The code.
    pub code: OcfExitCode,
    /// The reason.
    pub reason: Option<String>,
    /// What is noted for the next monitor. Where that is not possible, nothing may be held back.
    pub note: Option<Note>,
}

/// The result that a recurring monitor reports to Pacemaker if it has found `code` and `reason`, when this was `noted`. Nothing but
/// a reason to look at is ever held back, and never twice in a row.
pub fn reported(code: OcfExitCode, reason: Option<&str>, noted: Option<&Note>) -> Reported {
    let as_found = |note| Reported { code, reason: reason.map(str::to_owned), note };
    let (Some(reason), Some(well)) = (reason, without_reason(code)) else { return as_found(None) };
    let (number, kind) = (code as u8, kind(reason));
    match noted {
        Some(Note::Shown(of, kinds)) if *of == number && kinds.contains(&kind) => as_found(noted.cloned()),
        Some(Note::Shown(of, _)) if *of == number => {
            Reported { code: well, reason: None, note: Some(Note::Due(number, shortened(reason))) }
        }
        // What was held back is gone again: both are shown, so that two in turn hide neither, and do so in peace.
        Some(Note::Due(of, due)) if *of == number && self::kind(due) != kind => {
            let reason = Some(format!("{reason}; before: {due}"));
            Reported { code, reason, note: Some(Note::Shown(number, vec![kind, self::kind(due)])) }
        }
        _ => as_found(Some(Note::Shown(number, vec![kind]))),
    }
}

/// What Pacemaker takes as well for this, if it is a reason to look only.
fn without_reason(code: OcfExitCode) -> Option<OcfExitCode> {
    match code {
        OcfExitCode::Degraded => Some(OcfExitCode::Success),
        OcfExitCode::DegradedPromoted => Some(OcfExitCode::RunningPromoted),
        OcfExitCode::Success
        | OcfExitCode::GenericError
        | OcfExitCode::BadArguments
        | OcfExitCode::Unimplemented
        | OcfExitCode::NoPermission
        | OcfExitCode::NotInstalled
        | OcfExitCode::NotRunning
        | OcfExitCode::RunningPromoted
        | OcfExitCode::FailedPromoted => None,
    }
}

/// A reason without what changes from one look to the next: times, sizes, positions, processes. Names stay.
pub fn kind(reason: &str) -> String {
    let words = shortened(reason);
    let measured = |word: &str| match word {
        word if is_measure(word) => "#".to_owned(),
        // A path, perhaps of a file that is called by the number of a process.
        word if word.contains('/') => word.chars().filter(|c| !c.is_ascii_digit()).collect(),
        word => word.to_owned(),
    };
    words.split_whitespace().map(measured).collect::<Vec<String>>().join(" ")
}

fn shortened(reason: &str) -> String {
    reason.chars().take(LONGEST).map(|c| if c.is_control() { ' ' } else { c }).collect()
}

/// Whether it begins with a digit, or is a position in the WAL.
fn is_measure(word: &str) -> bool {
    let word = word.trim_matches(|c: char| !c.is_ascii_alphanumeric());
    let is_hex = |part: &str| !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_hexdigit());
    let is_position = || word.split_once('/').is_some_and(|(high, low)| is_hex(high) && is_hex(low));
    word.starts_with(|c: char| c.is_ascii_digit()) || is_position()
}

impl Note {
    /// Reads what [`Note`]'s text says; nothing from nonsense.
    pub fn read(text: &str) -> Option<Note> {
        let (head, rest) = text.split_once('\n')?;
        let (what, number) = head.split_once(' ')?;
        let (number, mut lines) =
            (number.parse().ok()?, rest.lines().map(str::to_owned).filter(|line| !line.is_empty()));
        match what {
            "shown" => Some(Note::Shown(number, lines.collect())),
            "due" => Some(Note::Due(number, lines.next()?)),
            _ => None,
        }
    }
}

impl fmt::Display for Note {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Note::Shown(code, kinds) => write!(f, "shown {code}\n{}", kinds.join("\n")),
            Note::Due(code, reason) => write!(f, "due {code}\n{reason}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rules::table;

    /// The results of a series of monitors: `190 A` found is reported as `190 A` or `0`.
    fn series(found: &str) -> String {
        let (mut note, mut results): (Option<String>, Vec<String>) = (None, Vec::new());
        for found in found.split(", ") {
            let (code, reason) = found.split_once(' ').unwrap_or((found, ""));
            let code = match code {
                "0" => OcfExitCode::Success,
                "1" => OcfExitCode::GenericError,
                "7" => OcfExitCode::NotRunning,
                "8" => OcfExitCode::RunningPromoted,
                "190" => OcfExitCode::Degraded,
                _ => OcfExitCode::DegradedPromoted,
            };
            let noted = note.as_deref().and_then(Note::read);
            let Reported { code, reason, note: new } =
                reported(code, Some(reason).filter(|reason| !reason.is_empty()), noted.as_ref());
            note = new.map(|note| note.to_string());
            results.push(format!("{} {}", code as u8, reason.unwrap_or_default()).trim().to_owned());
        }
        results.join(", ")
    }

    table! { series;
        well: "0, 0, 8, 8" => "0, 0, 8, 8";
        the_first_reason: "0, 190 a, 190 a, 0" => "0, 190 a, 190 a, 0";
        another_one: "190 a, 190 b, 190 b, 190 b" => "190 a, 0, 190 b, 190 b";
        another_one_of_a_primary: "191 a, 191 b, 191 b" => "191 a, 8, 191 b";
        the_same_kind: "190 a for 1 s at 0/30, 190 a for 2 s at A/4F" => "190 a for 1 s at 0/30, 190 a for 2 s at A/4F";
        another_node: "190 srv1 lags, 190 srv2 lags, 190 srv2 lags" => "190 srv1 lags, 0, 190 srv2 lags";
        a_third_one: "190 a, 190 b, 190 c, 190 c" => "190 a, 0, 190 c; before: b, 190 c";
        in_turn: "190 a, 190 b, 190 a, 190 b, 190 a, 190 b" => "190 a, 0, 190 a; before: b, 190 b, 190 a, 190 b";
        in_turn_and_then_a_third: "190 a, 190 b, 190 a, 190 b, 190 c, 190 c"
            => "190 a, 0, 190 a; before: b, 190 b, 0, 190 c";
        three_in_turn: "190 a, 190 b, 190 c, 190 a, 190 b, 190 c, 190 a"
            => "190 a, 0, 190 c; before: b, 0, 190 b; before: a, 0, 190 a; before: c";
        well_in_between: "190 a, 0, 190 b, 190 b" => "190 a, 0, 190 b, 190 b";
        well_after_it_was_held_back: "190 a, 190 b, 0, 190 c" => "190 a, 0, 0, 190 c";
        failures_are_never_held_back: "190 a, 1 b, 190 c, 7 d, 190 a, 1 b, 1 c, 1 d"
            => "190 a, 1 b, 190 c, 7 d, 190 a, 1 b, 1 c, 1 d";
        a_failure_after_one_was_held_back: "190 a, 190 b, 7 c" => "190 a, 0, 7 c";
        promoted_meanwhile: "190 a, 191 b, 191 b" => "190 a, 191 b, 191 b";
        promoted_while_one_was_held_back: "190 a, 190 b, 191 c" => "190 a, 0, 191 c";
        without_a_reason: "190, 190 a, 190" => "190, 190 a, 190";
    }

    fn read_again(text: &str) -> Option<String> {
        Note::read(text).map(|note| note.to_string())
    }

    table! { read_again;
        shown: "shown 190\na\nb" => Some("shown 190\na\nb".to_owned());
        due: "due 191\na b" => Some("due 191\na b".to_owned());
        empty: "" => None;
        cut_off: "due 190" => None;
        nothing_due: "due 190\n" => None;
        no_code: "shown x\na" => None;
        another_word: "hidden 190\na" => None;
    }

    #[test]
    fn a_note_has_as_many_lines_as_it_is_meant_to_have() {
        let first = reported(OcfExitCode::Degraded, Some("a\nb"), None).note.unwrap();
        assert_eq!(first, Note::Shown(190, vec!["a b".to_owned()]));
        let due = reported(OcfExitCode::Degraded, Some(&"c\n".repeat(500)), Some(&first)).note.unwrap();
        assert_eq!(due.to_string().lines().count(), 2);
        assert_eq!(read_again(&due.to_string()), Some(due.to_string()));
    }

    table! { kind;
        times_and_positions: "no WAL for 75 s: at 0/3000060, \"000000010000000A\" (45%) in 1.5GB"
            => "no WAL for # s: at # # # in #";
        names_stay: "srv1 and db/main: ab/cd-ef" => "srv1 and db/main: ab/cd-ef";
        hexadecimal_digits: "FF/A, ff/" => "# ff/";
        files: "srv1: \"pg_wal/xlogtemp.4242\": full" => "srv1: \"pg_wal/xlogtemp.\": full";
    }
}
