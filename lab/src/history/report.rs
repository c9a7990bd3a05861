//! The findings of a history, for people and for programs.

use std::fmt;

use serde::Serialize;

use super::account::Account;
use super::outage::Outages;
use super::primaries::Primaries;

/// The findings of a history. Its `Display` is a block for people, [`Report::to_json`] the same for programs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[must_use = "an unread report proves nothing"]
pub struct Report {
    /// The fate of every commit.
    #[serde(flatten)]
    pub account: Account,
    /// When clients could not write.
    #[serde(flatten)]
    pub outages: Outages,
    /// Whether two nodes accepted writes at once.
    #[serde(flatten)]
    pub primaries: Primaries,
}

#[derive(Serialize)]
struct Twin<'a> {
    passed: bool,
    problems: Vec<String>,
    #[serde(flatten)]
    report: &'a Report,
}

impl Report {
    /// Everything that must not have happened, one sentence each; empty if all is well.
    ///
    /// The length of an outage is not judged here: what is too long depends on the fault.
    pub fn problems(&self) -> Vec<String> {
        self.problems_where(true)
    }

    /// [`Report::problems`] where no commit was promised to be kept.
    pub fn problems_but_losses(&self) -> Vec<String> {
        self.problems_where(false)
    }

    fn problems_where(&self, promised: bool) -> Vec<String> {
        let Account { ok, lost, twice, phantom, went_back, .. } = &self.account;
        let mut problems = Vec::new();
        if *ok == 0 {
            problems.push("no commit was ever acknowledged, so nothing is proven".to_owned());
        }
        let lost = promised.then_some(("acknowledged commits lost", lost));
        for (what, rows) in lost.into_iter().chain([("rows there twice", twice), ("rows never committed", phantom)]) {
            if !rows.is_empty() {
                problems.push(format!("{what}: {rows}"));
            }
        }
        problems.extend(went_back.first().filter(|_| promised).map(|first| {
            let (client, seq) = (first.client, first.acknowledged);
            let times = went_back.len();
            format!("{} did not show client {client} its acknowledged commit {seq} ({times} such)", first.instance)
        }));
        if !self.primaries.never_two() {
            problems.push(format!("two primaries at once: {}", two_primaries(&self.primaries)));
        }
        problems
    }

    /// Whether nothing happened that must not happen.
    pub fn passed(&self) -> bool {
        self.problems().is_empty()
    }

    /// The report for programs: one JSON object.
    pub fn to_json(&self) -> serde_json::Result<String> {
        serde_json::to_string(&Twin { passed: self.passed(), problems: self.problems(), report: self })
    }
}

fn two_primaries(primaries: &Primaries) -> String {
    let Primaries { dual_writable_ms, dual_ackable_ms, witnesses, examples } = primaries;
    let counts = format!("writable {dual_writable_ms} ms, ackable {dual_ackable_ms} ms, witnesses {witnesses}");
    examples.first().map_or_else(|| counts.clone(), |example| format!("{counts}; {example}"))
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let account = &self.account;
        let Account { attempts, ok, fail, info, info_present, .. } = account;
        writeln!(f, "acknowledged commits: {ok} of {attempts} (refused {fail}, unknown {info})")?;
        writeln!(f, "acknowledged commits lost: {}", account.lost)?;
        if account.gaps > 0 {
            writeln!(f, "  holes, with later commits still there: {}", account.gaps)?;
        }
        writeln!(f, "commits there twice: {}", account.twice)?;
        writeln!(f, "rows never committed: {}", account.phantom)?;
        writeln!(f, "unknown commits that are there: {info_present}")?;
        if !account.observed_then_lost.is_empty() {
            writeln!(f, "never acknowledged, seen once, not there: {}", account.observed_then_lost)?;
        }
        if !account.went_back.is_empty() {
            writeln!(f, "writes that did not see earlier commits: {}", account.went_back.len())?;
        }
        match &self.outages.longest {
            Some(outage) => writeln!(f, "write outage: {outage}")?,
            None if account.ok == 0 => writeln!(f, "write outage: all the time")?,
            None => writeln!(f, "write outage: none")?,
        }
        for fault in &self.outages.by_mark {
            let (text, at) = (&fault.mark.text, fault.mark.at);
            match &fault.outage {
                Some(outage) => writeln!(f, "  {text} (at {at}): {outage}")?,
                None => writeln!(f, "  {text} (at {at}): none")?,
            }
        }
        let primaries = &self.primaries;
        let never = if primaries.never_two() { "never".to_owned() } else { two_primaries(primaries) };
        write!(f, "two primaries at once: {never}")
    }
}
