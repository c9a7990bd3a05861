//! The parts of a lab, in a file: for the other commands, and for the clean-up after a crash.

use std::fs;
use std::path::PathBuf;

use anyhow::{Context, Result};
use serde::{Deserialize, Serialize};

use crate::disk::Disks;
use crate::lab::Agent;
use crate::layout::Layout;

/// How far a lab is, and which process looks after it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Phase {
    /// It is coming up, or the process that was bringing it up has crashed.
    Starting,
    /// It belongs to a running program and ends with it.
    Owned,
    /// It stays until `lab down`.
    Up,
}

/// The parts of a lab.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct State {
    /// How far it is.
    pub phase: Phase,
    /// The distribution's code name.
    pub suite: String,
    /// The root folder of the distribution tree.
    pub tree: PathBuf,
    /// PostgreSQL's major version.
    pub postgres: u32,
    /// How many nodes.
    pub nodes: u8,
    /// The resource agent that manages PostgreSQL.
    pub agent: Agent,
    /// The agent's binary when it is ours.
    pub agent_binary: Option<PathBuf>,
    /// Whether a node joins the cluster by itself when it gets power.
    pub autostart: bool,
    /// Whether fencing leaves a node off instead of switching it on again.
    pub fenced_stay_off: bool,
    /// Where the nodes' disks are.
    #[serde(default)]
    pub disks: Disks,
}

impl State {
    /// The state of a lab; None when there is no such lab.
    pub fn load(layout: &Layout) -> Result<Option<Self>> {
        let path = layout.state_file();
        let text = match fs::read_to_string(&path) {
            Ok(text) => text,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(error).with_context(|| format!("cannot read {}", path.display())),
        };
        serde_json::from_str(&text).with_context(|| format!("cannot understand {}", path.display())).map(Some)
    }

    /// Writes it down.
    pub fn save(&self, layout: &Layout) -> Result<()> {
        let (path, new) = (layout.state_file(), layout.state_file().with_extension("new"));
        fs::write(&new, serde_json::to_vec_pretty(self)?)
            .and_then(|()| fs::rename(&new, &path))
            .with_context(|| format!("cannot write {}", path.display()))
    }
}
