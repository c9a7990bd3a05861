//! Five nodes, and commits wait for one standby only. It dies together with the primary: three nodes have quorum and do not
//! know which commits were acknowledged, so no node is promoted, and Pacemaker shows why. The standby returns, and now a node
//! is promoted that holds as much. The next time an operator accepts the loss.

use anyhow::{Result, ensure};
use lab::provision::on_all;
use lab::{Lab, Node, eventually};

use crate::operator::{AGENT, any_node, report_divergence};
use crate::replication::{another_primary, bring_back, commits_wait_for, no_node_is_promoted, property};
use crate::stage::Stage;
use crate::trial::{Ending, LIMIT, Trial};

const OVERRIDE: [&str; 4] = [AGENT, "promote-anyway", "--resource", "pgsqld"];

pub fn play(stage: &mut Stage) -> Result<()> {
    let builder = stage.builder().nodes(5);
    let lab = stage.bring_up(builder)?;
    report_divergence(lab)?;
    the_standby_returns(lab)?;
    an_operator_decides(lab)
}

fn the_standby_returns(lab: &Lab) -> Result<()> {
    let trial = Trial::begin(lab)?;
    let (old, synchronous) = (trial.primary()?, trial.standbys()?[0]);
    commits_wait_for(lab, &format!("FIRST 1 ({})", synchronous.name()))?;
    trial.writes_go_on()?;
    trial.fault("cut the power of the primary and its only synchronous standby", || both_off(old, synchronous))?;
    no_node_is_promoted(lab, &["commits", synchronous.name()])?;
    trial.fault("the synchronous standby gets power again", || synchronous.power_on())?;
    let new = another_primary(&trial, old)?;
    // Others may have received more than the synchronous one in the last instant. The end checks the acknowledged commits.
    bring_back(&trial, old, new)?;
    // Until now they wait for the new primary itself; and until the old one is back, it might lack their commits.
    commits_wait_for(lab, "")?;
    trial.end(&Ending { primary: Some(new), fenced: &[old, synchronous], ..Ending::default() })
}

fn an_operator_decides(lab: &Lab) -> Result<()> {
    let old = lab.primary()?;
    let mut standbys = lab.nodes().iter().filter(|node| node.name() != old.name());
    let (Some(synchronous), Some(chosen)) = (standbys.next(), standbys.next()) else { unreachable!("five nodes") };
    commits_wait_for(lab, &format!("FIRST 1 ({})", synchronous.name()))?;
    old.psql_in("app", "CREATE TABLE before_the_fault AS SELECT 1")?;
    eventually(LIMIT, "all to hold a table", || {
        lab.nodes().iter().try_for_each(|node| node.psql_in("app", "TABLE before_the_fault").map(drop))
    })?;
    both_off(old, synchronous)?;
    no_node_is_promoted(lab, &["commits", synchronous.name()])?;

    let order: Vec<&str> = OVERRIDE.iter().copied().chain(["--node", chosen.name()]).collect();
    let output = any_node(lab)?.run(&order)?;
    ensure!(output.contains(synchronous.name()) && output.contains("--yes"), "the override printed: {output}");
    no_node_is_promoted(lab, &["commits", synchronous.name()])?;
    let output = any_node(lab)?.run(&[&order[..], &["--yes"]].concat())?;
    lab::progress::step(output.trim());
    ensure!(output.contains(synchronous.name()), "the loss is not reported: {output}");
    let new = lab.wait_for_primary(LIMIT, 2)?;
    ensure!(new.name() == chosen.name(), "{} was promoted instead of {}", new.name(), chosen.name());
    new.psql_in("app", "TABLE before_the_fault")?;
    eventually(LIMIT, "the order to be withdrawn", || {
        let order = property(lab, "promote-anyway").unwrap_or_default();
        ensure!(order.is_empty(), "it still says {order}");
        Ok(())
    })
}

fn both_off(primary: &Node, synchronous: &Node) -> Result<()> {
    on_all(&[primary.clone(), synchronous.clone()], Node::power_off)
}
