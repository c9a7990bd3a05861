//! The logs of all nodes in one place.
//!
//! A node's /var/log is a folder outside of it, so everything written there is in one place at once and survives a power
//! cut. The journal is binary; [`collect`] adds it as text.

use std::fs;
use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context, Result};

use crate::command::Command;
use crate::lab::Lab;
use crate::progress;

/// Adds files that are not there as text yet: every node's journal, the cluster as it is, the fencings. Gives the folder.
pub fn collect(lab: &Lab) -> Result<PathBuf> {
    let folder = lab.logs();
    for node in lab.nodes() {
        let journal = folder.join(node.name()).join("journal");
        let Ok(root) = fs::canonicalize(lab.layout().root(node.name())) else { continue };
        // The node's own journalctl understands its format, and needs no running node.
        let link = format!("--directory={}", journal.display());
        let bind = [
            "unshare",
            "--mount",
            "sh",
            "-c",
            "mount --rbind \"$1\" \"$2/mnt\" && exec chroot \"$2\" journalctl --directory=/mnt --no-pager --output=short-precise",
            "journal",
        ];
        let argv: Vec<String> = bind
            .iter()
            .map(|word| (*word).to_owned())
            .chain([journal.display().to_string(), root.display().to_string()])
            .collect();
        let text = Command::new(argv).limit(Duration::from_secs(60)).output().map(|output| output.stdout);
        let text = text.unwrap_or_else(|error| format!("{link}: {error:#}\n"));
        let path = folder.join(node.name()).join("journal.txt");
        fs::write(&path, text).with_context(|| format!("cannot write {}", path.display()))?;
    }
    if let Ok(fencings) = fs::read(lab.layout().fencing_log()) {
        fs::write(folder.join("fencings.jsonl"), fencings).context("cannot write the fencings")?;
    }
    if let Ok(cluster) = lab.cluster() {
        fs::write(folder.join("cluster.txt"), format!("{cluster:#?}\n")).context("cannot write the cluster's state")?;
    }
    Ok(folder)
}

/// Collects the logs after a failure and says where they are.
pub fn keep(lab: &Lab) {
    match collect(lab) {
        Ok(folder) => progress::step(format!("the logs of all nodes are in {}", folder.display())),
        Err(error) => progress::step(format!("the logs could not be collected: {error:#}")),
    }
}
