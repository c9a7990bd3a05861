//! The faults of the demonstration, and their visible effects.

use std::time::Duration;

use anyhow::{Context, Result, ensure};

use super::Replication;
use super::proof;
use super::steps::Journals;
use super::story::{Step, Story, seconds};
use crate::client::{Access, NodeAddress, Writer, WriterConfig};
use crate::clock::unix_micros;
use crate::cluster::Role;
use crate::eventually::eventually;
use crate::history::{History, Outage};
use crate::journal::{self, Entry};
use crate::lab::{Lab, RESOURCE};
use crate::node::Node;
use crate::stages;

/// How long the cluster may take for anything. Each step takes a few seconds; a busy machine may need longer.
pub(super) const LIMIT: Duration = Duration::from_secs(60);

/// How long the journals may be late.
const JOURNAL_LIMIT: Duration = Duration::from_secs(10);

/// So many acknowledged commits show that writing works.
const A_FEW: usize = 20;

/// The promotable clone, as pcs wants it called.
const CLONE: &str = "pgsqld-clone";

/// The demonstration while it goes on.
pub(super) struct Show<'a> {
    pub(super) lab: &'a Lab,
    pub(super) story: &'a Story,
    pub(super) access: Access,
    pub(super) writer: Option<Writer>,
    /// The node whose power was cut.
    pub(super) victim: Option<&'a Node>,
    /// Each fault, and how long clients could not write then.
    pub(super) outages: Vec<(String, Duration)>,
    /// When the client's record begins, in microseconds since 1970.
    recorded_since: u64,
}

impl<'a> Show<'a> {
    /// A healthy cluster, and clients that write.
    pub(super) fn begin(lab: &'a Lab, story: &'a Story, replication: Replication) -> Result<Self> {
        crm_mon(lab, story)?;
        if replication == Replication::Synchronous {
            wait_for_standbys(lab, story)?;
        }
        let access = Access::new("app").password("app").database("app");
        let access = access.namespace(format!("/run/netns/{}", lab.client_namespace()));
        let mut config = WriterConfig::new(access.clone(), lab.vip().to_string(), journal_of_writer(lab));
        config.nodes = addresses(lab);
        let clients = config.clients;
        let writer = Writer::start(config).context("no client can write")?;
        let recorded_since = writer.began();
        let show = Self { lab, story, access, writer: Some(writer), victim: None, outages: Vec::new(), recorded_since };
        show.writes_go_on()?;
        story.say(format!(
            "{clients} clients commit all the time through the virtual address {}, and remember every acknowledged commit",
            lab.vip()
        ));
        Ok(show)
    }

    /// The operator moves the primary.
    pub(super) fn switchover(&mut self) -> Result<Duration> {
        let old = self.lab.primary()?;
        let new = self.lab.nodes().iter().find(|node| node.name() != old.name()).context("there is no standby")?;
        let words = move_by_pcs(new)?;
        self.story.chapter(&format!("Switchover: {} is to be the primary instead of {}", new.name(), old.name()));
        let command = words.join(" ");
        self.story.say(format!("{}: {command}", old.name()));
        let began = self.mark("switchover");
        old.exec_within(LIMIT * 2, &words.iter().map(String::as_str).collect::<Vec<_>>())?.ok()?;
        let done = unix_micros();
        if words.iter().any(|word| word == "--master") {
            old.run(&["pcs", "resource", "clear", CLONE])?;
        }
        let primary = self.lab.wait_for_primary(LIMIT, 2)?;
        ensure!(primary.name() == new.name(), "{} is the primary, not {}", primary.name(), new.name());
        self.writes_go_on()?;
        let mut steps = self.steps(began, |journals| journals.switchover(old.name(), new.name()))?;
        steps.push(Step::new(done, "pcs has seen it and has removed its constraint"));
        let outage = self.report("switchover", began, steps, old, new)?;
        self.checkpoint(new)?;
        Ok(outage)
    }

    /// The primary's plug is pulled.
    pub(super) fn power_cut(&mut self) -> Result<Duration> {
        let old = self.lab.primary()?;
        self.victim = Some(old);
        self.story.chapter(&format!("Power cut: the plug of {}, the primary, is pulled", old.name()));
        let began = self.mark("power cut");
        old.power_off()?;
        self.lab.wait_for(LIMIT, &format!("another primary than {}", old.name()), |cluster| {
            cluster.nodes_with(RESOURCE, Role::Promoted).iter().any(|name| *name != old.name())
                && cluster.role(RESOURCE, old.name()) == Role::Stopped
        })?;
        let new = self.lab.wait_for_primary(LIMIT, 1)?;
        self.writes_go_on()?;
        let steps = self.steps(began, |journals| journals.failover(old.name(), new.name()))?;
        let outage = self.report("power cut", began, steps, old, new)?;
        crm_mon(self.lab, self.story)?;
        Ok(outage)
    }

    /// PostgreSQL makes the checkpoint after a promotion at leisure, and pg_rewind before version 16 goes by the timeline
    /// of the last one.
    pub(super) fn checkpoint(&self, node: &Node) -> Result<()> {
        if self.lab.state().postgres >= 16 {
            return Ok(());
        }
        self.story.say(format!("{}: psql -c CHECKPOINT, so that pg_rewind can be relied upon", node.name()));
        node.psql("CHECKPOINT").map(drop)
    }

    /// Waits until clients' commits are acknowledged.
    fn writes_go_on(&self) -> Result<()> {
        let writer = self.writer.as_ref().context("the client has stopped")?;
        let before = writer.acknowledged();
        eventually(LIMIT, "clients to be able to write", || {
            let since = writer.acknowledged() - before;
            ensure!(since >= A_FEW, "{since} commits acknowledged meanwhile; {}", self.lab.cluster()?);
            Ok(())
        })
    }

    /// Something is done to the cluster now.
    pub(super) fn mark(&self, what: &str) -> u64 {
        if let Some(writer) = &self.writer {
            writer.fault_begins(what);
        }
        unix_micros()
    }

    /// Picks steps out of the nodes' journals, once all of them are there.
    pub(super) fn steps(&self, from: u64, pick: impl Fn(&Journals) -> Result<Vec<Step>>) -> Result<Vec<Step>> {
        eventually(JOURNAL_LIMIT, "the journals to have all steps", || {
            pick(&Journals(journal::since(self.lab.nodes(), from)?))
        })
    }

    /// Prints the steps together with the client's view, and returns the outage.
    fn report(&mut self, mark: &str, began: u64, mut steps: Vec<Step>, old: &Node, new: &Node) -> Result<Duration> {
        let history = History::read(&journal_of_writer(self.lab))?;
        let outage = proof::outage(&history, mark).context("no commit was acknowledged afterwards")?;
        ensure!(outage.over, "no commit was acknowledged afterwards");
        for (at, which, expected) in [(outage.from, "last", old), (outage.until, "first", new)] {
            let by = proof::acknowledged_by(&history, at);
            let text = format!("{which} commit acknowledged by {}", by.as_deref().unwrap_or("an unknown node"));
            steps.push(Step::new(self.recorded_since + at.0, text));
            ensure!(
                by.as_deref() == Some(expected.name()),
                "the {which} commit of the outage was not acknowledged by {}, but by {by:?}",
                expected.name()
            );
        }
        steps.sort_by_key(|step| step.at);
        self.story.steps(began, &steps);
        self.story.sum(&said(&outage));
        self.where_the_time_went(&history, began)?;
        self.outages.push((mark.to_owned(), outage.lasted()));
        Ok(outage.lasted())
    }

    /// Prints the last outage stage by stage.
    fn where_the_time_went(&self, history: &History, began: u64) -> Result<()> {
        let entries = journal::everything_since(self.lab, began)?;
        if let Some(stages) = stages::of(history, self.recorded_since, &entries).last() {
            self.story.quote(&stages.to_string());
        }
        Ok(())
    }
}

fn said(outage: &Outage) -> String {
    format!("clients could not write for {}", seconds(outage.lasted()))
}

/// Where the client keeps its record.
fn journal_of_writer(lab: &Lab) -> std::path::PathBuf {
    lab.logs().join("commits.jsonl")
}

/// All nodes, for the client.
pub(super) fn addresses(lab: &Lab) -> Vec<NodeAddress> {
    lab.nodes().iter().map(|node| NodeAddress::new(node.name(), node.address().to_string())).collect()
}

/// Commits wait until a standby has them, on each node; the agent publishes that.
fn wait_for_standbys(lab: &Lab, story: &Story) -> Result<()> {
    let names: Vec<&str> = lab.nodes().iter().map(Node::name).collect();
    let setting = format!("ANY 1 ({})", names.join(", "));
    let primary = lab.primary()?;
    let began = unix_micros();
    for node in lab.nodes() {
        node.psql(&format!("ALTER SYSTEM SET synchronous_standby_names = '{setting}'"))?;
        node.psql("SELECT pg_reload_conf()")?;
    }
    eventually(LIMIT, "the agent to publish what commits wait for", || {
        let said: Vec<Entry> = journal::since([primary], began)?;
        Journals(said).promise(primary.name()).context("it has not yet")
    })?;
    story.say(format!("synchronous_standby_names = '{setting}': what is acknowledged is on two nodes"));
    Ok(())
}

/// The cluster as its operator sees it.
pub(super) fn crm_mon(lab: &Lab, story: &Story) -> Result<()> {
    let node = lab.nodes().iter().find(|node| node.is_on()).context("all nodes are off")?;
    let text = node.run(&["crm_mon", "--one-shot", "--include=none,nodes,resources,failures"])?;
    story.say(format!("{}: crm_mon", node.name()));
    // Pacemaker 2.1 says more than it was asked for.
    let asked = text.lines().filter(|line| !line.starts_with("Status of pacemakerd"));
    story.quote(&asked.collect::<Vec<_>>().join("\n"));
    Ok(())
}

/// The command that a DBA types.
fn move_by_pcs(to: &Node) -> Result<Vec<String>> {
    let version = to.run(&["pcs", "--version"])?;
    let last: &[&str] = if version.starts_with("0.10.") { &["--master", "--wait=60"] } else { &["--promoted"] };
    let words = ["pcs", "resource", "move", CLONE, to.name()];
    Ok(words.iter().chain(last).map(|word| (*word).to_owned()).collect())
}
