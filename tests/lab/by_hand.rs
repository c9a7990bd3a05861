//! Actions run by hand on a node, in the environment that Pacemaker gives them.

use anyhow::{Context, Result};
use lab::lab::RESOURCE;
use lab::{Agent, Node};

/// A monitor that can be run on a node.
#[derive(Debug)]
pub struct Monitor {
    /// The agent in the node.
    pub program: String,
    environment: Vec<String>,
}

impl Monitor {
    /// The monitor of an agent for this node's instance, with an interval in milliseconds.
    pub fn new(agent: Agent, node: &Node, interval: u32) -> Result<Self> {
        let (provider, parameters) = match agent {
            Agent::Pgsqlms => ("rust", vec![format!("pgdata={}", node.pgdata())]),
            // It finds nothing by itself.
            Agent::Paf => {
                let paf = ["pgdata", "datadir"].map(|name| format!("{name}={}", node.pgdata()));
                let found = [format!("bindir={}", node.bindir()), "pghost=/var/run/postgresql".into()];
                ("heartbeat", paf.into_iter().chain(found).collect())
            }
        };
        let mut environment = surroundings(node, provider, interval)?;
        environment.extend(parameters.iter().map(|parameter| format!("OCF_RESKEY_{parameter}")));
        Ok(Self { program: format!("/usr/lib/ocf/resource.d/{provider}/pgsqlms"), environment })
    }

    /// A command line that runs something with the environment of the monitor.
    pub fn with<'a>(&'a self, words: &[&'a str]) -> Vec<&'a str> {
        let environment = self.environment.iter().map(String::as_str);
        ["env"].into_iter().chain(environment).chain(words.iter().copied()).collect()
    }
}

/// Runs our monitor on a node with an interval in milliseconds; its exit code.
pub fn monitor(node: &Node, interval: u32) -> Result<i32> {
    let monitor = Monitor::new(Agent::Pgsqlms, node, interval)?;
    Ok(node.exec(&monitor.with(&[&monitor.program, "monitor"]))?.code)
}

/// The environment that Pacemaker passes besides the parameters.
fn surroundings(node: &Node, provider: &str, interval: u32) -> Result<Vec<String>> {
    let cib = node.run(&["cibadmin", "--query"])?;
    let feature_set = cib.split_once("crm_feature_set=\"").and_then(|(_, rest)| rest.split_once('"'));
    let (feature_set, _) = feature_set.context("the CIB has no crm_feature_set")?;
    let general = format!(
        "OCF_ROOT=/usr/lib/ocf OCF_RA_VERSION_MAJOR=1 OCF_RA_VERSION_MINOR=1 OCF_RESOURCE_PROVIDER={provider} \
         OCF_RESOURCE_TYPE=pgsqlms OCF_RESOURCE_INSTANCE={RESOURCE} OCF_RESKEY_crm_feature_set={feature_set} \
         HA_LOGFACILITY=daemon HA_debug=0"
    );
    let meta = format!(
        "on_node={} interval={interval} timeout=30000 name=monitor notify=true clone=0 clone_max=3 clone_node_max=1 \
         promoted_max=1 promoted_node_max=1 master_max=1 master_node_max=1 globally_unique=false",
        node.name()
    );
    let meta = meta.split_whitespace().map(|option| format!("OCF_RESKEY_CRM_meta_{option}"));
    Ok(general.split_whitespace().map(str::to_owned).chain(meta).collect())
}
