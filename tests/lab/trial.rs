//! One scenario from a healthy cluster to a healthy cluster, with clients writing all the time.

use std::cell::RefCell;
use std::collections::BTreeSet;
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use lab::aborts::{changes, counted};
use lab::client::{Access, NodeAddress, Writer, WriterConfig, compare_nodes, read_rows};
use lab::cluster::{Cluster, Failure};
use lab::history::{History, MarkKind, Outcome};
use lab::lab::RESOURCE;
use lab::provision::on_all;
use lab::{Lab, Node, eventually, journal, stages};

use crate::aborts::{self, Logs, PACEMAKER_LOG};
use crate::operator::{
    all_started_at, any_node, failed_actions, pcs, primaries_without_followers, refused_promotions, shows_a_kill,
    symptoms, wait_until_idle,
};
use crate::replication;

/// How long anything may take that the cluster does. It only ends a scenario that would fail anyway, so it is generous.
pub const LIMIT: Duration = Duration::from_secs(150);

/// `pgsqlms rejoin` or `pgsqlms rebuild`: a node that is kept out for good says which of them helps.
pub const BRINGS_BACK: &str = "`pgsqlms re";

/// From this mark to the next, acknowledgements promise nothing.
const NOT_PROMISED: &str = "what is acknowledged from now on may be lost";
const PROMISED_AGAIN: &str = "what is acknowledged from now on is kept";

/// So many acknowledged commits show that writing works.
const A_FEW: usize = 20;

/// A scenario that is going on.
pub struct Trial<'a> {
    /// The cluster.
    pub lab: &'a Lab,
    writer: Writer,
    access: Access,
    /// Where clients write.
    host: String,
    fencings_before: usize,
    pacemaker: Logs,
    /// When the servers were started that people have promoted beside the primary, as their clients see it.
    promoted_by_hand: RefCell<BTreeSet<i64>>,
}

/// How a scenario must end, beside a healthy cluster that holds all data.
#[derive(Debug, Default)]
pub struct Ending<'a> {
    /// The primary, when it must be this one.
    pub primary: Option<&'a Node>,
    /// The nodes that must have been fenced, once for each time.
    pub fenced: &'a [&'a Node],
    /// The postmasters that must still be the same, from [`crate::operator::all_started_at`].
    pub still_running: &'a [String],
    /// The failed actions that Pacemaker must show.
    pub failed_actions: &'a [String],
    /// The node whose postmaster was killed, where Pacemaker must still show that.
    pub killed: Option<&'a Node>,
    /// Whether there was an election: a standby may have had the highest score and then refused, because another one
    /// turned out to hold more. Pacemaker shows that as a failed promotion.
    pub elected: bool,
    /// Whether acknowledged commits may be missing, because none was promised to be kept.
    pub may_lose: bool,
}

/// How a node that crashed as the primary has come back.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Return {
    /// As a standby of the new primary.
    Streaming,
    /// Not at all, for a reason that Pacemaker shows: it holds WAL that the new primary never had.
    KeptOut,
}

impl<'a> Trial<'a> {
    /// Begins once the cluster is healthy and clients can write.
    pub fn begin(lab: &'a Lab) -> Result<Self> {
        make_well(lab).context("the cluster is not well before the scenario")?;
        let access = Access::new("app")
            .password("app")
            .database("app")
            .namespace(format!("/run/netns/{}", lab.client_namespace()));
        let host = clients_connect_to(lab)?;
        let mut config = WriterConfig::new(access.clone(), host.clone(), lab.logs().join("commits.jsonl"));
        config.nodes = addresses(lab);
        let fencings_before = lab.fencings()?.len();
        let writer = Writer::start(config).context("no client can write before the scenario")?;
        let pacemaker = Logs::of(lab, PACEMAKER_LOG);
        let trial =
            Self { lab, writer, access, host, fencings_before, pacemaker, promoted_by_hand: RefCell::default() };
        trial.writes_go_on()?;
        Ok(trial)
    }

    /// The primary that Pacemaker has promoted.
    pub fn primary(&self) -> Result<&'a Node> {
        self.lab.primary()
    }

    /// All other nodes.
    pub fn standbys(&self) -> Result<Vec<&'a Node>> {
        let primary = self.primary()?;
        Ok(self.lab.nodes().iter().filter(|node| node.name() != primary.name()).collect())
    }

    /// Does something to the cluster, and notes when.
    pub fn fault<T>(&self, what: &str, action: impl FnOnce() -> Result<T>) -> Result<T> {
        lab::progress::step(what);
        self.writer.fault_begins(what);
        action().with_context(|| what.to_owned())
    }

    /// A person promotes a standby beside the primary. Acknowledgements of this server are that person's doing: it promises
    /// nothing, and is not held against the agent.
    pub fn promote_by_hand(&self, standby: &Node) -> Result<()> {
        let started = standby.psql("SELECT (extract(epoch FROM pg_postmaster_start_time()) * 1000000)::bigint")?;
        self.promoted_by_hand.borrow_mut().insert(started.parse()?);
        self.fault(&format!("pg_promote() on {}", standby.name()), || {
            ensure!(standby.psql("SELECT pg_promote()")? == "t", "it was not promoted");
            Ok(())
        })
    }

    /// Cuts the power of the primary, be it with that of others, where replication is asynchronous. All is kept that was
    /// acknowledged before `standby` was last seen to hold it.
    pub fn cut_power_once_held(&self, primary: &Node, standby: &Node, cut: impl FnOnce() -> Result<()>) -> Result<()> {
        self.writer.mark(NOT_PROMISED);
        replication::receives_all_of(standby, primary)?;
        self.fault("cut the power of the primary", cut)?;
        self.writer.mark(PROMISED_AGAIN);
        Ok(())
    }

    /// How many commits have been acknowledged so far.
    pub fn acknowledged(&self) -> usize {
        self.writer.acknowledged()
    }

    /// Waits until clients' commits are acknowledged.
    pub fn writes_go_on(&self) -> Result<()> {
        let before = self.writer.acknowledged();
        eventually(LIMIT, "clients to be able to write", || {
            let since = self.writer.acknowledged() - before;
            ensure!(since >= A_FEW, "{since} commits acknowledged meanwhile; {}", self.lab.cluster()?);
            Ok(())
        })
    }

    /// Waits until another node is the primary and clients can write again.
    pub fn another_primary(&self, than: &Node) -> Result<&'a Node> {
        replication::another_primary(self, than)?;
        self.writes_go_on()?;
        self.primary()
    }

    /// Waits until a node that crashed as the primary streams from the new one, or is kept out for a reason that an
    /// operator can see. (Which of the two depends on the last instant: WAL that no standby has received, and whose
    /// commits no client saw acknowledged, is still on its disk.)
    pub fn comes_back(&self, node: &Node) -> Result<Return> {
        eventually(LIMIT, &format!("{} to stream, or to be kept out for a reason shown", node.name()), || {
            let cluster = self.lab.cluster()?;
            if is_kept_out(&cluster, node) {
                return Ok(Return::KeptOut);
            }
            let follows = follows(node, self.lab.primary()?);
            follows.map(|()| Return::Streaming).with_context(|| format!("{cluster}"))
        })
        .with_context(|| symptoms(node))
    }

    /// The nodes fenced since the scenario began.
    pub fn fenced(&self) -> Result<Vec<String>> {
        Ok(self.lab.fencings()?.into_iter().skip(self.fencings_before).map(|fencing| fencing.node).collect())
    }

    /// Waits for a healthy cluster and proves the invariants.
    pub fn end(self, ending: &Ending<'_>) -> Result<()> {
        let primary = wait_until_whole(self.lab)?;
        self.writes_go_on()?;
        wait_until_idle(any_node(self.lab)?)?;
        let mut fenced = self.fenced()?;
        fenced.sort();
        let mut shown = failed_actions(self.lab)?;
        if ending.elected {
            let refused = refused_promotions(self.lab)?;
            shown.retain(|action| !refused.contains(action));
        }
        // A standby may have been away for a minute, or for 10 s, or a little less.
        let alone = primaries_without_followers(self.lab)?;
        shown.retain(|action| ending.failed_actions.contains(action) || !alone.contains(action));
        let began = self.writer.began();
        let mut history = self.writer.stop()?;
        print_where_the_time_went(self.lab, &history, began);
        leave_out_commits_without_a_promise(&mut history, &self.promoted_by_hand.borrow());
        let report = history.check(&read_rows(&self.access, &self.host, LIMIT)?);
        println!("{report}");

        let mut problems = if ending.may_lose { report.problems_but_losses() } else { report.problems() };
        let nodes = compare_nodes(&self.access, &addresses(self.lab), LIMIT)?;
        problems.extend(nodes.differences().iter().map(ToString::to_string));
        if let Some(wanted) = ending.primary.filter(|wanted| wanted.name() != primary.name()) {
            problems.push(format!("{} is the primary in the end, not {}", primary.name(), wanted.name()));
        }
        let mut wanted: Vec<&str> = ending.fenced.iter().map(|node| node.name()).collect();
        wanted.sort_unstable();
        if fenced != wanted {
            problems.push(format!("fenced: {fenced:?}, expected: {wanted:?}"));
        }
        let running = all_started_at(self.lab.nodes())?;
        let restarted: Vec<_> = ending.still_running.iter().filter(|instance| !running.contains(instance)).collect();
        if !restarted.is_empty() {
            problems.push(format!("PostgreSQL was restarted: {restarted:?}, now {running:?}"));
        }
        if let Some(killed) = ending.killed {
            let position = shown.iter().position(|action| shows_a_kill(action, killed));
            shown.remove(position.with_context(|| format!("no failed action shows the kill on {}", killed.name()))?);
        }
        let wanted: BTreeSet<&String> = ending.failed_actions.iter().collect();
        if shown.iter().collect::<BTreeSet<_>>() != wanted {
            problems.push(format!("failed actions: {shown:?}, expected: {wanted:?}; {}", self.lab.cluster()?));
        }
        let changes = changes(&self.pacemaker.news()?);
        println!("the agent has changed in the CIB: {}", counted(&changes));
        if !aborts::private(&changes).is_empty() {
            problems.push(format!("attributes that should be private are not: {:?}", aborts::private(&changes)));
        }
        if !aborts::loud(&changes).is_empty() {
            problems.push(format!("what switches off has changed the CIB: {:?}", aborts::loud(&changes)));
        }
        if !problems.is_empty() {
            bail!("{}", problems.join("; "));
        }
        Ok(())
    }
}

/// Prints every outage stage by stage.
fn print_where_the_time_went(lab: &Lab, history: &History, began: u64) {
    // The journals take a while to be read.
    if stages::of(history, began, &[]).is_empty() {
        return;
    }
    match journal::everything_since(lab, began) {
        Ok(entries) => stages::of(history, began, &entries).iter().for_each(|stages| println!("{stages}")),
        Err(error) => println!("where the time went is not known: {error:#}"),
    }
}

/// Acknowledgements that promise nothing become indeterminate; people's second primaries are forgotten.
fn leave_out_commits_without_a_promise(history: &mut History, promoted_by_hand: &BTreeSet<i64>) {
    let at = |text: &'static str| {
        let notes = history.marks.iter().filter(move |mark| mark.kind == MarkKind::Note && mark.text == text);
        notes.map(|mark| mark.at).collect::<Vec<_>>()
    };
    let times: Vec<_> = at(NOT_PROMISED).into_iter().zip(at(PROMISED_AGAIN)).collect();
    history.beats.retain(|beat| !promoted_by_hand.contains(&beat.instance.started));
    for attempt in history.attempts.iter_mut().filter(|attempt| attempt.outcome == Outcome::Ok) {
        let by_hand = attempt.instance.as_ref().is_some_and(|it| promoted_by_hand.contains(&it.started));
        if by_hand {
            (attempt.instance, attempt.seen) = (None, None);
        }
        if by_hand || times.iter().any(|(from, to)| (*from..=*to).contains(&attempt.ended)) {
            attempt.outcome = Outcome::Info;
        }
    }
}

/// Waits until there is one primary with the virtual address, and all other nodes receive its timeline.
fn wait_until_whole(lab: &Lab) -> Result<&Node> {
    let primary = lab.wait_for_primary(LIMIT, lab.nodes().len() - 1)?;
    for node in lab.nodes().iter().filter(|node| node.name() != primary.name()) {
        eventually(LIMIT, &format!("{} to follow {}", node.name(), primary.name()), || follows(node, primary))?;
    }
    Ok(primary)
}

/// A standby that has left the primary's history connects again and again: it must receive the same timeline.
fn follows(standby: &Node, primary: &Node) -> Result<()> {
    let timeline =
        primary.psql("SELECT ('x' || left(pg_walfile_name(pg_current_wal_insert_lsn()), 8))::bit(32)::int")?;
    let received = standby.psql("SELECT received_tli FROM pg_stat_wal_receiver WHERE status = 'streaming'")?;
    ensure!(
        received == timeline,
        "{} is on timeline {timeline}, {} receives `{received}`",
        primary.name(),
        standby.name()
    );
    Ok(())
}

/// Commits wait for a standby: otherwise a power cut may take acknowledged ones with it.
fn make_synchronous(lab: &Lab) -> Result<()> {
    let names: Vec<_> = lab.nodes().iter().map(Node::name).collect();
    let wanted = format!("ANY 1 ({})", names.join(", "));
    for node in lab.nodes() {
        if node.psql("SHOW synchronous_standby_names")? != wanted {
            node.psql(&format!("ALTER SYSTEM SET synchronous_standby_names = '{wanted}'"))?;
            node.psql("SELECT pg_reload_conf()")?;
        }
    }
    Ok(())
}

/// Every node has power and streams, nothing has failed, nothing is going on, and the client's tables are new.
fn make_well(lab: &Lab) -> Result<()> {
    lab.heal()?;
    on_all(lab.nodes(), Node::power_on)?;
    lab.wait_for(LIMIT, "all nodes to be online", |cluster| {
        cluster.quorate && cluster.online().len() == lab.nodes().len()
    })?;
    let node = any_node(lab)?;
    if !lab.cluster()?.failures.is_empty() {
        pcs(node, &["resource", "cleanup"])?;
    }
    let primary = wait_until_whole(lab)?;
    make_synchronous(lab)?;
    wait_until_idle(node)?;
    lab.wait_for(LIMIT, "no failed action, and a promotion score for every node", |cluster| {
        let promotable = |node: &Node| cluster.score(RESOURCE, node.name()).is_some_and(|score| score > 0);
        cluster.failures.is_empty() && cluster.primary() == Some(primary.name()) && lab.nodes().iter().all(promotable)
    })?;
    primary.psql_in("app", "DROP TABLE IF EXISTS lab_commits, lab_writable, lab_ackable").map(drop)
}

/// The virtual address; without it the addresses of all nodes, of which clients choose that of the primary.
fn clients_connect_to(lab: &Lab) -> Result<String> {
    if lab.cluster()?.has_address() {
        return Ok(lab.vip().to_string());
    }
    Ok(lab.nodes().iter().map(|node| node.address().to_string()).collect::<Vec<_>>().join(","))
}

fn addresses(lab: &Lab) -> Vec<NodeAddress> {
    lab.nodes().iter().map(|node| NodeAddress::new(node.name(), node.address().to_string())).collect()
}

/// Whether Pacemaker shows how an operator brings back a node that has diverged, and the node is not promotable: the reason
/// goes on being shown when it streams again.
pub fn is_kept_out(cluster: &Cluster, node: &Node) -> bool {
    let kept_out = |failure: &&Failure| failure.node == node.name() && failure.reason.contains(BRINGS_BACK);
    let promotable = cluster.score(RESOURCE, node.name()).is_some_and(|score| score >= 0);
    let Some(reason) = cluster.failures.iter().find(kept_out).filter(|_| !promotable) else { return false };
    lab::progress::step(format!("{} is kept out: {}", node.name(), reason.reason));
    true
}
