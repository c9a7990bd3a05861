//! Brings a lab up.

use std::fs;
use std::net::Ipv4Addr;
use std::path::{Path, PathBuf};
use std::thread;
use std::time::Duration;

use anyhow::{Context, Result, anyhow, bail, ensure};
use nix::mount::{MsFlags, mount};

use crate::cgroup::Cgroup;
use crate::command::Command;
use crate::disk::Disks;
use crate::hypervisor::{self, Hypervisor};
use crate::interrupt::{self, Mine};
use crate::lab::{Agent, Lab, Owner, lock};
use crate::layout::Layout;
use crate::node::Node;
use crate::provision::{self, Membership, Script, on_all};
use crate::state::{Phase, State};
use crate::tree::Tree;
use crate::{env, host, progress, teardown};

const PCS: Script = Script { name: "3nodes-vip.sh", text: include_str!("../../pcs-examples/3nodes-vip.sh") };
const CRMSH: Script =
    Script { name: "3nodes-vip-crmsh.sh", text: include_str!("../../pcs-examples/3nodes-vip-crmsh.sh") };

/// How long a cluster may take until it has a primary.
const PRIMARY_LIMIT: Duration = Duration::from_secs(90);

/// The script that configures the cluster's resources.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum Configurator {
    /// `pcs-examples/3nodes-vip.sh`.
    Pcs,
    /// `pcs-examples/3nodes-vip-crmsh.sh`.
    Crmsh,
    /// Nothing: the cluster runs and is empty, and PostgreSQL is ready to be started on all nodes.
    None,
}

/// How a lab shall be. Start with [`Lab::builder`].
#[derive(Debug, Clone)]
pub struct Builder {
    name: String,
    suite: String,
    nodes: u8,
    agent: Agent,
    agent_binary: Option<PathBuf>,
    autostart: bool,
    fenced_stay_off: bool,
    disks: Disks,
    membership: Option<Membership>,
    configurator: Configurator,
    leave_failed: bool,
}

impl Default for Builder {
    fn default() -> Self {
        Self {
            name: "lab".into(),
            suite: "trixie".into(),
            nodes: 3,
            agent: Agent::Pgsqlms,
            agent_binary: None,
            autostart: true,
            fenced_stay_off: false,
            disks: Disks::default(),
            membership: None,
            configurator: Configurator::Pcs,
            leave_failed: false,
        }
    }
}

impl Builder {
    /// Labs of different names can be up at the same time.
    #[must_use]
    pub fn name(mut self, name: impl Into<String>) -> Self {
        self.name = name.into();
        self
    }

    /// The Debian release of the nodes.
    #[must_use]
    pub fn suite(mut self, suite: impl Into<String>) -> Self {
        self.suite = suite.into();
        self
    }

    /// How many nodes, from 2 to 7.
    #[must_use]
    pub fn nodes(mut self, nodes: u8) -> Self {
        self.nodes = nodes;
        self
    }

    /// The resource agent that manages PostgreSQL.
    #[must_use]
    pub fn agent(mut self, agent: Agent) -> Self {
        self.agent = agent;
        self
    }

    /// Our agent's binary; by default the newest that cargo has built.
    #[must_use]
    pub fn agent_binary(mut self, path: impl Into<PathBuf>) -> Self {
        self.agent_binary = Some(path.into());
        self
    }

    /// Whether a node joins the cluster by itself when it gets power; true by default.
    #[must_use]
    pub fn autostart(mut self, autostart: bool) -> Self {
        self.autostart = autostart;
        self
    }

    /// Whether a fenced node stays off; false by default.
    #[must_use]
    pub fn fenced_stay_off(mut self, stay_off: bool) -> Self {
        self.fenced_stay_off = stay_off;
        self
    }

    /// Where the nodes' disks are; in memory by default.
    #[must_use]
    pub fn disks(mut self, disks: Disks) -> Self {
        self.disks = disks;
        self
    }

    /// How long a silent node is waited for; by default as in the steady profile of `vagrant/provision/corosync.sh`.
    #[must_use]
    pub fn membership(mut self, membership: Membership) -> Self {
        self.membership = Some(membership);
        self
    }

    /// The script that configures the cluster's resources; pcs by default.
    #[must_use]
    pub fn configured_by(mut self, configurator: Configurator) -> Self {
        self.configurator = configurator;
        self
    }

    /// Whether [`Builder::up_and_leave`] leaves a lab running that did not come up well, to look at it; false by default.
    #[must_use]
    pub fn leave_failed(mut self, leave: bool) -> Self {
        self.leave_failed = leave;
        self
    }

    /// Brings it up and waits until it has a primary with the virtual address and streaming standbys. The remains of a
    /// crashed lab of the same name are removed first.
    pub fn up(self) -> Result<Lab> {
        let mut lab = self.prepare()?;
        match self.bring_up(&mut lab) {
            Ok(()) => Ok(lab),
            Err(error) => Err(lab.failed(error)),
        }
    }

    /// Brings it up and leaves it running; `program` becomes its hypervisor when run with `hypervisor --name NAME`.
    pub fn up_and_leave(self, program: &Path) -> Result<()> {
        let mut lab = self.prepare()?;
        let result = self.bring_up(&mut lab);
        let start = |layout: &Layout| start_hypervisor(layout, program);
        match result {
            Ok(()) => lab.hand_over(start),
            Err(error) if self.leave_failed => lab.hand_over(start).and(Err(error)),
            Err(error) => Err(lab.failed(error)),
        }
    }

    /// Everything before the first thing that must be removed again.
    fn prepare(&self) -> Result<Lab> {
        ensure!((2..=7).contains(&self.nodes), "a lab has 2 to 7 nodes, not {}", self.nodes);
        host::check()?;
        let layout = Layout::new(&self.name)?;
        let lock = lock(&layout)?;
        let left_running = State::load(&layout).is_ok_and(|state| state.is_some_and(|state| state.phase == Phase::Up));
        if left_running && Cgroup::new(layout.cgroup()).populated() {
            bail!("the lab `{0}` is already up; `lab down --name {0}` removes it", self.name);
        }
        let agent_binary = self.find_agent_binary()?;
        teardown::lab(&layout)?;
        teardown::remove_logs(&layout)?;
        let tree = Tree::ensure(&self.suite)?;
        interrupt::register(Mine::Lab(layout.clone()))?;
        let state = State {
            phase: Phase::Owned,
            postgres: tree.postgres_version()?,
            suite: tree.suite,
            tree: tree.path,
            nodes: self.nodes,
            agent: self.agent,
            agent_binary,
            autostart: self.autostart,
            fenced_stay_off: self.fenced_stay_off,
            disks: self.disks,
        };
        Ok(Lab::assemble(layout, state, Some(Owner { hypervisor: None, lock })))
    }

    fn bring_up(&self, lab: &mut Lab) -> Result<()> {
        lab.start_machines()?;
        self.start_cluster(lab)
    }

    fn start_cluster(&self, lab: &Lab) -> Result<()> {
        let (layout, nodes) = (lab.layout(), lab.nodes());
        thread::scope(|scope| {
            let cluster = scope.spawn(|| provision::cluster(layout, nodes, self.autostart, self.membership));
            let postgres = provision::postgres(layout, nodes);
            let cluster = cluster.join().unwrap_or_else(|_| Err(anyhow!("starting the cluster panicked")));
            postgres.and(cluster)
        })?;
        lab.wait_for(PRIMARY_LIMIT, "all nodes to be online and a coordinator", |cluster| {
            cluster.quorate && cluster.online().len() == nodes.len() && cluster.dc().is_some()
        })?;
        let script = match self.configurator {
            Configurator::Pcs => PCS,
            Configurator::Crmsh => CRMSH,
            Configurator::None => return Ok(()),
        };
        progress::step(format!("configuring the cluster by {} on {}", script.name, nodes[0].name()));
        script.run(&nodes[0], &[], &self.variables(layout.vip(), nodes))?;
        progress::step("waiting for a primary");
        let primary = lab.wait_for_primary(PRIMARY_LIMIT, nodes.len() - 1)?;
        progress::step(format!("{} is the primary", primary.name()));
        Ok(())
    }

    fn variables(&self, vip: Ipv4Addr, nodes: &[Node]) -> [(&'static str, String); 5] {
        let names: Vec<_> = nodes.iter().map(Node::name).collect();
        [
            ("NODES", names.join(" ")),
            ("VIP", vip.to_string()),
            ("AGENT", self.agent.resource_type().into()),
            ("FENCE_AGENT", "fence_lab".into()),
            ("FENCE_OPTIONS", "plug=@NODE@".into()),
        ]
    }

    fn find_agent_binary(&self) -> Result<Option<PathBuf>> {
        if self.agent == Agent::Paf {
            return Ok(self.agent_binary.clone());
        }
        let given = self.agent_binary.clone().or_else(|| env::variable("PGSQLMS_AGENT").map(PathBuf::from));
        let path = given
            .or_else(newest_build)
            .context("there is no agent to test: build it by `cargo build --release` or give one by --agent-binary")?;
        path.canonicalize().with_context(|| format!("there is no agent at {}", path.display())).map(Some)
    }
}

impl Lab {
    /// Everything up to booted machines: network, disks, hypervisor, power.
    fn start_machines(&mut self) -> Result<()> {
        let layout = self.layout().clone();
        for dir in [layout.run_dir(), layout.hypervisor_dir(), layout.log_dir()] {
            fs::create_dir_all(&dir).with_context(|| format!("cannot create {}", dir.display()))?;
        }
        self.state().save(&layout)?;
        self.network().create()?;
        let hypervisor = Hypervisor::start(&layout, self.state())?;
        self.own(hypervisor);
        progress::step(format!("booting {} nodes of {}", self.nodes().len(), self.state().suite));
        on_all(self.nodes(), |node| {
            make_disk(&layout, self.state(), node, self.nodes())
                .with_context(|| format!("cannot make the disk of {}", node.name()))?;
            node.power_on()
        })
    }
}

/// A node's disk: the tree below, a layer of its own above, and in it the files that differ from node to node.
fn make_disk(layout: &Layout, state: &State, node: &Node, all: &[Node]) -> Result<()> {
    let (disk, root, log) = (layout.disk(node.name()), layout.root(node.name()), layout.node_log_dir(node.name()));
    fs::create_dir_all(&root)?;
    state.disks.mount_new(layout, node.name())?;
    let (upper, work) = (disk.join("upper"), disk.join("work"));
    fs::create_dir(&upper)?;
    fs::create_dir(&work)?;
    let layers = format!("lowerdir={},upperdir={},workdir={}", state.tree.display(), upper.display(), work.display());
    mount(Some("overlay"), &root, Some("overlay"), MsFlags::empty(), Some(layers.as_str()))?;

    let logs_of_tree = state.tree.join("var/log");
    Command::new([Path::new("cp"), Path::new("-a"), &logs_of_tree, &log]).run()?;
    fs::create_dir_all(log.join("journal"))?;
    fs::write(root.join("etc/hostname"), format!("{}\n", node.name()))?;
    let id = fs::read_to_string("/proc/sys/kernel/random/uuid")?.replace('-', "");
    fs::write(root.join("etc/machine-id"), id)?;
    let hosts = all.iter().map(|node| format!("{} {}\n", node.address(), node.name())).collect::<String>();
    fs::write(root.join("etc/hosts"), format!("127.0.0.1 localhost\n{hosts}"))?;
    if let Some(binary) = &state.agent_binary {
        let dir = root.join("usr/lib/ocf/resource.d/rust");
        fs::create_dir_all(&dir)?;
        fs::copy(binary, dir.join("pgsqlms"))?;
        let share = root.join("usr/share/pgsqlms");
        fs::create_dir_all(&share)?;
        fs::write(share.join("ra-api-1.1.dtd"), include_str!("../../ocf/ra-api-1.1.dtd"))?;
    }
    Ok(())
}

/// The newest agent that cargo has built beside this program.
fn newest_build() -> Option<PathBuf> {
    let me = std::env::current_exe().ok()?;
    let target = me.ancestors().find(|dir| dir.ends_with("debug") || dir.ends_with("release"))?.parent()?;
    let builds = ["release", "debug"].map(|profile| target.join(profile).join("pgsqlms"));
    builds
        .into_iter()
        .filter(|build| build.is_file())
        .max_by_key(|build| build.metadata().and_then(|metadata| metadata.modified()).ok())
}

fn start_hypervisor(layout: &Layout, program: &Path) -> Result<()> {
    let group = Cgroup::new(layout.cgroup()).child("hypervisor");
    group.create()?;
    let log = fs::File::create(layout.log_dir().join("hypervisor.log")).context("cannot create hypervisor.log")?;
    let argv = group.enter([&*program.to_string_lossy(), "hypervisor", "--name", layout.name()]);
    Command::new(argv).spawn_detached(log)?;
    let _ = hypervisor::answers(layout);
    Ok(())
}
