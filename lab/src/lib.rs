//! Three real cluster nodes on one machine.
//!
//! Each node is a container with a systemd, Corosync, Pacemaker and PostgreSQL of its own, on a switch of its own; this
//! process plays the hypervisor. `Lab::builder().up()` gives a running cluster that disappears when it is dropped.
//!
//! | module | task |
//! |---|---|
//! | [`lab`] | [`Lab`], its builder, bringing it up and down |
//! | [`node`] | one node: run something in it, power, freezer |
//! | [`disk`] | where the nodes' disks are |
//! | [`cluster`] | Pacemaker's view of the cluster, from `crm_mon` |
//! | [`mod@eventually`] | the only ways to wait |
//! | [`hypervisor`] | switches nodes off and on for the fence agent, and remembers it |
//! | [`network`] | the switch, and how to cut it |
//! | [`provision`] | runs the scripts that virtual machines run too |
//! | [`tree`] | the distribution tree that all nodes share, built once |
//! | [`client`] | writes through the virtual IP and records every acknowledged commit |
//! | [`history`] | the findings from that record |
//! | [`pcsd`] | the daemon of pcs, where it is needed |
//! | [`aborts`] | which of the agent's changes have stopped a transition |
//! | [`journal`], [`stages`] | the nodes' logs, and where the time of an outage went |
//! | [`mod@demo`] | shows people a switchover and a failover |
//! | [`host`] | requirements of the machine |
//! | [`layout`] | the names and places of everything, all derived from the lab's name |
//! | [`interrupt`], [`teardown`] | how everything disappears again |
//! | [`cgroup`], [`command`], [`clock`], [`mod@env`], [`progress`] | the rest |

pub mod aborts;
pub mod builder;
pub mod cgroup;
pub mod cli;
pub mod client;
pub mod clock;
pub mod cluster;
pub mod command;
pub mod demo;
pub mod disk;
pub mod env;
pub mod eventually;
pub mod history;
pub mod host;
pub mod hypervisor;
pub mod interrupt;
pub mod journal;
pub mod lab;
pub mod layout;
pub mod logs;
pub mod network;
pub mod node;
pub mod pcsd;
pub mod progress;
pub mod provision;
pub mod stages;
pub mod state;
pub mod teardown;
pub mod tree;

pub use builder::{Builder, Configurator};
pub use cluster::Cluster;
pub use command::Output;
pub use eventually::{eventually, throughout};
pub use lab::{Agent, Lab};
pub use network::Cut;
pub use node::Node;
