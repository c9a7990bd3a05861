//! What is seen of the cluster from this node.

use std::collections::{BTreeMap, BTreeSet};
use std::rc::Rc;
use std::time::Duration;

use tokio::runtime::Runtime;

use crate::accounts::Lookup;
use crate::clock::{Clock, Deadline, SystemClock};
use crate::env::Environment;
use crate::exit::CommandExitCode;
use crate::failure::Failure;
use crate::location::Lsn;
use crate::node::NodeName;
use crate::operator::{Needs, subject};
use crate::pacemaker::cib::Cib;
use crate::pacemaker::tools::Tools;
use crate::pacemaker::{ADDRESS, Attribute, MAINTENANCE, NO_FAILOVER, PORT, Pacemaker, STANDBY};
use crate::parameters::Config;
use crate::postgres::Identity;
use crate::postgres::instance::Instance;
use crate::postgres::peers::Peers;
use crate::rules::bars::{Said, bars};
use crate::rules::follow::Place;
use crate::rules::overview::Cluster;
use crate::rules::restart::Pending;
use crate::rules::status::Role;
use crate::rules::switchover::watch::{Moment, Sight, by_pacemaker};
use crate::rules::switchover::{self, Facts};

/// How long a tool of the cluster may take, and how long an instance elsewhere.
const PATIENCE: Duration = Duration::from_secs(5);
const PEER_PATIENCE: Duration = Duration::from_millis(500);

/// Longer than any switchover.
const FOREVER: Duration = Duration::from_secs(7 * 24 * 3600);

/// The ways to the outside.
pub(in crate::operator) struct World {
    runtime: Rc<Runtime>,
    pub(in crate::operator) clock: Rc<dyn Clock>,
    resource: String,
    me: NodeName,
    instance: Instance,
    peers: Result<Peers, String>,
    places: BTreeMap<NodeName, Place>,
    /// Those that have answered so far, and are asked again.
    reached: BTreeSet<NodeName>,
}

/// What a failure to look means.
pub(in crate::operator) fn code(failure: &Failure) -> CommandExitCode {
    match failure {
        Failure::NoSuchResource { .. } | Failure::WhichResource(_) => CommandExitCode::Usage,
        _ => CommandExitCode::Unseen,
    }
}

impl World {
    /// Finds the resource and how its instances are reached.
    pub(in crate::operator) fn open(resource: Option<&str>, environment: &Environment) -> Result<Self, Failure> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(Failure::NoRuntime)?;
        let (runtime, clock): (_, Rc<dyn Clock>) = (Rc::new(runtime), Rc::new(SystemClock::start()));
        let tools = Tools::new(Rc::clone(&runtime), Rc::clone(&clock), Deadline::within(2 * PATIENCE));
        let (resource, environment) = subject::find(resource, Needs::Resource, environment, &tools)?;
        let me = tools.node_name()?;
        let (config, bad_parameters) = Config::read(&environment);
        if let Some(bad) = bad_parameters.into_iter().next() {
            return Err(bad.into());
        }
        let until = Deadline::within(FOREVER);
        let instance = Instance::new(config, &resource, Rc::clone(&runtime), Rc::clone(&clock), until);
        let mut instance = instance.looking_up(Lookup::Anew);
        let peers = instance.peers().inspect_err(|why| log::debug!("{why}"));
        let (places, reached) = (BTreeMap::new(), BTreeSet::new());
        Ok(Self { runtime, clock, resource, me, instance, peers, places, reached })
    }

    /// This node.
    pub(in crate::operator) fn me(&self) -> &NodeName {
        &self.me
    }

    /// The cluster's tools, with time of their own.
    pub(in crate::operator) fn tools(&self) -> Tools {
        let until = Deadline::within(FOREVER).or_after(self.clock.as_ref(), PATIENCE);
        Tools::new(Rc::clone(&self.runtime), Rc::clone(&self.clock), until)
    }

    /// What Pacemaker knows.
    pub(in crate::operator) fn cluster(&self) -> Result<Cluster, Failure> {
        Ok(self.tools().overview(&self.resource)?)
    }

    /// Everything that decides about a switchover.
    pub(in crate::operator) fn facts(&mut self, wanted: Option<&str>) -> Result<Facts, Failure> {
        let cluster = self.cluster()?;
        let (cib, roles) = (self.tools().cib()?, self.tools().roles(&self.resource)?);
        let place = |node: &NodeName| {
            let host = cib.permanent(ADDRESS).get(node).map_or_else(|| node.to_string(), |host| (*host).to_owned());
            Place { host, port: cib.permanent(PORT).get(node).and_then(|port| port.parse().ok()) }
        };
        self.places = cluster.nodes.keys().map(|node| (node.clone(), place(node))).collect();
        let is_primary = cluster.nodes.get(&self.me).is_some_and(|member| member.role == Some(Role::Primary));
        let running = cluster.nodes.iter().filter(|(_, member)| member.role.is_some()).map(|(node, _)| node);
        let instances = running.filter_map(|node| Some((node.clone(), self.instance(node)?))).collect();
        self.reached = BTreeMap::keys(&instances).cloned().collect();
        let now = self.clock.unix_time();
        let left = cib.by_command.get(&self.resource).into_iter().flatten().filter(|left| !left.is_over(now));
        let fitness = cib.transient(&Attribute::Fitness.of(&self.resource)).into_iter();
        Ok(Facts {
            wanted: wanted.map(|wanted| cluster.named(wanted)),
            is_idle: roles.idle,
            barred: bars(&self.said(&cib)),
            fitness: fitness.filter_map(|(node, text)| Some((node, text.parse().ok()?))).collect(),
            leftovers: left.map(|left| left.id.clone()).collect(),
            has_preference: cib.preferring.contains(&self.resource),
            load: if is_primary { self.instance.load().ok() } else { None },
            instances,
            cluster,
        })
    }

    fn said<'a>(&self, cib: &'a Cib) -> Said<'a> {
        Said {
            no_failover: cib.permanent(NO_FAILOVER),
            maintenance: cib.attribute(MAINTENANCE),
            standby: cib.attribute(STANDBY),
            banned: cib.banned.get(&self.resource).cloned().unwrap_or_default(),
            // What a score means, the checks say.
            scores: BTreeMap::new(),
        }
    }

    /// What the instance of `node` says of itself.
    fn instance(&mut self, node: &NodeName) -> Option<switchover::Instance> {
        if *node != self.me {
            let Identity { timeline, lsn, synchronous, .. } = self.ask(node)?;
            return Some(switchover::Instance { timeline: timeline.map(|it| it.0), lsn, synchronous });
        }
        let report = self.instance.overview().report.map_err(|why| log::debug!("{why}")).ok()?;
        Some(switchover::Instance { timeline: report.timeline, lsn: report.lsn, synchronous: Some(report.synchronous) })
    }

    fn ask(&self, node: &NodeName) -> Option<Identity> {
        let (peers, place) = (self.peers.as_ref().ok()?, self.places.get(node)?);
        let asked = peers.ask(place, &self.me, PEER_PATIENCE);
        asked.map_err(|why| log::debug!("{node}: {why}")).ok()
    }

    /// What is seen of these nodes now, and the timeline of the one that is to be promoted. Those that could not be reached before
    /// are as Pacemaker has them.
    pub(in crate::operator) fn moment<'a>(
        &mut self,
        nodes: impl Iterator<Item = &'a NodeName>,
        to: &NodeName,
        cluster: &Cluster,
    ) -> (Moment, Option<u32>) {
        let (mut moment, mut new) = (Moment::new(), None);
        for node in nodes {
            let (sight, timeline) = if self.reached.contains(node) {
                self.glance(node)
            } else {
                (by_pacemaker(cluster.nodes.get(node)), None)
            };
            if node == to {
                new = timeline;
            }
            moment.insert(node.clone(), sight);
        }
        (moment, new)
    }

    fn glance(&mut self, node: &NodeName) -> (Sight, Option<u32>) {
        let (role, timeline) = match *node == self.me {
            true => match self.instance.glance() {
                Some((role, timeline)) => (role, timeline),
                None => return (Sight::Silent, None),
            },
            false => match self.ask(node) {
                Some(Identity { in_recovery: Some(false), timeline, .. }) => (Role::Primary, timeline.map(|it| it.0)),
                Some(Identity { timeline, .. }) => (Role::Standby, timeline.map(|it| it.0)),
                None => return (Sight::Silent, None),
            },
        };
        let sight = if role == Role::Primary { Sight::Writable } else { Sight::Standby { timeline } };
        (sight, timeline)
    }

    /// Where the primary writes and how far the instance of `node` has received, as far as they are reached.
    pub(in crate::operator) fn positions(&mut self, node: &NodeName, cluster: &Cluster) -> (Option<Lsn>, Option<Lsn>) {
        let primary = cluster.nodes.iter().find(|(_, member)| member.role == Some(Role::Primary));
        let primary = primary.and_then(|(primary, _)| self.instance(primary)?.lsn);
        (primary, self.instance(node).and_then(|instance| instance.lsn))
    }

    /// The settings that wait for a restart on `node`; nothing where that was not seen.
    pub(in crate::operator) fn pending(&mut self, node: &NodeName) -> Option<Vec<Pending>> {
        if *node == self.me {
            return self.instance.pending().map_err(|error| log::debug!("{error}")).ok();
        }
        let (peers, place) = (self.peers.as_ref().ok()?, self.places.get(node)?);
        let names = peers.pending(place, &self.me, PEER_PATIENCE).map_err(|why| log::debug!("{node}: {why}")).ok()?;
        Some(names.into_iter().map(|name| Pending { name, values: None }).collect())
    }
}
