//! What pg_rewind says. Its words are the same from PostgreSQL 13 to 18.

use crate::command::Printed;
use crate::location::{Lsn, Timeline};

/// What pg_rewind is about to do, or has done.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Plan {
    /// Where the ways part.
    pub(super) fork: Lsn,
    /// The last timeline that both have.
    pub(super) fork_timeline: Timeline,
    /// The last checkpoint before: the data is brought back to where it was then.
    pub(super) checkpoint: Lsn,
    /// How much is copied from the source.
    pub(super) bytes: u64,
}

/// Why nothing is rewound.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Hindrance {
    pub(super) why: String,
    pub(super) lasts: Lasts,
}

/// How long a hindrance lasts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Lasts {
    /// It may be over soon.
    Shortly,
    /// Until an operator helps.
    UntilMended,
    /// For ever: this cannot be rewound.
    ForEver,
}

/// What pg_rewind says when the server is not there for it.
const PASSING: [&str; 5] = ["connection to server", "could not connect", "starting up", "shutting down", "too many"];

/// What it says when WAL, or a common past, is missing.
const LOST: [&str; 3] = ["could not find previous WAL record", "could not find common ancestor", "different systems"];

/// The result of pg_rewind with `--dry-run`.
pub(super) fn plan(printed: &Printed) -> Result<Plan, Hindrance> {
    let all = format!("{}\n{}", printed.stderr, printed.stdout);
    if !printed.status.success() {
        let why = complaint(&all);
        let says = |words: &[&str]| words.iter().any(|words| why.contains(words));
        let lasts = match (says(&PASSING), says(&LOST)) {
            (true, _) => Lasts::Shortly,
            (false, true) => Lasts::ForEver,
            (false, false) => Lasts::UntilMended,
        };
        return Err(Hindrance { why, lasts });
    }
    let position = |words: &str| -> Option<(Lsn, Timeline)> {
        let rest = all.split_once(words)?.1;
        let mut rest = rest.split_whitespace();
        let (lsn, timeline) = (rest.next()?, rest.nth(2)?);
        Some((lsn.parse().ok()?, Timeline(timeline.parse().ok()?)))
    };
    let (Some((fork, fork_timeline)), Some((checkpoint, _))) =
        (position("servers diverged at WAL location "), position("rewinding from last common checkpoint at "))
    else {
        // Up to PostgreSQL 15 it goes by the source's last checkpoint, which may be from before its promotion.
        return Err(Hindrance {
            why: "pg_rewind sees no difference yet: the primary has to write a checkpoint".into(),
            lasts: Lasts::Shortly,
        });
    };
    // What was copied then would be called consistent on a timeline that the source has left, and never start.
    let newest = copied_segments(printed).into_iter().flatten().map(|(timeline, _)| timeline).max();
    if source_timeline(&all).is_some_and(|known| newest.is_some_and(|newest| known < newest)) {
        return Err(Hindrance {
            why: "the primary was just promoted, and has to write a checkpoint before".into(),
            lasts: Lasts::Shortly,
        });
    }
    let megabytes = all.split_once("need to copy ").and_then(|(_, rest)| rest.split_once(' ')?.0.parse().ok());
    Ok(Plan { fork, fork_timeline, checkpoint, bytes: megabytes.unwrap_or(0_u64) << 20 })
}

/// The timeline that the source is on, as far as pg_rewind knows: up to PostgreSQL 15 that of its last checkpoint.
fn source_timeline(printed: &str) -> Option<Timeline> {
    let (_, history) = printed.split_once("Source timeline history:")?;
    let timeline = |line: &str| line.split_once(": ")?.1.split_once(": ")?.0.parse().ok().map(Timeline);
    history.lines().skip(1).map_while(timeline).last()
}

/// Whether pg_rewind has rewound. It also ends well when it finds nothing to do.
pub(super) fn done(printed: &Printed) -> Result<(), String> {
    let all = format!("{}\n{}", printed.stderr, printed.stdout);
    if printed.status.success() && all.contains("Done!") { Ok(()) } else { Err(complaint(&all)) }
}

/// The segments of WAL that would be copied from the source, with their timelines; none if it does not say.
pub(super) fn copied_segments(printed: &Printed) -> Option<Vec<(Timeline, String)>> {
    let segment = |line: &str| {
        let name = line.split_once("pg_wal/")?.1.strip_suffix(" (COPY)")?;
        let timeline = u32::from_str_radix(name.get(..8)?, 16).ok()?;
        (name.len() == 24).then(|| (Timeline(timeline), name[8..].to_owned()))
    };
    let found: Vec<_> = printed.stderr.lines().chain(printed.stdout.lines()).filter_map(segment).collect();
    (!found.is_empty()).then_some(found)
}

/// Whether a source with these segments has the WAL that follows a fork from that timeline, in the segment of this name. It goes on
/// along that timeline itself where only this node has left it: a standby that was promoted by hand.
pub(super) fn has(copied: &[(Timeline, String)], from: Timeline, segment: &str) -> bool {
    copied.iter().any(|(timeline, name)| *timeline >= from && name == segment)
}

/// The line that says what went wrong.
fn complaint(printed: &str) -> String {
    let lines = || printed.lines().map(str::trim).filter(|line| !line.is_empty());
    let errors = ["error:", "fatal:", "FATAL:", "PANIC:", "ERROR:"];
    let found = lines().find(|line| errors.iter().any(|word| line.contains(word))).or_else(|| lines().next_back());
    found.unwrap_or("pg_rewind said nothing").to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::process::ExitStatusExt;
    use std::process::ExitStatus;

    fn printed(code: i32, stderr: &str) -> Printed {
        Printed { status: ExitStatus::from_raw(code << 8), stdout: String::new(), stderr: stderr.to_owned() }
    }

    const PLANNED: &str = "pg_rewind: connected to server\n\
        pg_rewind: servers diverged at WAL location 0/3027AC0 on timeline 1\n\
        pg_rewind: rewinding from last common checkpoint at 0/2000100 on timeline 1\n\
        pg_rewind: need to copy 53 MB (total source directory size is 80 MB)\n\
        pg_rewind: pg_wal/000000020000000000000003 (COPY)\n\
        pg_rewind: pg_wal/000000010000000000000002 (REMOVE)\npg_rewind: Done!\n";

    #[test]
    fn the_source_goes_on_along_a_later_timeline_or_the_same() {
        let copied = |timeline: u32| [(Timeline(timeline), "0000000000000004".to_owned())];
        let has = |timeline: u32, segment: &str| has(&copied(timeline), Timeline(2), segment);
        assert!(has(3, "0000000000000004"));
        // Only this node has left timeline 2.
        assert!(has(2, "0000000000000004"));
        assert!(!has(1, "0000000000000004"));
        assert!(!has(3, "0000000000000003"));
    }

    #[test]
    fn a_plan_is_read() {
        let planned = printed(0, PLANNED);
        let plan = plan(&planned).unwrap();
        assert_eq!((plan.fork, plan.fork_timeline, plan.checkpoint), (Lsn(0x3027AC0), Timeline(1), Lsn(0x2000100)));
        assert_eq!(plan.bytes, 53 << 20);
        assert_eq!(copied_segments(&planned), Some(vec![(Timeline(2), "0000000000000003".to_owned())]));
        assert_eq!(done(&planned), Ok(()));
    }

    #[test]
    fn a_source_that_was_just_promoted_has_to_write_a_checkpoint() {
        let history = "pg_rewind: Source timeline history:\npg_rewind: 1: 0/0 - 0/811F58\npg_rewind: 2: 0/811F58 - 0/0\n\
            pg_rewind: Target timeline history:\npg_rewind: 1: 0/0 - 0/0\n";
        let known = printed(0, &format!("{history}{PLANNED}"));
        assert_eq!(source_timeline(&known.stderr), Some(Timeline(2)));
        assert!(plan(&known).is_ok());
        let newer = printed(0, &format!("{history}{PLANNED}pg_rewind: pg_wal/00000003000000000000000B (COPY)\n"));
        let hindrance = plan(&newer).unwrap_err();
        assert_eq!((hindrance.lasts, hindrance.why.contains("checkpoint")), (Lasts::Shortly, true));
    }

    #[test]
    fn no_connection_passes_and_missing_wal_does_not() {
        let refused =
            "pg_rewind: error: connection to server on socket \"/x\" failed: No such file\n\tIs the server running?\n";
        assert_eq!(plan(&printed(1, refused)).unwrap_err().lasts, Lasts::Shortly);
        let gone = "pg_rewind: servers diverged at WAL location 0/3027AC0 on timeline 1\n\
            pg_rewind: error: could not find previous WAL record at 0/2000100\n";
        let hindrance = plan(&printed(1, gone)).unwrap_err();
        assert_eq!((hindrance.lasts, hindrance.why.contains("previous WAL record")), (Lasts::ForEver, true));
        let other =
            plan(&printed(1, "pg_rewind: fatal: could not open directory \"x\": Permission denied\n")).unwrap_err();
        assert_eq!(other.lasts, Lasts::UntilMended);
    }

    #[test]
    fn nothing_to_do_is_not_done() {
        let same = printed(
            0,
            "pg_rewind: source and target cluster are on the same timeline\npg_rewind: no rewind required\n",
        );
        assert_eq!(plan(&same).unwrap_err().lasts, Lasts::Shortly);
        assert!(done(&same).is_err());
    }
}
