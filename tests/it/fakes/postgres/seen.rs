//! An instance as probes see it.

use pgsqlms::location::{DirectoryId, Lsn, SystemId};
use pgsqlms::rules::scores::{Replica, SenderState};
use pgsqlms::rules::status::{Answer, Evidence, Phase, Role};
use pgsqlms::vote::{Extent, Reach, Vote};

use super::BASE_BACKUP;
use crate::fakes::instance::{Instance, Process};
use crate::fakes::{Planted, State};

pub(super) fn refuses(state: &State, node: usize) -> bool {
    state.now < state.nodes[node].refuses_until
}

pub(super) fn phase(postgres: &Instance) -> Option<Phase> {
    match postgres.process {
        Process::None => None,
        Process::Starting { .. } => Some(Phase::Starting),
        Process::Standby | Process::Promoting { .. } | Process::Primary => Some(Phase::Ready),
        Process::Stopping { .. } => Some(Phase::Stopping),
    }
}

pub(super) fn evidence(state: &State, node: usize) -> Evidence {
    let postgres = &state.nodes[node].postgres;
    let Some(phase) = phase(postgres) else {
        let Instance { control, standby_signal, backup_label, .. } = *postgres;
        return Evidence::NoProcess { control: Some(control), backup_label, standby_signal };
    };
    let answer = match postgres.process {
        Process::Standby | Process::Promoting { .. } | Process::Primary if refuses(state, node) => {
            Answer::Refused("too many clients already".to_owned())
        }
        Process::Standby | Process::Promoting { .. } => Answer::Role(Role::Standby),
        Process::Primary => Answer::Role(Role::Primary),
        Process::None | Process::Starting { .. } | Process::Stopping { .. } => Answer::NotYet,
    };
    let Instance { control, standby_signal, .. } = *postgres;
    Evidence::Postmaster { pid: 1, frozen: false, phase, answer, control: Some(control), standby_signal }
}

pub(super) fn replica(state: &State, primary: usize, node: usize) -> Option<Replica> {
    let standby = &state.nodes[node].postgres;
    (standby.upstream == Some(primary)).then(|| Replica {
        name: match (state.planted, state.nodes[node].name.as_str()) {
            (Some(Planted::MatchesNamesByPrefix), "srv10") => "srv1".to_owned(),
            (_, name) => name.to_owned(),
        },
        state: if standby.streaming { SenderState::Streaming } else { SenderState::Catchup },
        flushed: Some(standby.end.lsn),
        reports: true,
        synchronous: state.nodes[primary].postgres.synchronous.required > 0 && standby.streaming,
    })
}

/// The most that is read for one vote.
const READ_AT_ONCE: usize = 32 << 20;

/// A node's vote. It reads on from the end of the last vote's WAL, or from the replayed position.
pub(super) fn vote(state: &mut State, node: usize) -> Vote {
    let more = state.random.below(READ_AT_ONCE) as u64;
    let postgres = &mut state.nodes[node].postgres;
    if !postgres.unreadable {
        postgres.unread = postgres.unread.saturating_sub(more);
    }
    let postgres = &state.nodes[node].postgres;
    let runs = matches!(postgres.process, Process::Standby | Process::Promoting { .. }) && !refuses(state, node);
    let replayed = runs.then_some(postgres.replayed);
    let read = Lsn(postgres.end.lsn.0.saturating_sub(postgres.unread)).max(replayed.unwrap_or_default());
    let mut reach = Reach { received: postgres.received.filter(|_| runs), replayed, on_disk: Some(read) };
    if state.planted == Some(Planted::VotesWithReceivedOnly) && reach.received.is_some() {
        reach = Reach { received: reach.received, ..Reach::default() };
    }
    let extent = match read < postgres.end.lsn {
        true if state.planted == Some(Planted::CutVotesAreExact) => Extent::Exact,
        true if postgres.unreadable => Extent::Unread("Input/output error".to_owned()),
        true => Extent::AtLeast,
        false => Extent::Exact,
    };
    let known = read.max(reach.received.unwrap_or_default()).min(postgres.end.lsn);
    let branch = state.wal.up_to(postgres.end, known).branch;
    let system = Some(SystemId(state.wal.branch(branch).system));
    let system = system.filter(|_| state.planted != Some(Planted::DatabasesAreAlike));
    let replaced = state.nodes[node].memory.directory != Some(DirectoryId(postgres.directory));
    let replaced = replaced && state.planted != Some(Planted::HolderIsAName);
    Vote { system, replaced, history: state.wal.history(branch).clone(), reach, extent }
}

/// A base backup of this primary: it receives WAL and confirms none.
pub(super) fn base_backup(planted: Option<Planted>) -> Replica {
    let confirms = planted == Some(Planted::BackupsConfirm);
    let state = if confirms { SenderState::Streaming } else { SenderState::NotReplicating };
    Replica { name: BASE_BACKUP.to_owned(), state, flushed: None, reports: confirms, synchronous: false }
}
