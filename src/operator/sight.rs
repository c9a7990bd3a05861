//! What `status`, `why` and `doctor` see alike: the cluster as Pacemaker has it, and the instance of this node. Each source has its deadline.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::rc::Rc;
use std::time::Duration;

use tokio::runtime::Runtime;

use crate::accounts::Lookup;
use crate::clock::{Clock, Deadline, SystemClock};
use crate::command::Invocation;
use crate::env::Environment;
use crate::failure::Failure;
use crate::node::NodeName;
use crate::pacemaker::tools::Tools;
use crate::parameters::{Config, Host};
use crate::postgres::instance::Instance;
use crate::privileges::{PrivilegeError, SystemUser};
use crate::rules::follow::Place;
use crate::rules::overview::{Facts, Local, psql};

use super::check::Parameters;
use super::{Needs, subject};

/// How long each source may take: the cluster's configuration, its state, and the instance.
const PATIENCE: Duration = Duration::from_millis(900);

/// How long all of them may take.
const WHOLE: Duration = Duration::from_millis(2800);

/// How long it may take to read a file.
const WHOLE_OF_A_FILE: Duration = Duration::from_secs(20);

/// The same for a command that examines everything once.
const PATIENCE_FOR_ALL: Duration = Duration::from_secs(3);
const WHOLE_OF_ALL: Duration = Duration::from_secs(10);

/// After this many seconds the kernel ends it: a disk that hangs keeps no deadline.
pub(super) const LONGEST_LIFE: u32 = 5;

/// The same where all is looked at.
pub(super) const LONGEST_LOOK: u32 = 12;

/// The same where a file is read.
pub(super) const LONGEST_READING: u32 = 25;

/// Nothing keeps this process for longer than so many seconds, nor it a file system.
pub(super) fn live_shortly(longest: u32) {
    nix::unistd::alarm::set(longest);
    let _ = nix::unistd::chdir("/");
}

/// By what one looks.
pub(super) struct Sight {
    runtime: Rc<Runtime>,
    /// Time.
    pub(super) clock: Rc<dyn Clock>,
    /// A saved cluster that is looked at instead of the running one.
    pub(super) file: Option<PathBuf>,
    /// How long each source may take.
    patience: Duration,
    /// How long all of them may take.
    whole: Duration,
}

/// What was seen.
pub(super) struct Seen {
    /// The facts.
    pub(super) facts: Facts,
    /// Why the cluster did not answer.
    pub(super) failure: Option<Failure>,
    /// The environment with the resource's parameters; or why it is not known where the data is.
    pub(super) environment: Result<Environment, String>,
}

impl Sight {
    /// Looks at the running cluster, or at this file.
    pub(super) fn new(file: Option<PathBuf>) -> Result<Self, Failure> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(Failure::NoRuntime)?;
        let clock = Rc::new(SystemClock::start());
        Ok(Self { runtime: Rc::new(runtime), clock, file, patience: PATIENCE, whole: WHOLE })
    }

    /// With more time: a busy machine answers late, and is looked at all the same.
    pub(super) fn patiently(self) -> Self {
        Self { patience: PATIENCE_FOR_ALL, whole: WHOLE_OF_ALL, ..self }
    }

    /// The cluster's tools, for one question.
    pub(super) fn tools(&self) -> Tools {
        self.tools_for(self.patience)
    }

    /// What a program prints; nothing if it cannot be asked.
    pub(super) fn printed(&self, program: &Invocation) -> Option<String> {
        let patience = self.deadline(self.patience).left(self.clock.as_ref());
        program.run(&self.runtime, patience).map_err(|error| log::debug!("{error}")).ok()
    }

    fn tools_for(&self, patience: Duration) -> Tools {
        let tools = Tools::new(Rc::clone(&self.runtime), Rc::clone(&self.clock), self.deadline(patience));
        tools.reading(self.file.clone())
    }

    fn deadline(&self, patience: Duration) -> Deadline {
        if self.file.is_some() {
            return Deadline::within(WHOLE_OF_A_FILE);
        }
        Deadline::within(self.whole).or_after(self.clock.as_ref(), patience)
    }

    /// Looks at the resource that is `asked` for.
    ///
    /// # Errors
    ///
    /// When it is not clear which resource that is.
    pub(super) fn look(
        &self,
        asked: Option<&str>,
        parameters: &Parameters,
        environment: &Environment,
    ) -> Result<Seen, Failure> {
        let found = subject::find(asked, Needs::Resource, environment, &self.tools());
        let (resource, environment, cluster, failure) = match found {
            Ok((resource, environment)) => {
                let cluster = self.tools().overview(&resource).map_err(|error| error.to_string());
                (resource, parameters.over(&environment), cluster, None)
            }
            Err(failure @ Failure::Pacemaker(_)) => {
                let named = asked.unwrap_or("pgsqlms").to_owned();
                let why = self.unseen(&failure);
                (named, parameters.over(environment), Err(why), Some(failure))
            }
            Err(failure) => return Err(failure),
        };
        let me = match (&self.file, &cluster) {
            (None, Ok(_)) => self.tools_for(self.patience / 2).node_name().unwrap_or_else(|_| machine()),
            (None, Err(_)) | (Some(_), _) => machine(),
        };
        let is_given = environment.get("OCF_RESKEY_pgdata").is_some();
        let environment = match (&self.file, is_given || cluster.is_ok()) {
            (Some(_), _) => Err("a file does not hold it".to_owned()),
            (None, true) => Ok(environment),
            (None, false) => Err("where its data is, is not known: say --pgdata".to_owned()),
        };
        let local = environment.as_ref().map_err(Clone::clone);
        let local = local.and_then(|environment| self.ask(environment, &resource, Instance::overview));
        let psql = environment
            .as_ref()
            .map_or_else(|_| psql("postgres", None, None), |environment| self.psql(environment, &local));
        let facts = Facts { resource, me, cluster, local, others: BTreeMap::new(), psql };
        Ok(Seen { facts, failure, environment })
    }

    /// How psql is called there.
    fn psql(&self, environment: &Environment, local: &Result<Local, String>) -> String {
        let (config, _) = Config::read(environment);
        let port = local.as_ref().ok().and_then(|local| local.report.as_ref().ok()).and_then(|report| report.port);
        let host = config.pghost.as_ref().map(|host| match host {
            Host::Directory(directory) => directory.to_string_lossy().into_owned(),
            Host::Name(name) => name.clone(),
        });
        psql(&config.system_user, host.as_deref(), port)
    }

    /// Asks the instances of the other nodes, all at once. A node on which nothing runs is asked as well: what Pacemaker knows may
    /// be of a moment ago, and people start servers by hand.
    pub(super) fn look_around(&self, seen: &mut Seen) {
        let (Ok(cluster), Ok(environment)) = (&seen.facts.cluster, &seen.environment) else { return };
        let me = &seen.facts.me;
        let others = cluster.nodes.iter().filter(|(node, member)| *node != me && member.is_online);
        let place = |host: &Option<String>, node: &NodeName| host.clone().unwrap_or_else(|| node.to_string());
        let places: BTreeMap<NodeName, Place> = others
            .map(|(node, member)| (node.clone(), Place { host: place(&member.address, node), port: member.port }))
            .collect();
        let peers = self.ask(environment, &seen.facts.resource, Instance::peers).and_then(|peers| peers);
        let patience = self.deadline(self.patience).left(self.clock.as_ref());
        seen.facts.others = match peers {
            Ok(peers) => peers.look(&places, me, patience),
            Err(why) => places.into_keys().map(|node| (node, Err(format!("{me} cannot ask: {why}")))).collect(),
        };
    }

    /// Ends it without waiting for what has been given up: the system's resolver knows no deadline.
    pub(super) fn end(self) {
        if let Ok(runtime) = Rc::try_unwrap(self.runtime) {
            runtime.shutdown_background();
        }
    }

    /// Looks at a node that has no resource yet.
    pub(super) fn look_before(&self, parameters: &Parameters, environment: &Environment) -> Seen {
        let environment = parameters.over(environment);
        let environment = match environment.get("OCF_RESKEY_pgdata").is_some() {
            true => Ok(environment),
            false => Err("where its data is, is not known: say --pgdata".to_owned()),
        };
        let why = "with --before it is not looked at".to_owned();
        let me = self.tools_for(self.patience / 2).node_name().unwrap_or_else(|_| machine());
        let (resource, psql) = ("pgsqlms".to_owned(), psql("postgres", None, None));
        let (cluster, local) = (Err(why.clone()), Err(why));
        let facts = Facts { resource, me, cluster, local, others: BTreeMap::new(), psql };
        Seen { facts, failure: None, environment }
    }

    /// Why the cluster was not seen, in a sentence that helps.
    fn unseen(&self, failure: &Failure) -> String {
        match nix::unistd::geteuid().is_root() || self.file.is_some() {
            true => format!("{failure}"),
            false => "needs root, or membership in the group haclient; or Pacemaker does not run".to_owned(),
        }
    }

    /// Asks the instance as the PostgreSQL user.
    pub(super) fn ask<T>(
        &self,
        environment: &Environment,
        resource: &str,
        ask: impl FnOnce(&mut Instance) -> T,
    ) -> Result<T, String> {
        let (config, bad_parameters) = Config::read(environment);
        if let Some(bad) = bad_parameters.first() {
            return Err(bad.to_string());
        }
        let user = SystemUser::find(&config.system_user, Lookup::Once).map_err(|error| error.to_string())?;
        let until = self.deadline(self.patience);
        let mut instance = Instance::new(config, resource, Rc::clone(&self.runtime), Rc::clone(&self.clock), until);
        user.act(|| ask(&mut instance)).map_err(|error| match error {
            PrivilegeError::Refused { .. } => format!("needs root, or the user {}", user.name()),
            error => error.to_string(),
        })
    }
}

fn machine() -> NodeName {
    let machine = nix::sys::utsname::uname().map(|uname| uname.nodename().to_string_lossy().into_owned());
    NodeName::new(machine.unwrap_or_default())
}
