//! The names and places of everything a lab has on the machine. All are derived from the lab's name, so that a lab can
//! be found and removed by its name alone, also after a crash of the process that made it.

use std::net::Ipv4Addr;
use std::path::{Path, PathBuf};

use anyhow::{Result, ensure};

/// Where nodes see the hypervisor's socket.
pub const HYPERVISOR_IN_NODE: &str = "/srv/hypervisor";

const RUN: &str = "/run/pgsqlms-lab";
const LOG: &str = "/var/log/pgsqlms-lab";

/// Names and places of one lab.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Layout {
    name: String,
}

impl Layout {
    /// The layout of the lab of this name.
    pub fn new(name: &str) -> Result<Self> {
        let fits = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
        ensure!(
            (1..=24).contains(&name.len()) && name.chars().all(fits) && !name.starts_with('-'),
            "`{name}` cannot be the name of a lab: use up to 24 of a-z, 0-9 and -"
        );
        Ok(Self { name: name.to_owned() })
    }

    /// The lab's name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The name of the node with this number, from 1 on.
    pub fn node_name(number: u8) -> String {
        format!("srv{number}")
    }

    /// All network namespaces, control groups and machine names of this lab start like this. Names of labs have no dot,
    /// so no lab's prefix fits another's.
    pub fn prefix(&self) -> String {
        format!("pgsqlms.{}.", self.name)
    }

    /// Network namespace of a node, of the `switch` or of the `client`.
    pub fn namespace(&self, of: &str) -> String {
        format!("{}{of}", self.prefix())
    }

    /// Name of the control group that holds those of all nodes.
    pub fn cgroup(&self) -> String {
        format!("pgsqlms.{}", self.name)
    }

    /// The lab's subnet, out of 10.123.0.0/16. Two labs may share one: they never meet.
    pub fn subnet(&self) -> String {
        format!("{}/24", self.address(0))
    }

    /// Address of the node with this number.
    pub fn node_address(&self, number: u8) -> Ipv4Addr {
        self.address(10 + number)
    }

    /// The virtual address of the primary.
    pub fn vip(&self) -> Ipv4Addr {
        self.address(100)
    }

    /// Address of the clients outside of the nodes.
    pub fn client_address(&self) -> Ipv4Addr {
        self.address(200)
    }

    fn address(&self, host: u8) -> Ipv4Addr {
        let lab = (fnv1a(self.name.as_bytes()) % 256) as u8;
        Ipv4Addr::new(10, 123, lab, host)
    }

    /// Everything that disappears with the lab.
    pub fn run_dir(&self) -> PathBuf {
        Path::new(RUN).join(&self.name)
    }

    /// Held by the process that brings the lab up or owns it.
    pub fn lock(&self) -> PathBuf {
        Path::new(RUN).join(format!("{}.lock", self.name))
    }

    /// The file with the lab's parts, as JSON.
    pub fn state_file(&self) -> PathBuf {
        self.run_dir().join("state.json")
    }

    /// The folder with the hypervisor's socket; nodes see it as [`HYPERVISOR_IN_NODE`].
    pub fn hypervisor_dir(&self) -> PathBuf {
        self.run_dir().join("hypervisor")
    }

    /// The hypervisor's socket.
    pub fn hypervisor_socket(&self) -> PathBuf {
        self.hypervisor_dir().join("socket")
    }

    /// One JSON line per fencing.
    pub fn fencing_log(&self) -> PathBuf {
        self.run_dir().join("fencings.jsonl")
    }

    /// A node's disk: a file system of its own with the upper layer of its overlay.
    pub fn disk(&self, node: &str) -> PathBuf {
        self.run_dir().join("disks").join(node)
    }

    /// A node's root file system as seen from outside.
    pub fn root(&self, node: &str) -> PathBuf {
        self.run_dir().join("roots").join(node)
    }

    /// Exists while the operator has pulled the node's plug, so that fencing cannot switch it on again.
    pub fn unplugged(&self, node: &str) -> PathBuf {
        self.run_dir().join(format!("{node}.unplugged"))
    }

    /// Exists while the cable of a port is out, whether its node is on or off.
    pub fn cable_out(&self, port: &str) -> PathBuf {
        self.run_dir().join(format!("{port}.cable-out"))
    }

    /// The logs of all nodes.
    pub fn log_dir(&self) -> PathBuf {
        Path::new(LOG).join(&self.name)
    }

    /// A node's /var/log.
    pub fn node_log_dir(&self, node: &str) -> PathBuf {
        self.log_dir().join(node)
    }

    /// The names of all labs that are up, coming up or left behind.
    pub fn names() -> Vec<String> {
        let entries = std::fs::read_dir(RUN).into_iter().flatten().flatten();
        let mut names: Vec<String> = entries
            .filter(|entry| entry.path().is_dir())
            .filter_map(|entry| entry.file_name().into_string().ok())
            .collect();
        names.sort();
        names
    }
}

/// A small hash that is the same in every version of this program.
pub fn fnv1a(bytes: &[u8]) -> u64 {
    bytes.iter().fold(0xcbf2_9ce4_8422_2325, |hash, byte| (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_follow_from_the_lab() {
        let lab = Layout::new("demo").unwrap();
        assert_eq!(lab.namespace("srv1"), "pgsqlms.demo.srv1");
        assert_eq!(lab.run_dir(), Path::new("/run/pgsqlms-lab/demo"));
        assert_ne!(lab.subnet(), Layout::new("other").unwrap().subnet());
        assert_eq!(lab.node_address(1).octets()[3], 11);
    }

    #[test]
    fn no_prefix_fits_another_lab() {
        let (short, long) = (Layout::new("a").unwrap(), Layout::new("a-srv1").unwrap());
        assert!(!long.namespace("srv1").starts_with(&short.prefix()));
    }

    #[test]
    fn refuses_names_that_would_be_trouble() {
        for name in ["", "../x", "a.b", "A", "-x", &"x".repeat(25)] {
            assert!(Layout::new(name).is_err(), "{name}");
        }
    }
}
