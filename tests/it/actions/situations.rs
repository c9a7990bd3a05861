//! States of the cluster in which an action begins.

use super::*;
use crate::fakes::{Hook, State};
use crate::simulation::oracle;

struct NoHook;

impl Hook for NoHook {}

/// Three nodes on which nothing runs.
pub(super) fn new() -> Cluster {
    let mut state = State::new(&NAMES, 7);
    let synchronous = Synchronous::read("ANY 1 (srv1, srv2, srv3)");
    state.nodes.iter_mut().for_each(|node| node.postgres.synchronous = synchronous.clone());
    state.on_promotion = oracle::promoted;
    let mut cluster = Cluster::new(state, Rc::new(NoHook));
    cluster.config.on_crash = OnCrash::Failover;
    cluster
}

/// srv1 is the primary, the others follow it, and commits wait for one of them.
pub(super) fn running() -> Cluster {
    let cluster = new();
    (0..3).for_each(|node| done(&cluster, &job(node, Action::Start, &all_start())));
    elect(&cluster, 0, &promotion(0, [0, 1, 2]));
    wait(&cluster);
    // Each of them has vouched for its data directory since.
    (0..3).for_each(|node| done(&cluster, &job(node, Action::Monitor, &Transition::default())));
    cluster
}

/// The primary's node is gone.
pub(super) fn bereft() -> Cluster {
    let cluster = running();
    cluster.state.borrow_mut().power_off(0);
    wait(&cluster);
    cluster
}

/// The two that are left vote before the promotion of `candidate`.
pub(super) fn vote(cluster: &Cluster, candidate: usize) {
    let promotion = promotion(candidate, [1, 2]);
    [1, 2].iter().for_each(|node| done(cluster, &notify(*node, Moment::Before, Around::Promote, &promotion)));
}

/// The two that are left have voted, and srv2 holds as much as srv3.
pub(super) fn voted() -> Cluster {
    let cluster = bereft();
    vote(&cluster, 1);
    cluster
}

/// srv2 has voted, and was then stopped by hand.
pub(super) fn ended() -> Cluster {
    let cluster = voted();
    cluster.state.borrow_mut().nodes[1].postgres.crash();
    cluster
}

/// srv3 is stopped.
pub(super) fn lone() -> Cluster {
    let cluster = running();
    done(&cluster, &job(2, Action::Stop, &none()));
    cluster
}

/// The primary's scores are lost, and a permanent one is there that PAF has left.
pub(super) fn unscored() -> Cluster {
    let cluster = running();
    let score = (Attribute::Score.of(RESOURCE), "1001".to_owned());
    cluster.state.borrow_mut().information.permanent.insert(NodeName::new("srv3"), [score].into());
    cluster.state.borrow_mut().information.transient.clear();
    cluster
}

/// srv2 has been promoted instead of srv1. No node has been notified yet.
pub(super) fn promoted() -> Cluster {
    let cluster = voted();
    done(&cluster, &job(1, Action::Promote, &promotion(1, [1, 2])));
    wait(&cluster);
    cluster
}

/// srv3 holds less than srv2.
pub(super) fn behind() -> Cluster {
    let cluster = running();
    cluster.state.borrow_mut().nodes[2].linked = false;
    wait(&cluster);
    cluster.state.borrow_mut().power_off(0);
    vote(&cluster, 2);
    cluster
}

/// The primary's postmaster was killed.
pub(super) fn crashed() -> Cluster {
    let cluster = running();
    cluster.state.borrow_mut().nodes[0].postgres.crash();
    cluster
}

/// The two that are left have voted, and have no scores.
pub(super) fn without_scores() -> Cluster {
    let cluster = voted();
    cluster.state.borrow_mut().information.transient.clear();
    cluster
}
