//! Which of the agent's writes have made Pacemaker stop a transition and compute another, from the nodes' logs.

use std::collections::BTreeMap;
use std::fs;
use std::path::PathBuf;

use anyhow::{Context, Result, ensure};
use lab::Lab;

/// Where Pacemaker logs.
pub const PACEMAKER_LOG: &str = "/var/log/pacemaker/pacemaker.log";

/// The logs of one kind of all nodes, and how long each was.
pub struct Logs(Vec<(PathBuf, usize)>);

impl Logs {
    /// As they are now.
    pub fn of(lab: &Lab, path: &str) -> Self {
        let length = |path: &PathBuf| fs::metadata(path).map_or(0, |log| usize::try_from(log.len()).unwrap_or(0));
        Self(lab.nodes().iter().map(|node| node.path(path)).map(|path| (path.clone(), length(&path))).collect())
    }

    /// The lines that have been written since.
    pub fn news(&self) -> Result<Vec<String>> {
        let mut lines = Vec::new();
        for (path, from) in &self.0 {
            let text = fs::read(path).with_context(|| format!("cannot read {}", path.display()))?;
            lines.extend(String::from_utf8_lossy(text.get(*from..).unwrap_or_default()).lines().map(str::to_owned));
        }
        Ok(lines)
    }
}

/// What the agent has written to the CIB in the middle of a transition, by the name of the attribute or property. Pacemaker names what
/// has made it stop: `Transition 5 aborted by status-1-master-pgsqld doing modify master-pgsqld=1001: ... complete=false`, or
/// `aborted by deletion of nvpair[@id='status-1-pgsqlms-left-pgsqld']: ... complete=false`.
pub fn by_the_agent(lines: &[String]) -> Vec<String> {
    let aborted = lines.iter().filter(|line| line.contains("complete=false"));
    let what = aborted.filter_map(|line| line.split_once(" aborted by ").map(|(_, what)| what));
    let what = what.filter_map(|what| what.split(&[' ', ']'][..]).find(|word| is_ours(word)));
    what.map(|word| word.trim_start_matches("nvpair[@id=").trim_matches('\'').to_owned()).collect()
}

fn is_ours(word: &str) -> bool {
    ["master-pgsqld", "pgsqlms-", "lsn_location-"].iter().any(|name| word.contains(name))
}

/// Those that only a private attribute can be behind that is none, which demote, stop and notifications write.
pub fn private(aborts: &[String]) -> Vec<&String> {
    let names = ["lsn_location-", "pgsqlms-left-", "pgsqlms-slots-", "pgsqlms-question-", "pgsqlms-answer-"];
    aborts.iter().filter(|what| names.iter().any(|name| what.contains(name))).collect()
}

/// How often there is each: `3 x status-1-master-pgsqld`.
pub fn counted(aborts: &[String]) -> String {
    let mut counts: BTreeMap<&str, usize> = BTreeMap::new();
    aborts.iter().for_each(|what| *counts.entry(what).or_default() += 1);
    let counts: Vec<String> = counts.iter().map(|(what, count)| format!("{count} x {what}")).collect();
    if counts.is_empty() { "none".to_owned() } else { counts.join(", ") }
}

/// Does something to the cluster in which the agent must not make Pacemaker think again.
pub fn none_during<T>(lab: &Lab, action: impl FnOnce() -> Result<T>) -> Result<T> {
    let logs = Logs::of(lab, PACEMAKER_LOG);
    let done = action()?;
    let aborts = by_the_agent(&logs.news()?);
    ensure!(aborts.is_empty(), "the agent has stopped transitions: {}", counted(&aborts));
    Ok(done)
}
