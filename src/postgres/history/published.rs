//! The one-line form of a history, for a node attribute: `1@0/3000060,2@0/5000000,3`.
//!
//! The last item is the timeline itself. A long history is shortened to its newest switches and then begins with
//! `..,`, so that the attribute has an upper bound.

use std::fmt;
use std::str::FromStr;

use super::{Switch, TimelineHistory, number};

/// The most switches that are published.
pub const MAX_PUBLISHED: usize = 16;

const SHORTENED: &str = "..,";

/// Text that is not a published history.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is not a timeline history such as 1@0/3000060,2")]
pub struct BadPublished(pub String);

impl TimelineHistory {
    /// This history as it is read back from its published form: without reasons, and shortened.
    pub fn shortened(&self) -> TimelineHistory {
        let skipped = self.switches.len().saturating_sub(MAX_PUBLISHED);
        let kept = self.switches.iter().skip(skipped);
        TimelineHistory {
            timeline: self.timeline,
            switches: kept.map(|switch| Switch { reason: String::new(), ..*switch }).collect(),
            is_whole: self.is_whole && skipped == 0,
        }
    }
}

impl fmt::Display for TimelineHistory {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let skipped = self.switches.len().saturating_sub(MAX_PUBLISHED);
        if skipped > 0 || !self.is_whole {
            f.write_str(SHORTENED)?;
        }
        for switch in self.switches.iter().skip(skipped) {
            write!(f, "{switch},")?;
        }
        write!(f, "{}", self.timeline)
    }
}

impl FromStr for TimelineHistory {
    type Err = BadPublished;

    fn from_str(text: &str) -> Result<TimelineHistory, BadPublished> {
        let read = || {
            let whole = text.strip_prefix(SHORTENED);
            let mut items = whole.unwrap_or(text).split(',').rev();
            let timeline = number(items.next()?).filter(|timeline| timeline.0 > 0)?;
            let mut history = TimelineHistory { is_whole: whole.is_none(), ..TimelineHistory::first(timeline) };
            let mut switches: Vec<Switch> = items.take(MAX_PUBLISHED + 1).map(switch_of).collect::<Option<_>>()?;
            if switches.len() > MAX_PUBLISHED {
                return None;
            }
            switches.reverse();
            switches.into_iter().all(|switch| history.push(switch)).then_some(history)
        };
        read().ok_or_else(|| BadPublished(text.chars().take(200).collect()))
    }
}

/// `1@0/3000060`.
fn switch_of(item: &str) -> Option<Switch> {
    let (timeline, at) = item.split_once('@')?;
    Some(Switch { timeline: number(timeline)?, at: at.parse().ok()?, reason: String::new() })
}
