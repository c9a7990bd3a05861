//! Commits that wait for a synchronous standby which does not answer. All processes are well, and clients wait for ever.

use std::collections::BTreeSet;
use std::fmt;
use std::time::Duration;

use super::steps::{Management, Strictness};
use crate::node::NodeName;
use crate::rules::scores::{Replica, SenderState};

/// A standby that is restarted is away for some seconds.
const PATIENCE: Duration = Duration::from_secs(10);

/// The sessions whose commits wait at a moment: `pg_stat_activity.wait_event` is `SyncRep`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Waiting {
    /// How many there are.
    pub sessions: u64,
    /// The age of the oldest of these statements.
    pub longest: Duration,
}

impl Waiting {
    /// Whether a person should know, if the next monitor finds the same.
    pub fn is_long(self) -> bool {
        self.sessions > 0 && self.longest >= PATIENCE
    }
}

/// `commits wait for a synchronous standby (3, for up to 35 s)`.
impl fmt::Display for Waiting {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (sessions, seconds) = (self.sessions, self.longest.as_secs());
        write!(f, "commits wait for a synchronous standby ({sessions}, for up to {seconds} s)")
    }
}

/// What a person reads, and what ends it.
pub fn reason(
    waiting: Waiting,
    me: &NodeName,
    members: &BTreeSet<NodeName>,
    replicas: &[Replica],
    management: Management,
) -> String {
    let streams = |node: &&NodeName| {
        replicas.iter().any(|it| it.state == SenderState::Streaming && NodeName::new(it.name.as_str()) == **node)
    };
    let missing: Vec<&str> =
        members.iter().filter(|node| *node != me && !streams(node)).map(NodeName::as_str).collect();
    let cure = match missing.is_empty() {
        true => "see pg_stat_replication".to_owned(),
        false => format!("start {}", missing.join(", ")),
    };
    let otherwise = match management {
        Management::Observed => ", or change synchronous_standby_names",
        Management::Quorum { strictness: Strictness::Strict, .. } => ", or set sync_strict=false",
        Management::Quorum { strictness: Strictness::Lenient, .. } => "",
    };
    format!("{waiting}: {cure}{otherwise}")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rules::table;

    fn long((sessions, seconds): (u64, u64)) -> bool {
        Waiting { sessions, longest: Duration::from_secs(seconds) }.is_long()
    }

    table! { long;
        none: (0, 0) => false;
        the_usual_round_trip: (20, 0) => false;
        a_standby_is_restarted: (20, 9) => false;
        ten_seconds: (1, 10) => true;
    }

    /// Which names stream to srv1 of srv1, srv2 and srv3.
    fn said((streaming, management): (&str, Management)) -> String {
        let members = ["srv1", "srv2", "srv3"].map(NodeName::new).into();
        let replica = |name: &str| Replica {
            name: name.to_owned(),
            state: SenderState::Streaming,
            flushed: None,
            reports: true,
            synchronous: false,
        };
        let replicas: Vec<Replica> = streaming.split_whitespace().map(replica).collect();
        let waiting = Waiting { sessions: 3, longest: Duration::from_millis(35_900) };
        reason(waiting, &NodeName::new("srv1"), &members, &replicas, management)
    }

    const STRICT: Management = Management::Quorum { wanted: std::num::NonZeroU32::MIN, strictness: Strictness::Strict };
    const LENIENT: Management =
        Management::Quorum { wanted: std::num::NonZeroU32::MIN, strictness: Strictness::Lenient };

    table! { said;
        no_standby_streams: ("", Management::Observed)
            => "commits wait for a synchronous standby (3, for up to 35 s): start srv2, srv3, or change synchronous_standby_names";
        the_named_one_is_missing: ("srv3 barman", Management::Observed)
            => "commits wait for a synchronous standby (3, for up to 35 s): start srv2, or change synchronous_standby_names";
        the_agent_keeps_a_strict_quorum: ("", STRICT)
            => "commits wait for a synchronous standby (3, for up to 35 s): start srv2, srv3, or set sync_strict=false";
        the_agent_is_about_to_let_them_go: ("", LENIENT)
            => "commits wait for a synchronous standby (3, for up to 35 s): start srv2, srv3";
        a_standby_stands_still: ("srv2 srv3", Management::Observed)
            => "commits wait for a synchronous standby (3, for up to 35 s): see pg_stat_replication, or change synchronous_standby_names";
    }
}
