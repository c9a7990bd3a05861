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
    /// It may be over soon.
    pub(super) passes: bool,
}

/// What pg_rewind, told to change nothing, would do.
pub(super) fn plan(printed: &Printed) -> Result<Plan, Hindrance> {
    let all = format!("{}\n{}", printed.stderr, printed.stdout);
    if !printed.status.success() {
        let why = complaint(&all);
        let passes = ["connection to server", "could not connect", "starting up", "shutting down", "too many"];
        return Err(Hindrance { passes: passes.iter().any(|words| why.contains(words)), why });
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
            passes: true,
        });
    };
    let megabytes = all.split_once("need to copy ").and_then(|(_, rest)| rest.split_once(' ')?.0.parse().ok());
    Ok(Plan { fork, fork_timeline, checkpoint, bytes: megabytes.unwrap_or(0_u64) << 20 })
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
    fn a_plan_is_read() {
        let planned = printed(0, PLANNED);
        let plan = plan(&planned).unwrap();
        assert_eq!((plan.fork, plan.fork_timeline, plan.checkpoint), (Lsn(0x3027AC0), Timeline(1), Lsn(0x2000100)));
        assert_eq!(plan.bytes, 53 << 20);
        assert_eq!(copied_segments(&planned), Some(vec![(Timeline(2), "0000000000000003".to_owned())]));
        assert_eq!(done(&planned), Ok(()));
    }

    #[test]
    fn no_connection_passes_and_missing_wal_does_not() {
        let refused =
            "pg_rewind: error: connection to server on socket \"/x\" failed: No such file\n\tIs the server running?\n";
        assert!(plan(&printed(1, refused)).unwrap_err().passes);
        let gone = "pg_rewind: servers diverged at WAL location 0/3027AC0 on timeline 1\n\
            pg_rewind: error: could not find previous WAL record at 0/2000100\n";
        let hindrance = plan(&printed(1, gone)).unwrap_err();
        assert_eq!((hindrance.passes, hindrance.why.contains("previous WAL record")), (false, true));
    }

    #[test]
    fn nothing_to_do_is_not_done() {
        let same = printed(
            0,
            "pg_rewind: source and target cluster are on the same timeline\npg_rewind: no rewind required\n",
        );
        assert!(plan(&same).unwrap_err().passes);
        assert!(done(&same).is_err());
    }
}
