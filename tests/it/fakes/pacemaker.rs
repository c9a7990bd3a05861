//! Attributes, properties and members, and their faults.

/// Attributes on their way from and to an agent.
mod arriving;
/// The attributes and properties that the cluster keeps.
mod kept;

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use pgsqlms::node::NodeName;
use pgsqlms::pacemaker::cib::Cib;
use pgsqlms::pacemaker::{Attribute, Pacemaker, PacemakerError, Property, Reach};
use pgsqlms::rules::candidates::Roles;
use pgsqlms::rules::ended::Seen;

use super::instance::Process;
use super::{Planted, RESOURCE, Run, State, log};
use arriving::{is_refused, judge_score, refuses, renewed, strays_on_record};
pub use kept::Backup;
use kept::put;

type Attributes = BTreeMap<NodeName, BTreeMap<String, String>>;

/// The attributes and properties of the cluster.
#[derive(Debug, Default)]
pub struct Information {
    /// Transient attributes that the scheduler sees.
    pub transient: Attributes,
    /// Transient attributes that only the agents see.
    pub private: Attributes,
    pub permanent: Attributes,
    pub properties: BTreeMap<String, String>,
    /// The nodes on which a location constraint forbids the role of the primary.
    pub banned: BTreeSet<NodeName>,
    /// The nodes on which it has the role of the primary, as far as Pacemaker knows.
    pub promoted: BTreeSet<NodeName>,
    /// The scheduler has nothing left to do.
    pub idle: bool,
    /// It starts, stops and promotes nothing.
    pub in_maintenance: bool,
    /// The nodes whose instance was reported as failed.
    pub reported: Vec<NodeName>,
    /// How often the scheduler was given something new.
    pub changes: u64,
    pub weather: Weather,
    /// Which attributes there are, and whether they are private: that does not change any more.
    known: BTreeMap<String, Reach>,
    /// The node whose new guarantee the others do not see until then, and the one that they see meanwhile.
    withheld: Option<Withheld>,
    underway: Vec<Write>,
}

/// How reliable the cluster's attributes are.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Weather {
    #[default]
    Fair,
    /// Writes arrive up to so many milliseconds later.
    Late(usize),
    /// One write in so many is lost.
    Lossy(usize),
    /// One call in so many fails, having had its effect or not.
    Failing(usize),
}

#[derive(Debug)]
struct Withheld {
    by: usize,
    until: Duration,
    before: Option<String>,
}

#[derive(Debug)]
struct Write {
    due: Duration,
    node: NodeName,
    name: String,
    value: Option<String>,
    reach: Reach,
}

impl Information {
    /// Lets due changes arrive.
    pub fn deliver(&mut self, now: Duration) {
        if self.underway.iter().all(|write| write.due > now) {
            return;
        }
        let (due, later) = std::mem::take(&mut self.underway).into_iter().partition(|write| write.due <= now);
        self.underway = later;
        Vec::into_iter(due).for_each(|write| self.apply(write));
    }

    /// No node is there any more.
    pub fn end(&mut self) {
        self.known.clear();
        self.private.clear();
        self.underway.clear();
    }

    /// Whether some attribute is still on its way.
    pub fn is_late(&self) -> bool {
        !self.underway.is_empty()
    }

    /// A node has left the cluster.
    pub fn forget(&mut self, node: &NodeName) {
        self.transient.remove(node);
        self.private.remove(node);
        self.underway.retain(|write| write.node != *node);
        self.changes += 1;
    }

    /// The value of a transient attribute that the scheduler sees.
    pub fn transient(&self, node: &NodeName, name: &str) -> Option<&str> {
        Some(self.transient.get(node)?.get(name)?.as_str())
    }
}

/// The cluster, as one agent meets it.
pub struct FakePacemaker<'a> {
    pub run: &'a Run<'a>,
}

fn failed() -> PacemakerError {
    PacemakerError::Output { tool: "a tool", why: "the cluster does not answer".to_owned() }
}

impl FakePacemaker<'_> {
    /// Makes a call, which may fail before or after its effect.
    fn call<T>(&self, ask: impl FnOnce(&mut State, usize) -> T) -> Result<T, PacemakerError> {
        self.run.step();
        if self.run.fails() {
            return Err(failed());
        }
        let state = &mut *self.run.cluster.state.borrow_mut();
        if let Weather::Failing(often) = state.information.weather {
            if state.random.one_in(often) {
                if state.random.one_in(2) {
                    ask(state, self.run.node);
                }
                return Err(failed());
            }
        }
        Ok(ask(state, self.run.node))
    }

    /// The CIB is changed.
    fn written(&self, state: &mut State, name: &str) {
        state.written.push(name.to_owned());
        if let Some(quiet) = &self.run.quiet {
            let node = &state.nodes[self.run.node].name;
            state.violated(format!("{node}: {quiet} changes {name} in the CIB"));
        }
    }

    /// Several properties in one change.
    fn set_at_once(&self, properties: &[(&str, Option<&str>)]) -> Result<(), PacemakerError> {
        self.call(|state, me| {
            let names: Vec<&str> = properties.iter().map(|(name, _)| *name).collect();
            self.written(state, &names.join("+"));
            properties.iter().for_each(|(name, value)| put(state, me, name, *value));
            state.information.changes += 1;
            // The CIB is written on all nodes and on their disks.
            let pause = state.random.milliseconds(20, 400);
            state.pass(pause);
        })
    }

    fn is_refused(&self, name: &str, value: Option<&str>) -> bool {
        is_refused(&mut self.run.cluster.state.borrow_mut(), self.run.node, name, value)
    }

    fn write(&self, node: &NodeName, name: &str, value: Option<&str>, reach: Reach) -> Result<(), PacemakerError> {
        if reach == Reach::Private && self.is_refused(name, value) {
            self.run.step();
            return Err(failed());
        }
        self.call(|state, me| {
            if state.information.is_change(node, name, value, reach) {
                self.written(state, name);
            }
            let reachable = |other: &super::Node| other.name == *node && other.on && other.side == state.nodes[me].side;
            if !state.nodes.iter().any(reachable) || refuses(state, node, name, value) {
                return;
            }
            let mut due = state.now;
            match state.information.weather {
                Weather::Late(most) => due += state.random.milliseconds(0, most),
                Weather::Lossy(often) if state.random.one_in(often) => return,
                Weather::Fair | Weather::Lossy(_) | Weather::Failing(_) => {}
            }
            log!(state, "{} sets {name} of {node} to {}", state.nodes[me].name, value.unwrap_or("nothing"));
            judge_score(state, me, node, name, value);
            let (node, name, value) = (node.clone(), name.to_owned(), value.map(str::to_owned));
            let earlier = state.information.underway.iter().filter(|write| write.node == node && write.name == name);
            let due = earlier.map(|write| write.due).max().unwrap_or_default().max(due);
            state.information.underway.push(Write { due, node, name, value, reach });
            let now = state.now;
            state.information.deliver(now);
        })
    }
}

impl Pacemaker for FakePacemaker<'_> {
    fn is_running(&mut self) -> bool {
        true
    }

    fn attributes(&mut self, name: &str) -> Result<BTreeMap<NodeName, String>, PacemakerError> {
        let found = self.call(|state, me| {
            let all = state.information.private.iter().chain(&state.information.transient);
            let values = all.filter_map(|(node, values)| Some((node.clone(), values.get(name)?.clone())));
            let mut found: BTreeMap<NodeName, String> = values.collect();
            if state.planted == Some(Planted::CountsOldVotes) {
                found.values_mut().for_each(|vote| *vote = renewed(state, vote));
            }
            let concealed = match state.planted {
                Some(Planted::ConcealsFullDisks) => Some(" room=none"),
                Some(Planted::ConcealsRecovery) => Some(" recovering=yes"),
                Some(Planted::ConcealsPrimaries) => Some(" primary=yes"),
                _ => None,
            };
            if name == Attribute::Vote.of(RESOURCE) {
                state.seen_votes[me] = found.clone();
            }
            if let Some(word) = concealed {
                found.values_mut().for_each(|vote| *vote = vote.replace(word, ""));
            }
            let votes = |node: &super::Node| found.contains_key(&node.name) || node.postgres.process == Process::None;
            let waits = state.planted == Some(Planted::WaitsForEveryVote) && !state.nodes.iter().all(votes);
            (found, waits)
        });
        let (found, waits) = found?;
        if waits && self.run.waited.get() > Duration::from_secs(4) {
            self.run.waited.set(self.run.waited.get() + Duration::from_secs(100));
            return Err(failed());
        }
        Ok(found)
    }

    fn set_attribute(&mut self, name: &str, node: &NodeName, value: &str, reach: Reach) -> Result<(), PacemakerError> {
        self.write(node, name, Some(value), reach)
    }

    fn resend_attributes(&mut self) -> Result<(), PacemakerError> {
        self.call(|_, _| ())
    }

    fn delete_attribute(&mut self, name: &str, node: &NodeName, reach: Reach) -> Result<(), PacemakerError> {
        self.write(node, name, None, reach)
    }

    fn cib(&mut self) -> Result<Cib, PacemakerError> {
        self.call(|state, me| {
            let mut properties = state.information.properties.clone();
            let now = state.now;
            let withheld = state.information.withheld.as_ref();
            if let Some(withheld) = withheld.filter(|withheld| withheld.by != me && withheld.until > now) {
                let name = Property::Synchronous.of(RESOURCE);
                match &withheld.before {
                    Some(before) => drop(properties.insert(name, before.clone())),
                    None => drop(properties.remove(&name)),
                }
            }
            let hidden = match state.planted {
                Some(Planted::IgnoresTheRecord) => Some(Property::Promotions),
                Some(Planted::IgnoresPromises) => Some(Property::Synchronous),
                _ => None,
            };
            hidden.map(|property| properties.remove(&property.of(RESOURCE)));
            strays_on_record(state, me, &mut properties);
            Cib {
                nodes: state.nodes.iter().map(|node| node.name.clone()).collect(),
                transient: state.information.transient.clone(),
                permanent: state.information.permanent.clone(),
                banned: match state.planted {
                    Some(Planted::BansAreUnseen) => BTreeMap::new(),
                    _ => [(RESOURCE.to_owned(), state.information.banned.clone())].into(),
                },
                properties,
                ..Cib::default()
            }
        })
    }

    fn roles(&mut self, _instance: &str) -> Result<Roles, PacemakerError> {
        self.call(|state, _| {
            let Information { promoted, idle, .. } = &state.information;
            Roles { promoted: promoted.clone(), idle: *idle }
        })
    }

    fn parameters(&mut self, resource: &str) -> Result<Option<BTreeMap<String, String>>, PacemakerError> {
        self.call(|_, _| (resource == RESOURCE).then(BTreeMap::new))
    }

    fn set_property(&mut self, name: &str, value: Option<&str>) -> Result<(), PacemakerError> {
        self.set_at_once(&[(name, value)])
    }

    fn set_properties(&mut self, properties: &[(String, String)]) -> Result<(), PacemakerError> {
        if properties.is_empty() {
            return Ok(());
        }
        let several: Vec<_> = properties.iter().map(|(name, value)| (name.as_str(), Some(value.as_str()))).collect();
        self.set_at_once(&several)
    }

    fn sees(&mut self, _instance: &str, _node: &NodeName) -> Result<Option<Seen>, PacemakerError> {
        let is_managed = self.call(|state, _| !state.information.in_maintenance)?;
        Ok(Some(Seen { is_managed, is_started: true, pending: None }))
    }

    fn report_failure(&mut self, _instance: &str, node: &NodeName) -> Result<(), PacemakerError> {
        self.call(|state, _| state.information.reported.push(node.clone()))
    }

    fn clean_up(&mut self, _instance: &str) -> Result<(), PacemakerError> {
        self.call(|state, _| state.information.changes += 1)
    }

    fn set_permanent_attribute(&mut self, name: &str, node: &NodeName, value: &str) -> Result<(), PacemakerError> {
        self.call(|state, _| {
            self.written(state, name);
            let attributes = state.information.permanent.entry(node.clone()).or_default();
            attributes.insert(name.to_owned(), value.to_owned());
        })
    }

    fn delete_permanent_attribute(&mut self, name: &str, node: &NodeName) -> Result<(), PacemakerError> {
        self.call(|state, _| {
            self.written(state, name);
            drop(state.information.permanent.get_mut(node).map(|values| values.remove(name)));
        })
    }

    fn is_quorate(&mut self) -> Result<bool, PacemakerError> {
        self.members().map(|members| members.len() * 2 > self.run.cluster.state.borrow().nodes.len())
    }

    fn members(&mut self) -> Result<BTreeSet<NodeName>, PacemakerError> {
        self.call(|state, me| {
            let side = state.nodes[me].side;
            let members = state.nodes.iter().filter(|node| node.on && node.side == side);
            members.map(|node| node.name.clone()).collect()
        })
    }
}
