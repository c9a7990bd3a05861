//! The cluster through Pacemaker's own command-line tools.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::rc::Rc;
use std::time::Duration;

use tokio::runtime::Runtime;

use super::attributes;
use super::cib::{self, Cib};
use super::{Pacemaker, PacemakerError, Reach, configuration, crm_mon, parameters, plan, quorum, roles};
use crate::clock::{Clock, Deadline};
use crate::command::{CommandError, Invocation};
use crate::node::NodeName;
use crate::postgres::processes;
use crate::rules::candidates::Roles;
use crate::rules::doctor::{Configuration, Corosync};
use crate::rules::ended::Seen;
use crate::rules::overview::Cluster;
use crate::rules::why::{Plan, Votes};

/// No single call may take longer: the tools wait for the daemons without a bound of their own.
const PATIENCE: Duration = Duration::from_secs(5);

/// Nor may a call whose answer can wait for the next monitor.
const SHORT_PATIENCE: Duration = Duration::from_secs(1);

/// What `attrd_updater` ends with when no node has ever had the attribute: `CRM_EX_CONFIG` (seen in Pacemaker 3.0) or
/// `CRM_EX_NOSUCH`, by what `pcmk_rc2exitc` makes of its ENXIO.
const NO_SUCH_ATTRIBUTE: [i32; 2] = [78, 105];

/// What a tool of Pacemaker ends with when it does not know an option (`CRM_EX_USAGE`).
pub(super) const UNKNOWN_OPTION: i32 = 64;

/// What `attrd_updater` prints.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Form {
    /// XML, if it is asked for.
    Xml,
    /// Lines of text only: before Pacemaker 2.1.3.
    Text,
}

/// The cluster this node belongs to.
pub struct Tools {
    runtime: Rc<Runtime>,
    clock: Rc<dyn Clock>,
    deadline: Deadline,
    /// As far as is known by now.
    form: Form,
    /// The file that they read instead of asking the cluster.
    file: Option<PathBuf>,
}

impl Tools {
    /// Tools that are given up at `deadline`.
    pub fn new(runtime: Rc<Runtime>, clock: Rc<dyn Clock>, deadline: Deadline) -> Self {
        Self { runtime, clock, deadline, form: Form::Xml, file: None }
    }

    /// Tools that read a saved configuration and state, such as the scheduler keeps in `pe-input-*.bz2`; nothing asks the cluster.
    #[must_use]
    pub fn reading(self, file: Option<PathBuf>) -> Self {
        Self { file, ..self }
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

    /// The resources of the cluster, as XML.
    ///
    /// # Errors
    ///
    /// When the cluster does not answer.
    pub fn query_resources(&self) -> Result<String, CommandError> {
        self.run(&Invocation::new("cibadmin").arg("--query").option("xpath", parameters::RESOURCES))
    }

    /// The state of `resource` on all nodes, as Pacemaker sees it.
    ///
    /// # Errors
    ///
    /// When the cluster does not answer.
    pub fn overview(&self, resource: &str) -> Result<Cluster, PacemakerError> {
        let monitor = Invocation::new("crm_mon").arg("--one-shot").option("output-as", "xml");
        let xml = self.run(&monitor.arg("--show-node-attributes").arg("--operations"))?;
        crm_mon::read(&xml, resource).map_err(|why| PacemakerError::Output { tool: "crm_mon", why })
    }

    /// What the scheduler would do next with `resource`, which is in this clone. Nothing of it happens.
    ///
    /// # Errors
    ///
    /// When it does not answer.
    pub fn plan(&self, resource: &str, clone: Option<&str>) -> Result<Plan, PacemakerError> {
        let simulator = Invocation::new("crm_simulate").arg("--simulate").option("output-as", "xml");
        let xml = self.run(&match &self.file {
            Some(file) => simulator.option("xml-file", file),
            None => simulator.arg("--live-check"),
        })?;
        let unreadable = |tool| move |why| PacemakerError::Output { tool, why };
        let mut plan = plan::read(&xml, resource).map_err(unreadable("crm_simulate"))?;
        let ours: Vec<&str> = [resource].into_iter().chain(clone).collect();
        if !plan.blocked.is_empty() {
            let xml = self.run(&Invocation::new("cibadmin").arg("--query").option("xpath", plan::CONSTRAINTS));
            for blocked in &mut plan.blocked {
                blocked.constraints = match &xml {
                    Ok(xml) => plan::constraints(xml, &blocked.resource, &ours).map_err(unreadable("cibadmin"))?,
                    Err(_) => Vec::new(),
                };
            }
        }
        Ok(plan)
    }

    /// The configuration of the cluster, and which part of it is about `resource`.
    ///
    /// # Errors
    ///
    /// When the cluster does not answer.
    pub fn configuration(&self, resource: &str) -> Result<Configuration, PacemakerError> {
        let xml = self.run(&Invocation::new("cibadmin").arg("--query").option("xpath", configuration::XPATH))?;
        configuration::read(&xml, resource).map_err(|why| PacemakerError::Output { tool: "cibadmin", why })
    }

    /// Corosync's own configuration.
    ///
    /// # Errors
    ///
    /// When that is not seen.
    pub fn corosync(&self) -> Result<Corosync, PacemakerError> {
        let printed = self.run(&Invocation::new("corosync-cmapctl"))?;
        Ok(Corosync { votes: self.votes().ok(), ..quorum::corosync(&printed) })
    }

    /// How many votes Corosync counts.
    ///
    /// # Errors
    ///
    /// When that is not seen.
    pub fn votes(&self) -> Result<Votes, PacemakerError> {
        let patience = self.deadline.left(self.clock.as_ref()).min(SHORT_PATIENCE);
        // It fails where there is no quorum, and says the same.
        let printed = Invocation::new("corosync-quorumtool").arg("-s").listen(&self.runtime, patience)?;
        let why = || PacemakerError::Output { tool: "corosync-quorumtool", why: "it counts no votes".to_owned() };
        quorum::votes(&printed.stdout).ok_or_else(why)
    }

    /// For how many milliseconds Corosync waits for a silent node.
    pub fn token(&self) -> Option<u64> {
        let map = Invocation::new("corosync-cmapctl").arg("-g").arg("runtime.config.totem.token");
        quorum::token(&self.run(&map).ok()?)
    }

    pub(super) fn run(&self, invocation: &Invocation) -> Result<String, CommandError> {
        self.run_within(invocation, PATIENCE)
    }

    fn run_within(&self, invocation: &Invocation, patience: Duration) -> Result<String, CommandError> {
        let patience = self.deadline.left(self.clock.as_ref()).min(patience);
        let began = self.clock.now();
        let result = match &self.file {
            Some(file) => invocation.clone().env("CIB_file", file).run(&self.runtime, patience),
            None => invocation.run(&self.runtime, patience),
        };
        log::debug!("{invocation}: {:.0} ms", (self.clock.now() - began).as_secs_f64() * 1e3);
        result
    }

    /// An attribute's value on each node, in the tool's own words.
    fn query(&self, name: &str) -> Result<String, CommandError> {
        let query = Invocation::new("attrd_updater").arg("--query").arg("--all").option("name", name);
        self.run(&match self.form {
            Form::Xml => query.option("output-as", "xml"),
            Form::Text => query,
        })
    }

    fn change(&self, name: &str, node: &NodeName, reach: Reach) -> Invocation {
        let change = Invocation::new("attrd_updater").option("name", name).option("node", node.as_str());
        match reach {
            Reach::Scheduler => change,
            Reach::Private => change.arg("--private"),
        }
    }
}

impl Pacemaker for Tools {
    fn is_running(&mut self) -> bool {
        processes::runs("pacemakerd")
    }

    fn oom_policy(&mut self) -> Option<String> {
        if !std::path::Path::new("/run/systemd/system").is_dir() {
            return None;
        }
        let show = Invocation::new("systemctl").arg("show").arg("--property=OOMPolicy").arg("pacemaker.service");
        let printed = self.run(&show).map_err(|error| log::debug!("{error}")).ok()?;
        printed.trim().strip_prefix("OOMPolicy=").map(str::to_owned)
    }

    fn machine_stops(&mut self) -> bool {
        let patience = self.deadline.left(self.clock.as_ref()).min(SHORT_PATIENCE);
        // It fails in each state but one.
        let said = Invocation::new("systemctl").arg("is-system-running").listen(&self.runtime, patience);
        said.is_ok_and(|said| said.stdout.trim() == "stopping")
    }

    fn attributes(&mut self, name: &str) -> Result<BTreeMap<NodeName, String>, PacemakerError> {
        let printed = match self.query(name) {
            Err(CommandError::Failed { status, .. })
                if status.code() == Some(UNKNOWN_OPTION) && self.form == Form::Xml =>
            {
                log::debug!("attrd_updater knows no --output-as: it is read as text");
                self.form = Form::Text;
                self.query(name)
            }
            printed => printed,
        };
        match printed {
            Ok(printed) => match self.form {
                Form::Xml => attributes::in_xml(&printed),
                Form::Text => attributes::in_text(&printed, name),
            },
            Err(CommandError::Failed { status, .. })
                if status.code().is_some_and(|code| NO_SUCH_ATTRIBUTE.contains(&code)) =>
            {
                Ok(BTreeMap::new())
            }
            Err(error) => Err(error.into()),
        }
    }

    fn set_attribute(&mut self, name: &str, node: &NodeName, value: &str, reach: Reach) -> Result<(), PacemakerError> {
        self.run(&self.change(name, node, reach).option("update", value))?;
        Ok(())
    }

    fn resend_attributes(&mut self) -> Result<(), PacemakerError> {
        self.run(&Invocation::new("attrd_updater").arg("--refresh"))?;
        Ok(())
    }

    fn delete_attribute(&mut self, name: &str, node: &NodeName, reach: Reach) -> Result<(), PacemakerError> {
        self.run(&self.change(name, node, reach).arg("--delete"))?;
        Ok(())
    }

    fn cib(&mut self) -> Result<Cib, PacemakerError> {
        Cib::parse(&self.run(&Invocation::new("cibadmin").arg("--query").option("xpath", cib::XPATH))?)
    }

    fn roles(&mut self, instance: &str) -> Result<Roles, PacemakerError> {
        let ask = |invocation: &Invocation| self.run_within(invocation, SHORT_PATIENCE);
        let coordinator = ask(&Invocation::new("crmadmin").arg("--dc_lookup"))?;
        let coordinator = roles::coordinator(&coordinator)
            .ok_or_else(|| PacemakerError::Output { tool: "crmadmin", why: "it names no coordinator".to_owned() })?;
        let places = ask(&Invocation::new("crm_resource").arg("--locate").option("resource", instance))?;
        let state = ask(&Invocation::new("crmadmin").option("status", coordinator.as_str()))?;
        Ok(Roles { promoted: roles::promoted(&places), idle: roles::is_idle(&state) })
    }

    fn parameters(&mut self, resource: &str) -> Result<Option<BTreeMap<String, String>>, PacemakerError> {
        parameters::parameters(&self.query_resources()?, resource)
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

    fn set_properties(&mut self, properties: &[(String, String)]) -> Result<(), PacemakerError> {
        match properties {
            [] => Ok(()),
            [(name, value)] => self.set_property(name, Some(value)),
            several => {
                let modify = Invocation::new("cibadmin").arg("--modify").arg("--allow-create");
                let text = cib::property_set(several);
                self.run(&modify.option("scope", "crm_config").option("xml-text", &text))?;
                Ok(())
            }
        }
    }

    fn clean_up(&mut self, instance: &str) -> Result<(), PacemakerError> {
        self.run(&Invocation::new("crm_resource").arg("--cleanup").option("resource", instance))?;
        Ok(())
    }

    fn sees(&mut self, instance: &str, node: &NodeName) -> Result<Option<Seen>, PacemakerError> {
        let cluster = self.overview(instance)?;
        Ok(cluster.nodes.get(node).map(|member| Seen {
            is_managed: !(member.is_unmanaged || member.in_maintenance || cluster.in_maintenance),
            is_started: member.role.is_some(),
            pending: member.pending.clone(),
        }))
    }

    fn report_failure(&mut self, instance: &str, node: &NodeName) -> Result<(), PacemakerError> {
        let fail = Invocation::new("crm_resource").arg("--fail").option("resource", instance);
        self.run(&fail.option("node", node.as_str()))?;
        Ok(())
    }

    fn set_permanent_attribute(&mut self, name: &str, node: &NodeName, value: &str) -> Result<(), PacemakerError> {
        let update = Invocation::new("crm_attribute").option("type", "nodes").option("node", node.as_str());
        self.run(&update.option("name", name).option("update", value))?;
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

    fn is_quorate(&mut self) -> Result<bool, PacemakerError> {
        Ok(self.run(&Invocation::new("crm_node").arg("--quorum"))?.trim() == "1")
    }
}
