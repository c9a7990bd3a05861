//! What the cluster information base says that concerns this agent, read in one query.

use std::collections::{BTreeMap, BTreeSet};

use quick_xml::escape::escape;
use quick_xml::events::{BytesStart, Event};

use super::{PacemakerError, constraints};
use crate::boolean::is_no;
use crate::node::NodeName;
pub use constraints::ByCommand;

/// The set of cluster properties in which the agent keeps what must outlive every node.
pub const PROPERTY_SET: &str = "pgsqlms";

/// What [`Cib::parse`] understands: the nodes with their permanent attributes, their transient ones, our properties, and
/// the location constraints of clones with those clones, and our resources.
pub const XPATH: &str = "//nodes|//transient_attributes|//cluster_property_set[@id='pgsqlms']\
     |//crm_config//nvpair[@name='stonith-enabled' or @name='fencing-enabled']\
     |//rsc_location[@rsc=(//clone|//master)/descendant-or-self::*/@id]\
     |(//clone|//master)[descendant-or-self::*/@id=//rsc_location/@rsc]\
     |//primitive[@type='pgsqlms' or @template]";

/// The properties by which fencing is turned off; the second is Pacemaker 3's name for it.
const FENCING: [&str; 2] = ["stonith-enabled", "fencing-enabled"];

/// A part of the cluster information base.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Cib {
    /// The configured nodes, there or not.
    pub nodes: BTreeSet<NodeName>,
    /// Node attributes that last until the node leaves the cluster.
    pub transient: BTreeMap<NodeName, BTreeMap<String, String>>,
    /// Node attributes that last for ever.
    pub permanent: BTreeMap<NodeName, BTreeMap<String, String>>,
    /// The agent's own cluster properties.
    pub properties: BTreeMap<String, String>,
    /// Fencing is turned off.
    pub without_fencing: bool,
    /// The nodes on which a plain location constraint keeps a resource from being promoted, by the primitive's name.
    pub banned: BTreeMap<String, BTreeSet<NodeName>>,
    /// The resources that this agent may manage.
    pub resources: BTreeSet<String>,
    /// The primitives for which a lasting location constraint prefers some node as the primary.
    pub preferring: BTreeSet<String>,
    /// The constraints on where it runs that people's commands have left, by the primitive's name.
    pub by_command: BTreeMap<String, BTreeSet<ByCommand>>,
}

/// The set of the agent's own properties with these, for `cibadmin --modify`: under the ids that `crm_attribute` gives them.
pub fn property_set(properties: &[(String, String)]) -> String {
    let property = |(name, value): &(String, String)| {
        let (name, value) = (escape(name.as_str()), escape(value.as_str()));
        format!(r#"<nvpair id="{PROPERTY_SET}-{name}" name="{name}" value="{value}"/>"#)
    };
    let properties: String = properties.iter().map(property).collect();
    format!(r#"<cluster_property_set id="{PROPERTY_SET}">{properties}</cluster_property_set>"#)
}

/// Whose name-value pairs are being read.
enum Owner {
    Permanent(NodeName),
    Transient(String),
    Properties,
}

impl Cib {
    /// Whether the cluster manages the resource `name`, as far as is known: ocf-tester makes up another one.
    pub fn manages(&self, name: &str) -> bool {
        self.resources.is_empty() || self.resources.contains(name)
    }

    /// Reads the output of `cibadmin --query --xpath=`[`XPATH`].
    ///
    /// # Errors
    ///
    /// When it is not XML.
    pub fn parse(xml: &str) -> Result<Self, PacemakerError> {
        let unreadable = |why: String| PacemakerError::Output { tool: "cibadmin", why };
        let mut reader = quick_xml::Reader::from_str(xml);
        let (mut cib, mut ids, mut by_id) = (Cib::default(), BTreeMap::new(), BTreeMap::new());
        let mut owner = None;
        loop {
            let event = reader.read_event().map_err(|error| unreadable(error.to_string()))?;
            let (Event::Empty(element) | Event::Start(element)) = event else {
                if matches!(event, Event::Eof) {
                    break;
                }
                continue;
            };
            let text = |name: &str| text(&element, name).map_err(unreadable);
            match element.name().as_ref() {
                b"node" => {
                    let (id, name) =
                        (text("id")?.unwrap_or_default(), NodeName::new(text("uname")?.unwrap_or_default()));
                    ids.insert(id, name.clone());
                    cib.nodes.insert(name.clone());
                    owner = Some(Owner::Permanent(name));
                }
                b"transient_attributes" => owner = Some(Owner::Transient(text("id")?.unwrap_or_default())),
                b"cluster_property_set" => owner = Some(Owner::Properties),
                b"clone" | b"master" => owner = None,
                b"primitive" => {
                    owner = None;
                    cib.resources.extend(text("id")?);
                }
                b"nvpair" if text("name")?.is_some_and(|name| FENCING.contains(&name.as_str())) => {
                    cib.without_fencing |= text("value")?.is_some_and(|value| is_no(&value));
                }
                b"nvpair" => {
                    if let (Some(owner), Some(name), Some(value)) = (&owner, text("name")?, text("value")?) {
                        let pairs = match owner {
                            Owner::Permanent(node) => cib.permanent.entry(node.clone()).or_default(),
                            Owner::Transient(id) => by_id.entry(id.clone()).or_default(),
                            Owner::Properties => &mut cib.properties,
                        };
                        pairs.insert(name, value);
                    }
                }
                _ => {}
            }
        }
        let named = by_id.into_iter().filter_map(|(id, pairs)| Some((ids.get(&id)?.clone(), pairs)));
        cib.transient = named.collect();
        let locations = constraints::locations(xml).map_err(unreadable)?;
        (cib.banned, cib.preferring) = (cib.banned(&locations.banned), locations.preferring);
        cib.by_command = locations.by_command;
        Ok(cib)
    }

    /// The banned nodes by their own names: in a constraint, Pacemaker ignores case.
    fn banned(&self, spelled: &BTreeMap<String, BTreeSet<String>>) -> BTreeMap<String, BTreeSet<NodeName>> {
        let is_one_of = |names: &BTreeSet<String>, node: &NodeName| {
            names.iter().any(|name| node.as_str().eq_ignore_ascii_case(name))
        };
        let nodes = |names| self.nodes.iter().filter(|node| is_one_of(names, node)).cloned().collect();
        spelled.iter().map(|(resource, names)| (resource.clone(), nodes(names))).collect()
    }

    /// The transient attribute `name` of each node that has one.
    pub fn transient(&self, name: &str) -> BTreeMap<NodeName, &str> {
        let values = self.transient.iter();
        values.filter_map(|(node, pairs)| Some((node.clone(), pairs.get(name)?.as_str()))).collect()
    }

    /// The attribute `name` of each node that has one: of two, Pacemaker takes the transient one.
    pub fn attribute(&self, name: &str) -> BTreeMap<NodeName, &str> {
        self.permanent(name).into_iter().chain(self.transient(name)).collect()
    }

    /// The permanent attribute `name` of each node that has one.
    pub fn permanent(&self, name: &str) -> BTreeMap<NodeName, &str> {
        let values = self.permanent.iter();
        values.filter_map(|(node, pairs)| Some((node.clone(), pairs.get(name)?.as_str()))).collect()
    }
}

/// The XML attribute `name` of `element`, unescaped.
///
/// # Errors
///
/// When it is malformed.
pub(super) fn text(element: &BytesStart, name: &str) -> Result<Option<String>, String> {
    let attribute = element.try_get_attribute(name).map_err(|error| error.to_string())?;
    let value = attribute
        .map(|found| found.normalized_value(quick_xml::XmlVersion::Implicit1_0).map(|value| value.into_owned()));
    value.transpose().map_err(|error| error.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nodes_attributes_and_properties_are_distinguished() {
        let xml = r#"<xpath-query>
            <cluster_property_set id="pgsqlms">
              <nvpair id="p" name="pgsqlms-pgsqld-promotions" value="5@0/1 &lt;x&gt;"/>
            </cluster_property_set>
            <nvpair id="f" name="stonith-enabled" value="False"/>
            <nodes>
              <node id="1" uname="srv1">
                <instance_attributes id="nodes-1"><nvpair id="n" name="master-pgsqld" value="1001"/></instance_attributes>
              </node>
              <node id="2" uname="srv2"/>
            </nodes>
            <transient_attributes id="2">
              <instance_attributes id="status-2"><nvpair id="s" name="master-pgsqld" value="990"/></instance_attributes>
            </transient_attributes>
            <transient_attributes id="9">
              <instance_attributes id="status-9"><nvpair id="t" name="master-pgsqld" value="1"/></instance_attributes>
            </transient_attributes>
          </xpath-query>"#;
        let cib = Cib::parse(xml).unwrap();
        assert_eq!(cib.nodes, ["srv1", "srv2"].into_iter().map(NodeName::new).collect());
        assert_eq!(cib.transient("master-pgsqld"), [(NodeName::new("srv2"), "990")].into_iter().collect());
        assert_eq!(cib.permanent("master-pgsqld"), [(NodeName::new("srv1"), "1001")].into_iter().collect());
        assert_eq!(cib.properties["pgsqlms-pgsqld-promotions"], "5@0/1 <x>");
        assert_eq!((cib.properties.len(), cib.without_fencing), (1, true));
        for (value, disabled) in [("true", false), ("0", true), ("", false)] {
            let xml = format!(r#"<xpath-query><nvpair id="f" name="fencing-enabled" value="{value}"/></xpath-query>"#);
            assert_eq!(Cib::parse(&xml).unwrap().without_fencing, disabled, "{value}");
        }
    }

    #[test]
    fn a_clone_and_its_bans_are_read_beside_the_rest() {
        let xml = r#"<xpath-query><nodes><node id="1" uname="srv1"/><node id="2" uname="Srv2"><instance_attributes id="i">
            <nvpair id="j" name="maintenance" value="on"/></instance_attributes></node></nodes><clone id="c"><meta_attributes id="m">
            <nvpair id="n" name="notify" value="true"/></meta_attributes><primitive id="pgsqld"/></clone>
            <rsc_location id="l" rsc="c" node="srv2" score="-INFINITY"/><rsc_location id="k" rsc="c" node="gone" score="-INFINITY"/>
            <transient_attributes id="1"><instance_attributes id="s"><nvpair id="t" name="a" value="b"/></instance_attributes>
            </transient_attributes></xpath-query>"#;
        let cib = Cib::parse(xml).unwrap();
        assert_eq!(cib.banned, [("pgsqld".to_owned(), [NodeName::new("Srv2")].into())].into());
        assert_eq!(cib.permanent("maintenance"), [(NodeName::new("Srv2"), "on")].into());
        let values: Vec<&BTreeMap<String, String>> = cib.permanent.values().chain(cib.transient.values()).collect();
        assert_eq!(format!("{values:?}"), r#"[{"maintenance": "on"}, {"a": "b"}]"#);
    }

    #[test]
    fn properties_are_read_as_they_were_written() {
        let properties = [("a", "1 < 2 & \"3\""), ("b", "ANY 1 (srv1, 'srv2')")];
        let properties = properties.map(|(name, value)| (name.to_owned(), value.to_owned()));
        let xml = property_set(&properties);
        assert!(xml.contains(r#"id="pgsqlms-a" name="a""#), "{xml}");
        assert_eq!(Cib::parse(&xml).unwrap().properties, properties.into_iter().collect());
    }

    #[test]
    fn what_is_not_xml_is_an_error() {
        assert!(Cib::parse("<nodes><node uname=").is_err());
    }
}
