//! Faults, between any two calls of any agent and between any two turns of the scheduler.

use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::time::Duration;

use crate::fakes::by_hand;
use crate::fakes::commits::Synchronous;
use crate::fakes::instance::Process;
use crate::fakes::pacemaker::Weather;
use crate::fakes::{Cluster, Ended, Hook, Job, Planted, State, log, replication};

use super::people::primary;

/// One fault in so many calls.
const CALLS: usize = 400;

/// Steps in between the agents' calls, and keeps what they do at the same time.
#[derive(Debug, Default)]
pub struct Trouble {
    active: Cell<bool>,
    /// Actions that have been ordered and not begun.
    pub waiting: RefCell<VecDeque<Job>>,
    pub done: RefCell<Vec<(Job, Ended)>>,
}

impl Trouble {
    pub fn begin(&self) {
        self.active.set(true);
    }

    pub fn end(&self) {
        self.active.set(false);
    }

    pub fn is_active(&self) -> bool {
        self.active.get()
    }

    /// Runs the ordered actions, one inside the other where they wait.
    pub fn carry_out(&self, cluster: &Cluster) {
        loop {
            let next = self.waiting.borrow_mut().pop_front();
            let Some(job) = next else { return };
            let ended = cluster.run(&job);
            self.done.borrow_mut().push((job, ended));
        }
    }
}

impl Hook for Trouble {
    fn called(&self, cluster: &Cluster, node: usize) -> bool {
        if !self.active.get() {
            return false;
        }
        let state = &mut *cluster.state.borrow_mut();
        if !state.random.one_in(CALLS) {
            return false;
        }
        let killed = state.random.one_in(2);
        if killed {
            state.disturbed();
            log!(state, "{}: its agent is killed", state.nodes[node].name);
        } else {
            strike(state);
        }
        killed
    }

    fn waiting(&self, cluster: &Cluster) {
        self.carry_out(cluster);
    }
}

/// Something goes wrong with some node.
pub fn strike(state: &mut State) {
    state.disturbed();
    let node = state.random.below(state.nodes.len());
    // That bug shows when a standby holds more than another, and little else goes wrong.
    if state.planted == Some(Planted::CountsOldVotes) && state.random.one_in(2) {
        return become_slow(state, node);
    }
    match state.random.below(17) {
        0..=2 => state.power_off(node),
        3..=5 => kill_postmaster(state, node),
        6 => everything_off(state),
        7 | 8 => unlink(state, node),
        9 => part(state),
        10 => become_slow(state, node),
        11 => become_mute(state, node),
        12 => become_full(state, node, true),
        13 if state.reads_slowly => state.nodes[node].postgres.unreadable = true,
        _ => turn_weather(state),
    }
}

fn kill_postmaster(state: &mut State, node: usize) {
    if state.nodes[node].postgres.process != Process::None {
        log!(state, "{}: its postmaster is killed", state.nodes[node].name);
        state.crash(node);
    }
}

fn everything_off(state: &mut State) {
    (0..state.nodes.len()).filter(|node| state.nodes[*node].on).collect::<Vec<_>>().into_iter().for_each(|node| {
        state.power_off(node);
    });
}

fn unlink(state: &mut State, node: usize) {
    let linked = !state.nodes[node].linked;
    state.nodes[node].linked = linked;
    log!(state, "{}: replication {}", state.nodes[node].name, if linked { "connected" } else { "cut" });
}

fn become_slow(state: &mut State, node: usize) {
    let slow = !state.nodes[node].slow;
    state.nodes[node].slow = slow;
    log!(state, "{}: replication {}", state.nodes[node].name, if slow { "slow" } else { "fast" });
}

/// Private attributes of a node's agents are lost from now on, or no longer.
fn become_mute(state: &mut State, node: usize) {
    let mute = !state.nodes[node].mute;
    state.nodes[node].mute = mute;
    log!(state, "{}: votes {}", state.nodes[node].name, if mute { "are not taken" } else { "are taken" });
}

/// The disk fills up, or an operator frees space.
fn become_full(state: &mut State, node: usize, full: bool) {
    if state.nodes[node].full != full {
        state.disturbed();
        state.nodes[node].full = full;
        log!(state, "{}: its disk {}", state.nodes[node].name, if full { "is full" } else { "has room again" });
    }
}

/// The network falls apart, or together.
fn part(state: &mut State) {
    for node in 0..state.nodes.len() {
        let side = state.random.below(2) as u8;
        state.nodes[node].side = side;
    }
    let sides: Vec<String> = state.nodes.iter().map(|node| format!("{} {}", node.name, node.side)).collect();
    log!(state, "the network parts: {}", sides.join(", "));
}

fn turn_weather(state: &mut State) {
    let weathers = [Weather::Fair, Weather::Late(8000), Weather::Late(800), Weather::Lossy(6), Weather::Failing(12)];
    state.information.weather = state.random.pick(&weathers).unwrap_or_default();
    log!(state, "attributes: {:?}", state.information.weather);
}

/// A DBA makes commits wait for more standbys, for fewer or for none, on every node that is on.
pub fn set_by_hand(state: &mut State) {
    let names: Vec<String> = state.nodes.iter().map(|node| node.name.to_string()).collect();
    let synchronous = Synchronous {
        required: state.random.below(names.len()),
        first: state.random.one_in(2),
        names: if state.random.one_in(3) { Vec::new() } else { names },
    };
    log!(state, "a DBA sets synchronous_standby_names = {}", synchronous.text());
    for node in state.nodes.iter_mut().filter(|node| node.on) {
        (node.postgres.synchronous, node.postgres.unpublished) = (synchronous.clone(), true);
    }
}

/// Faults that end by themselves or that an operator mends.
pub fn mend(state: &mut State) {
    let node = state.random.below(state.nodes.len());
    if !state.nodes[node].on {
        state.power_on(node);
        return;
    }
    match state.random.below(7) {
        6 => become_full(state, node, false),
        0 => state.nodes[node].linked = true,
        1 => state.nodes[node].slow = false,
        2 => state.nodes.iter_mut().for_each(|node| node.side = 0),
        3 => state.information.weather = Weather::Fair,
        4 => {
            state.nodes[node].mute = false;
            state.nodes[node].postgres.unreadable = false;
        }
        _ => rebuild(state, node),
    }
}

/// An operator copies the primary to a node that cannot follow it any more.
pub fn rebuild(state: &mut State, node: usize) {
    let Some(primary) = primary(state) else { return };
    let strayed = !replication::can_follow(state, node, primary);
    if strayed && state.nodes[node].postgres.process == Process::Standby {
        let copy = by_hand::copy(state, primary);
        by_hand::replace(state, node, &copy, true);
        log!(state, "{}: rebuilt from the primary", state.nodes[node].name);
    }
}

/// Everything works again, except that some nodes may stay off; whether all are on.
pub fn end_all(state: &mut State) -> bool {
    state.information.weather = Weather::Fair;
    let all = state.random.one_in(2);
    let mut order: Vec<usize> = (0..state.nodes.len()).collect();
    state.random.shuffle(&mut order);
    let quorum = state.nodes.len() / 2 + 1;
    let least = if all { state.nodes.len() } else { quorum + state.random.below(state.nodes.len() - quorum + 1) };
    // The disk of one node stays full.
    let stays_full = if state.random.one_in(4) { state.random.below(state.nodes.len()) } else { state.nodes.len() };
    for node in order {
        become_full(state, node, state.nodes[node].full && node == stays_full);
        (state.nodes[node].linked, state.nodes[node].slow, state.nodes[node].side) = (true, false, 0);
        state.nodes[node].mute = false;
        state.nodes[node].refuses_until = Duration::ZERO;
        state.nodes[node].broken &= state.random.one_in(4);
        state.nodes[node].postgres.unreadable &= state.random.one_in(4);
        let on = state.nodes.iter().filter(|node| node.on).count();
        if !state.nodes[node].on && on < least {
            state.power_on(node);
            let pause = state.random.milliseconds(0, 2000);
            state.pass(pause);
        }
    }
    state.pass(Duration::from_secs(1));
    log!(state, "the troubles are over");
    state.nodes.iter().all(|node| node.on)
}
