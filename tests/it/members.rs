//! The agent's own code on several real instances, and a cluster that is a few maps. In a process of its own: acting as
//! PostgreSQL's user changes the user of all threads.

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};
use std::process::Command;
use std::rc::Rc;
use std::time::Duration;

use pgsqlms::actions::{monitor, notify};
use pgsqlms::agent::{Agent, Outcome, Request};
use pgsqlms::clock::{Deadline, SystemClock};
use pgsqlms::exit::OcfExitCode;
use pgsqlms::node::NodeName;
use pgsqlms::notification::{Notification, Transition};
use pgsqlms::pacemaker::cib::Cib;
use pgsqlms::pacemaker::{Pacemaker, PacemakerError, Reach};
use pgsqlms::parameters::{Config, Follow};
use pgsqlms::postgres::instance;
use pgsqlms::rules::candidates::Roles;
use pgsqlms::rules::ended::Seen;
use pgsqlms::rules::setup::Meta;
use pgsqlms::rules::status::Asked;

use crate::throwaway::{Instance, Succeeds, eventually, eventually_or};

/// Whether this is the process that `test` has for itself; in any other, that process is run to its end.
pub(crate) fn has_a_process_of_its_own(test: &str) -> bool {
    const ALONE: &str = "PGSQLMS_TEST_ALONE";
    if std::env::var_os(ALONE).is_some() {
        return true;
    }
    let output = Command::new(std::env::current_exe().unwrap()).args(["--exact", test]).env(ALONE, "yes").output();
    let output = output.unwrap();
    let text = [output.stdout, output.stderr].concat();
    let text = String::from_utf8_lossy(&text);
    assert!(output.status.success() && text.contains("1 passed"), "{text}");
    eprint!("{}", text.lines().filter(|line| line.contains("SKIPPED")).collect::<String>());
    false
}

/// The name of the resource.
pub(crate) const RESOURCE: &str = "pgsqld";

/// A node with its instance.
pub(crate) struct Member {
    pub(crate) name: NodeName,
    pub(crate) instance: Instance,
}

/// The attributes and properties of the cluster.
#[derive(Default)]
pub(crate) struct Board {
    pub(crate) cib: Cib,
    pub(crate) private: BTreeMap<String, BTreeMap<NodeName, String>>,
    /// The resource was removed.
    pub(crate) without_resource: bool,
    /// Every question and every change, each of which would have been a process.
    pub(crate) calls: usize,
}

/// Some nodes.
pub(crate) struct Members {
    pub(crate) all: Vec<Member>,
    pub(crate) board: RefCell<Board>,
    pub(crate) config: Config,
    pub(crate) meta: Meta,
}

impl Members {
    /// A primary srv1, and standbys without an address to follow; none where there is no PostgreSQL.
    pub(crate) fn new(count: usize, settings: &str) -> Option<Self> {
        let primary = Instance::new()?;
        let include = format!("include_if_exists = '{}/pgsqlms.conf'\n", primary.data().display());
        primary.configure(&format!("{settings}{include}"));
        primary.promote();
        let all = vec![Member { name: NodeName::new("srv1"), instance: primary }];
        let mut members = Self { all, board: RefCell::default(), config: Config::default(), meta: Meta::default() };
        members.config.follow = Follow::Node;
        for number in 2..=count {
            members.join(&format!("srv{number}"), settings);
        }
        members.all.iter().for_each(|member| members.register(member));
        Some(members)
    }

    /// A copy of the primary, started as a standby.
    fn join(&mut self, name: &str, settings: &str) {
        let instance = Instance::empty().unwrap();
        let mut copy = instance.as_user("pg_basebackup");
        copy.args(["--checkpoint=fast", "--no-sync", "--wal-method=fetch", "--host"]);
        copy.arg(self.all[0].instance.directory.path()).arg("-D").arg(instance.data()).success();
        let directory = instance.directory.path().display();
        instance.configure(&format!(
            "unix_socket_directories = '{directory}'\n{settings}include_if_exists = '{directory}/data/pgsqlms.conf'\n"
        ));
        instance.start();
        self.all.push(Member { name: NodeName::new(name), instance });
    }

    fn register(&self, member: &Member) {
        let cib = &mut self.board.borrow_mut().cib;
        cib.nodes.insert(member.name.clone());
        let address = member.instance.directory.path().display().to_string();
        cib.permanent.entry(member.name.clone()).or_default().insert("pgsqlms-address".to_owned(), address);
    }

    /// The instance of the node of this number, from 1 on.
    pub(crate) fn instance(&self, number: usize) -> &Instance {
        &self.all[number - 1].instance
    }

    /// Does `work` as the agent of the node of this number.
    pub(crate) fn act<T>(&self, number: usize, transition: &Transition, work: impl FnOnce(&mut Agent) -> T) -> T {
        self.act_for(number, transition, None, work)
    }

    /// Lets the agent of the node of this number take part in other nodes' actions.
    pub(crate) fn notified(&self, number: usize, notification: Notification) {
        let transition = notification.transition.clone();
        self.act_for(number, &transition, Some(notification), |agent| notify::run(agent).unwrap());
    }

    fn act_for<T>(
        &self,
        number: usize,
        transition: &Transition,
        notification: Option<Notification>,
        work: impl FnOnce(&mut Agent) -> T,
    ) -> T {
        let Member { name, instance } = &self.all[number - 1];
        let runtime = Rc::new(tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap());
        let (clock, deadline) = (Rc::new(SystemClock::start()), Deadline::within(Duration::from_secs(60)));
        let mut config = self.config.clone();
        config.pgdata = instance.data();
        config.evidence_dir = instance.directory.path().join("evidence");
        config.system_user.clone_from(&instance.user.name);
        let mut postgres = instance::Instance::new(config.clone(), "pgsql-test", runtime, clock.clone(), deadline);
        let request = Request {
            me: name.clone(),
            instance: RESOURCE.to_owned(),
            config,
            bad_parameters: Vec::new(),
            meta: self.meta.clone(),
            asked: Asked::Recurring,
            check_level: 0,
            transition: transition.clone(),
            notification,
            deadline,
        };
        let mut seat = Seat(&self.board);
        let clock = clock.as_ref();
        work(&mut Agent { request: &request, postgres: &mut postgres, pacemaker: &mut seat, clock, is_quiet: false })
    }

    /// The outcome of a monitor on the node of this number.
    pub(crate) fn monitored(&self, number: usize) -> Outcome {
        self.act(number, &Transition::default(), |agent| monitor::run(agent).unwrap())
    }

    /// Monitors it until it gives this code and a reason with these words, or none without any. Each time a minute has
    /// passed, as far as it notes how long something has been so.
    #[track_caller]
    pub(crate) fn monitors_until(&self, number: usize, wanted: OcfExitCode, words: &str) {
        let last = RefCell::new(None);
        let is_so = || {
            ["successor", "names"].iter().for_each(|note| self.instance(number).a_minute_passes(note));
            let outcome = self.monitored(number);
            let reason = outcome.reason.clone().unwrap_or_default();
            let is_so = outcome.code == wanted && reason.contains(words) && reason.is_empty() == words.is_empty();
            last.replace(Some(outcome));
            is_so
        };
        eventually_or(&format!("{wanted:?} {words} from srv{number}"), is_so, || format!("{:?}", last.borrow()));
    }

    /// Waits until the instance of one number receives WAL from that of another.
    #[track_caller]
    pub(crate) fn wait_until_streaming(&self, standby: usize, primary: usize) {
        let from = self.instance(primary).directory.path().display().to_string();
        let question = "SELECT sender_host FROM pg_stat_wal_receiver WHERE status = 'streaming'";
        eventually("a standby to stream", || self.instance(standby).sql(question) == from);
    }
}

/// The promotion of the node of this number.
pub(crate) fn promotion_of(number: usize) -> Transition {
    Transition { promote: BTreeSet::from([NodeName::new(format!("srv{number}"))]), ..Transition::default() }
}

/// The cluster as one agent meets it.
struct Seat<'a>(&'a RefCell<Board>);

impl Seat<'_> {
    fn call<T>(&self, ask: impl FnOnce(&mut Board) -> T) -> Result<T, PacemakerError> {
        let board = &mut *self.0.borrow_mut();
        board.calls += 1;
        Ok(ask(board))
    }
}

impl Pacemaker for Seat<'_> {
    fn is_running(&mut self) -> bool {
        true
    }

    fn attributes(&mut self, name: &str) -> Result<BTreeMap<NodeName, String>, PacemakerError> {
        self.call(|board| {
            let seen = board.cib.transient(name).into_iter().map(|(node, value)| (node, value.to_owned()));
            seen.chain(board.private.get(name).cloned().unwrap_or_default()).collect()
        })
    }

    fn set_attribute(&mut self, name: &str, node: &NodeName, value: &str, reach: Reach) -> Result<(), PacemakerError> {
        self.call(|board| match reach {
            Reach::Private => {
                board.private.entry(name.to_owned()).or_default().insert(node.clone(), value.to_owned());
            }
            Reach::Scheduler => {
                board.cib.transient.entry(node.clone()).or_default().insert(name.to_owned(), value.to_owned());
            }
        })
    }

    fn resend_attributes(&mut self) -> Result<(), PacemakerError> {
        Ok(())
    }

    fn delete_attribute(&mut self, name: &str, node: &NodeName, _reach: Reach) -> Result<(), PacemakerError> {
        self.call(|board| {
            board.private.entry(name.to_owned()).or_default().remove(node);
            board.cib.transient.entry(node.clone()).or_default().remove(name);
        })
    }

    fn cib(&mut self) -> Result<Cib, PacemakerError> {
        self.call(|board| board.cib.clone())
    }

    fn roles(&mut self, _instance: &str) -> Result<Roles, PacemakerError> {
        self.call(|_| Roles::default())
    }

    fn parameters(&mut self, resource: &str) -> Result<Option<BTreeMap<String, String>>, PacemakerError> {
        self.call(|board| (resource == RESOURCE && !board.without_resource).then(BTreeMap::new))
    }

    fn set_property(&mut self, name: &str, value: Option<&str>) -> Result<(), PacemakerError> {
        self.call(|board| match value {
            Some(value) => drop(board.cib.properties.insert(name.to_owned(), value.to_owned())),
            None => drop(board.cib.properties.remove(name)),
        })
    }

    fn set_properties(&mut self, properties: &[(String, String)]) -> Result<(), PacemakerError> {
        self.call(|board| board.cib.properties.extend(properties.iter().cloned()))
    }

    fn sees(&mut self, _instance: &str, _node: &NodeName) -> Result<Option<Seen>, PacemakerError> {
        Ok(None)
    }

    fn report_failure(&mut self, _instance: &str, _node: &NodeName) -> Result<(), PacemakerError> {
        Ok(())
    }

    fn clean_up(&mut self, _instance: &str) -> Result<(), PacemakerError> {
        Ok(())
    }

    fn set_permanent_attribute(&mut self, name: &str, node: &NodeName, value: &str) -> Result<(), PacemakerError> {
        let (name, value) = (name.to_owned(), value.to_owned());
        self.call(|board| drop(board.cib.permanent.entry(node.clone()).or_default().insert(name, value)))
    }

    fn delete_permanent_attribute(&mut self, name: &str, node: &NodeName) -> Result<(), PacemakerError> {
        self.call(|board| drop(board.cib.permanent.entry(node.clone()).or_default().remove(name)))
    }

    fn members(&mut self) -> Result<BTreeSet<NodeName>, PacemakerError> {
        self.call(|board| board.cib.nodes.clone())
    }

    fn is_quorate(&mut self) -> Result<bool, PacemakerError> {
        self.call(|_| true)
    }
}
