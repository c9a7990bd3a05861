//! Reads what `crm_mon --output-as=xml` prints, in the words of Pacemaker 2.0 to 3.0.

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
    /// The results of monitors: node, interval, call and code.
    monitors: Vec<(NodeName, String, u64, String)>,
    failures: Vec<Failure>,
    /// The location constraints that forbid something: their name, resource and node.
    bans: Vec<(String, String, NodeName)>,
}

struct Failure {
    node: NodeName,
    interval: String,
    call: u64,
    code: String,
    reason: String,
}

/// What it says of `resource`.
///
/// # Errors
///
/// When it is no XML, or of no cluster.
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
                let interval = text("interval")?.trim_end_matches("ms").to_owned();
                self.monitors.push((node, interval, text("call")?.parse().unwrap_or(0), text("rc")?));
            }
            b"failure" if text("op_key")?.starts_with(&format!("{resource}_")) => self.failures.push(Failure {
                node: NodeName::new(text("node")?),
                interval: text("interval")?,
                call: text("call")?.parse().unwrap_or(0),
                code: text("exitcode")?,
                reason: unescaped(text("exitreason")?),
            }),
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
                let mut told = time.clone();
                for (word, name) in by {
                    let value = text(name)?;
                    told.push_str(&if value.is_empty() { value } else { format!(" {word} {value}") });
                }
                self.cluster.last_change = Some(told).filter(|_| !time.is_empty());
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

    /// With the reasons that still hold: Pacemaker keeps one until somebody cleans up, whatever a later monitor has found.
    fn finished(mut self, resource: &str) -> Cluster {
        let clone = self.cluster.clone.clone();
        let is_ours = |name: &str| name == resource || Some(name) == clone.as_deref();
        let bans = self.bans.drain(..).filter(|(_, of, _)| is_ours(of));
        self.cluster.bans = bans.map(|(id, _, node)| (id, node)).collect();
        for failure in &self.failures {
            let is_over = self.monitors.iter().any(|(node, interval, call, code)| {
                let is_same = *node == failure.node && *interval == failure.interval && *call >= failure.call;
                is_same && failure.interval != "0" && *code != failure.code
            });
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
mod tests {
    use super::*;
    use crate::rules::fitness::TooLow;

    /// What Pacemaker 2.1.5 prints, shortened.
    const PRINTED: &str = r#"<pacemaker-result api-version="2.25"><summary><current_dc present="true" with_quorum="true"/>
        <cluster_options stonith-enabled="false" maintenance-mode="true"/></summary><nodes>
        <node name="srv1" id="1" online="true" standby="false" maintenance="false" unclean="false"/>
        <node name="srv2" id="2" online="true" standby="true" maintenance="false" unclean="false"/>
        <node name="srv3" id="3" online="false" standby="false" maintenance="false" unclean="true"/></nodes><resources>
        <clone id="pgsqld-clone" disabled="false"><resource id="pgsqld" role="Promoted" active="true" managed="true" failed="false">
        <node name="srv1" id="1" cached="true"/></resource><resource id="pgsqld" role="Stopped" active="false" managed="true"/></clone>
        <resource id="vip" role="Started" active="true" managed="true"><node name="srv2"/></resource></resources><node_attributes>
        <node name="srv1"><attribute name="master-pgsqld" value="1001"/><attribute name="x" value="y"/></node><node name="srv2">
        <attribute name="pgsqlms-address" value="10.0.0.2"/><attribute name="pgsqlms-port" value="5433"/>
        <attribute name="pgsqlms-fitness-pgsqld" value="max_connections=100/200 a;b=1/2"/></node></node_attributes>
        <node_history><node name="srv1"><resource_history id="pgsqld">
        <operation_history call="12" task="monitor" rc="191" interval="15000ms"/></resource_history></node><node name="srv2">
        <resource_history id="pgsqld"><operation_history call="7" task="monitor" rc="0" interval="16000ms"/></resource_history></node>
        </node_history><failures>
        <failure op_key="pgsqld_monitor_15000" node="srv1" exitreason="commits &amp;quot;wait&amp;quot;" exitcode="191" call="12" interval="15000"/>
        <failure op_key="pgsqld_monitor_16000" node="srv2" exitreason="it is over" exitcode="190" call="7" interval="16000"/>
        </failures></pacemaker-result>"#;

    /// What keeps the resource from being promoted, in the words of Pacemaker 2.1.5.
    const HINDERED: &str = r#"<pacemaker-result><summary><current_dc with_quorum="true"/>
        <last_change time="Fri Nov 27 19:30:44 2026" user="root" client="cibadmin" origin="srv1"/>
        <cluster_options stonith-enabled="true" no-quorum-policy="freeze" maintenance-mode="false" stop-all-resources="true"/>
        </summary><nodes><node name="srv1" online="true"/><node name="srv2" online="true"/></nodes><resources>
        <clone id="pgsqld-clone" disabled="true" target_role="Stopped"><resource id="pgsqld" role="Unpromoted"
            target_role="Unpromoted" active="true" blocked="true" managed="true" pending="Promoting"><node name="srv1"/></resource>
        </clone><resource id="vip" target_role="Stopped" active="false"/></resources>
        <node_history><node name="srv2"><resource_history id="vip" migration-threshold="1" fail-count="5"/>
            <resource_history id="pgsqld" migration-threshold="1000000" fail-count="1000000"/></node>
        <node name="srv1"><resource_history id="pgsqld" migration-threshold="3" fail-count="2"/></node></node_history>
        <fence_history><fence_event action="reboot" target="srv3" status="failed" exit-reason="No such device"/>
            <fence_event action="off" target="srv2" status="success"/></fence_history>
        <bans><ban id="cli-ban-a" resource="pgsqld-clone" node="srv2" weight="-1000000"/>
            <ban id="aversion" resource="pgsqld-clone" node="srv1" weight="-500"/><ban id="other" resource="vip" node="srv1"/></bans>
        </pacemaker-result>"#;

    #[test]
    fn what_keeps_it_from_being_promoted_is_read() {
        let cluster = read(HINDERED, "pgsqld").unwrap();
        assert_eq!((cluster.is_disabled, cluster.target_role.as_deref()), (true, Some("Unpromoted")));
        assert_eq!((cluster.stops_all, cluster.no_quorum_policy.as_deref()), (true, Some("freeze")));
        assert_eq!(cluster.last_change.as_deref(), Some("Fri Nov 27 19:30:44 2026 by root with cibadmin on srv1"));
        assert_eq!(cluster.bans, [("cli-ban-a".to_owned(), NodeName::new("srv2"))]);
        assert_eq!(cluster.fencing, [(NodeName::new("srv3"), "reboot: failed (No such device)".to_owned())]);
        let [first, second] = ["srv1", "srv2"].map(|node| &cluster.nodes[&NodeName::new(node)]);
        assert_eq!((first.is_blocked, first.pending.as_deref(), first.is_given_up), (true, Some("Promoting"), false));
        assert!(second.is_given_up);
    }

    #[test]
    fn a_cluster_is_read() {
        let cluster = read(PRINTED, "pgsqld").unwrap();
        assert_eq!((cluster.has_quorum, cluster.has_fencing, cluster.in_maintenance), (true, false, true));
        assert_eq!((cluster.clone.as_deref(), cluster.is_disabled), (Some("pgsqld-clone"), false));
        let [first, second, third] = ["srv1", "srv2", "srv3"].map(|node| &cluster.nodes[&NodeName::new(node)]);
        let expected = Member {
            is_online: true,
            role: Some(Role::Primary),
            score: Some("1001".to_owned()),
            reason: Some("commits \"wait\"".to_owned()),
            ..Member::default()
        };
        assert_eq!(*first, expected);
        let too_low = vec![TooLow { name: "max_connections".to_owned(), own: 100, least: 200 }];
        let (address, port) = (Some("10.0.0.2".to_owned()), Some(5433));
        assert_eq!(*second, Member { is_online: true, in_standby: true, too_low, address, port, ..Member::default() });
        assert_eq!(*third, Member { is_unclean: true, ..Member::default() });
    }

    #[test]
    fn the_words_of_pacemaker_2_0() {
        let cluster = read(&PRINTED.replace("Promoted", "Master"), "pgsqld").unwrap();
        assert_eq!(cluster.nodes[&NodeName::new("srv1")].role, Some(Role::Primary));
    }

    #[test]
    fn what_says_nothing_is_an_error() {
        assert!(read("<pacemaker-result/>", "pgsqld").is_err());
        assert!(read("<pacemaker-result", "pgsqld").is_err());
    }
}
