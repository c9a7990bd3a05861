//! A cluster in memory: nodes, their PostgreSQL instances, Pacemaker's attributes, and time that moves when an action
//! waits. The fakes hold state and expect nothing; the agent's real actions run on them.

#![allow(unreachable_pub)]

/// A person's changes of instances.
pub mod by_hand;
/// Synchronous commits.
pub mod commits;
/// The instances of the nodes.
pub mod instance;
/// Attributes, properties and members.
pub mod pacemaker;
/// Bugs.
mod planted;
/// The seam to PostgreSQL.
mod postgres;
/// Random numbers that can be repeated.
pub mod random;
/// How standbys receive WAL.
pub mod replication;
/// Agents at work.
mod run;
/// Write-ahead logs that remember whose they are.
pub mod wal;

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::rc::Rc;
use std::time::Duration;

use pgsqlms::location::Timeline;
use pgsqlms::node::NodeName;
use pgsqlms::parameters::Config;
use pgsqlms::postgres::About;
use pgsqlms::record::Promotion;
use pgsqlms::rules::memory::Memory;

use instance::Instance;
use pacemaker::Information;
pub use planted::Planted;
pub use postgres::{BASE_BACKUP, OTHER_SYSTEM};
use random::Random;
pub use run::{Ended, Job, Run};
use wal::{Position, Wal};

/// The resource that all the tests are about.
pub const RESOURCE: &str = "pgsqld";

/// A machine of the cluster.
#[derive(Debug)]
pub struct Node {
    pub name: NodeName,
    /// It has power and runs the cluster's software.
    pub on: bool,
    /// How often it was switched on: earlier processes are gone.
    pub boots: u32,
    /// The side of a network partition it is on; usually all are on side 0.
    pub side: u8,
    /// Its replication connections work.
    pub linked: bool,
    /// It receives WAL, but slowly.
    pub slow: bool,
    /// Its disk has no room for more WAL.
    pub full: bool,
    /// Private attributes that its agents set are lost.
    pub mute: bool,
    /// Its recovery takes longer than any action, and goes on.
    pub toils: bool,
    /// Files of its agents in /run, lost when it is switched off.
    pub notes: BTreeMap<About, String>,
    /// The agents' file beside the data: their memory of the cluster.
    pub memory: Memory,
    /// Its server refuses every session until then.
    pub refuses_until: Duration,
    /// Pacemaker may not promote it.
    pub banned: bool,
    /// Its server ends when it is started: something is wrong with its configuration.
    pub broken: bool,
    pub postgres: Instance,
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
    /// The branch that the last promotion began which counts: by an election, adopted by the agent, or ordered.
    pub line: usize,
    /// Where the WAL of that primary ended when it was last shut down cleanly, and where it ran.
    pub ended: Option<(usize, Position)>,
    /// The branch that a DBA's clean switchover has begun, if nothing has gone wrong since.
    pub handed_over: Option<usize>,
    /// An operator has run `forget-history`, and no node was promoted since.
    pub forgotten: bool,
    /// Data was replaced or a node renamed: promises of synchronous replication may not be provable any more.
    pub unprovable: bool,
    /// There is another database than the one on record.
    pub unsettled: bool,
    /// The names that nodes had before.
    pub renamed: BTreeMap<NodeName, usize>,
    /// The node that has the address which moves with the primary.
    pub address: Option<usize>,
    /// No address moves: the agent points each standby at the primary.
    pub follow_node: bool,
    /// How many data directories there ever were.
    pub directories: u64,
    /// A base backup of the primary is going on.
    pub backed_up: bool,
    /// Recovery after a crash may take longer than a start may.
    pub recovers_long: bool,
    /// So much WAL is on the disks that reading it takes several votes.
    pub reads_slowly: bool,
    /// The last promotion that an agent has recorded as having happened, even if the record is lost.
    pub recorded: Option<Promotion>,
    /// The branch of the last promotion that an agent has recorded as counting.
    pub kept: Option<usize>,
    /// The newest timeline that was taken when an operator last overruled the record.
    pub overruled: Option<Timeline>,
    /// The clients pause.
    pub quiet: bool,
    pub violations: Vec<String>,
    /// How many events have happened that no node of the cluster knew of.
    pub disturbances: u64,
    /// The log of events, if it is kept.
    pub story: Option<Vec<String>>,
    /// Checks a promotion by an agent at the moment at which it takes effect.
    pub on_promotion: fn(&mut State, usize),
    /// Checks an agent's entry in the record of promotions.
    pub on_record: fn(&mut State, usize),
    /// Since when nothing has gone wrong, if that is since before the election that is going on.
    pub calm_since: Option<Duration>,
    /// The nodes whose instances were asked to vote in the election that is going on.
    pub electors: Vec<usize>,
    /// How often an instance was asked how far its WAL reaches.
    pub votes: u32,
    /// How many calls the last agent that ended has made.
    pub calls: u32,
    /// The last agent's changes of the CIB.
    pub written: Vec<String>,
    /// The votes that each node's agent saw last.
    pub seen_votes: Vec<BTreeMap<NodeName, String>>,
}

/// Adds a line to the story, if one is kept.
macro_rules! log {
    ($state:expr, $($words:tt)+) => {
        if $state.story.is_some() {
            let line = format!("{:7.2} {}", $state.now.as_secs_f64(), format_args!($($words)+));
            if let Some(story) = &mut $state.story {
                story.push(line);
            }
        }
    };
}
pub(crate) use log;

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
            toils: false,
            notes: BTreeMap::new(),
            memory: Memory::default(),
            refuses_until: Duration::ZERO,
            banned: false,
            broken: false,
            postgres: Instance::new(wal.origin()),
        };
        Self {
            now: Duration::ZERO,
            nodes: names.iter().map(node).collect(),
            information: Information::default(),
            random: Random::new(seed),
            planted: None,
            acknowledged: BTreeMap::new(),
            line: 0,
            ended: None,
            handed_over: None,
            forgotten: false,
            unprovable: false,
            unsettled: false,
            renamed: BTreeMap::new(),
            address: None,
            follow_node: false,
            directories: 0,
            backed_up: false,
            recovers_long: false,
            reads_slowly: false,
            recorded: None,
            kept: None,
            overruled: None,
            quiet: false,
            violations: Vec::new(),
            disturbances: 0,
            story: None,
            on_promotion: |_, _| {},
            on_record: |_, _| {},
            calm_since: None,
            electors: Vec::new(),
            votes: 0,
            calls: 0,
            written: Vec::new(),
            seen_votes: vec![BTreeMap::new(); names.len()],
            wal,
        }
    }

    /// The node that has this name, or had it.
    pub fn number(&self, name: &NodeName) -> Option<usize> {
        self.nodes.iter().position(|node| node.name == *name).or_else(|| self.renamed.get(name).copied())
    }

    /// Notes an event that no node of the cluster knows of yet.
    pub fn disturbed(&mut self) {
        self.disturbances += 1;
        (self.calm_since, self.ended, self.handed_over) = (None, None, None);
    }

    /// Cuts a node's power. Its memory is gone, and so are its transient attributes.
    pub fn power_off(&mut self, node: usize) {
        self.nodes[node].on = false;
        self.crash(node);
        self.nodes[node].notes.clear();
        let name = self.nodes[node].name.clone();
        self.information.forget(&name);
        if self.nodes.iter().all(|node| !node.on) {
            self.information.end();
        }
        log!(self, "{name}: no power");
    }

    /// Ends a node's instance at once.
    pub fn crash(&mut self, node: usize) {
        let unread = if self.reads_slowly && self.random.one_in(2) { self.random.below(96 << 20) as u64 } else { 0 };
        let begin = self.wal.origin().lsn;
        let postgres = &mut self.nodes[node].postgres;
        postgres.crash();
        postgres.unread = unread.min(postgres.end.lsn.bytes_after(begin));
    }

    pub fn power_on(&mut self, node: usize) {
        self.nodes[node].on = true;
        self.nodes[node].boots += 1;
        self.nodes[node].side = 0;
        log!(self, "{}: powered on", self.nodes[node].name);
    }

    /// Lets time pass.
    pub fn pass(&mut self, pause: Duration) {
        self.now += pause;
        let now = self.now;
        self.information.deliver(now);
        instance::proceed(self);
    }

    pub fn violated(&mut self, what: String) {
        log!(self, "VIOLATION: {what}");
        self.violations.push(what);
    }
}

/// A test's code that runs between any two steps of an agent.
pub trait Hook {
    /// An agent on `node` is about to ask PostgreSQL or the cluster. Whether the agent is killed here.
    fn called(&self, _cluster: &Cluster, _node: usize) -> bool {
        false
    }

    /// An agent waits: others may run.
    fn waiting(&self, _cluster: &Cluster) {}
}

/// The cluster and the hook that runs between the steps.
pub struct Cluster {
    pub state: RefCell<State>,
    pub hook: Rc<dyn Hook>,
    pub config: Config,
}
