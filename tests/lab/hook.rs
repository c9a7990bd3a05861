//! A script between Pacemaker and the agent on one node: it lets promote be caught in the act.

use std::fs;
use std::os::unix::fs::PermissionsExt;

use anyhow::{Context, Result, ensure};
use lab::{Node, eventually};

use crate::trial::LIMIT;

const AGENT: &str = "/usr/lib/ocf/resource.d/rust/pgsqlms";
const ASIDE: &str = "/usr/local/lib/pgsqlms";
const REACHED: &str = "/run/promote-reached";
const GO_ON: &str = "/run/promote-go-on";

/// The next promote stops before it does anything, until [`let_go_on`].
pub fn hold_promote(node: &Node) -> Result<()> {
    install(node, &format!("touch {REACHED}; while [ ! -e {GO_ON} ]; do sleep 0.05; done"))
}

/// The next promote does everything, and is killed before it can say so.
pub fn kill_promote(node: &Node) -> Result<()> {
    install(node, &format!("[ -e {REACHED} ] || {{ touch {REACHED}; {ASIDE} promote; kill -9 $$; }}"))
}

/// Waits until promote is where it was to be caught.
pub fn promote_reached(node: &Node) -> Result<()> {
    eventually(LIMIT, &format!("promote on {}", node.name()), || {
        ensure!(node.exec(&["test", "-e", REACHED])?.success(), "it has not been called");
        Ok(())
    })
}

/// A held promote goes on.
pub fn let_go_on(node: &Node) -> Result<()> {
    node.run(&["touch", GO_ON]).map(drop)
}

/// Pacemaker calls the agent itself again. The node may be off.
pub fn remove(node: &Node) -> Result<()> {
    fs::rename(node.path(ASIDE), node.path(AGENT)).context("cannot put the agent back")?;
    if node.is_on() {
        node.run(&["rm", "-f", REACHED, GO_ON])?;
    }
    Ok(())
}

fn install(node: &Node, in_promote: &str) -> Result<()> {
    let script = format!("#!/bin/sh\nif [ \"$1\" = promote ]; then {in_promote}; fi\nexec {ASIDE} \"$@\"\n");
    let new = node.path(&format!("{AGENT}.new"));
    fs::copy(node.path(AGENT), node.path(ASIDE)).context("cannot put the agent aside")?;
    fs::write(&new, script)
        .and_then(|()| fs::set_permissions(&new, fs::Permissions::from_mode(0o755)))
        .and_then(|()| fs::rename(&new, node.path(AGENT)))
        .with_context(|| format!("cannot write {}", new.display()))
}
