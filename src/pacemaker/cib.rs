//! What the cluster information base says that concerns this agent, read in one query.

use std::collections::{BTreeMap, BTreeSet};

use quick_xml::events::{BytesStart, Event};

use super::PacemakerError;
use crate::node::NodeName;

/// The set of cluster properties in which the agent keeps what must outlive every node.
pub const PROPERTY_SET: &str = "pgsqlms";

/// What [`Cib::parse`] understands: the nodes with their permanent attributes, their transient ones, and our properties.
pub const XPATH: &str = "//nodes|//transient_attributes|//cluster_property_set[@id='pgsqlms']\
     |//crm_config//nvpair[@name='stonith-enabled' or @name='fencing-enabled']";

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
}

/// What [`parameters`] understands: all resources.
pub const RESOURCES: &str = "//resources";

/// The parameters of the primitive `resource`; none if there is no such resource. Those that hold under a rule only, and
/// those of a template, are not known.
///
/// # Errors
///
/// When it is no XML.
pub fn parameters(xml: &str, resource: &str) -> Result<Option<BTreeMap<String, String>>, PacemakerError> {
    let unreadable = |why: String| PacemakerError::Output { tool: "cibadmin", why };
    let mut reader = quick_xml::Reader::from_str(xml);
    let (mut found, mut path): (Option<BTreeMap<String, String>>, Vec<Vec<u8>>) = (None, Vec::new());
    let mut inside = false;
    loop {
        let event = reader.read_event().map_err(|error| unreadable(error.to_string()))?;
        match &event {
            Event::Eof => return Ok(found),
            Event::End(_) => {
                inside &= path.pop().is_some_and(|name| name != b"primitive");
            }
            Event::Start(element) | Event::Empty(element) => {
                let text = |name: &str| text(element, name).map_err(unreadable);
                let name = element.name().as_ref().to_vec();
                if name == b"primitive" {
                    inside = text("id")?.as_deref() == Some(resource);
                    found = if inside { Some(BTreeMap::new()) } else { found };
                }
                let parents = path.iter().rev().map(Vec::as_slice).take(2);
                let is_parameter = parents.eq([b"instance_attributes".as_slice(), b"primitive".as_slice()]);
                if let (true, b"nvpair", Some(found)) = (inside && is_parameter, name.as_slice(), &mut found) {
                    if let (Some(name), Some(value)) = (text("name")?, text("value")?) {
                        found.insert(name, value);
                    }
                }
                if matches!(event, Event::Start(_)) {
                    path.push(name);
                }
            }
            _ => {}
        }
    }
}

/// Whose name-value pairs are being read.
enum Owner {
    Permanent(NodeName),
    Transient(String),
    Properties,
}

impl Cib {
    /// Reads the output of `cibadmin --query --xpath=`[`XPATH`].
    ///
    /// # Errors
    ///
    /// When it is no XML.
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
                b"nvpair" if text("name")?.is_some_and(|name| FENCING.contains(&name.as_str())) => {
                    let no = ["false", "off", "no", "n", "0"];
                    cib.without_fencing |= text("value")?.is_some_and(|it| no.contains(&it.to_lowercase().as_str()));
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
        Ok(cib)
    }

    /// The transient attribute `name` of each node that has one.
    pub fn transient(&self, name: &str) -> BTreeMap<NodeName, &str> {
        let values = self.transient.iter();
        values.filter_map(|(node, pairs)| Some((node.clone(), pairs.get(name)?.as_str()))).collect()
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
    fn nodes_attributes_and_properties_are_told_apart() {
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
    fn the_parameters_of_one_resource_are_read() {
        let xml = r#"<resources><clone id="pgsqld-clone"><primitive id="pgsqld" class="ocf">
            <instance_attributes id="a"><nvpair id="b" name="pgdata" value="/d"/><nvpair id="c" name="rejoin" value="none"/>
            </instance_attributes><meta_attributes id="m"><nvpair id="d" name="notify" value="true"/></meta_attributes>
            <operations><op id="o"><instance_attributes id="x"><nvpair id="e" name="OCF_CHECK_LEVEL" value="1"/>
            </instance_attributes></op></operations></primitive></clone><primitive id="vip"><instance_attributes id="v">
            <nvpair id="f" name="ip" value="10.0.0.1"/></instance_attributes></primitive></resources>"#;
        let expected = [("pgdata", "/d"), ("rejoin", "none")].map(|(name, value)| (name.to_owned(), value.to_owned()));
        assert_eq!(parameters(xml, "pgsqld").unwrap(), Some(expected.into_iter().collect()));
        assert_eq!(parameters(xml, "vip").unwrap().unwrap().len(), 1);
        assert_eq!(parameters(xml, "pgsqld-clone").unwrap(), None);
        assert!(parameters("<a", "pgsqld").is_err());
    }

    #[test]
    fn what_is_not_xml_is_an_error() {
        assert!(Cib::parse("<nodes><node uname=").is_err());
    }
}
