//! Synchronous settings, standbys that lag, and what the agent keeps in the cluster about them.

use std::fs;
use std::time::{Duration, UNIX_EPOCH};

use anyhow::{Context, Result, ensure};
use lab::cluster::{Cluster, Failure, Role};
use lab::lab::RESOURCE;
use lab::provision::on_all;
use lab::{Cut, Lab, Node, eventually};

use crate::operator::{any_node, failed_actions, pcs, rebuild, wait_until_idle};
use crate::trial::{Ending, LIMIT, Return, Trial};

/// After a start from nothing, the best node is to be promoted this long after the last PostgreSQL was started.
const PROMPT: Duration = Duration::from_secs(5);

/// Sets `synchronous_standby_names` on every node that is on, and waits until the primary has published this setting alone.
pub fn commits_wait_for(lab: &Lab, setting: &str) -> Result<()> {
    for node in lab.nodes().iter().filter(|node| node.is_on()) {
        node.psql(&format!("ALTER SYSTEM SET synchronous_standby_names = '{setting}'"))?;
        node.psql("SELECT pg_reload_conf()")?;
    }
    let wanted = format!(": {}", if setting.is_empty() { "-" } else { setting });
    eventually(LIMIT, &format!("the primary to publish `{wanted}` alone"), || {
        let published = property(lab, "synchronous")?;
        ensure!(published.contains(&wanted) && !published.contains(';'), "it has published `{published}`");
        Ok(())
    })
}

/// A cluster property of the agent.
pub fn property(lab: &Lab, name: &str) -> Result<String> {
    let name = format!("--name=pgsqlms-{RESOURCE}-{name}");
    let value = any_node(lab)?.run(&["crm_attribute", "--type=crm_config", &name, "--query", "--quiet"])?;
    Ok(value.trim().to_owned())
}

/// Closes PostgreSQL's port between this node and all others.
pub fn cut_replication(lab: &Lab, node: &Node) -> Result<()> {
    let mut others = lab.nodes().iter().filter(|other| other.name() != node.name());
    others.try_for_each(|other| lab.cut(&Cut::Postgres(node.name().into(), other.name().into())))
}

/// `behind` receives nothing any more, while clients' commits go on to `ahead`; both end in the same WAL segment.
pub fn fall_behind(trial: &Trial<'_>, behind: &Node, ahead: &Node) -> Result<()> {
    let primary = trial.primary()?;
    let begin = primary.psql("SELECT pg_switch_wal()")?;
    for standby in [behind, ahead] {
        eventually(LIMIT, &format!("{} to receive a new segment", standby.name()), || {
            let at = standby.psql(&format!("SELECT pg_wal_lsn_diff(pg_last_wal_receive_lsn(), '{begin}') > 100"))?;
            ensure!(at == "t", "it has not");
            Ok(())
        })?;
    }
    trial.fault(&format!("cut replication to {}", behind.name()), || cut_replication(trial.lab, behind))?;
    trial.writes_go_on()?;
    let (less, more) = (received(behind)?, received(ahead)?);
    let question =
        format!("SELECT '{more}'::pg_lsn > '{less}'::pg_lsn AND pg_walfile_name('{more}') = pg_walfile_name('{less}')");
    let as_meant = primary.psql(&question)?;
    ensure!(as_meant == "t", "{} is to be ahead of {} in its segment: {more}, {less}", ahead.name(), behind.name());
    Ok(())
}

/// How far the WAL that a standby has received reaches.
pub fn received(standby: &Node) -> Result<String> {
    standby.psql("SELECT pg_last_wal_receive_lsn()")
}

/// Waits until a standby has received all WAL that the primary has flushed by now.
pub fn receives_all_of(standby: &Node, primary: &Node) -> Result<()> {
    let flushed = primary.psql("SELECT pg_current_wal_flush_lsn()")?;
    eventually(LIMIT, &format!("{} to receive what {} has flushed", standby.name(), primary.name()), || {
        let received = standby.psql(&format!("SELECT pg_last_wal_receive_lsn() >= '{flushed}'"))?;
        ensure!(received == "t", "it has not received {flushed}");
        Ok(())
    })
}

/// The standby that Pacemaker would promote.
pub fn best_standby<'a>(trial: &Trial<'a>) -> Result<&'a Node> {
    let (cluster, standbys) = (trial.lab.cluster()?, trial.standbys()?);
    standbys.into_iter().max_by_key(|node| cluster.score(RESOURCE, node.name())).context("there is no standby")
}

/// Waits for another primary than `old`, whether or not clients can write to it.
pub fn another_primary<'a>(trial: &Trial<'a>, old: &Node) -> Result<&'a Node> {
    trial.lab.wait_for(LIMIT, &format!("another primary than {}", old.name()), |cluster| {
        cluster.primary().is_some_and(|primary| primary != old.name())
    })?;
    trial.primary()
}

/// A node that crashed as the primary gets power if it has none, and becomes a standby, by a rebuild if need be. What failed
/// meanwhile is forgotten: a standby that was asked first and has yielded to the better one, for instance.
pub fn bring_back(trial: &Trial<'_>, old: &Node, new: &Node) -> Result<()> {
    trial.fault(&format!("{} gets power again", old.name()), || old.power_on())?;
    if trial.comes_back(old)? == Return::KeptOut {
        rebuild(old, new)?;
    }
    forget_failures(trial.lab)
}

/// An operator keeps `node` from being promoted.
pub fn bar(trial: &Trial<'_>, node: &Node) -> Result<()> {
    let argv = ["node", "attribute", node.name(), "pgsqlms-nofailover=true"];
    trial.fault("keep a standby from being promoted", || pcs(trial.primary()?, &argv)).map(drop)
}

/// Waits until every node that is on shows a reason with these words, and the cluster has nothing left to do; no node may
/// have been promoted.
pub fn no_node_is_promoted(lab: &Lab, words: &[&str]) -> Result<()> {
    let what = format!("every node to show a reason with `{}` why no node is promoted", words.join("`, `"));
    let fits = |failure: &&Failure| words.iter().all(|word| failure.reason.contains(word));
    let cluster = eventually(LIMIT, &what, || {
        let cluster = lab.cluster()?;
        let shown = |node: &Node| cluster.failures.iter().filter(fits).any(|failure| failure.node == node.name());
        let all = lab.nodes().iter().filter(|node| node.is_on()).all(shown);
        ensure!(all && coordinator_is_idle(&cluster, any_node(lab)?)?, "{cluster}");
        Ok(cluster)
    })?;
    let reason = cluster.failures.iter().find(fits).map_or("", |failure| &failure.reason);
    lab::progress::step(format!("no node is promoted: {reason}"));
    let promoted = lab.cluster()?.nodes_with(RESOURCE, Role::Promoted).join(", ");
    ensure!(promoted.is_empty(), "promoted: {promoted}");
    Ok(())
}

/// `crm_resource --wait` never ends while an address waits for a primary.
fn coordinator_is_idle(cluster: &Cluster, asked: &Node) -> Result<bool> {
    let coordinator = cluster.dc().context("there is no coordinator")?;
    Ok(asked.run(&["crmadmin", "--status", coordinator])?.contains("S_IDLE"))
}

/// Runs a cleanup after expected failures were checked.
pub fn forget_failures(lab: &Lab) -> Result<()> {
    // A node that is just joining does not answer.
    eventually(LIMIT, "failures to be forgotten", || pcs(any_node(lab)?, &["resource", "cleanup"]))?;
    wait_until_idle(any_node(lab)?)
}

/// How long after the last of `members` was started its `primary` was promoted, according to its newest history file.
pub fn promoted_after(primary: &Node, members: &[&Node]) -> Result<Duration> {
    let mut last_start = 0.0_f64;
    for node in members {
        last_start = last_start.max(node.psql("SELECT extract(epoch FROM pg_postmaster_start_time())")?.parse()?);
    }
    let wal = primary.path(&format!("{}/pg_wal", primary.pgdata()));
    let files = fs::read_dir(&wal).with_context(|| format!("cannot read {}", wal.display()))?;
    let histories =
        files.flatten().map(|file| file.path()).filter(|path| path.extension().is_some_and(|e| e == "history"));
    let newest = histories.max().context("it has never been promoted")?;
    let promoted = newest.metadata()?.modified()?.duration_since(UNIX_EPOCH)?;
    Ok(promoted.saturating_sub(Duration::from_secs_f64(last_start)))
}

/// Only the standbys get power again after all have lost it, and the one of this index is behind the other.
pub fn only_the_standbys_return(lab: &Lab, behind: usize) -> Result<()> {
    let trial = Trial::begin(lab)?;
    let (old, standbys) = (trial.primary()?, trial.standbys()?);
    let (behind, ahead) = (standbys[behind], standbys[1 - behind]);
    fall_behind(&trial, behind, ahead)?;
    trial.fault("cut the power of all nodes", || on_all(lab.nodes(), Node::power_off))?;
    lab.heal()?;
    let returning = [ahead.clone(), behind.clone()];
    trial.fault("give power to the standbys", || on_all(&returning, Node::power_on))?;
    let new = trial.another_primary(old)?;
    ensure!(new.name() == ahead.name(), "{} was promoted, which lacks what {} holds", new.name(), ahead.name());
    let failed = failed_actions(lab)?;
    ensure!(failed.is_empty(), "failed actions: {failed:?}");
    let took = promoted_after(new, &[ahead, behind])?;
    lab::progress::step(format!("promoted {:.1} s after the last PostgreSQL was started", took.as_secs_f64()));
    ensure!(took <= PROMPT, "promoted only {} s after the last PostgreSQL was started", took.as_secs_f64());
    bring_back(&trial, old, new)?;
    trial.end(&Ending { primary: Some(new), fenced: &[old], ..Ending::default() })
}
