//! The lab's network: a bridge in a namespace of its own is the switch; every node and the client have a namespace with
//! one cable to it. The machine's own network is not touched.

use std::fs::{self, File};
use std::net::Ipv4Addr;
use std::path::Path;

use anyhow::{Context, Result};

use crate::command::Command;
use crate::layout::Layout;

/// Something in the network to break.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Cut {
    /// Nothing passes between these two, in either direction.
    Between(String, String),
    /// Nothing passes from or to this one: clients are cut off too.
    Isolate(String),
    /// Only packets from the first to the second are lost.
    OneWay(String, String),
    /// PostgreSQL's port is closed between these two; the cluster's own messages pass.
    Postgres(String, String),
    /// The cable of this one is pulled out, which its own kernel notices; it stays out over a power cycle.
    Link(String),
    /// This percentage of all packets from or to this one is lost.
    Loss(String, u8),
}

impl Cut {
    /// The rules that the switch follows for it.
    fn rules(&self) -> Vec<String> {
        let drop = |from: &str, to: &str, what: &str| format!("iifname \"{from}\" oifname \"{to}\" {what}drop");
        match self {
            Self::Between(a, b) => vec![drop(a, b, ""), drop(b, a, "")],
            Self::OneWay(from, to) => vec![drop(from, to, "")],
            Self::Isolate(node) => vec![format!("iifname \"{node}\" drop"), format!("oifname \"{node}\" drop")],
            Self::Postgres(a, b) => [(a, b), (b, a)]
                .iter()
                .flat_map(|(from, to)| [drop(from, to, "tcp dport 5432 "), drop(from, to, "tcp sport 5432 ")])
                .collect(),
            Self::Loss(node, percent) => ["iifname", "oifname"]
                .iter()
                .map(|side| format!("{side} \"{node}\" numgen random mod 100 < {percent} drop"))
                .collect(),
            Self::Link(_) => Vec::new(),
        }
    }
}

/// The switch and the cables of one lab.
#[derive(Debug, Clone)]
pub struct Network {
    layout: Layout,
}

impl Network {
    /// The network of the lab with this layout.
    pub fn new(layout: &Layout) -> Self {
        Self { layout: layout.clone() }
    }

    /// Creates the switch, and the client with its cable.
    pub fn create(&self) -> Result<()> {
        let switch = self.switch();
        ip(&[], &format!("netns add {switch}\n"))?;
        ip(&["-n", &switch], "link set lo up\nlink add bridge type bridge\nlink set bridge up\n")?;
        self.nft("add table bridge lab\nadd chain bridge lab cuts { type filter hook forward priority 0; }\n")?;
        self.connect("client", self.layout.client_address())
    }

    /// Gives a port of the switch a namespace with an interface, both new: nothing is left of an earlier life.
    pub fn connect(&self, port: &str, address: Ipv4Addr) -> Result<()> {
        let (switch, namespace) = (self.switch(), self.layout.namespace(port));
        if namespace_exists(&namespace) {
            delete_namespace(&namespace)?;
        }
        // A process that kept the old namespace alive may also have kept the old cable.
        let _ = ip(&["-n", &switch], &format!("link del {port}\n"));
        ip(&[], &format!("netns add {namespace}\n"))?;
        ip(
            &["-n", &switch],
            &format!(
                "link add {port} type veth peer name eth0 netns {namespace}\n\
                 link set {port} master bridge\n"
            ),
        )?;
        self.set_link(port, !self.layout.cable_out(port).exists())?;
        ip(&["-n", &namespace], &format!("link set lo up\naddress add {address}/24 brd + dev eth0\nlink set eth0 up\n"))
            .with_context(|| format!("cannot connect {port}"))
    }

    /// Unplugs a port's cable at the switch, or plugs it in.
    pub fn set_link(&self, port: &str, up: bool) -> Result<()> {
        ip(&["-n", &self.switch()], &format!("link set {port} {}\n", if up { "up" } else { "down" }))
    }

    /// Breaks something, in addition to earlier cuts.
    pub fn cut(&self, cut: &Cut) -> Result<()> {
        if let Cut::Link(node) = cut {
            File::create(self.layout.cable_out(node)).context("cannot note that the cable is out")?;
            return self.set_link(node, false);
        }
        self.nft(&cut.rules().iter().map(|rule| format!("add rule bridge lab cuts {rule}\n")).collect::<String>())
    }

    /// Repairs everything. Each port is given with whether it has power.
    pub fn heal<'a>(&self, ports: impl IntoIterator<Item = (&'a str, bool)>) -> Result<()> {
        self.nft("flush chain bridge lab cuts\n")?;
        for (port, on) in ports {
            // The mark of a cut cable, if there is one.
            let _ = fs::remove_file(self.layout.cable_out(port));
            if on {
                self.set_link(port, true)?;
            }
        }
        Ok(())
    }

    fn switch(&self) -> String {
        self.layout.namespace("switch")
    }

    fn nft(&self, script: &str) -> Result<()> {
        let argv = ["ip", "netns", "exec", &self.switch(), "nft", "-f", "-"];
        Command::new(argv).input(script).run().map(drop)
    }
}

/// Removes every namespace of a lab, and the cables with them. Fine when there is none.
pub fn destroy(layout: &Layout) -> Result<()> {
    let listed = Command::new(["ip", "netns", "list"]).run()?;
    let names = listed.lines().filter_map(|line| line.split_whitespace().next());
    names.filter(|name| name.starts_with(&layout.prefix())).try_for_each(delete_namespace)
}

fn namespace_exists(name: &str) -> bool {
    Path::new("/run/netns").join(name).exists()
}

fn delete_namespace(name: &str) -> Result<()> {
    Command::new(["ip", "netns", "del", name]).run().map(drop)
}

fn ip(options: &[&str], batch: &str) -> Result<()> {
    let argv = ["ip"].iter().chain(options).chain(&["-batch", "-"]);
    Command::new(argv).input(batch).run().map(drop)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cut_between_two_works_both_ways() {
        let rules = Cut::Between("srv1".into(), "srv2".into()).rules();
        assert_eq!(rules, [r#"iifname "srv1" oifname "srv2" drop"#, r#"iifname "srv2" oifname "srv1" drop"#]);
    }

    #[test]
    fn cutting_postgres_leaves_corosync_alone() {
        let rules = Cut::Postgres("srv1".into(), "srv2".into()).rules();
        assert_eq!(rules.len(), 4);
        assert!(rules.iter().all(|rule| rule.contains("port 5432 drop")));
    }
}
