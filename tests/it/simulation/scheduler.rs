//! A small model of Pacemaker: membership, quorum and fencing; the choice of the node to promote; and transitions with
//! notifications, which are given up as soon as something new is known.

/// Readings of an agent's answers.
mod answers;
/// Events and operators.
mod operators;
/// A transition's actions and their order.
mod transition;

use std::cell::RefMut;
use std::collections::{BTreeMap, BTreeSet};
use std::rc::Rc;
use std::time::Duration;

use pgsqlms::action::Action;
use pgsqlms::failure::Failure;
use pgsqlms::pacemaker::Property;
use pgsqlms::rules::status::Asked;

use super::TURN;
use super::faults::Trouble;
use super::oracle::{self, Strays};
use super::people::People;
use crate::fakes::pacemaker::Weather;
use answers::{monitored, probed};

use crate::fakes::{Cluster, Ended, Job, Planted, RESOURCE, State, log};

/// How often an action may fail on a node before the resource is kept from it (`migration-threshold`).
const THRESHOLD: u32 = 5;

/// For how long (`failure-timeout`).
const EXPIRY: Duration = Duration::from_secs(600);

/// The role of an instance in Pacemaker's view.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Role {
    Stopped,
    Unpromoted,
    Promoted,
}

/// Pacemaker's record of a node's instance.
#[derive(Debug, Clone, Copy)]
pub struct Seen {
    pub role: Role,
    pub failed: bool,
    failures: u32,
    banned_until: Duration,
    boots: u32,
    monitor_at: Duration,
}

/// Pacemaker.
pub struct Scheduler {
    pub cluster: Cluster,
    pub trouble: Rc<Trouble>,
    pub seen: Vec<Seen>,
    /// The nodes that it has probed and counts on.
    pub members: BTreeSet<usize>,
    /// Where an operator wants the primary.
    pub wish: Option<usize>,
    /// The nodes that an operator has put on standby.
    pub resting: BTreeSet<usize>,
    /// The turns of maintenance mode that are left: a DBA works, and Pacemaker only watches.
    maintenance: u32,
    /// The reason that crm_mon shows for each node.
    pub reasons: BTreeMap<usize, String>,
    /// How often in a row a node has yielded to another while nothing went wrong.
    yields: u32,
    pub people: People,
    /// The primaries that people have made.
    strays: Strays,
}

impl Scheduler {
    pub fn new(cluster: Cluster, trouble: Rc<Trouble>, people: People) -> Self {
        let nodes = cluster.state.borrow().nodes.len();
        let seen = Seen {
            role: Role::Stopped,
            failed: false,
            failures: 0,
            banned_until: Duration::ZERO,
            boots: 0,
            monitor_at: Duration::ZERO,
        };
        Self {
            cluster,
            trouble,
            seen: vec![seen; nodes],
            members: BTreeSet::new(),
            wish: None,
            resting: BTreeSet::new(),
            maintenance: 0,
            reasons: BTreeMap::new(),
            yields: 0,
            people,
            strays: Strays::default(),
        }
    }

    pub fn state(&self) -> RefMut<'_, State> {
        self.cluster.state.borrow_mut()
    }

    /// `pcs resource cleanup`: failures are forgotten, and all instances are probed again.
    pub fn clean_up(&mut self) {
        log!(self.state(), "cleanup");
        for seen in &mut self.seen {
            (seen.failures, seen.banned_until, seen.failed) = (0, Duration::ZERO, false);
        }
        self.members.clear();
    }

    /// Nothing runs any more, and nothing is known.
    pub fn forget_roles(&mut self) {
        self.seen.iter_mut().for_each(|seen| seen.role = Role::Stopped);
        self.clean_up();
    }

    /// Takes turns until there is nothing to do for a while; whether that came true.
    pub fn settle(&mut self, most: u32) -> bool {
        let mut calm = 0;
        for _ in 0..most {
            let busy = self.turn();
            let state = self.state();
            calm = if busy || !oracle::at_rest(&state) { 0 } else { calm + 1 };
            // A promotable node that is not promoted is noticed after a while.
            let long = if oracle::has_primary(&state) { 12 } else { 80 };
            if calm > long || !state.violations.is_empty() {
                return calm > long;
            }
        }
        false
    }

    /// One look at the cluster, and the resulting actions. Returns whether any but monitors ran.
    pub fn turn(&mut self) -> bool {
        self.state().pass(TURN);
        self.move_address();
        if self.maintenance > 0 {
            self.maintenance -= 1;
            return true;
        }
        if !self.look_at_members() {
            self.stop_everything();
            return true;
        }
        let plan = self.plan();
        self.send_roles(plan.is_empty());
        if plan.is_empty() {
            self.monitor();
            return false;
        }
        self.carry_out(&plan);
        true
    }

    /// The nodes of the quorate partition, if there is one. Lost nodes are fenced, new ones probed.
    fn look_at_members(&mut self) -> bool {
        let (quorate, boots) = {
            let state = self.state();
            let side = |side: u8| -> BTreeSet<usize> {
                let numbered = state.nodes.iter().enumerate();
                numbered.filter(|(_, node)| node.on && node.side == side).map(|(number, _)| number).collect()
            };
            let quorum = |members: &BTreeSet<usize>| members.len() * 2 > state.nodes.len();
            let boots: Vec<u32> = state.nodes.iter().map(|node| node.boots).collect();
            ([side(0), side(1)].into_iter().find(quorum), boots)
        };
        let Some(now) = quorate else { return false };
        for (node, boots) in boots.into_iter().enumerate() {
            let rebooted = self.seen[node].boots != boots;
            if rebooted {
                self.seen[node] = Seen { role: Role::Stopped, failed: false, boots, ..self.seen[node] };
                self.members.remove(&node);
                self.reasons.remove(&node);
            }
        }
        let others: Vec<usize> = (0..self.seen.len()).filter(|node| !now.contains(node)).collect();
        others.into_iter().for_each(|node| self.fence(node));
        self.members.retain(|node| now.contains(node));
        let new: Vec<usize> = now.difference(&self.members).copied().collect();
        let probes = new.iter().map(|node| Job { asked: Asked::Probe, ..Job::new(*node, Action::Monitor) });
        for (job, ended) in self.run(probes.collect()) {
            let (role, failed) = probed(&ended);
            if self.alive(job.node) {
                (self.seen[job.node].role, self.seen[job.node].failed) = (role, failed);
                self.members.insert(job.node);
            }
        }
        true
    }

    /// Publishes the roles for queries by agents.
    fn send_roles(&self, idle: bool) {
        let state = &mut *self.state();
        let is_promoted = |(number, _): &(usize, &crate::fakes::Node)| self.seen[*number].role == Role::Promoted;
        let promoted = state.nodes.iter().enumerate().filter(is_promoted);
        state.information.promoted = promoted.map(|(_, node)| node.name.clone()).collect();
        state.information.idle = idle && state.planted != Some(Planted::BansAreUnseen);
    }

    /// The address runs with the primary, and stays where it is as long as that is one.
    fn move_address(&self) {
        let is_there = |node: &usize| self.seen[*node].role == Role::Promoted && self.members.contains(node);
        let held = self.state().address.filter(is_there);
        let address = held.or_else(|| (0..self.seen.len()).find(is_there));
        self.state().address = address;
    }

    fn alive(&self, node: usize) -> bool {
        let state = self.state();
        state.nodes[node].on && state.nodes[node].boots == self.seen[node].boots
    }

    /// Makes sure that a lost node does nothing any more.
    fn fence(&mut self, node: usize) {
        self.reasons.remove(&node);
        self.seen[node].role = Role::Stopped;
        let on = self.state().nodes[node].on;
        if on {
            let pause = self.state().random.milliseconds(500, 3000);
            let mut state = self.state();
            log!(state, "{}: is to be fenced", state.nodes[node].name);
            state.pass(pause);
            state.power_off(node);
        }
        self.members.remove(&node);
    }

    /// Without quorum nothing may run (`no-quorum-policy=stop`).
    fn stop_everything(&mut self) {
        self.members.clear();
        let on: Vec<usize> = (0..self.seen.len()).filter(|node| self.state().nodes[*node].on).collect();
        let running = |node: &usize| phase_of(&self.state(), *node);
        let jobs: Vec<Job> = on.into_iter().filter(running).map(|node| Job::new(node, Action::Stop)).collect();
        for (job, _) in self.run(jobs) {
            self.seen[job.node].role = Role::Stopped;
        }
    }

    /// Carries out actions at the same time, in any order.
    pub fn run(&mut self, mut jobs: Vec<Job>) -> Vec<(Job, Ended)> {
        self.state().random.shuffle(&mut jobs);
        jobs.retain(|job| self.state().nodes[job.node].on);
        self.trouble.waiting.borrow_mut().extend(jobs);
        self.trouble.carry_out(&self.cluster);
        let done = std::mem::take(&mut *self.trouble.done.borrow_mut());
        for (job, ended) in &done {
            self.note(job, ended);
        }
        done
    }

    /// Logs the end of an action, and counts repetitions that must not go on for ever.
    fn note(&mut self, job: &Job, ended: &Ended) {
        let state = &mut *self.cluster.state.borrow_mut();
        let (node, action) = (&state.nodes[job.node].name, job.action);
        match ended {
            Ended::Answered(Ok(outcome)) => {
                if action != Action::Monitor || outcome.reason.is_some() {
                    log!(state, "{node}: {action:?}: {:?} {}", outcome.code, outcome.reason.as_deref().unwrap_or(""));
                }
                let shown = action == Action::Monitor || !self.reasons.contains_key(&job.node);
                if shown {
                    self.reasons.insert(job.node, outcome.reason.clone().unwrap_or_default());
                }
            }
            Ended::Answered(Err(failure)) => {
                log!(state, "{node}: {action:?} failed: {failure}");
                self.reasons.insert(job.node, failure.to_string());
            }
            Ended::Killed | Ended::Overdue => log!(state, "{node}: {action:?} did not end by itself: {ended:?}"),
        }
        if action == Action::Promote {
            let yielded = matches!(ended, Ended::Answered(Err(Failure::BetterCandidate(_))));
            // All yield to the node that an operator has ordered, there or not.
            let ordered = state.information.properties.contains_key(&Property::Order.of(RESOURCE));
            let fair = state.information.weather == Weather::Fair && !state.information.is_late() && !ordered;
            self.yields = if yielded && fair && state.calm_since.is_some() { self.yields + 1 } else { 0 };
            if self.yields > 3 {
                state.violated("one node yields to the next, again and again".to_owned());
            }
        }
    }

    /// Looks at the instances whose turn it is.
    fn monitor(&mut self) {
        let now = self.state().now;
        let due: Vec<usize> = self.members.iter().copied().filter(|node| self.seen[*node].monitor_at <= now).collect();
        let running: Vec<usize> = due.into_iter().filter(|node| self.seen[*node].role != Role::Stopped).collect();
        for node in &running {
            self.seen[*node].monitor_at = now + Duration::from_secs(2);
        }
        let jobs = running.into_iter().map(|node| Job::new(node, Action::Monitor)).collect();
        for (job, ended) in self.run(jobs) {
            if self.alive(job.node) {
                self.strays.monitored(&mut self.cluster.state.borrow_mut(), job.node, now, &ended);
                self.judge_monitor(job.node, &ended);
            }
        }
    }

    fn judge_monitor(&mut self, node: usize, ended: &Ended) {
        let (found, failed) = monitored(ended);
        let seen = &mut self.seen[node];
        if found == Some(seen.role) && !failed {
            return;
        }
        seen.failures += 1;
        seen.failed = true;
        seen.role = found.unwrap_or(seen.role);
        if seen.role == Role::Stopped {
            seen.failed = false;
        }
        self.ban_if_hopeless(node);
    }

    fn ban_if_hopeless(&mut self, node: usize) {
        let now = self.state().now;
        let seen = &mut self.seen[node];
        if seen.failures >= THRESHOLD {
            seen.banned_until = now + EXPIRY;
            seen.failures = 0;
        }
    }
}

fn phase_of(state: &State, node: usize) -> bool {
    state.nodes[node].postgres.process != crate::fakes::instance::Process::None
}
