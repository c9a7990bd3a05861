//! Reads what `crm_mon --output-as=xml` prints, in the words of Pacemaker 2.0 to 3.0.

mod moment;

use std::borrow::Cow;

use quick_xml::events::{BytesStart, Event};

use super::{ADDRESS, Attribute, PORT, cib};
use crate::boolean::{is_no, is_yes};
use crate::node::NodeName;
use crate::rules::fitness::Fitness;
use crate::rules::overview::{Cluster, Member};
use crate::rules::restart::AT_LEAST;
use crate::rules::status::Role;
use crate::score::Score;
use moment::Moment;

/// The action that `crm_resource --fail` reports as failed.
const REPORT: &str = "asyncmon_0";

/// Pacemaker's own words for such a failure are "Simulated failure".
const REPORTED: &str = "PostgreSQL has ended unexpectedly, as its systemd unit reported: see its log";

/// What is being read.
#[derive(Default)]
struct Reader {
    cluster: Cluster,
    /// `nodes`, `resources`, `node_attributes`, `node_history` or `failures`.
    section: Vec<u8>,
    /// The last clone that began.
    clone: Option<(String, bool)>,
    /// The instance of our resource that is being read.
    instance: Option<Member>,
    /// The node whose attributes or history are being read.
    node: Option<NodeName>,
    /// The history is that of our resource.
    is_ours: bool,
    monitors: Vec<Monitored>,
    failures: Vec<Failure>,
    /// The location constraints that forbid something: their name, resource and node.
    bans: Vec<(String, String, NodeName)>,
}

/// The result of a monitor.
struct Monitored {
    node: NodeName,
    interval: String,
    call: u64,
    code: String,
    /// Since when it is this one.
    since: Option<Moment>,
}

struct Failure {
    /// The unit of PostgreSQL has reported it: no action has failed.
    is_report: bool,
    node: NodeName,
    interval: String,
    call: u64,
    code: String,
    reason: String,
    since: Option<Moment>,
}

impl Failure {
    /// Whether a recurring monitor has found something else since: for the failure of one, that monitor; for that of another
    /// action, such as promote, any. Two results of one call follow each other by their times, in seconds.
    fn is_over(&self, by: &Monitored) -> bool {
        let is_of_it = self.interval == "0" || by.interval == self.interval;
        let is_later = match (by.since, self.since) {
            (Some(found), Some(failed)) if found != failed => found > failed,
            _ => self.is_report || by.call >= self.call,
        };
        by.node == self.node && is_of_it && is_later && by.interval != "0" && by.code != self.code
    }
}

/// What it says of `resource`.
///
/// # Errors
///
/// When it is not XML, or of no cluster.
pub(super) fn read(xml: &str, resource: &str) -> Result<Cluster, String> {
    let mut reader = quick_xml::Reader::from_str(xml);
    let mut read = Reader::default();
    // What is not said is not wrong.
    read.cluster.has_fencing = true;
    loop {
        let event = reader.read_event().map_err(|error| error.to_string())?;
        match &event {
            Event::Eof => break,
            Event::End(element) => read.end(element.name().as_ref()),
            Event::Start(element) => read.begin(element, resource, false)?,
            Event::Empty(element) => read.begin(element, resource, true)?,
            _ => {}
        }
    }
    if read.cluster.nodes.is_empty() {
        return Err("crm_mon shows no node".to_owned());
    }
    Ok(read.finished(resource))
}

impl Reader {
    fn end(&mut self, name: &[u8]) {
        if name == b"resource" {
            self.instance = None;
        }
    }

    fn begin(&mut self, element: &BytesStart, resource: &str, is_empty: bool) -> Result<(), String> {
        let text = |name: &str| cib::text(element, name).map(Option::unwrap_or_default);
        let yes = |name: &str| cib::text(element, name).map(|value| value.is_some_and(|value| is_yes(&value)));
        let name = element.name();
        match name.as_ref() {
            section @ (b"nodes" | b"resources" | b"node_attributes" | b"node_history" | b"failures"
            | b"fence_history") => {
                self.section = section.to_vec();
            }
            b"current_dc" | b"last_change" | b"cluster_options" => self.summary(element)?,
            b"ban" => {
                let score = [text("weight")?, text("score")?].iter().find_map(|score| score.parse::<Score>().ok());
                if score.is_none_or(|score| score <= Score::NEVER) {
                    self.bans.push((text("id")?, text("resource")?, NodeName::new(text("node")?)));
                }
            }
            b"fence_event" if self.section == b"fence_history" => self.fence_event(element)?,
            b"clone" => self.clone = Some((text("id")?, yes("disabled")?)),
            b"resource" if self.section == b"resources" => {
                self.instance = self.ours(element, resource)?.filter(|_| !is_empty);
            }
            b"node" => self.node(element)?,
            b"attribute" => self.attribute(&text("name")?, text("value")?, resource),
            b"resource_history" => {
                self.is_ours = text("id")?.split(':').next() == Some(resource);
                let number = |name: &str| text(name).map(|number| number.parse::<u64>().unwrap_or(0));
                let (count, most) = (number("fail-count")?, number("migration-threshold")?);
                let member = self.node.as_ref().and_then(|node| self.cluster.nodes.get_mut(node));
                if let Some(member) = member.filter(|_| self.is_ours) {
                    member.is_given_up = most > 0 && count >= most;
                }
            }
            b"operation_history" if self.is_ours && text("task")? == "monitor" => {
                let node = self.node.clone().unwrap_or_else(|| NodeName::new(""));
                self.monitors.push(Monitored {
                    node,
                    interval: text("interval")?.trim_end_matches("ms").to_owned(),
                    call: text("call")?.parse().unwrap_or(0),
                    code: text("rc")?,
                    since: moment::read(&text("last-rc-change")?),
                });
            }
            b"failure" if text("op_key")?.starts_with(&format!("{resource}_")) => {
                let is_report = text("op_key")? == format!("{resource}_{REPORT}");
                self.failures.push(Failure {
                    is_report,
                    node: NodeName::new(text("node")?),
                    interval: text("interval")?,
                    call: text("call")?.parse().unwrap_or(0),
                    code: text("exitcode")?,
                    reason: if is_report { REPORTED.to_owned() } else { unescaped(text("exitreason")?) },
                    since: moment::read(&text("last-rc-change")?),
                });
            }
            _ => {}
        }
        Ok(())
    }

    /// What is said of the cluster as a whole.
    fn summary(&mut self, element: &BytesStart) -> Result<(), String> {
        let text = |name: &str| cib::text(element, name).map(Option::unwrap_or_default);
        let yes = |name: &str| text(name).map(|value| is_yes(&value));
        match element.name().as_ref() {
            b"current_dc" => self.cluster.has_quorum = yes("with_quorum")?,
            b"last_change" => {
                let (time, by) = (text("time")?, [("by", "user"), ("with", "client"), ("on", "origin")]);
                let mut last_change = time.clone();
                for (word, name) in by {
                    let value = text(name)?;
                    last_change.push_str(&if value.is_empty() { value } else { format!(" {word} {value}") });
                }
                self.cluster.last_change = Some(last_change).filter(|_| !time.is_empty());
            }
            _ => {
                let fencing = [text("stonith-enabled")?, text("fencing-enabled")?];
                self.cluster.has_fencing = !fencing.iter().any(|value| is_no(value));
                self.cluster.in_maintenance = yes("maintenance-mode")?;
                self.cluster.stops_all = yes("stop-all-resources")?;
                self.cluster.no_quorum_policy = cib::text(element, "no-quorum-policy")?;
            }
        }
        Ok(())
    }

    /// An attempt to fence a node that has not succeeded.
    fn fence_event(&mut self, element: &BytesStart) -> Result<(), String> {
        let text = |name: &str| cib::text(element, name).map(Option::unwrap_or_default);
        let (action, status, reason) = (text("action")?, text("status")?, text("exit-reason")?);
        if status != "success" {
            let reason = if reason.is_empty() { reason } else { format!(" ({reason})") };
            self.cluster.fencing.push((NodeName::new(text("target")?), format!("{action}: {status}{reason}")));
        }
        Ok(())
    }

    /// An attribute of the node that is being read.
    fn attribute(&mut self, name: &str, value: String, resource: &str) {
        let Some(member) = self.node.as_ref().and_then(|node| self.cluster.nodes.get_mut(node)) else { return };
        match name {
            ADDRESS => member.address = Some(value),
            PORT => member.port = value.parse().ok(),
            name if name == format!("master-{resource}") => member.score = Some(value),
            name if name == Attribute::Fitness.of(resource) => {
                member.too_low = value.parse::<Fitness>().map(|fitness| fitness.too_low).unwrap_or_default();
                // A person is given commands with these names.
                member.too_low.retain(|low| AT_LEAST.contains(&low.name.as_str()));
            }
            _ => {}
        }
    }

    /// What is said of an instance, if it is one of `resource`.
    fn ours(&mut self, element: &BytesStart, resource: &str) -> Result<Option<Member>, String> {
        let text = |name: &str| cib::text(element, name).map(Option::unwrap_or_default);
        let yes = |name: &str| text(name).map(|value| is_yes(&value));
        if text("id")?.split(':').next() != Some(resource) {
            return Ok(None);
        }
        if let Some((clone, is_disabled)) = &self.clone {
            (self.cluster.clone, self.cluster.is_disabled) = (Some(clone.clone()), *is_disabled);
        }
        if let Some(role) = cib::text(element, "target_role")? {
            self.cluster.target_role = Some(role);
        }
        Ok(Some(Member {
            role: if yes("active")? { role(&text("role")?) } else { None },
            is_unmanaged: !yes("managed")?,
            is_failed: yes("failed")?,
            is_blocked: yes("blocked")?,
            pending: cib::text(element, "pending")?,
            ..Member::default()
        }))
    }

    fn node(&mut self, element: &BytesStart) -> Result<(), String> {
        let yes = |name: &str| cib::text(element, name).map(|value| value.is_some_and(|value| is_yes(&value)));
        let name = NodeName::new(cib::text(element, "name")?.unwrap_or_default());
        match self.section.as_slice() {
            b"nodes" => {
                let member = Member {
                    is_online: yes("online")?,
                    in_standby: yes("standby")? || yes("standby_onfail")?,
                    in_maintenance: yes("maintenance")?,
                    is_unclean: yes("unclean")?,
                    ..Member::default()
                };
                self.cluster.nodes.insert(name, member);
            }
            b"resources" => {
                if let (Some(seen), Some(member)) = (&self.instance, self.cluster.nodes.get_mut(&name)) {
                    (member.role, member.is_unmanaged, member.is_failed) =
                        (seen.role, seen.is_unmanaged, seen.is_failed);
                    (member.is_blocked, member.pending) = (seen.is_blocked, seen.pending.clone());
                }
            }
            _ => self.node = Some(name),
        }
        Ok(())
    }

    /// With the reasons that still hold: Pacemaker keeps one until an operator cleans up, even if a later monitor finds the
    /// instance well.
    fn finished(mut self, resource: &str) -> Cluster {
        let clone = self.cluster.clone.clone();
        let is_ours = |name: &str| name == resource || Some(name) == clone.as_deref();
        let bans = self.bans.drain(..).filter(|(_, of, _)| is_ours(of));
        self.cluster.bans = bans.map(|(id, _, node)| (id, node)).collect();
        for failure in &self.failures {
            let is_over = self.monitors.iter().any(|monitored| failure.is_over(monitored));
            let Some(member) = self.cluster.nodes.get_mut(&failure.node).filter(|_| !is_over) else { continue };
            if !failure.reason.is_empty() {
                member.reason = Some(failure.reason.clone());
            }
            // These two are successes that need a look.
            member.is_failed |= !["190", "191"].contains(&failure.code.as_str());
        }
        self.cluster
    }
}

/// crm_mon escapes a reason twice.
fn unescaped(text: String) -> String {
    quick_xml::escape::unescape(&text).map(Cow::into_owned).unwrap_or(text)
}

fn role(text: &str) -> Option<Role> {
    match text {
        "Promoted" | "Master" => Some(Role::Primary),
        "Unpromoted" | "Slave" | "Started" => Some(Role::Standby),
        _ => None,
    }
}

#[cfg(test)]
mod tests;
