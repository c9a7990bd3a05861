//! What start, stop, demote and promote have to do, from what the instance is doing.

use crate::node::NodeName;
use crate::notification::{Around, Moment, Notification, Transition};
use crate::rules::status::{Role, Status};

/// What start has to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Start {
    /// Nothing: it runs as a standby.
    Done,
    /// Start it as a standby, then wait.
    Launch,
    /// Wait: it is on its way up.
    Wait,
    /// First end what is left of it, then start it.
    ClearThenLaunch,
    /// Not touch it.
    Refuse,
}

/// What start has to do: bring up a standby, never a primary, and leave a running primary alone.
pub fn start(status: &Status) -> Start {
    match status {
        Status::Stopped | Status::Crashed(_) => Start::Launch,
        Status::Orphaned { .. } | Status::Stopping => Start::ClearThenLaunch,
        Status::Starting(Role::Standby) => Start::Wait,
        Status::Running { role: Role::Standby, .. } => Start::Done,
        Status::Starting(Role::Primary)
        | Status::Running { role: Role::Primary, .. }
        | Status::Unclear(_)
        | Status::Obscure { .. }
        | Status::StorageHangs { .. }
        | Status::Unresponsive { .. } => Start::Refuse,
    }
}

/// What demote has to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Demote {
    /// Nothing: there is no primary here.
    Done,
    /// Stop it, then start it as a standby.
    StopThenStart,
    /// Stop it: this transition does not want it to run at all.
    Stop,
    /// Start it as a standby.
    Start,
}

/// What demote has to do. An instance that this transition also stops is not started in between: that would only make
/// the outage longer, and cost a dead primary its crash recovery twice.
pub fn demote(status: &Status, transition: &Transition, me: &NodeName) -> Demote {
    match status {
        Status::Running { role: Role::Standby, .. } => Demote::Done,
        Status::Stopped | Status::Crashed(_) if transition.stop.contains(me) => Demote::Done,
        Status::Stopped | Status::Crashed(_) | Status::Starting(Role::Standby) => Demote::Start,
        Status::Orphaned { .. }
        | Status::Stopping
        | Status::Starting(Role::Primary)
        | Status::Running { role: Role::Primary, .. }
        | Status::Unclear(_)
        | Status::Obscure { .. }
        | Status::StorageHangs { .. }
        | Status::Unresponsive { .. } => {
            if transition.stop.contains(me) {
                Demote::Stop
            } else {
                Demote::StopThenStart
            }
        }
    }
}

/// What promote has to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Promote {
    /// Nothing: it is the primary.
    Done,
    /// Hold the election.
    Elect,
    /// Start it as a standby, then hold the election.
    StartThenElect,
    /// Not touch it.
    Refuse,
}

/// What promote has to do.
pub fn promote(status: &Status) -> Promote {
    match status {
        Status::Running { role: Role::Primary, .. } => Promote::Done,
        Status::Running { role: Role::Standby, .. } => Promote::Elect,
        Status::Stopped | Status::Crashed(_) | Status::Starting(Role::Standby) => Promote::StartThenElect,
        Status::Orphaned { .. }
        | Status::Stopping
        | Status::Starting(Role::Primary)
        | Status::Unclear(_)
        | Status::Obscure { .. }
        | Status::StorageHangs { .. }
        | Status::Unresponsive { .. } => Promote::Refuse,
    }
}

/// What an instance has to do around an action of any of them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Part {
    /// Nothing.
    None,
    /// Publish how far its WAL reaches: a node is about to be promoted.
    Vote,
    /// Withdraw its vote: the promotion is over.
    Forget,
    /// See that there is a candidate: instances have started, and there is no primary.
    FindCandidate,
    /// Note that the primary was lost or stopped, and that none is promoted: its monitor sees that there is a candidate.
    NotePrimaryLost,
    /// Remember what instances have left that were stopped: this one is the primary.
    NoteStopped,
}

/// What the instance on `me` has to do when it is notified.
pub fn part(notification: &Notification, me: &NodeName) -> Part {
    let is_primary = notification.transition.promoted.contains(me);
    let lost_primary = !notification.transition.promoted.is_empty() && !notification.transition.has_or_gets_primary();
    match (notification.moment, notification.around) {
        (Moment::Before, Around::Promote) => Part::Vote,
        (Moment::After, Around::Promote) => Part::Forget,
        (Moment::After, Around::Start) if !notification.transition.has_or_gets_primary() => Part::FindCandidate,
        (Moment::After, Around::Stop) if is_primary => Part::NoteStopped,
        // A primary that was lost before it could rank its standbys has left no candidate, and a standby on a connection to a
        // lost node believes that it streams until wal_receiver_timeout.
        (Moment::After, Around::Stop) if lost_primary && !notification.transition.stop.contains(me) => {
            Part::NotePrimaryLost
        }
        (Moment::After, Around::Start | Around::Stop | Around::Demote) => Part::None,
        (Moment::Before, Around::Start | Around::Stop | Around::Demote) => Part::None,
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;
    use crate::rules::status::{Trouble, Unclear};
    use crate::rules::table;

    const STANDBY: Status = Status::Running { role: Role::Standby, trouble: None };
    const PRIMARY: Status = Status::Running { role: Role::Primary, trouble: None };
    const FULL: Status = Status::Running { role: Role::Primary, trouble: Some(Trouble::Refused(String::new())) };
    const FROZEN: Status = Status::Unresponsive { pid: 42, waited: None };

    fn starting(status: Status) -> Start {
        start(&status)
    }

    table! { starting;
        start_stopped: Status::Stopped => Start::Launch;
        // PAF #46, #162, #181, #231: a crashed instance can be started; PostgreSQL recovers it.
        start_crashed_primary: Status::Crashed(Role::Primary) => Start::Launch;
        start_crashed_standby: Status::Crashed(Role::Standby) => Start::Launch;
        // PAF #173: children that outlive their postmaster block the next one.
        start_orphaned: Status::Orphaned { count: 2, role: None } => Start::ClearThenLaunch;
        start_stopping: Status::Stopping => Start::ClearThenLaunch;
        start_starting: Status::Starting(Role::Standby) => Start::Wait;
        start_starting_as_a_primary: Status::Starting(Role::Primary) => Start::Refuse;
        start_beside_a_single_user: Status::Unclear(Unclear::SingleUser { pid: 7 }) => Start::Refuse;
        start_beside_something_hidden: Status::Unclear(Unclear::Hidden { pid: 7 }) => Start::Refuse;
        start_standby: STANDBY => Start::Done;
        start_primary: PRIMARY => Start::Refuse;
        start_frozen: FROZEN => Start::Refuse;
    }

    fn demoting((status, stopped): (Status, &str)) -> Demote {
        let stop = stopped.split_whitespace().map(NodeName::new).collect();
        demote(&status, &Transition { stop, ..Transition::default() }, &NodeName::new("srv1"))
    }

    table! { demoting;
        demote_primary: (PRIMARY, "") => Demote::StopThenStart;
        demote_primary_to_be_stopped: (PRIMARY, "srv1") => Demote::Stop;
        demote_full_primary: (FULL, "") => Demote::StopThenStart;
        demote_frozen: (FROZEN, "") => Demote::StopThenStart;
        demote_orphaned: (Status::Orphaned { count: 1, role: None }, "") => Demote::StopThenStart;
        demote_stopping: (Status::Stopping, "") => Demote::StopThenStart;
        demote_starting_primary: (Status::Starting(Role::Primary), "") => Demote::StopThenStart;
        demote_standby: (STANDBY, "") => Demote::Done;
        demote_stopped: (Status::Stopped, "") => Demote::Start;
        demote_crashed: (Status::Crashed(Role::Primary), "srv2") => Demote::Start;
        demote_crashed_to_be_stopped: (Status::Crashed(Role::Primary), "srv1 srv2") => Demote::Done;
        demote_starting_standby: (Status::Starting(Role::Standby), "") => Demote::Start;
    }

    fn promoting(status: Status) -> Promote {
        promote(&status)
    }

    table! { promoting;
        promote_standby: STANDBY => Promote::Elect;
        promote_primary: PRIMARY => Promote::Done;
        promote_stopped: Status::Stopped => Promote::StartThenElect;
        promote_crashed: Status::Crashed(Role::Primary) => Promote::StartThenElect;
        promote_starting: Status::Starting(Role::Standby) => Promote::StartThenElect;
        promote_stopping: Status::Stopping => Promote::Refuse;
        promote_frozen: FROZEN => Promote::Refuse;
        promote_orphaned: Status::Orphaned { count: 1, role: None } => Promote::Refuse;
        promote_beside_a_single_user: Status::Unclear(Unclear::SingleUser { pid: 7 }) => Promote::Refuse;
        promote_starting_primary: Status::Starting(Role::Primary) => Promote::Refuse;
    }

    /// The nodes that are promoted, and those that get promoted, are demoted (`-srv2`) or stopped (`!srv2`).
    fn notified((moment, around, promoted, changes): (Moment, Around, &str, &str)) -> Part {
        let marked = |mark: &str| -> BTreeSet<NodeName> {
            changes.split_whitespace().filter_map(|node| node.strip_prefix(mark)).map(NodeName::new).collect()
        };
        let transition = Transition {
            promoted: promoted.split_whitespace().map(NodeName::new).collect(),
            promote: marked("+"),
            demote: marked("-"),
            stop: marked("!"),
            ..Transition::default()
        };
        part(&Notification { moment, around, transition }, &NodeName::new("srv1"))
    }

    table! { notified;
        before_promote: (Moment::Before, Around::Promote, "", "+srv2") => Part::Vote;
        after_promote: (Moment::After, Around::Promote, "", "+srv2") => Part::Forget;
        after_start_without_primary: (Moment::After, Around::Start, "", "") => Part::FindCandidate;
        after_start_beside_a_primary: (Moment::After, Around::Start, "srv1", "") => Part::None;
        after_start_before_a_promotion: (Moment::After, Around::Start, "", "+srv1") => Part::None;
        before_start: (Moment::Before, Around::Start, "", "") => Part::None;
        before_demote: (Moment::Before, Around::Demote, "srv1", "") => Part::None;
        after_stop: (Moment::After, Around::Stop, "", "") => Part::None;
        after_stop_on_a_standby: (Moment::After, Around::Stop, "srv2", "") => Part::None;
        after_the_stop_of_a_standby: (Moment::After, Around::Stop, "srv2", "!srv3") => Part::None;
        after_the_stop_of_a_lost_primary: (Moment::After, Around::Stop, "srv2", "-srv2 !srv2") => Part::NotePrimaryLost;
        which_another_one_follows: (Moment::After, Around::Stop, "srv2", "-srv2 !srv2 +srv3") => Part::None;
        before_the_stop_of_a_lost_primary: (Moment::Before, Around::Stop, "srv2", "-srv2 !srv2") => Part::None;
        after_the_stop_of_all: (Moment::After, Around::Stop, "srv2", "-srv2 !srv2 !srv1") => Part::None;
        after_stop_on_the_primary: (Moment::After, Around::Stop, "srv1", "") => Part::NoteStopped;
    }
}
