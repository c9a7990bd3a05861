//! A script between Pacemaker and the agent on one node: it lets an action be caught in the act.

use std::fs;
use std::os::unix::fs::PermissionsExt;

use anyhow::{Context, Result, ensure};
use lab::{Node, eventually};

use crate::operator::AGENT;
use crate::trial::LIMIT;

const ASIDE: &str = "/usr/local/lib/pgsqlms";
const REACHED: &str = "/run/action-reached";
const GO_ON: &str = "/run/action-go-on";

/// How long an agent lives that is to be killed in the midst of its work, in seconds.
const SHORT_LIFE: &str = "0.05";

/// The next promote stops before it does anything, until [`let_go_on`].
pub fn hold_promote(node: &Node) -> Result<()> {
    install(node, "promote", &format!("touch {REACHED}; while [ ! -e {GO_ON} ]; do sleep 0.05; done"))
}

/// The next promote does everything, and is killed before it can say so.
pub fn kill_promote(node: &Node) -> Result<()> {
    install(node, "promote", &format!("[ -e {REACHED} ] || {{ touch {REACHED}; {ASIDE} promote; kill -9 $$; }}"))
}

/// The next agent that is called for this action is killed in the midst of its work.
pub fn kill_midway(node: &Node, action: &str) -> Result<()> {
    let agent = format!("timeout --signal=KILL {SHORT_LIFE} {ASIDE} {action}");
    install(node, action, &format!("[ -e {REACHED} ] || {{ touch {REACHED}; {agent}; kill -9 $$; }}"))
}

/// Waits until the action is where it was to be caught.
pub fn reached(node: &Node) -> Result<()> {
    eventually(LIMIT, &format!("the action on {}", node.name()), || {
        ensure!(node.exec(&["test", "-e", REACHED])?.success(), "it has not been called");
        Ok(())
    })
}

/// A held promote goes on.
pub fn let_go_on(node: &Node) -> Result<()> {
    node.run(&["touch", GO_ON]).map(drop)
}

/// Pacemaker calls the agent itself again. The node may be off, or about to boot.
pub fn remove(node: &Node) -> Result<()> {
    fs::rename(node.path(ASIDE), node.path(AGENT)).context("cannot put the agent back")?;
    if node.is_on() {
        node.wait_booted()?;
        node.run(&["rm", "-f", REACHED, GO_ON])?;
    }
    Ok(())
}

fn install(node: &Node, action: &str, instead: &str) -> Result<()> {
    let script = format!("#!/bin/sh\nif [ \"$1\" = {action} ]; then {instead}; fi\nexec {ASIDE} \"$@\"\n");
    let new = node.path(&format!("{AGENT}.new"));
    fs::copy(node.path(AGENT), node.path(ASIDE)).context("cannot put the agent aside")?;
    fs::write(&new, script)
        .and_then(|()| fs::set_permissions(&new, fs::Permissions::from_mode(0o755)))
        .and_then(|()| fs::rename(&new, node.path(AGENT)))
        .with_context(|| format!("cannot write {}", new.display()))
}
