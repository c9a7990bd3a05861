//! The cluster through Pacemaker's own command-line tools.

use std::collections::{BTreeMap, BTreeSet};
use std::rc::Rc;
use std::time::Duration;

use quick_xml::events::Event;
use tokio::runtime::Runtime;

use super::cib::{self, Cib};
use super::{Pacemaker, PacemakerError, Reach};
use crate::clock::{Clock, Deadline};
use crate::command::{CommandError, Invocation};
use crate::node::NodeName;
use crate::postgres::processes;

/// No single call may take longer: the tools wait for the daemons without a bound of their own.
const PATIENCE: Duration = Duration::from_secs(5);

/// What `attrd_updater` ends with when no node has ever had the attribute: `CRM_EX_CONFIG` (seen in Pacemaker 3.0) or
/// `CRM_EX_NOSUCH`, by what `pcmk_rc2exitc` makes of its ENXIO.
const NO_SUCH_ATTRIBUTE: [i32; 2] = [78, 105];

/// The cluster this node belongs to.
pub struct Tools {
    runtime: Rc<Runtime>,
    clock: Rc<dyn Clock>,
    deadline: Deadline,
}

impl Tools {
    /// Tools that are given up at `deadline`.
    pub fn new(runtime: Rc<Runtime>, clock: Rc<dyn Clock>, deadline: Deadline) -> Self {
        Self { runtime, clock, deadline }
    }

    /// This node's name, where Pacemaker did not pass it.
    ///
    /// # Errors
    ///
    /// When the cluster does not answer.
    pub fn node_name(&self) -> Result<NodeName, PacemakerError> {
        let name = self.run(&Invocation::new("crm_node").arg("--name"))?;
        Ok(NodeName::new(name.trim()))
    }

    /// The parameters of a primitive resource; none if there is no such resource.
    ///
    /// # Errors
    ///
    /// When the cluster does not answer.
    pub fn parameters(&self, resource: &str) -> Result<Option<BTreeMap<String, String>>, PacemakerError> {
        let query = Invocation::new("cibadmin").arg("--query").option("xpath", cib::RESOURCES);
        cib::parameters(&self.run(&query)?, resource)
    }

    fn run(&self, invocation: &Invocation) -> Result<String, CommandError> {
        let patience = self.deadline.left(self.clock.as_ref()).min(PATIENCE);
        let began = self.clock.now();
        let result = invocation.run(&self.runtime, patience);
        log::debug!("{invocation}: {:.0} ms", (self.clock.now() - began).as_secs_f64() * 1e3);
        result
    }

    fn update(&self, name: &str, node: &NodeName) -> Invocation {
        Invocation::new("attrd_updater").option("name", name).option("node", node.as_str())
    }
}

impl Pacemaker for Tools {
    fn is_running(&mut self) -> bool {
        let is_daemon = |process: std::fs::DirEntry| {
            let name = std::fs::read_to_string(process.path().join("comm"));
            name.is_ok_and(|name| name.trim() == "pacemakerd") && processes::shares_our_namespace(&process.path())
        };
        std::fs::read_dir("/proc").is_ok_and(|processes| processes.flatten().any(is_daemon))
    }

    fn attributes(&mut self, name: &str) -> Result<BTreeMap<NodeName, String>, PacemakerError> {
        let query = Invocation::new("attrd_updater")
            .arg("--query")
            .arg("--all")
            .option("name", name)
            .option("output-as", "xml");
        match self.run(&query) {
            Ok(xml) => attributes_in(&xml),
            Err(CommandError::Failed { status, .. })
                if status.code().is_some_and(|code| NO_SUCH_ATTRIBUTE.contains(&code)) =>
            {
                Ok(BTreeMap::new())
            }
            Err(error) => Err(error.into()),
        }
    }

    fn set_attribute(&mut self, name: &str, node: &NodeName, value: &str, reach: Reach) -> Result<(), PacemakerError> {
        let update = self.update(name, node).option("update", value);
        self.run(&match reach {
            Reach::Scheduler => update,
            Reach::Private => update.arg("--private"),
        })?;
        Ok(())
    }

    fn resend_attributes(&mut self) -> Result<(), PacemakerError> {
        self.run(&Invocation::new("attrd_updater").arg("--refresh"))?;
        Ok(())
    }

    fn delete_attribute(&mut self, name: &str, node: &NodeName) -> Result<(), PacemakerError> {
        self.run(&self.update(name, node).arg("--delete"))?;
        Ok(())
    }

    fn cib(&mut self) -> Result<Cib, PacemakerError> {
        Cib::parse(&self.run(&Invocation::new("cibadmin").arg("--query").option("xpath", cib::XPATH))?)
    }

    fn set_property(&mut self, name: &str, value: Option<&str>) -> Result<(), PacemakerError> {
        let ours = Invocation::new("crm_attribute").option("type", "crm_config").option("set-name", cib::PROPERTY_SET);
        let property = ours.option("name", name);
        self.run(&match value {
            Some(value) => property.option("update", value),
            None => property.arg("--delete"),
        })?;
        Ok(())
    }

    fn clean_up(&mut self, instance: &str) -> Result<(), PacemakerError> {
        self.run(&Invocation::new("crm_resource").arg("--cleanup").option("resource", instance))?;
        Ok(())
    }

    fn delete_permanent_attribute(&mut self, name: &str, node: &NodeName) -> Result<(), PacemakerError> {
        let delete = Invocation::new("crm_attribute").option("type", "nodes").option("node", node.as_str());
        self.run(&delete.option("name", name).arg("--delete"))?;
        Ok(())
    }

    fn members(&mut self) -> Result<BTreeSet<NodeName>, PacemakerError> {
        let names = self.run(&Invocation::new("crm_node").arg("--partition"))?;
        Ok(names.split_whitespace().map(NodeName::new).collect())
    }
}

/// Reads `attrd_updater --query --output-as=xml`: `<attribute name=… value=… host=…/>` for each node.
///
/// # Errors
///
/// When it is no XML.
pub fn attributes_in(xml: &str) -> Result<BTreeMap<NodeName, String>, PacemakerError> {
    let unreadable = |why: String| PacemakerError::Output { tool: "attrd_updater", why };
    let mut reader = quick_xml::Reader::from_str(xml);
    let mut values = BTreeMap::new();
    loop {
        match reader.read_event().map_err(|error| unreadable(error.to_string()))? {
            Event::Eof => return Ok(values),
            Event::Empty(element) | Event::Start(element) if element.name().as_ref() == b"attribute" => {
                let text = |name: &str| cib::text(&element, name).map_err(unreadable);
                if let (Some(host), Some(value)) = (text("host")?, text("value")?) {
                    if !value.is_empty() {
                        values.insert(NodeName::new(host), value);
                    }
                }
            }
            _ => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_node_with_a_value_is_read() {
        let xml = r#"<pacemaker-result api-version="2.25" request="attrd_updater -Q">
              <attribute name="master-pgsql" value="1001" host="srv1"/>
              <attribute name="master-pgsql" value="" host="srv2"/>
              <attribute name="master-pgsql" value="a &lt; b" host="srv3"/>
              <status code="0" message="OK"/>
            </pacemaker-result>"#;
        let expected = [("srv1", "1001"), ("srv3", "a < b")];
        let expected: BTreeMap<_, _> =
            expected.into_iter().map(|(node, value)| (NodeName::new(node), value.to_owned())).collect();
        assert_eq!(attributes_in(xml).unwrap(), expected);
    }

    #[test]
    fn what_is_not_xml_is_an_error() {
        assert!(attributes_in("<pacemaker-result><attribute name=").is_err());
    }
}
