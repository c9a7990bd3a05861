//! Ten seconds at night: for each state the first three lines of `pgsqlms status` name it and a command; the command is taken from what
//! was printed and run, and it cures.

use anyhow::{Context, Result, ensure};
use lab::lab::RESOURCE;
use lab::provision::on_all;
use lab::{Lab, Node, eventually, pcsd};

use crate::cures::{State, all_is_well, cured, install, status};
use crate::faults::{freeze_postmaster, mend_configuration, spoil_configuration};
use crate::operator::{CLONE, kill_postmaster, pcs, reason_shown, restart_by_hand, wait_until_idle};
use crate::people::is_named;
use crate::replication::forget_failures;
use crate::trial::{Ending, LIMIT, Trial};

/// What is raised on the primary only.
const SETTING: &str = "max_connections";

fn warns(words: &str) -> State<'_> {
    State { words, code: 1 }
}

fn fails(words: &str) -> State<'_> {
    State { words, code: 2 }
}

/// What is wrong with one standby.
pub fn a_standby(lab: &Lab) -> Result<()> {
    let trial = Trial::begin(lab)?;
    install(lab)?;
    let (primary, standbys) = (trial.primary()?, trial.standbys()?);
    let (node, other) = (standbys[0], standbys[1]);
    let name = node.name();
    lab.nodes().iter().try_for_each(|node| all_is_well(lab, node))?;

    trial.fault("let a standby reject replication connections", || rejects(node, other))?;
    eventually(LIMIT, "the cause to be said", || {
        let said = status(other)?.text();
        ensure!(said.contains(&format!("not seen {name} (pg_hba.conf of {name} rejects replication from ")), "{said}");
        Ok(())
    })?;
    accepts(node)?;

    trial.fault("pause replay", || node.psql("SELECT pg_wal_replay_pause()"))?;
    cured(&trial, other, &warns("an operator has paused replay"))?;

    // Where Pacemaker manages it, it has recovered it within seconds.
    trial.fault("unmanage the resource, and freeze a standby", || {
        pcs(primary, &["resource", "unmanage", CLONE])?;
        freeze_postmaster(node)
    })?;
    let said = status(other)?;
    lab::progress::step(format!("seen from {} in {:.2} s", other.name(), said.took.as_secs_f64()));
    cured(&trial, node, &warns("is frozen by a signal"))?;
    forget_failures(lab)?;

    trial.fault("node standby", || pcs(primary, &["node", "standby", name, "--wait=120"]))?;
    cured(&trial, other, &warns(&format!("{name} is in standby")))?;

    trial.fault("one failure is too many", || {
        meta(primary, "migration-threshold", "1")?;
        kill_postmaster(node)
    })?;
    cured(&trial, other, &warns(&format!("{name}: PostgreSQL is stopped: it has failed too often")))?;
    meta(primary, "migration-threshold", "")?;

    trial.fault("a start fails", || {
        pcs(primary, &["node", "standby", name, "--wait=120"])?;
        spoil_configuration(node)?;
        pcs(primary, &["node", "unstandby", name])?;
        reason_shown(lab, "start_0", node)?;
        mend_configuration(node)
    })?;
    cured(&trial, other, &warns(&format!("{name}: PostgreSQL is stopped")))?;
    trial.end(&Ending { primary: Some(primary), ..Ending::default() })
}

/// What is wrong with all of it.
pub fn the_cluster(lab: &Lab) -> Result<()> {
    let trial = Trial::begin(lab)?;
    install(lab)?;
    let (primary, standbys) = (trial.primary()?, trial.standbys()?);
    trial.fault("maintenance mode, and a setting is raised on the primary only", || {
        pcs(primary, &["property", "set", "maintenance-mode=true"])?;
        wait_until_idle(primary)?;
        let raised = primary.psql(&format!("SHOW {SETTING}"))?.parse::<u32>()? + 20;
        primary.psql(&format!("ALTER SYSTEM SET {SETTING} = {raised}"))?;
        restart_by_hand(primary)
    })?;
    let said = eventually(LIMIT, "maintenance mode to be named", || {
        let said = status(primary)?;
        ensure!(
            said.lines.iter().take(3).any(|line| line.contains("pcs property set maintenance-mode=false")),
            "{}",
            said.text()
        );
        ensure!(said.code == 1, "{}", said.text());
        Ok(said.text())
    })?;
    ensure!(said.contains("maintenance mode is on"), "{said}");
    primary.run(&["sh", "-c", "pcs property set maintenance-mode=false"])?;
    wait_until_idle(primary)?;
    // Both standbys wait, so that curing one leaves the other.
    cured(&trial, standbys[0], &warns("replay is paused by max_connections"))?;

    trial.fault("no synchronous standby is left", || {
        standbys.iter().try_for_each(|node| pcs(primary, &["node", "standby", node.name(), "--wait=120"]).map(drop))
    })?;
    cured(&trial, standbys[0], &fails("commits hang"))?;
    trial.writes_go_on()?;

    trial.fault("switch the resource off", || pcs(primary, &["resource", "disable", CLONE, "--wait=120"]))?;
    cured(&trial, standbys[1], &fails("no primary"))?;
    trial.writes_go_on()?;

    let old = trial.primary()?;
    let standbys = trial.standbys()?;
    trial.fault("no standby may be promoted, and the primary's node is put on standby", || {
        for node in &standbys {
            pcs(old, &["node", "attribute", node.name(), "pgsqlms-nofailover=true"])?;
        }
        pcs(old, &["node", "standby", old.name()])
    })?;
    cured(&trial, standbys[0], &fails("no primary"))?;
    for node in &standbys {
        pcs(old, &["node", "attribute", node.name(), "pgsqlms-nofailover="])?;
    }
    forget_failures(lab)?;
    trial.end(&Ending { elected: true, ..Ending::default() })
}

/// A standby was promoted by hand.
pub fn a_standby_that_has_diverged(lab: &Lab) -> Result<()> {
    let trial = Trial::begin(lab)?;
    install(lab)?;
    let (primary, standbys) = (trial.primary()?, trial.standbys()?);
    trial.promote_by_hand(standbys[0])?;
    is_named(lab, standbys[0])?;
    cured(&trial, standbys[1], &warns(&format!("{} has diverged", standbys[0].name())))?;
    forget_failures(lab)?;
    trial.end(&Ending { primary: Some(primary), elected: true, ..Ending::default() })
}

/// Two of three nodes leave the cluster.
pub fn a_quorum(lab: &Lab) -> Result<()> {
    let trial = Trial::begin(lab)?;
    install(lab)?;
    // pcs starts the cluster on other nodes.
    pcsd::start(lab.nodes())?;
    let (primary, standbys) = (trial.primary()?, trial.standbys()?);
    let leaving: Vec<Node> = standbys.iter().map(|node| (*node).clone()).collect();
    trial.fault("two of three nodes leave the cluster", || {
        on_all(&leaving, |node| node.run(&["systemctl", "stop", "pacemaker", "corosync"]).map(drop))
    })?;
    cured(&trial, primary, &fails("no quorum"))?;
    trial.writes_go_on()?;
    pcsd::end(lab.nodes())?;
    forget_failures(lab)?;
    trial.end(&Ending { elected: true, ..Ending::default() })
}

/// The rule of pg_hba.conf that is removed again.
const RULE: &str = "host replication all all reject";

/// No other node is let in for replication but those that are in already; `seen_by` notices.
fn rejects(node: &Node, seen_by: &Node) -> Result<()> {
    let hba = format!("{}/pg_hba.conf", node.pgdata());
    node.run(&["sed", "-i", &format!("1i {RULE}"), &hba])?;
    node.psql("SELECT pg_reload_conf()")?;
    status(seen_by).context("with a node that rejects").map(drop)
}

fn accepts(node: &Node) -> Result<()> {
    let hba = format!("{}/pg_hba.conf", node.pgdata());
    node.run(&["sed", "-i", &format!("/^{RULE}$/d"), &hba])?;
    node.psql("SELECT pg_reload_conf()").map(drop)
}

/// Sets a meta attribute of the resource.
fn meta(node: &Node, name: &str, value: &str) -> Result<()> {
    let change: &[&str] = if value.is_empty() {
        &["--delete-parameter", name]
    } else {
        &["--set-parameter", name, "--parameter-value", value]
    };
    node.run(&[&["crm_resource", "--resource", RESOURCE, "--meta"], change].concat()).map(drop)
}
