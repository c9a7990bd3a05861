//! Requirements of the machine, and one sentence when they are not met.

use std::path::PathBuf;

use anyhow::{Result, bail, ensure};

use crate::command::Command;
use crate::env;

/// Programs the lab starts, each with the Debian package that has it.
const PROGRAMS: [(&str, &str); 12] = [
    ("debootstrap", "debootstrap"),
    ("systemd-nspawn", "systemd-container"),
    ("ip", "iproute2"),
    ("nft", "nftables"),
    ("nsenter", "util-linux"),
    ("setsid", "util-linux"),
    ("mount", "mount"),
    ("umount", "mount"),
    ("losetup", "mount"),
    ("mkfs.ext4", "e2fsprogs"),
    ("cp", "coreutils"),
    ("chroot", "coreutils"),
];

/// The Debian packages the lab needs on the machine.
pub fn packages() -> Vec<&'static str> {
    let mut packages: Vec<_> = PROGRAMS.iter().map(|(_, package)| *package).collect();
    packages.dedup();
    packages
}

/// Fails with one sentence when no lab can be made here.
pub fn check() -> Result<()> {
    ensure!(nix::unistd::geteuid().is_root(), "the lab needs root: it makes namespaces, mounts and control groups");
    let missing = missing_packages();
    if !missing.is_empty() {
        bail!("the lab needs packages that are missing here; install them by: apt-get install {}", missing.join(" "));
    }
    crate::cgroup::check()
}

/// Installs the packages that are missing.
pub fn install() -> Result<()> {
    let missing = missing_packages();
    if missing.is_empty() {
        return Ok(());
    }
    let mut argv = vec!["apt-get", "install", "--yes", "--no-install-recommends"];
    argv.extend(&missing);
    let code = Command::new(argv).env("DEBIAN_FRONTEND", "noninteractive").interactive()?;
    ensure!(code == 0, "apt-get could not install {}; try `apt-get update` first", missing.join(" "));
    Ok(())
}

fn missing_packages() -> Vec<&'static str> {
    let mut missing: Vec<_> =
        PROGRAMS.iter().filter(|(program, _)| find_program(program).is_none()).map(|(_, package)| *package).collect();
    missing.dedup();
    missing
}

fn find_program(name: &str) -> Option<PathBuf> {
    env::program_dirs().into_iter().map(|dir| dir.join(name)).find(|path| path.is_file())
}

/// The Debian mirror that this machine's own apt uses; None leaves the choice to debootstrap.
pub fn debian_mirror() -> Option<String> {
    let wanted = ["apt-get", "indextargets", "--format", "$(REPO_URI)"];
    let filter = ["Created-By: Packages", "Origin: Debian", "Label: Debian"];
    let listed = Command::new(wanted.iter().chain(&filter)).run().ok()?;
    listed.lines().next().map(str::to_owned)
}
