//! The command `lab`.

use std::fmt::Write as _;
use std::io::{self, Write as _};
use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::{Context, Result};
use clap::{Args, Parser, Subcommand};

use crate::builder::Configurator;
use crate::demo::{self, Afterwards, Replication};
use crate::lab::{Agent, Lab, down};
use crate::layout::Layout;
use crate::network::Cut;
use crate::{host, hypervisor, logs};

/// Three real cluster nodes on one machine, to try and to break PostgreSQL high availability.
#[derive(Debug, Parser)]
#[command(name = "lab", version)]
struct Cli {
    #[command(subcommand)]
    command: Order,
    /// Which lab; labs of different names can be up at the same time.
    #[arg(long, global = true, default_value = "lab")]
    name: String,
}

#[derive(Debug, Subcommand)]
enum Order {
    /// Install the Debian packages that the lab needs on this machine.
    Install,
    /// Bring a lab up and leave it running.
    Up(Up),
    /// Watch a cluster of three nodes switch over, lose its primary, and lose nothing else.
    Demo(Demo),
    /// Remove a lab and everything it has on this machine.
    Down {
        /// Keep the logs of its nodes.
        #[arg(long)]
        keep_logs: bool,
    },
    /// Show the cluster, the nodes and the fencings.
    Status,
    /// Run something in a node.
    Exec {
        /// Which node.
        node: String,
        /// The program to run, and its arguments.
        #[arg(required = true, trailing_var_arg = true, allow_hyphen_values = true)]
        argv: Vec<String>,
    },
    /// Open a shell in a node.
    Shell {
        /// Which node.
        node: String,
    },
    /// Cut the power of a node.
    PowerOff {
        /// Which node.
        node: String,
    },
    /// Give a node power.
    PowerOn {
        /// Which node.
        node: String,
    },
    /// Stop everything in a node without ending anything.
    Freeze {
        /// Which node.
        node: String,
    },
    /// Let a frozen node go on.
    Thaw {
        /// Which node.
        node: String,
    },
    /// Cut the network between two nodes, or between one node and everything.
    Cut(CutArgs),
    /// Repair the network.
    Heal,
    /// Collect the logs of all nodes and say where they are.
    Logs,
    /// Switch nodes off and on for the fence agent; `up` starts this.
    #[command(hide = true)]
    Hypervisor,
}

#[derive(Debug, Args)]
struct Up {
    /// The Debian release of the nodes.
    #[arg(long, default_value = "trixie")]
    suite: String,
    /// How many nodes.
    #[arg(long, default_value_t = 3, value_parser = clap::value_parser!(u8).range(2..=7))]
    nodes: u8,
    /// The resource agent that manages PostgreSQL.
    #[arg(long, value_enum, default_value = "pgsqlms")]
    agent: Agent,
    /// The agent's binary; by default the newest that cargo has built.
    #[arg(long)]
    agent_binary: Option<PathBuf>,
    /// Do not start the cluster when a node boots.
    #[arg(long)]
    no_autostart: bool,
    /// Leave fenced nodes off.
    #[arg(long)]
    fenced_stay_off: bool,
    /// The script that configures the cluster.
    #[arg(long, value_enum, default_value = "pcs")]
    configured_by: Configurator,
    /// Leave the lab running when it does not come up well, to look at it.
    #[arg(long)]
    leave_failed: bool,
}

#[derive(Debug, Args)]
struct Demo {
    /// The Debian release of the nodes.
    #[arg(long, default_value = "trixie")]
    suite: String,
    /// The agent's binary; by default the newest that cargo has built.
    #[arg(long)]
    agent_binary: Option<PathBuf>,
    /// Commits do not wait for a standby: nothing is promised about the last ones before a power cut.
    #[arg(long)]
    asynchronous: bool,
    /// Leave the cluster running, to look at it.
    #[arg(long)]
    keep: bool,
}

#[derive(Debug, Args)]
struct CutArgs {
    /// Which node.
    node: String,
    /// The other one; without it, the node is cut off from everything.
    other: Option<String>,
    /// Only close PostgreSQL's port between the two.
    #[arg(long, requires = "other", conflicts_with_all = ["one_way", "link", "loss"])]
    postgres: bool,
    /// Only lose packets from the first to the other.
    #[arg(long, requires = "other", conflicts_with_all = ["link", "loss"])]
    one_way: bool,
    /// Unplug the node's cable, which its kernel notices.
    #[arg(long, conflicts_with_all = ["other", "loss"])]
    link: bool,
    /// Lose this percentage of the node's packets.
    #[arg(long, conflicts_with = "other", value_parser = clap::value_parser!(u8).range(1..=100))]
    loss: Option<u8>,
}

impl CutArgs {
    fn into_cut(self) -> Cut {
        match (self.other, self.loss) {
            (Some(other), _) if self.postgres => Cut::Postgres(self.node, other),
            (Some(other), _) if self.one_way => Cut::OneWay(self.node, other),
            (Some(other), _) => Cut::Between(self.node, other),
            (None, Some(percent)) => Cut::Loss(self.node, percent),
            (None, None) if self.link => Cut::Link(self.node),
            (None, None) => Cut::Isolate(self.node),
        }
    }
}

/// From the command line to an exit code.
pub fn main() -> ExitCode {
    let cli = Cli::parse();
    match run(cli) {
        Ok(code) => code,
        Err(error) => {
            eprintln!("lab: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run(cli: Cli) -> Result<ExitCode> {
    let name = cli.name.as_str();
    let open = || Lab::open(name);
    match cli.command {
        Order::Install => host::install()?,
        Order::Up(options) => up(name, options)?,
        Order::Demo(options) => demonstrate(name, options)?,
        Order::Down { keep_logs } => down(name, keep_logs)?,
        Order::Status => print(&status(&open()?)?)?,
        Order::Exec { node, argv } => {
            let argv: Vec<&str> = argv.iter().map(String::as_str).collect();
            return interactive(&open()?, &node, &argv);
        }
        Order::Shell { node } => return interactive(&open()?, &node, &["bash", "-l"]),
        Order::PowerOff { node } => open()?.find_node(&node)?.power_off()?,
        Order::PowerOn { node } => open()?.find_node(&node)?.power_on()?,
        Order::Freeze { node } => open()?.find_node(&node)?.freeze()?,
        Order::Thaw { node } => open()?.find_node(&node)?.thaw()?,
        Order::Cut(cut) => {
            let lab = open()?;
            for node in [Some(&cut.node), cut.other.as_ref()].into_iter().flatten() {
                lab.find_node(node)?;
            }
            lab.cut(&cut.into_cut())?;
        }
        Order::Heal => open()?.heal()?,
        Order::Logs => print(&format!("{}\n", logs::collect(&open()?)?.display()))?,
        Order::Hypervisor => hypervisor::run(&Layout::new(name)?)?,
    }
    Ok(ExitCode::SUCCESS)
}

fn up(name: &str, options: Up) -> Result<()> {
    let mut builder = Lab::builder()
        .name(name)
        .suite(options.suite)
        .nodes(options.nodes)
        .agent(options.agent)
        .autostart(!options.no_autostart)
        .fenced_stay_off(options.fenced_stay_off)
        .configured_by(options.configured_by)
        .leave_failed(options.leave_failed);
    if let Some(path) = options.agent_binary {
        builder = builder.agent_binary(path);
    }
    builder.up_and_leave(&std::env::current_exe().context("cannot find this program")?)
}

fn demonstrate(name: &str, options: Demo) -> Result<()> {
    let mut builder = Lab::builder().name(name).suite(options.suite);
    if let Some(path) = options.agent_binary {
        builder = builder.agent_binary(path);
    }
    let replication = if options.asynchronous { Replication::Asynchronous } else { Replication::Synchronous };
    let afterwards = if options.keep { Afterwards::Keep } else { Afterwards::Remove };
    demo::run(name, builder, replication, afterwards)
}

fn interactive(lab: &Lab, node: &str, argv: &[&str]) -> Result<ExitCode> {
    let code = lab.find_node(node)?.interactive(argv)?;
    Ok(ExitCode::from(u8::try_from(code).unwrap_or(1)))
}

/// Prints for people, who may have seen enough before the end.
fn print(text: &str) -> Result<()> {
    match io::stdout().write_all(text.as_bytes()) {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => Err(error).context("cannot print"),
        _ => Ok(()),
    }
}

fn status(lab: &Lab) -> Result<String> {
    let mut text = String::new();
    for node in lab.nodes() {
        let power = match (node.is_on(), node.is_unplugged()) {
            (true, _) if node.is_frozen() => "frozen",
            (true, _) => "on",
            (false, true) => "off, its plug is pulled",
            (false, false) => "off",
        };
        writeln!(text, "{} {} {power}", node.name(), node.address())?;
    }
    writeln!(text, "virtual address {}, logs in {}", lab.vip(), lab.logs().display())?;
    for fencing in lab.fencings()? {
        let before = if fencing.was_on { "" } else { ", which was off already" };
        writeln!(text, "fencing at {} ms: {} of {}{before}", fencing.at, fencing.action, fencing.node)?;
    }
    if !hypervisor::answers(lab.layout()) {
        writeln!(text, "the hypervisor does not answer: nothing can be fenced; use `lab down` and `lab up`")?;
    }
    let on = lab.nodes().iter().filter(|node| node.is_on() && !node.is_frozen());
    let answers: Vec<_> = on.map(|node| node.run(&["crm_mon", "--one-shot", "--show-node-attributes"])).collect();
    match answers.iter().find(|answer| answer.is_ok()).or(answers.first()) {
        Some(Ok(answer)) => text.push_str(answer),
        Some(Err(error)) => writeln!(text, "no node can report the cluster's state: {error:#}")?,
        None => writeln!(text, "all nodes are off or frozen")?,
    }
    Ok(text)
}
