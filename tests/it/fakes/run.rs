//! Agents at work: their jobs from Pacemaker, and how they end.

use std::cell::{Cell, RefCell};
use std::collections::BTreeSet;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::rc::Rc;
use std::time::Duration;

use pgsqlms::action::Action;
use pgsqlms::agent::{Agent, Outcome, Request};
use pgsqlms::clock::{Clock, Deadline};
use pgsqlms::failure::Failure;
use pgsqlms::notification::{Around, Notification, Transition};
use pgsqlms::parameters::Config;
use pgsqlms::rules::setup::Meta;
use pgsqlms::rules::status::Asked;

use super::pacemaker::FakePacemaker;
use super::postgres::FakePostgres;
use super::{Cluster, Hook, RESOURCE, State};

/// An action that Pacemaker wants carried out.
#[derive(Debug, Clone)]
pub struct Job {
    pub node: usize,
    pub action: Action,
    pub asked: Asked,
    pub transition: Transition,
    pub notification: Option<Notification>,
    /// The agent is killed when it is about to make this call, counted from 1.
    pub killed_at: Option<u32>,
    /// This call fails, counted from 1, if it is one that can.
    pub fails_at: Option<u32>,
}

impl Job {
    pub fn new(node: usize, action: Action) -> Self {
        let transition = Transition::default();
        Self { node, action, asked: Asked::Recurring, transition, notification: None, killed_at: None, fails_at: None }
    }

    /// One action of a transition that stops the instance of this node.
    pub fn stopping(state: &State, node: usize, action: Action) -> Self {
        let stop = BTreeSet::from([state.nodes[node].name.clone()]);
        let transition = Transition { demote: stop.clone(), stop, ..Transition::default() };
        Self { transition, ..Self::new(node, action) }
    }

    /// The action, if it must not change the CIB: Pacemaker would stop the transition, which is to switch something off or
    /// to bring the address to a new primary.
    fn quiet(&self) -> Option<String> {
        match (self.action, &self.notification) {
            (Action::Demote | Action::Stop, _) => Some(format!("{:?}", self.action)),
            (Action::Notify, Some(Notification { moment, around, .. })) if *around != Around::Start => {
                Some(format!("{moment:?} {around:?}"))
            }
            _ => None,
        }
    }
}

/// How an agent ended.
#[derive(Debug)]
pub enum Ended {
    /// By itself.
    Answered(Result<Outcome, Failure>),
    /// It was killed, or its node is gone.
    Killed,
    /// It took longer than Pacemaker allows.
    Overdue,
}

struct KilledHere;

/// One agent at work: the interface that its calls go through.
pub struct Run<'a> {
    pub cluster: &'a Cluster,
    pub node: usize,
    boots: u32,
    killed_at: Option<u32>,
    fails_at: Option<u32>,
    pub calls: Cell<u32>,
    began: Duration,
    /// The time that this agent has waited itself.
    pub waited: Cell<Duration>,
    /// The action, if it must not change the CIB.
    pub quiet: Option<String>,
}

impl Run<'_> {
    /// The agent makes a call: the place where anything may happen.
    pub fn step(&self) {
        self.calls.set(self.calls.get() + 1);
        let killed = self.killed_at == Some(self.calls.get()) || self.cluster.hook.called(self.cluster, self.node);
        let node = &self.cluster.state.borrow().nodes[self.node];
        if killed || !node.on || node.boots != self.boots {
            resume_unwind(Box::new(KilledHere));
        }
    }

    /// Whether the call that is being made is to fail.
    pub fn fails(&self) -> bool {
        self.fails_at == Some(self.calls.get())
    }
}

impl Clock for Run<'_> {
    fn now(&self) -> Duration {
        self.cluster.state.borrow().now - self.began
    }

    /// Sleeps longer than asked to, which any machine may do, so that long waits take few steps.
    fn sleep(&self, pause: Duration) {
        let pause = pause.max(Duration::from_millis(250));
        self.step();
        self.cluster.state.borrow_mut().pass(pause);
        self.waited.set(self.waited.get() + pause);
        self.cluster.hook.waiting(self.cluster);
        self.step();
    }

    fn uptime(&self) -> Duration {
        self.cluster.state.borrow().now
    }

    fn unix_time(&self) -> u64 {
        1_763_850_000 + self.cluster.state.borrow().now.as_secs()
    }
}

impl Cluster {
    pub fn new(state: State, hook: Rc<dyn Hook>) -> Self {
        Self { state: RefCell::new(state), hook, config: Config::default() }
    }

    /// Runs the agent once.
    pub fn run(&self, job: &Job) -> Ended {
        self.run_by(job, |agent| job.action.run(agent))
    }

    /// Runs the agent once, in another way than the job's action.
    pub fn run_by(&self, job: &Job, act: impl FnOnce(&mut Agent) -> Result<Outcome, Failure>) -> Ended {
        let timeout = Duration::from_secs(job.action.usual_timeout());
        let run = {
            let state = self.state.borrow();
            let (calls, waited) = (Cell::default(), Cell::default());
            let (boots, began) = (state.nodes[job.node].boots, state.now);
            Run {
                cluster: self,
                node: job.node,
                boots,
                killed_at: job.killed_at,
                fails_at: job.fails_at,
                calls,
                began,
                waited,
                quiet: job.quiet(),
            }
        };
        let request = Request {
            me: self.state.borrow().nodes[job.node].name.clone(),
            instance: RESOURCE.to_owned(),
            config: self.config.clone(),
            bad_parameters: Vec::new(),
            meta: Meta {
                feature_set: Some("3.19.0".to_owned()),
                notify: Some(true),
                promoted_max: Some("1".to_owned()),
                clone_max: Some(self.state.borrow().nodes.len() as u32),
            },
            asked: job.asked,
            check_level: 0,
            transition: job.transition.clone(),
            notification: job.notification.clone(),
            deadline: Deadline::within(timeout),
        };
        self.state.borrow_mut().nodes[job.node].postgres.hidden = false;
        self.state.borrow_mut().seen_votes[job.node].clear();
        self.state.borrow_mut().written.clear();
        let mut postgres = FakePostgres { run: &run };
        let mut pacemaker = FakePacemaker { run: &run };
        let ended = catch_unwind(AssertUnwindSafe(|| {
            let (postgres, pacemaker) = (&mut postgres, &mut pacemaker);
            act(&mut Agent { request: &request, postgres, pacemaker, clock: &run, is_quiet: false })
        }));
        self.state.borrow_mut().calls = run.calls.get();
        match ended {
            Ok(_) if run.waited.get() > timeout => Ended::Overdue,
            Ok(answer) => Ended::Answered(answer),
            Err(panic) if panic.is::<KilledHere>() => Ended::Killed,
            Err(panic) => resume_unwind(panic),
        }
    }
}
