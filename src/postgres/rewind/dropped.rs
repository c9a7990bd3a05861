//! The transactions that a rewind drops, for people, from what pg_waldump prints.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::path::Path;
use std::time::Duration;

use super::super::history::TimelineHistory;
use super::super::wal_end::{self, Positions};
use super::super::{PostgresError, layout};
use super::Rewind;
use crate::command::{Invocation, Printed};
use crate::location::{Lsn, Timeline};
use crate::rules::rejoin::Divergence;

/// How long describing what is dropped may take; the WAL itself is kept anyway.
const DESCRIPTION_PATIENCE: Duration = Duration::from_secs(10);

/// The file with the description.
const SUMMARY: &str = "summary.txt";

/// So many of a transaction's relations are named.
const MOST_RELATIONS: usize = 20;

/// One transaction.
#[derive(Debug, Default, PartialEq, Eq)]
struct Transaction {
    records: u64,
    relations: BTreeSet<String>,
    /// How it ended, and when.
    end: Option<String>,
}

impl Rewind<'_> {
    /// Writes down which transactions are dropped. What cannot be described is dropped all the same: its WAL is kept.
    pub(super) fn describe(
        &self,
        divergence: Option<&Divergence>,
        fork: Lsn,
        place: &Path,
    ) -> Result<(), PostgresError> {
        let control = self.control()?;
        let mut keep_going = || !self.until.has_passed(self.clock);
        let end = wal_end::on_disk(self.data, &control, Positions::default(), None, &mut keep_going);
        let mut text = format!(
            "What this node held and the cluster went on without: {fork} to {}, {} bytes of WAL.\n",
            end.lsn,
            end.lsn.bytes_after(fork)
        );
        if let Some(Divergence { node, timeline, .. }) = divergence {
            text += &format!("{node} was promoted there, to timeline {timeline}.\n");
        }
        text += "The WAL itself is in pg_wal beside this file, for pg_waldump.\n\n";
        text += &self.transactions(&end.history, fork, end.lsn)?;
        layout::replace(&place.join(SUMMARY), &text)
    }

    /// The transactions between these positions. Those that ended are looked for first, so that they are listed even where
    /// there is too much WAL to read all of it.
    pub(in crate::postgres) fn transactions(
        &self,
        history: &TimelineHistory,
        from: Lsn,
        to: Lsn,
    ) -> Result<String, PostgresError> {
        let waldump = self.data.bindir(self.config.bindir.as_deref())?.join("pg_waldump");
        let (geometry, mut text) = (self.geometry()?, String::new());
        for (timeline, from, to) in stretches(history, from, to) {
            // Else it learns the size of segments from whichever it meets first, and fails at one that is still empty.
            let segment = |lsn| geometry.segment_name(timeline, geometry.segment_of(lsn));
            let dump = Invocation::new(&waldump)
                .option("path", self.data.file("pg_wal"))
                .option("timeline", timeline.to_string())
                .option("start", from.to_string())
                .option("end", to.to_string())
                .arg(segment(from))
                .arg(segment(Lsn(to.0 - 1)));
            let patience = DESCRIPTION_PATIENCE.min(self.left().mul_f64(0.2));
            let said = |dump: &Invocation| match dump.listen(self.runtime, patience) {
                Ok(printed) => readable(printed),
                Err(error) => Err(error.to_string()),
            };
            text += &format!("Timeline {timeline}, {from} to {to}: ");
            match (said(&dump.clone().option("rmgr", "Transaction")), said(&dump)) {
                (Err(why), Err(_)) => text += &format!("cannot be described: {why}\n"),
                (ends, records) => text += &summary(&ends.unwrap_or_default(), &records.unwrap_or_default()),
            }
        }
        Ok(text)
    }
}

/// What pg_waldump has printed, if it could read anything: it also complains about what comes after the last record.
fn readable(printed: Printed) -> Result<String, String> {
    let complaint = || printed.stderr.lines().next().unwrap_or("pg_waldump said nothing").to_owned();
    if printed.status.success() || printed.stdout.contains("rmgr: ") { Ok(printed.stdout) } else { Err(complaint()) }
}

/// The parts of a history between two positions, with their timelines.
fn stretches(history: &TimelineHistory, from: Lsn, to: Lsn) -> Vec<(Timeline, Lsn, Lsn)> {
    let stretch = |timeline: Timeline| {
        let begin = history.begin(timeline).unwrap_or_default().max(from);
        let end = history.switch_point(timeline).unwrap_or(to).min(to);
        (begin < end).then_some((timeline, begin, end))
    };
    history.timelines().filter_map(stretch).collect()
}

/// All of them, one a line: with their end, and with those of their records that were read.
fn summary(ends: &str, records: &str) -> String {
    let mut transactions: BTreeMap<u64, Transaction> = BTreeMap::new();
    for (number, line) in ends.lines().filter_map(|line| Some((number(line)?, line))) {
        transactions.entry(number).or_default().end = end(line);
    }
    for (number, line) in records.lines().filter_map(|line| Some((number(line)?, line))) {
        let transaction = transactions.entry(number).or_default();
        transaction.records += 1;
        transaction.relations.extend(relations(line));
    }
    let committed = |transaction: &&Transaction| transaction.end.as_ref().is_some_and(|end| end.starts_with("COMMIT"));
    let mut text = format!(
        "{} transactions, {} of them committed. Relations are given as tablespace/database/filenode.\n",
        transactions.len(),
        transactions.values().filter(committed).count()
    );
    for (number, transaction) in &transactions {
        let end = transaction.end.as_deref().unwrap_or("not ended");
        let named: Vec<&str> = transaction.relations.iter().take(MOST_RELATIONS).map(String::as_str).collect();
        let more = transaction.relations.len().saturating_sub(MOST_RELATIONS);
        let more = if more > 0 { format!(" and {more} more") } else { String::new() };
        let _ = writeln!(text, "{number}: {end}; {} records in {}{more}", transaction.records, named.join(" "));
    }
    text
}

/// The transaction that a record belongs to, if to any: `rmgr: Heap len (rec/tot): 59/ 59, tx: 725, lsn: …`.
fn number(line: &str) -> Option<u64> {
    let number = line.split_once(" tx:")?.1.split_once(',')?.0.trim().parse().ok()?;
    (line.starts_with("rmgr: ") && number != 0).then_some(number)
}

/// `blkref #0: rel 1663/5/16387 blk 4`.
fn relations(line: &str) -> impl Iterator<Item = String> {
    let parts = line.split(": rel ").skip(1).filter_map(|rest| rest.split_whitespace().next());
    parts.filter(|name| name.split('/').count() == 3).map(|name| name.trim_end_matches(',').to_owned())
}

/// `desc: COMMIT 2026-11-23 01:51:33.845393 UTC; inval msgs: …`.
fn end(line: &str) -> Option<String> {
    let transaction = line.strip_prefix("rmgr: Transaction")?;
    let said = transaction.split_once("desc: ")?.1;
    let ends = ["COMMIT", "ABORT", "PREPARE"];
    ends.iter().any(|word| said.starts_with(word)).then(|| said.split(';').next().unwrap_or(said).trim().to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn transactions_are_listed_with_their_end_and_relations() {
        let waldump = "\
rmgr: Standby     len (rec/tot):     42/    42, tx:          0, lsn: 0/03027AC0, prev 0/03027928, desc: RUNNING_XACTS
rmgr: Heap        len (rec/tot):     59/    59, tx:        725, lsn: 0/0303BE40, prev 0/0303BE00, desc: INSERT off 90 flags 0x00, blkref #0: rel 1663/5/16387 blk 4
rmgr: Heap        len (rec/tot):     59/    59, tx:        726, lsn: 0/0303BE50, prev 0/0303BE40, desc: INSERT off 90, blkref #0: rel 1663/5/16390 blk 4, blkref #1: rel 1663/5/16387 blk 2
rmgr: Transaction len (rec/tot):    405/   405, tx:        725, lsn: 0/0303C018, prev 0/0303BFC0, desc: COMMIT 2026-11-23 01:51:33.845393 UTC; inval msgs: catcache 80
pg_waldump: error: error in WAL record at 0/303C2A0: invalid record length
";
        let expected = "\
2 transactions, 1 of them committed. Relations are given as tablespace/database/filenode.
725: COMMIT 2026-11-23 01:51:33.845393 UTC; 2 records in 1663/5/16387
726: not ended; 1 records in 1663/5/16387 1663/5/16390
";
        assert_eq!(summary(waldump, waldump), expected);
    }

    #[test]
    fn what_cannot_be_read_is_not_nothing() {
        use std::os::unix::process::ExitStatusExt;
        let printed = |code: i32, stdout: &str, stderr: &str| Printed {
            status: std::process::ExitStatus::from_raw(code << 8),
            stdout: stdout.to_owned(),
            stderr: stderr.to_owned(),
        };
        let gone = "pg_waldump: error: could not find file";
        assert_eq!(readable(printed(1, "", gone)), Err(gone.to_owned()));
        assert_eq!(readable(printed(0, "", "")), Ok(String::new()));
        let some = "rmgr: Heap len";
        assert_eq!(readable(printed(1, some, "pg_waldump: error: invalid record length")), Ok(some.to_owned()));
    }

    #[test]
    fn what_was_written_after_the_fork_is_found_on_every_timeline() {
        let history: TimelineHistory = "1@0/100,2@0/200,3".parse().unwrap();
        let stretch = |timeline, from, to| (Timeline(timeline), Lsn(from), Lsn(to));
        assert_eq!(
            stretches(&history, Lsn(0x80), Lsn(0x300)),
            [stretch(1, 0x80, 0x100), stretch(2, 0x100, 0x200), stretch(3, 0x200, 0x300)]
        );
        assert_eq!(stretches(&history, Lsn(0x200), Lsn(0x280)), [stretch(3, 0x200, 0x280)]);
    }
}
