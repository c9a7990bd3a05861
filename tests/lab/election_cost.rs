//! How long an election takes, from the logs of all nodes: from the first node's notification before the promotion to the end of
//! promote, without the time that PostgreSQL itself takes to become the primary.

use std::fmt;
use std::time::Duration;

use anyhow::{Context, Result};
use lab::Lab;

use crate::aborts::{Logs, PACEMAKER_LOG};
use crate::operator::POSTGRESQL_LOG;

/// The duration of one promotion.
#[derive(Debug, Clone, Copy)]
pub struct Election {
    whole: Duration,
    postgresql: Duration,
}

impl Election {
    /// The promotion that happens while `action` runs.
    pub fn during(lab: &Lab, action: impl FnOnce() -> Result<()>) -> Result<Self> {
        let (pacemaker, postgresql) = (Logs::of(lab, PACEMAKER_LOG), Logs::of(lab, POSTGRESQL_LOG));
        action()?;
        let (pacemaker, postgresql) = (pacemaker.news()?, postgresql.news()?);
        let began = first(&pacemaker, "Initiating notify operation pgsqld", "_pre_notify_promote_0")?;
        let promoted = first(&pacemaker, "pgsqld promote (call", "exited with status 0")?;
        let asked = first(&postgresql, "received promote request", "")?;
        let ready =
            postgresql.iter().filter(|line| line.contains("ready to accept connections")).filter_map(|line| at(line));
        let ready = ready.filter(|ready| *ready >= asked).min().context("no PostgreSQL has become ready")?;
        Ok(Self { whole: promoted.saturating_sub(began), postgresql: ready.saturating_sub(asked) })
    }

    /// The share of the agent and Pacemaker.
    pub fn share(&self) -> Duration {
        self.whole.saturating_sub(self.postgresql)
    }
}

impl fmt::Display for Election {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (share, whole) = (self.share().as_millis(), self.whole.as_millis());
        write!(f, "{share} ms of {whole} ms, PostgreSQL {} ms", self.postgresql.as_millis())
    }
}

/// When the first line with these words was written.
fn first(lines: &[String], words: &str, more: &str) -> Result<Duration> {
    let found = lines.iter().filter(|line| line.contains(words) && line.contains(more)).filter_map(|line| at(line));
    found.min().with_context(|| format!("no log says `{words}…{more}`"))
}

/// The time of day at the beginning of a line, `01:59:22.084`; all nodes have the same clock.
fn at(line: &str) -> Option<Duration> {
    let time = line.split_whitespace().take(4).find(|word| word.len() == 12 && word.matches(':').count() == 2)?;
    let mut parts = time.split(':').map(|part| part.parse::<f64>().ok());
    let (hours, minutes, seconds) = (parts.next()??, parts.next()??, parts.next()??);
    Some(Duration::from_secs_f64(hours * 3600.0 + minutes * 60.0 + seconds))
}
