//! A cluster in memory: nodes, their PostgreSQL instances, Pacemaker's attributes, and time that moves when somebody
//! waits. The fakes hold state and expect nothing; the agent's real actions run on them.

#![allow(unreachable_pub)]

/// What each node's instance does.
pub mod instance;
/// Attributes, properties and members.
pub mod pacemaker;
/// The seam to PostgreSQL.
mod postgres;
/// Random numbers that can be repeated.
pub mod random;
/// Write-ahead logs that remember whose they are.
pub mod wal;

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::rc::Rc;
use std::time::Duration;

use pgsqlms::action::Action;
use pgsqlms::agent::{Agent, Outcome, Request};
use pgsqlms::clock::{Clock, Deadline};
use pgsqlms::failure::Failure;
use pgsqlms::location::Timeline;
use pgsqlms::node::NodeName;
use pgsqlms::notification::{Notification, Transition};
use pgsqlms::parameters::Config;
use pgsqlms::record::Promotion;
use pgsqlms::rules::setup::Meta;
use pgsqlms::rules::status::Asked;

use instance::Instance;
use pacemaker::Information;
use random::Random;
use wal::{Position, Wal};

/// The resource that all the tests are about.
pub const RESOURCE: &str = "pgsqld";

/// A machine of the cluster.
#[derive(Debug)]
pub struct Node {
    pub name: NodeName,
    /// It has power and runs the cluster's software.
    pub on: bool,
    /// How often it was switched on: what ran before that is gone.
    pub boots: u32,
    /// The side of a network partition it is on; usually all are on side 0.
    pub side: u8,
    /// Its replication connections work.
    pub linked: bool,
    /// It receives WAL, but slowly.
    pub slow: bool,
    /// Its disk has no room for more WAL.
    pub full: bool,
    /// What its agents tell the others only is not taken.
    pub mute: bool,
    pub postgres: Instance,
}

/// What a bug would make of the world: each is one that PAF has, or that this agent must not have.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Planted {
    /// PAF #225: a vote is what was received since the standby was started.
    VotesWithReceivedOnly,
    /// PAF #131: the votes are waited for until all have come.
    WaitsForEveryVote,
    /// PAF #180: nobody looks at the record of promotions.
    IgnoresTheRecord,
    /// PAF #195: a primary that is recovered is promoted without an election.
    RecoversWithoutElection,
    /// What the primary promised is not looked at.
    IgnoresPromises,
    /// PAF #26, #220: nobody becomes a candidate when no node is promotable.
    KeepsNegativeScores,
    /// Votes that an earlier election has left behind count in the next one.
    CountsOldVotes,
    /// `srv10` is taken for `srv1`.
    MatchesNamesByPrefix,
    /// No node tells the others that it has no room.
    ConcealsFullDisks,
    /// What a primary promises is told to the others after it is in force, not before.
    PromisesTooLate,
}

/// Everything there is.
#[derive(Debug)]
pub struct State {
    pub now: Duration,
    pub nodes: Vec<Node>,
    pub wal: Wal,
    pub information: Information,
    pub random: Random,
    pub planted: Option<Planted>,
    /// The furthest acknowledged commit on each branch of history.
    pub acknowledged: BTreeMap<usize, Position>,
    /// The last promotion that an agent has recorded as having happened, even if the record is lost.
    pub recorded: Option<Promotion>,
    /// The newest timeline that was taken when an operator last overruled the record.
    pub overruled: Option<Timeline>,
    /// The clients pause.
    pub quiet: bool,
    pub violations: Vec<String>,
    /// What happened, if anybody wants to know.
    pub story: Option<Vec<String>>,
    /// Checks a promotion at the moment at which it takes effect; the node, and the votes that the agent saw.
    pub on_promotion: fn(&mut State, usize),
    /// Since when nothing has gone wrong, if that is since before the election that is going on.
    pub calm_since: Option<Duration>,
    /// The nodes whose instances were asked to vote in the election that is going on.
    pub electors: Vec<usize>,
    /// How many calls the last agent that ended has made.
    pub calls: u32,
    /// The votes that each node's agent saw last.
    pub seen_votes: Vec<BTreeMap<NodeName, String>>,
}

/// Adds a line to the story, if one is told.
macro_rules! tell {
    ($state:expr, $($words:tt)+) => {
        if $state.story.is_some() {
            let line = format!("{:7.2} {}", $state.now.as_secs_f64(), format_args!($($words)+));
            if let Some(story) = &mut $state.story {
                story.push(line);
            }
        }
    };
}
pub(crate) use tell;

impl State {
    pub fn new(names: &[&str], seed: u64) -> Self {
        let wal = Wal::default();
        let node = |name: &&str| Node {
            name: NodeName::new(*name),
            on: true,
            boots: 0,
            side: 0,
            linked: true,
            slow: false,
            full: false,
            mute: false,
            postgres: Instance::new(wal.origin()),
        };
        Self {
            now: Duration::ZERO,
            nodes: names.iter().map(node).collect(),
            information: Information::default(),
            random: Random::new(seed),
            planted: None,
            acknowledged: BTreeMap::new(),
            recorded: None,
            overruled: None,
            quiet: false,
            violations: Vec::new(),
            story: None,
            on_promotion: |_, _| {},
            calm_since: None,
            electors: Vec::new(),
            calls: 0,
            seen_votes: vec![BTreeMap::new(); names.len()],
            wal,
        }
    }

    pub fn number(&self, name: &NodeName) -> Option<usize> {
        self.nodes.iter().position(|node| node.name == *name)
    }

    /// Cuts a node's power. What it had in memory is gone, and so are its transient attributes.
    pub fn power_off(&mut self, node: usize) {
        self.nodes[node].on = false;
        self.nodes[node].postgres.crash();
        let name = self.nodes[node].name.clone();
        self.information.forget(&name);
        tell!(self, "{name}: no power");
    }

    pub fn power_on(&mut self, node: usize) {
        self.nodes[node].on = true;
        self.nodes[node].boots += 1;
        self.nodes[node].side = 0;
        tell!(self, "{}: powered on", self.nodes[node].name);
    }

    /// Lets time pass.
    pub fn pass(&mut self, pause: Duration) {
        self.now += pause;
        let now = self.now;
        self.information.deliver(now);
        instance::proceed(self);
    }

    pub fn violated(&mut self, what: String) {
        tell!(self, "VIOLATION: {what}");
        self.violations.push(what);
    }
}

/// Somebody who may step in between any two steps of an agent.
pub trait Hook {
    /// An agent on `node` is about to ask PostgreSQL or the cluster. Whether the agent is killed here.
    fn called(&self, _cluster: &Cluster, _node: usize) -> bool {
        false
    }

    /// An agent waits: others may run.
    fn waiting(&self, _cluster: &Cluster) {}
}

/// The cluster and whoever steps in.
pub struct Cluster {
    pub state: RefCell<State>,
    pub hook: Rc<dyn Hook>,
    pub config: Config,
}

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

/// One agent at work: what its calls go through.
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
    fn fails(&self) -> bool {
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
            },
            asked: job.asked,
            check_level: 0,
            transition: job.transition.clone(),
            notification: job.notification.clone(),
            deadline: Deadline::within(timeout),
        };
        self.state.borrow_mut().seen_votes[job.node].clear();
        let mut postgres = postgres::FakePostgres { run: &run };
        let mut pacemaker = pacemaker::FakePacemaker { run: &run };
        let ended = catch_unwind(AssertUnwindSafe(|| {
            let (postgres, pacemaker) = (&mut postgres, &mut pacemaker);
            job.action.run(&mut Agent { request: &request, postgres, pacemaker, clock: &run })
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
