//! Pacemaker's view of the cluster, from `crm_mon --output-as=xml`.

use std::collections::BTreeMap;
use std::fmt;

use anyhow::{Context, Result};
use quick_xml::events::{BytesStart, Event};
use quick_xml::reader::Reader;

use crate::lab::{RESOURCE, VIP_RESOURCE};

/// The role of a resource on a node. Versions before 2.1 say Master and Slave.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Role {
    /// It runs as the primary.
    Promoted,
    /// It runs as a standby.
    Unpromoted,
    /// It runs; it has no roles.
    Started,
    /// It does not run.
    Stopped,
    /// It is about to change.
    InTransition,
}

impl Role {
    fn parse(text: &str) -> Self {
        match text {
            "Promoted" | "Master" => Self::Promoted,
            "Unpromoted" | "Slave" => Self::Unpromoted,
            "Started" => Self::Started,
            "Stopped" => Self::Stopped,
            _ => Self::InTransition,
        }
    }
}

/// A member as the cluster sees it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[expect(clippy::struct_excessive_bools, reason = "these are crm_mon's own attributes")]
pub struct Member {
    /// It is in the membership.
    pub online: bool,
    /// The operator wants nothing to run there.
    pub standby: bool,
    /// Resources there are left alone.
    pub maintenance: bool,
    /// It has joined Corosync but not yet Pacemaker.
    pub pending: bool,
    /// It must be fenced before anything else can happen.
    pub unclean: bool,
    /// It is the elected coordinator.
    pub dc: bool,
}

/// A resource, or one instance of a clone, as the cluster sees it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Instance {
    /// Its identifier, without the number of the instance.
    pub resource: String,
    /// Its role.
    pub role: Role,
    /// Where it runs, if anywhere.
    pub node: Option<String>,
    /// It has failed there and has not been recovered yet.
    pub failed: bool,
    /// The cluster looks after it.
    pub managed: bool,
    /// It can be neither stopped nor recovered.
    pub blocked: bool,
    /// The operator wants it to run nowhere.
    pub disabled: bool,
}

/// Something the cluster asked for did not end as it should have.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Failure {
    /// Resource, action and interval, as in `pgsqld_monitor_2000`.
    pub operation: String,
    /// Where.
    pub node: String,
    /// The agent's exit status in words.
    pub status: String,
    /// The agent's own words.
    pub reason: String,
}

/// The cluster at one moment.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Cluster {
    /// Whether this partition may act.
    pub quorate: bool,
    /// All members by name.
    pub members: BTreeMap<String, Member>,
    /// All resources; one entry per instance.
    pub instances: Vec<Instance>,
    /// Node attributes by node and name; promotion scores are among them.
    pub attributes: BTreeMap<String, BTreeMap<String, String>>,
    /// Failed actions.
    pub failures: Vec<Failure>,
}

impl Cluster {
    /// Reads the output of crm_mon.
    pub fn parse(xml: &str) -> Result<Self> {
        let mut cluster = Self::default();
        let mut reader = Reader::from_str(xml);
        // Elements that matter to those inside of them.
        let mut path: Vec<(String, Option<String>)> = Vec::new();
        loop {
            match reader.read_event().context("crm_mon's XML cannot be understood")? {
                Event::Start(element) => {
                    let name = tag(&element);
                    cluster.see(&path, &name, &element);
                    let subject = attribute(&element, "name");
                    path.push((name, subject));
                }
                Event::Empty(element) => cluster.see(&path, &tag(&element), &element),
                Event::End(_) => drop(path.pop()),
                Event::Eof => return Ok(cluster),
                _ => {}
            }
        }
    }

    /// Members that are online.
    pub fn online(&self) -> Vec<&str> {
        self.members.iter().filter(|(_, member)| member.online).map(|(name, _)| name.as_str()).collect()
    }

    /// Nodes on which a resource has a role and has not failed.
    pub fn nodes_with(&self, resource: &str, role: Role) -> Vec<&str> {
        let matching = self.instances.iter().filter(|i| i.resource == resource && i.role == role && !i.failed);
        let mut nodes: Vec<&str> = matching.filter_map(|instance| instance.node.as_deref()).collect();
        nodes.sort_unstable();
        nodes
    }

    /// The role of a resource on a node; stopped when it has none.
    pub fn role(&self, resource: &str, node: &str) -> Role {
        let there = |instance: &&Instance| instance.resource == resource && instance.node.as_deref() == Some(node);
        self.instances.iter().find(there).map_or(Role::Stopped, |instance| instance.role)
    }

    /// Whether the virtual address is to be anywhere.
    pub fn has_address(&self) -> bool {
        self.instances.iter().any(|instance| instance.resource == VIP_RESOURCE && !instance.disabled)
    }

    /// The only primary, once it has the virtual address if there is to be one.
    pub fn primary(&self) -> Option<&str> {
        let primaries = self.nodes_with(RESOURCE, Role::Promoted);
        let [primary] = primaries[..] else { return None };
        (!self.has_address() || self.nodes_with(VIP_RESOURCE, Role::Started) == primaries).then_some(primary)
    }

    /// The coordinator's name.
    pub fn dc(&self) -> Option<&str> {
        self.members.iter().find(|(_, member)| member.dc).map(|(name, _)| name.as_str())
    }

    /// The value of an attribute of a node.
    pub fn attribute(&self, node: &str, name: &str) -> Option<&str> {
        self.attributes.get(node)?.get(name).map(String::as_str)
    }

    /// The promotion score of a resource on a node.
    pub fn score(&self, resource: &str, node: &str) -> Option<i64> {
        self.attribute(node, &format!("master-{resource}"))?.parse().ok()
    }

    fn see(&mut self, path: &[(String, Option<String>)], name: &str, element: &BytesStart<'_>) {
        let text = |key| attribute(element, key);
        let flag = |key| text(key).as_deref() == Some("true");
        let within = |ancestor: &str| path.iter().any(|(tag, _)| tag == ancestor);
        match name {
            "current_dc" => self.quorate = flag("with_quorum"),
            "node" if within("nodes") => {
                let member = Member {
                    online: flag("online"),
                    standby: flag("standby"),
                    maintenance: flag("maintenance"),
                    pending: flag("pending"),
                    unclean: flag("unclean"),
                    dc: flag("is_dc"),
                };
                self.members.insert(text("name").unwrap_or_default(), member);
            }
            "resource" if within("resources") => self.instances.push(Instance {
                resource: text("id").unwrap_or_default().split(':').next().unwrap_or_default().to_owned(),
                role: Role::parse(&text("role").unwrap_or_default()),
                node: None,
                failed: flag("failed"),
                managed: flag("managed"),
                blocked: flag("blocked"),
                disabled: text("target_role").as_deref() == Some("Stopped"),
            }),
            "node" if within("resources") => {
                if let Some(instance) = self.instances.last_mut() {
                    instance.node = text("name");
                }
            }
            "attribute" if within("node_attributes") => {
                let node = path.last().and_then(|(_, subject)| subject.clone()).unwrap_or_default();
                let attributes = self.attributes.entry(node).or_default();
                attributes.insert(text("name").unwrap_or_default(), text("value").unwrap_or_default());
            }
            "failure" if within("failures") => self.failures.push(Failure {
                operation: text("op_key").unwrap_or_default(),
                node: text("node").unwrap_or_default(),
                status: text("exitstatus").unwrap_or_default(),
                reason: text("exitreason").unwrap_or_default(),
            }),
            _ => {}
        }
    }
}

/// The cluster in a few lines, for error messages.
impl fmt::Display for Cluster {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let quorum = if self.quorate { "quorate" } else { "no quorum" };
        write!(f, "{quorum}; online: {}", self.online().join(" "))?;
        for (name, member) in self.members.iter().filter(|(_, member)| member.unclean || member.pending) {
            write!(f, "; {name} is {}", if member.unclean { "unclean" } else { "pending" })?;
        }
        for instance in self.instances.iter().filter(|instance| instance.node.is_some() || instance.blocked) {
            let node = instance.node.as_deref().unwrap_or("nowhere");
            write!(f, "; {} {:?} on {node}", instance.resource, instance.role)?;
            let notes = [(instance.failed, "failed"), (instance.blocked, "blocked"), (!instance.managed, "unmanaged")];
            notes.iter().filter(|(applies, _)| *applies).try_for_each(|(_, note)| write!(f, " ({note})"))?;
        }
        for failure in &self.failures {
            write!(f, "; {} failed on {}: {} ({})", failure.operation, failure.node, failure.reason, failure.status)?;
        }
        Ok(())
    }
}

fn tag(element: &BytesStart<'_>) -> String {
    String::from_utf8_lossy(element.local_name().as_ref()).into_owned()
}

fn attribute(element: &BytesStart<'_>, name: &str) -> Option<String> {
    let attribute = element.try_get_attribute(name).ok()??;
    attribute.normalized_value(quick_xml::XmlVersion::Implicit1_0).ok().map(std::borrow::Cow::into_owned)
}
