//! A lab: brought up by its [`Builder`], gone when it is dropped.

use std::fs::{self, File};
use std::net::Ipv4Addr;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, Result, anyhow, bail, ensure};
use nix::fcntl::{Flock, FlockArg};
use serde::{Deserialize, Serialize};

use crate::builder::Builder;
use crate::cluster::{Cluster, Role};
use crate::eventually::eventually;
use crate::hypervisor::{self, Fencing, Hypervisor};
use crate::interrupt::{self, Mine};
use crate::layout::Layout;
use crate::network::{Cut, Network};
use crate::node::Node;
use crate::state::{Phase, State};
use crate::{logs, progress, teardown};

/// The name of the PostgreSQL resource.
pub const RESOURCE: &str = "pgsqld";

/// The name of the virtual address' resource.
pub const VIP_RESOURCE: &str = "pgsql-vip";

/// The resource agent that manages PostgreSQL.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, clap::ValueEnum)]
#[serde(rename_all = "lowercase")]
pub enum Agent {
    /// `ocf:rust:pgsqlms`, this project.
    Pgsqlms,
    /// `ocf:heartbeat:pgsqlms`, Debian's resource-agents-paf.
    Paf,
}

impl Agent {
    /// Its name in Pacemaker.
    pub fn resource_type(self) -> &'static str {
        match self {
            Self::Pgsqlms => "ocf:rust:pgsqlms",
            Self::Paf => "ocf:heartbeat:pgsqlms",
        }
    }
}

/// A lab that is up.
#[derive(Debug)]
pub struct Lab {
    layout: Layout,
    state: State,
    nodes: Vec<Node>,
    network: Network,
    owner: Option<Owner>,
    keep_logs: bool,
}

/// The lock and the hypervisor that make this process the owner of a lab.
#[derive(Debug)]
pub(crate) struct Owner {
    /// Ends first.
    pub(crate) hypervisor: Option<Hypervisor>,
    pub(crate) lock: Flock<File>,
}

impl Lab {
    /// How to bring one up.
    pub fn builder() -> Builder {
        Builder::default()
    }

    /// A lab that another process has brought up; dropping this leaves it alone.
    pub fn open(name: &str) -> Result<Self> {
        let layout = Layout::new(name)?;
        let state = State::load(&layout)?.with_context(|| {
            let others = Layout::names();
            let others = if others.is_empty() { String::new() } else { format!("; there is {}", others.join(", ")) };
            format!("there is no lab `{name}`{others}; `lab up --name {name}` brings it up")
        })?;
        Ok(Self::assemble(layout, state, None))
    }

    pub(crate) fn assemble(layout: Layout, state: State, owner: Option<Owner>) -> Self {
        let nodes = (1..=state.nodes).map(|number| Node::new(&layout, number, state.postgres)).collect();
        let network = Network::new(&layout);
        Self { layout, state, nodes, network, owner, keep_logs: false }
    }

    /// Its names and places.
    pub fn layout(&self) -> &Layout {
        &self.layout
    }

    /// Its parts.
    pub fn state(&self) -> &State {
        &self.state
    }

    /// All nodes.
    pub fn nodes(&self) -> &[Node] {
        &self.nodes
    }

    /// The node of this name.
    ///
    /// # Panics
    ///
    /// When there is none: use [`Lab::find_node`] for names that come from outside.
    pub fn node(&self, name: &str) -> &Node {
        self.find_node(name).unwrap_or_else(|error| panic!("{error}"))
    }

    /// The node of this name, if there is one.
    pub fn find_node(&self, name: &str) -> Result<&Node> {
        self.nodes.iter().find(|node| node.name() == name).with_context(|| {
            let names: Vec<_> = self.nodes.iter().map(Node::name).collect();
            format!("there is no node `{name}`, but {}", names.join(", "))
        })
    }

    /// The network, for the parts of it that have no method here.
    pub fn network(&self) -> &Network {
        &self.network
    }

    /// Breaks something in the network, in addition to earlier cuts.
    pub fn cut(&self, cut: &Cut) -> Result<()> {
        self.network.cut(cut)
    }

    /// Repairs the whole network.
    pub fn heal(&self) -> Result<()> {
        let nodes = self.nodes.iter().map(|node| (node.name(), node.is_on()));
        self.network.heal(nodes.chain([("client", true)]))
    }

    /// All fencings so far, the oldest first.
    pub fn fencings(&self) -> Result<Vec<Fencing>> {
        hypervisor::fencings(&self.layout)
    }

    /// The virtual address of the primary.
    pub fn vip(&self) -> Ipv4Addr {
        self.layout.vip()
    }

    /// The name of the network namespace that clients outside of the nodes run in.
    pub fn client_namespace(&self) -> String {
        self.layout.namespace("client")
    }

    /// The folder with the logs of all nodes.
    pub fn logs(&self) -> PathBuf {
        self.layout.log_dir()
    }

    /// The cluster as the first node with quorum sees it, otherwise as the first node that answers.
    pub fn cluster(&self) -> Result<Cluster> {
        let mut without_quorum = Err(anyhow!("all nodes are off or frozen"));
        for node in self.nodes.iter().filter(|node| node.is_on() && !node.is_frozen()) {
            match self.cluster_seen_by(node.name()) {
                Ok(cluster) if cluster.quorate => return Ok(cluster),
                Ok(cluster) => without_quorum = Ok(cluster),
                Err(error) if without_quorum.is_err() => without_quorum = Err(error),
                Err(_) => {}
            }
        }
        without_quorum
    }

    /// The cluster as one node sees it.
    pub fn cluster_seen_by(&self, node: &str) -> Result<Cluster> {
        let argv = ["crm_mon", "--one-shot", "--output-as=xml"];
        let output = self.find_node(node)?.exec_within(Duration::from_secs(10), &argv)?;
        Cluster::parse(&output.ok()?)
    }

    /// The node that Pacemaker has promoted; an error when there is none or more than one.
    pub fn primary(&self) -> Result<&Node> {
        let cluster = self.cluster()?;
        match cluster.nodes_with(RESOURCE, Role::Promoted)[..] {
            [name] => self.find_node(name),
            [] => bail!("no node is promoted: {cluster}"),
            _ => bail!("more than one node is promoted: {cluster}"),
        }
    }

    /// Runs SQL in a node's PostgreSQL as the superuser; gives the rows, columns separated by `|`.
    pub fn psql(&self, node: &str, sql: &str) -> Result<String> {
        self.find_node(node)?.psql(sql)
    }

    /// Waits until the cluster is as this condition wants it; the error shows the cluster as it was seen last.
    pub fn wait_for(&self, limit: Duration, what: &str, condition: impl Fn(&Cluster) -> bool) -> Result<Cluster> {
        eventually(limit, what, || {
            let cluster = self.cluster()?;
            ensure!(condition(&cluster), "{cluster}");
            Ok(cluster)
        })
    }

    /// Waits until there is one primary, with the virtual address if that is not disabled, and this many standbys, and all of
    /// them stream and go on doing so: one that has left the primary's history connects again and again.
    pub fn wait_for_primary(&self, limit: Duration, standbys: usize) -> Result<&Node> {
        let what = format!("one primary with the virtual address and {standbys} standbys");
        self.wait_for(limit, &what, |cluster| {
            cluster.primary().is_some() && cluster.nodes_with(RESOURCE, Role::Unpromoted).len() == standbys
        })?;
        let primary = self.primary()?;
        let mut before = String::new();
        eventually(limit, &format!("{standbys} standbys to stream from {}", primary.name()), || {
            let now = primary.psql("SELECT pid FROM pg_stat_replication WHERE state = 'streaming' ORDER BY pid")?;
            let before = std::mem::replace(&mut before, now.clone());
            ensure!(now.lines().count() == standbys, "{} do", now.lines().count());
            ensure!(now == before, "the connections are new");
            Ok(primary)
        })
    }

    /// This process answers the fence agent from now on.
    pub(crate) fn own(&mut self, hypervisor: Hypervisor) {
        if let Some(owner) = &mut self.owner {
            owner.hypervisor = Some(hypervisor);
        }
    }

    /// Collects the logs and keeps them when the lab goes, because something went wrong in it.
    pub fn keep_logs(&mut self) {
        logs::keep(self);
        self.keep_logs = true;
    }

    /// Keeps the logs, because the lab did not come up; gives the error that says so.
    pub fn failed(&mut self, error: anyhow::Error) -> anyhow::Error {
        interrupt::hold();
        self.keep_logs();
        error.context(format!("the lab `{}` did not come up", self.layout.name()))
    }

    /// Leaves the lab running when this process ends: a process of its own becomes the hypervisor.
    pub(crate) fn hand_over(mut self, start_hypervisor: impl FnOnce(&Layout) -> Result<()>) -> Result<()> {
        let owner = self.owner.as_mut().context("this lab belongs to another process")?;
        owner.hypervisor = None;
        start_hypervisor(&self.layout)?;
        eventually(Duration::from_secs(10), "the hypervisor to answer", || {
            ensure!(hypervisor::answers(&self.layout), "it does not");
            Ok(())
        })?;
        self.state.phase = Phase::Up;
        self.state.save(&self.layout)?;
        interrupt::unregister(&Mine::Lab(self.layout.clone()));
        self.owner = None;
        Ok(())
    }
}

impl Drop for Lab {
    fn drop(&mut self) {
        if let Some(mut owner) = self.owner.take() {
            interrupt::hold();
            owner.hypervisor = None;
            if std::thread::panicking() {
                logs::keep(self);
            } else if !self.keep_logs {
                let _ = teardown::remove_logs(&self.layout);
            }
            if let Err(error) = teardown::lab(&self.layout) {
                progress::step(format!("{error:#}; try `lab down --name {}`", self.layout.name()));
            }
            interrupt::unregister(&Mine::Lab(self.layout.clone()));
            unlock(&self.layout, owner.lock);
        }
    }
}

/// Becomes the one process that may bring the lab up or down.
pub(crate) fn lock(layout: &Layout) -> Result<Flock<File>> {
    let path = layout.lock();
    fs::create_dir_all(path.parent().unwrap_or(Path::new("/")))
        .with_context(|| format!("cannot create the folder of {}", path.display()))?;
    loop {
        let file = File::options().create(true).truncate(false).write(true).open(&path);
        let file = file.with_context(|| format!("cannot create {}", path.display()))?;
        let lock = Flock::lock(file, FlockArg::LockExclusiveNonblock).map_err(|_| {
            let owner = fs::read_to_string(&path).unwrap_or_default();
            let (name, owner) = (layout.name(), owner.trim());
            anyhow!("the lab `{name}` belongs to the running process {owner}; choose another --name")
        })?;
        // The former owner may have removed the file between the two steps: then this lock is void.
        if fs::metadata(&path).is_ok_and(|there| lock.metadata().is_ok_and(|mine| mine.ino() == there.ino())) {
            fs::write(&path, format!("{}\n", std::process::id())).context("cannot write the lock")?;
            return Ok(lock);
        }
    }
}

/// Lets other processes bring the lab up or down, and frees its name.
fn unlock(layout: &Layout, lock: Flock<File>) {
    let _ = fs::remove_file(layout.lock());
    drop(lock);
}

/// Removes a lab by its name, with its logs unless `keep_logs` is set. Fine when there is none.
pub fn down(name: &str, keep_logs: bool) -> Result<()> {
    let layout = Layout::new(name)?;
    let lock = lock(&layout)?;
    teardown::lab(&layout)?;
    if !keep_logs {
        teardown::remove_logs(&layout)?;
    }
    unlock(&layout, lock);
    Ok(())
}
