//! Which of the agent's writes have made Pacemaker stop a transition and compute another, from the nodes' logs.

use std::fs;
use std::path::PathBuf;

use anyhow::{Context, Result, ensure};
use lab::Lab;
use lab::aborts::{Change, changes, counted};

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

/// Those that only a private attribute can be behind that is none, which demote, stop and notifications write.
pub fn private(changes: &[Change]) -> Vec<&str> {
    let names = ["lsn_location-", "pgsqlms-left-", "pgsqlms-slots-", "pgsqlms-question-", "pgsqlms-answer-"];
    let is_private = |what: &&str| what.starts_with("status-") && names.iter().any(|name| what.contains(name));
    changes.iter().map(|change| change.what.as_str()).filter(is_private).collect()
}

/// Those that demote, stop and their notifications have made, which must not make any.
pub fn loud(changes: &[Change]) -> Vec<String> {
    let is_loud = |change: &&Change| change.writer.as_ref().is_some_and(|writer| writer.must_be_quiet());
    changes.iter().filter(is_loud).map(ToString::to_string).collect()
}

/// Does something to the cluster in which the agent must not make Pacemaker think again.
pub fn none_during<T>(lab: &Lab, action: impl FnOnce() -> Result<T>) -> Result<T> {
    let logs = Logs::of(lab, PACEMAKER_LOG);
    let done = action()?;
    let changes = changes(&logs.news()?);
    let aborts: Vec<&Change> = changes.iter().filter(|change| change.is_amidst).collect();
    ensure!(aborts.is_empty(), "the agent has stopped transitions: {}", counted(aborts));
    ensure!(loud(&changes).is_empty(), "what switches off has changed the CIB: {:?}", loud(&changes));
    Ok(done)
}
