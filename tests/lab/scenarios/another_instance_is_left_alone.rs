//! Two resources on the same three nodes, each with a PostgreSQL of its own: faults of one do not affect the other.

use anyhow::{Context, Result, ensure};
use lab::cluster::Role;
use lab::provision::{Script, on_all};
use lab::{Lab, Node, eventually};

use crate::operator::{all_started_at, failed_actions, kill_postmaster, pcs, shows_a_kill};
use crate::replication::forget_failures;
use crate::trial::{Ending, LIMIT, Trial};

const OTHER: &str = "other";
const PORT: &str = "5433";

/// Every standby looks for the primary among all nodes: there is no second virtual address.
const MAKE: Script = Script {
    name: "other-instance.sh",
    text: r#"#!/bin/sh
set -eu
cd /
if [ "$1" = primary ]; then
    runuser -u postgres -- "$BINDIR/initdb" --pgdata "$DATA" --encoding UTF8 --locale C --auth trust --no-sync >/dev/null
    printf '%s\n' "port = $PORT" "listen_addresses = '*'" "unix_socket_directories = '/run/postgresql'" \
        "shared_buffers = 16MB" "wal_keep_size = 64MB" "logging_collector = on" "log_directory = '/var/log/postgresql'" \
        "log_filename = 'other.log'" "include_if_exists = '/etc/postgresql/other.conf'" >>"$DATA/postgresql.conf"
    printf '%s\n' "host all all $NETWORK trust" "host replication all $NETWORK trust" >>"$DATA/pg_hba.conf"
fi
node=$(uname -n)
echo "cluster_name = '$node'
primary_conninfo = 'host=$NODES port=$PORT user=postgres application_name=$node target_session_attrs=read-write'" \
    >/etc/postgresql/other.conf
case $1 in
primary) runuser -u postgres -- "$BINDIR/pg_ctl" start --silent --pgdata "$DATA" --log /var/log/postgresql/other-start.log ;;
standby)
    runuser -u postgres -- "$BINDIR/pg_basebackup" --pgdata "$DATA" --host "$FROM" --port "$PORT" --checkpoint fast --no-sync
    runuser -u postgres -- touch "$DATA/standby.signal"
    ;;
esac
"#,
};

pub fn play(lab: &Lab) -> Result<()> {
    let trial = Trial::begin(lab)?;
    let primary = trial.primary()?;
    let before = all_started_at(lab.nodes())?;
    make_the_other(lab)?;
    let other = other_primary(lab)?;

    let started = other_started_at(other)?;
    trial.fault("kill the other primary's postmaster", || {
        let pid = other.run(&["head", "-n", "1", &format!("{}/postmaster.pid", data(other))])?;
        other.run(&["kill", "-9", pid.trim()])
    })?;
    eventually(LIMIT, "the other instance to be started again", || {
        ensure!(other_started_at(other)? != started, "it is still the old one");
        Ok(())
    })?;
    let other = other_primary(lab)?;
    let after = all_started_at(lab.nodes())?;
    ensure!(after == before, "the first PostgreSQL was restarted: {before:?}, now {after:?}");
    forget_failures(lab)?;

    let others = lab.nodes().iter().map(other_started_at).collect::<Result<Vec<_>>>()?;
    trial.fault("kill the first primary's postmaster", || kill_postmaster(primary))?;
    eventually(LIMIT, "Pacemaker to show the kill", || {
        let failed = failed_actions(lab)?;
        ensure!(failed.iter().any(|action| shows_a_kill(action, primary)), "{failed:?}");
        Ok(())
    })?;
    trial.writes_go_on()?;
    lab.wait_for_primary(LIMIT, lab.nodes().len() - 1)?;
    let now = lab.nodes().iter().map(other_started_at).collect::<Result<Vec<_>>>()?;
    ensure!(now == others, "the other PostgreSQL was restarted: {others:?}, now {now:?}");
    ensure!(other_primary(lab)?.name() == other.name(), "the other primary has moved");
    remove_the_other(lab)?;
    trial.end(&Ending { killed: Some(primary), elected: true, ..Ending::default() })
}

fn make_the_other(lab: &Lab) -> Result<()> {
    let (first, rest) = lab.nodes().split_first().context("there are no nodes")?;
    let names: Vec<_> = lab.nodes().iter().map(Node::name).collect();
    let run = |node: &Node, part: &str| {
        let variables = [
            ("BINDIR", node.bindir()),
            ("DATA", data(node)),
            ("PORT", PORT.to_owned()),
            ("NETWORK", lab.layout().subnet()),
            ("NODES", names.join(",")),
            ("FROM", first.address().to_string()),
        ];
        MAKE.run(node, &[part], &variables).map(drop)
    };
    run(first, "primary")?;
    on_all(rest, |node| run(node, "standby"))?;
    let pg_ctl = format!("{}/pg_ctl", first.bindir());
    first.run(&["runuser", "-u", "postgres", "--", &pg_ctl, "stop", "--silent", "--pgdata", &data(first)])?;
    let create = format!(
        "resource create {OTHER} ocf:rust:pgsqlms pgdata={} op start timeout=60s op stop timeout=60s \
         op promote timeout=30s op demote timeout=120s op notify timeout=60s \
         op monitor interval=2s timeout=10s role=Promoted op monitor interval=3s timeout=10s role=Unpromoted \
         promotable --disabled",
        data(first)
    );
    pcs(first, &create.split_whitespace().collect::<Vec<_>>())?;
    let clone = format!("{OTHER}-clone");
    pcs(first, &["resource", "meta", &clone, "notify=true", "promoted-max=1"])?;
    pcs(first, &["resource", "enable", OTHER])?;
    other_primary(lab).map(drop)
}

fn remove_the_other(lab: &Lab) -> Result<()> {
    let by = &lab.nodes()[0];
    let clone = format!("{OTHER}-clone");
    pcs(by, &["resource", "disable", &clone, "--wait=120"])?;
    pcs(by, &["resource", "delete", &clone])?;
    for property in ["promotions", "synchronous"] {
        let name = format!("--name=pgsqlms-{OTHER}-{property}");
        by.exec(&["crm_attribute", "--type=crm_config", &name, "--delete"])?;
    }
    on_all(lab.nodes(), |node| node.run(&["rm", "-rf", &data(node), "/etc/postgresql/other.conf"]).map(drop))
}

/// The primary of the other resource, once there are two standbys too, and these stream.
fn other_primary(lab: &Lab) -> Result<&Node> {
    let standbys = lab.nodes().len() - 1;
    let cluster = lab.wait_for(LIMIT, "one primary and two standbys of the other resource", |cluster| {
        cluster.nodes_with(OTHER, Role::Promoted).len() == 1
            && cluster.nodes_with(OTHER, Role::Unpromoted).len() == standbys
    })?;
    let primary = lab.find_node(cluster.nodes_with(OTHER, Role::Promoted)[0])?;
    eventually(LIMIT, "the other standbys to stream", || {
        let count = other_psql(primary, "SELECT count(*) FROM pg_stat_replication WHERE state = 'streaming'")?;
        ensure!(count == standbys.to_string(), "{count} do");
        Ok(primary)
    })
}

fn other_started_at(node: &Node) -> Result<String> {
    other_psql(node, "SELECT pg_postmaster_start_time()")
}

fn other_psql(node: &Node, sql: &str) -> Result<String> {
    let psql = format!("{}/psql", node.bindir());
    let rows = node.run(&[
        "runuser",
        "-u",
        "postgres",
        "--",
        &psql,
        "-XqAt",
        "-h/run/postgresql",
        "-p",
        PORT,
        "-c",
        sql,
        "postgres",
    ])?;
    Ok(rows.trim_end().to_owned())
}

fn data(node: &Node) -> String {
    node.pgdata().replace("/main", "/other")
}
