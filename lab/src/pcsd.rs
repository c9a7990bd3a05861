//! pcsd, the daemon of pcs on every node: `pcs cluster stop --all` and `start --all` ask it. It is started where it is needed: it takes
//! seconds of a processor, and no node boots with it.

use std::time::Duration;

use anyhow::Result;

use crate::node::Node;
use crate::progress;
use crate::provision::on_all;

/// For a machine that is busy: it is Ruby and Python, and makes a certificate when it is started for the first time.
const LIMIT: Duration = Duration::from_secs(120);

/// Of the user `hacluster`, in the nodes alone.
const PASSWORD: &str = "lab";

/// Has it run on all nodes, and lets each ask every other one. Fine where it runs already. It ends with its node's power; what it was told stays.
///
/// # Errors
///
/// When it does not start, or the nodes do not let each other in.
pub fn start(nodes: &[Node]) -> Result<()> {
    let is_known = nodes.iter().all(|node| node.path("/var/lib/pcsd/known-hosts").exists());
    if !is_known {
        progress::step("starting pcsd for the first time");
    }
    on_all(nodes, |node| {
        if !is_known {
            // The tree of all nodes has it masked.
            node.run(&["systemctl", "unmask", "--quiet", "pcsd", "pcsd-ruby"])?;
            node.run(&["systemctl", "disable", "--quiet", "pcsd", "pcsd-ruby"])?;
            node.run(&["sh", "-c", "echo \"hacluster:$0\" | chpasswd", PASSWORD])?;
        }
        node.exec_within(LIMIT, &["systemctl", "start", "pcsd"])?.ok().map(drop)
    })?;
    let Some(first) = nodes.first().filter(|_| !is_known) else { return Ok(()) };
    let addresses: Vec<String> = nodes.iter().map(|node| format!("addr={}", node.address())).collect();
    let mut argv = vec!["pcs", "host", "auth"];
    argv.extend(nodes.iter().zip(&addresses).flat_map(|(node, address)| [node.name(), address]));
    argv.extend(["-u", "hacluster", "-p", PASSWORD]);
    first.exec_within(LIMIT, &argv)?.ok().map(drop)
}

/// Ends it on all nodes. Its Ruby half may take a minute and a half to stop, which a machine that is switched off would wait for.
///
/// # Errors
///
/// When a node does not do so.
pub fn end(nodes: &[Node]) -> Result<()> {
    on_all(nodes, |node| {
        node.run(&["systemctl", "kill", "--signal=KILL", "pcsd.service", "pcsd-ruby.service"])?;
        node.run(&["systemctl", "stop", "pcsd.service", "pcsd-ruby.service"])?;
        node.run(&["systemctl", "reset-failed"]).map(drop)
    })
}
