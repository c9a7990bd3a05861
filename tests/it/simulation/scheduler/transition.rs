//! A transition's actions in their order: demote, stop, start, promote, each with its notifications.

use std::collections::BTreeSet;
use std::time::Duration;

use pgsqlms::action::Action;
use pgsqlms::node::NodeName;
use pgsqlms::notification::{Around, Moment, Notification, Transition};
use pgsqlms::pacemaker::Attribute;

use super::{EXPIRY, Role, Scheduler, oracle};
use crate::fakes::instance::Process;
use crate::fakes::{Ended, Job, Planted, RESOURCE, log};

const INFINITY: i64 = 1_000_000;

/// The actions of one transition.
#[derive(Debug, Default)]
pub(super) struct Plan {
    demote: BTreeSet<usize>,
    stop: BTreeSet<usize>,
    start: BTreeSet<usize>,
    promote: BTreeSet<usize>,
}

impl Plan {
    pub(super) fn is_empty(&self) -> bool {
        [&self.demote, &self.stop, &self.start, &self.promote].iter().all(|nodes| nodes.is_empty())
    }
}

impl Scheduler {
    /// The actions to run.
    pub(super) fn plan(&self) -> Plan {
        let now = self.state().now;
        let wanted = |node: &usize| self.seen[*node].banned_until <= now && !self.resting.contains(node);
        let wanted: BTreeSet<usize> = self.members.iter().copied().filter(wanted).collect();
        let target = self.target(&wanted);
        let with = |test: &dyn Fn(usize) -> bool| self.members.iter().copied().filter(|node| test(*node)).collect();
        let seen = |node: usize| &self.seen[node];
        let stops = |node: usize| seen(node).role != Role::Stopped && (seen(node).failed || !wanted.contains(&node));
        let promoted = |node: usize| seen(node).role == Role::Promoted;
        Plan {
            demote: with(&|node| promoted(node) && (stops(node) || target != Some(node))),
            stop: with(&stops),
            start: with(&|node| wanted.contains(&node) && (seen(node).role == Role::Stopped || stops(node))),
            promote: with(&|node| target == Some(node) && (!promoted(node) || stops(node))),
        }
    }

    /// The node with the best promotion score, an operator's wish included, unless all are negative.
    fn target(&self, wanted: &BTreeSet<usize>) -> Option<usize> {
        let may = |node: &&usize| !self.state().nodes[**node].banned;
        let scored = wanted.iter().filter(may).map(|node| (self.score(*node), *node));
        let best = scored.filter(|(score, _)| *score >= 0);
        let best = best
            .max_by_key(|(score, node)| (*score, self.seen[*node].role == Role::Promoted, std::cmp::Reverse(*node)));
        best.map(|(_, node)| node)
    }

    fn score(&self, node: usize) -> i64 {
        let state = self.state();
        let score = state.information.transient(&state.nodes[node].name, &Attribute::Score.of(RESOURCE));
        let score = score.map_or(-1, |score| score.parse().unwrap_or(0));
        match self.wish == Some(node) {
            _ if score <= -INFINITY => -INFINITY,
            true => INFINITY,
            false => score,
        }
    }

    fn names(&self, nodes: &BTreeSet<usize>) -> BTreeSet<NodeName> {
        nodes.iter().map(|node| self.state().nodes[*node].name.clone()).collect()
    }

    fn transition(&self, plan: &Plan) -> Transition {
        let with = |role: Role| self.members.iter().copied().filter(|node| self.seen[*node].role == role).collect();
        let (promoted, unpromoted) = (self.names(&with(Role::Promoted)), self.names(&with(Role::Unpromoted)));
        Transition {
            active: promoted.union(&unpromoted).cloned().collect(),
            promoted,
            unpromoted,
            start: self.names(&plan.start),
            stop: self.names(&plan.stop),
            promote: self.names(&plan.promote),
            demote: self.names(&plan.demote),
        }
    }

    /// Runs the planned actions as long as nothing changes.
    pub(super) fn carry_out(&mut self, plan: &Plan) {
        let transition = self.transition(plan);
        {
            let state = &mut *self.cluster.state.borrow_mut();
            let names = |nodes: &BTreeSet<NodeName>| nodes.iter().map(NodeName::as_str).collect::<Vec<_>>().join(" ");
            let Transition { promoted, demote, stop, start, promote, .. } = &transition;
            let (demote, stop, start, promote) = (names(demote), names(stop), names(start), names(promote));
            log!(
                state,
                "transition: promoted [{}] demote [{demote}] stop [{stop}] start [{start}] promote [{promote}]",
                names(promoted)
            );
            state.calm_since = Some(state.now);
        }
        oracle::demoted(self, &plan.demote, &plan.promote);
        let changes = self.state().information.changes;
        let phases = [
            (Action::Demote, Around::Demote, &plan.demote),
            (Action::Stop, Around::Stop, &plan.stop),
            (Action::Start, Around::Start, &plan.start),
            (Action::Promote, Around::Promote, &plan.promote),
        ];
        for (action, around, nodes) in phases {
            if nodes.is_empty() {
                continue;
            }
            self.notify(plan, Moment::Before, around, &transition);
            let unchanged = self.unchanged(changes) && self.act(action, nodes, &transition);
            if unchanged || self.state().random.one_in(2) {
                self.notify(plan, Moment::After, around, &transition);
            }
            if !unchanged || !self.unchanged(changes) {
                return;
            }
        }
    }

    /// Nothing has happened that a new transition should be made of.
    fn unchanged(&self, changes: u64) -> bool {
        self.state().information.changes == changes && self.members.iter().all(|node| self.alive(*node))
    }

    /// Tells the instances that were and will be there.
    fn notify(&mut self, plan: &Plan, moment: Moment, around: Around, transition: &Transition) {
        let is_notified = |node: &usize| {
            let active = self.seen[*node].role != Role::Stopped;
            let stays = !plan.stop.contains(node) || plan.start.contains(node);
            match (around, moment) {
                (Around::Demote | Around::Stop, Moment::Before) => active,
                (Around::Demote, Moment::After) => active,
                (Around::Stop, Moment::After) => active && stays,
                (Around::Start, Moment::Before) => active && !plan.start.contains(node),
                (Around::Start, Moment::After) | (Around::Promote, _) => active,
            }
        };
        let notified: Vec<usize> =
            self.members.iter().copied().filter(is_notified).filter(|node| self.alive(*node)).collect();
        if (around, moment) == (Around::Promote, Moment::Before) {
            self.state().electors = notified.clone();
        }
        let jobs = notified.into_iter().map(|node| Job {
            transition: transition.clone(),
            notification: Some(Notification { moment, around, transition: transition.clone() }),
            ..Job::new(node, Action::Notify)
        });
        self.run(jobs.collect());
    }

    /// Carries out one kind of action; whether all of them succeeded.
    fn act(&mut self, action: Action, nodes: &BTreeSet<usize>, transition: &Transition) -> bool {
        let planted = self.state().planted == Some(Planted::RecoversWithoutElection);
        let jobs: Vec<Job> =
            nodes.iter().map(|node| Job { transition: transition.clone(), ..Job::new(*node, action) }).collect();
        if planted && action == Action::Promote {
            jobs.iter().for_each(|job| self.promote_blindly(job));
        }
        let done = self.run(jobs);
        done.iter().fold(true, |good, (job, ended)| {
            let succeeded = matches!(ended, Ended::Answered(Ok(_)));
            if action == Action::Demote && matches!(ended, Ended::Answered(_)) {
                oracle::ended(&mut self.cluster.state.borrow_mut(), job.node);
            }
            self.judge(job, succeeded);
            if succeeded {
                self.repeat(job);
            }
            good && succeeded
        })
    }

    /// The bug that a primary which is recovered is promoted again without an election.
    fn promote_blindly(&self, job: &Job) {
        use crate::fakes::wal::Begun;
        let state = &mut *self.state();
        let recovered = job.transition.promoted.contains(&state.nodes[job.node].name);
        let node = &mut state.nodes[job.node];
        if recovered && node.on && node.postgres.process == Process::Standby {
            node.postgres.process = Process::Promoting { until: state.now, by: Begun::ByAgent };
            state.pass(Duration::from_millis(1));
        }
    }

    fn judge(&mut self, job: &Job, succeeded: bool) {
        let node = job.node;
        if !self.alive(node) {
            return;
        }
        let now = self.state().now;
        let seen = &mut self.seen[node];
        (seen.role, seen.failed) = match (job.action, succeeded) {
            (Action::Start | Action::Demote, true) => (Role::Unpromoted, false),
            (Action::Promote, true) => (Role::Promoted, false),
            (Action::Stop, true) => (Role::Stopped, false),
            // Instances that could not be demoted are stopped next.
            (Action::Start | Action::Demote, false) => (Role::Unpromoted, true),
            (_, false) => (Role::Promoted, true),
            (_, true) => (seen.role, seen.failed),
        };
        if succeeded {
            return;
        }
        seen.failures += 1;
        match job.action {
            Action::Start => seen.banned_until = now + EXPIRY,
            Action::Stop => self.fence(node),
            _ => self.ban_if_hopeless(node),
        }
    }

    /// Now and then an action is carried out twice: that must change nothing.
    fn repeat(&mut self, job: &Job) {
        let twice = self.state().random.one_in(8);
        if !twice || self.trouble.is_active() || !self.alive(job.node) {
            return;
        }
        let before = self.state().nodes[job.node].postgres.process;
        let ended = self.cluster.run(job);
        let state = &mut *self.cluster.state.borrow_mut();
        let after = state.nodes[job.node].postgres.process;
        // It may have come up meanwhile.
        let same = before == after || (matches!(before, Process::Starting { .. }) && after == Process::Standby);
        if !same || !matches!(ended, Ended::Answered(Ok(_))) {
            let name = state.nodes[job.node].name.clone();
            state.violated(format!("{name}: {:?} again: {ended:?}, {before:?} became {after:?}", job.action));
        }
    }
}
