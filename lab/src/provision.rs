//! Makes nodes into members of a cluster with PostgreSQL, by the scripts that virtual machines run too.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::thread;
use std::time::Duration;

use anyhow::{Context, Result, anyhow};

use crate::layout::Layout;
use crate::node::Node;
use crate::progress;

const COROSYNC: Script = Script { name: "corosync.sh", text: include_str!("../../vagrant/provision/corosync.sh") };
const POSTGRESQL_NODE: Script =
    Script { name: "postgresql-node.sh", text: include_str!("../../vagrant/provision/postgresql-node.sh") };
const POSTGRESQL_PRIMARY: Script =
    Script { name: "postgresql-primary.sh", text: include_str!("../../vagrant/provision/postgresql-primary.sh") };
const POSTGRESQL_STANDBY: Script =
    Script { name: "postgresql-standby.sh", text: include_str!("../../vagrant/provision/postgresql-standby.sh") };

/// How long a silent node is waited for, in milliseconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Membership {
    /// Until the others ask for it.
    pub token: u32,
    /// That it then has to answer.
    pub consensus: u32,
}

impl Membership {
    /// For a machine that is so busy that a node may have to wait for a processor.
    pub const PATIENT: Self = Self { token: 1650, consensus: 1980 };
}

/// Scripts copy whole databases.
const SCRIPT_LIMIT: Duration = Duration::from_secs(600);

/// A script that runs inside a node.
#[derive(Debug, Clone, Copy)]
pub struct Script {
    /// Its file name.
    pub name: &'static str,
    /// Its text.
    pub text: &'static str,
}

impl Script {
    /// Runs it in a node with these variables. It stays in /root for people to read and run
    /// again; its output goes to the node's logs.
    pub fn run(&self, node: &Node, arguments: &[&str], variables: &[(&str, String)]) -> Result<String> {
        let inside = format!("/root/{}", self.name);
        let path = node.path(&inside);
        fs::write(&path, self.text)
            .and_then(|()| fs::set_permissions(&path, fs::Permissions::from_mode(0o755)))
            .with_context(|| format!("cannot write {}", path.display()))?;
        let variables: Vec<String> = variables.iter().map(|(name, value)| format!("{name}={value}")).collect();
        let mut argv = vec!["env"];
        argv.extend(variables.iter().map(String::as_str));
        argv.push(&inside);
        argv.extend(arguments);
        let output = node.exec_within(SCRIPT_LIMIT, &argv)?;
        let log = node.path("/var/log").join(format!("{}.log", self.name));
        fs::write(&log, format!("{}{}", output.stdout, output.stderr))
            .with_context(|| format!("cannot write {}", log.display()))?;
        output.ok()
    }
}

/// Runs the same on every node at the same time; the first error counts.
pub fn on_all(nodes: &[Node], what: impl Fn(&Node) -> Result<()> + Sync) -> Result<()> {
    thread::scope(|scope| {
        let what = &what;
        let threads: Vec<_> = nodes.iter().map(|node| scope.spawn(move || what(node))).collect();
        let results = threads.into_iter().map(|thread| thread.join().unwrap_or_else(|_| Err(anyhow!("it panicked"))));
        results.collect::<Vec<_>>().into_iter().collect()
    })
}

/// Corosync's and Pacemaker's configuration on every node, and both started. Without a `membership` the script has its own.
pub fn cluster(layout: &Layout, nodes: &[Node], autostart: bool, membership: Option<Membership>) -> Result<()> {
    progress::step("starting Corosync and Pacemaker");
    let members: Vec<String> = nodes.iter().map(|node| format!("{}={}", node.name(), node.address())).collect();
    let mut variables = vec![
        ("CLUSTER", layout.name().to_owned()),
        ("NODES", members.join(" ")),
        ("SECRET", format!("lab {}", layout.name())),
        // Each member has nine threads. With realtime priority, those of three labs keep two processors to themselves for
        // minutes while the rings form.
        ("REALTIME", "no".to_owned()),
    ];
    if let Some(Membership { token, consensus }) = membership {
        variables.extend([("TOKEN", token.to_string()), ("CONSENSUS", consensus.to_string())]);
    }
    on_all(nodes, |node| {
        COROSYNC.run(node, &[], &variables)?;
        if autostart {
            node.run(&["systemctl", "enable", "--quiet", "corosync", "pacemaker"])?;
        }
        node.run(&["systemctl", "start", "corosync", "pacemaker"]).map(drop)
    })
}

/// A primary on the first node, copied to all others, and everything shut down: the cluster manager starts it.
pub fn postgres(layout: &Layout, nodes: &[Node]) -> Result<()> {
    let (primary, standbys) = nodes.split_first().context("there are no nodes")?;
    progress::step(format!("creating PostgreSQL on {}", primary.name()));
    on_all(nodes, |node| POSTGRESQL_NODE.run(node, &[], &[("VIP", layout.vip().to_string())]).map(drop))?;
    POSTGRESQL_PRIMARY.run(primary, &[], &[("NETWORK", layout.subnet())])?;
    progress::step("copying it to the standbys");
    on_all(standbys, |node| {
        POSTGRESQL_STANDBY.run(node, &[], &[("PRIMARY", primary.address().to_string())]).map(drop)
    })?;
    POSTGRESQL_PRIMARY.run(primary, &["stop"], &[]).map(drop)
}
