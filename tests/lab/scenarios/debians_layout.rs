//! Debian keeps the configuration apart from the data: `pgdata` names the one, `datadir` the other. A start, a switchover, a crash
//! and a failover work as they do otherwise.

use anyhow::{Result, ensure};
use lab::lab::RESOURCE;
use lab::provision::{Script, on_all};
use lab::{Lab, Node, eventually};

use crate::operator::{CLONE, any_node, kill_postmaster, pcs, started_at};
use crate::replication::{bring_back, forget_failures};
use crate::trial::{Ending, LIMIT, Trial};

/// Moves the configuration out of the data directory and back.
const LAYOUT: Script = Script {
    name: "layout.sh",
    text: r#"#!/bin/sh
set -eu
files="postgresql.conf pg_hba.conf pg_ident.conf"
case $1 in
split)
    install -d -o postgres -g postgres "$CONFIGURATION"
    for file in $files; do mv "$DATA/$file" "$CONFIGURATION/"; done
    echo "data_directory = '$DATA' # split" >>"$CONFIGURATION/postgresql.conf"
    ;;
join)
    sed -i '/# split$/d' "$CONFIGURATION/postgresql.conf"
    chown postgres:postgres "$CONFIGURATION/postgresql.conf"
    for file in $files; do mv "$CONFIGURATION/$file" "$DATA/"; done
    rmdir "$CONFIGURATION"
    ;;
esac
"#,
};

pub fn play(lab: &Lab) -> Result<()> {
    let trial = Trial::begin(lab)?;
    let (first, target) = (trial.primary()?, trial.standbys()?[0]);
    let (configuration, data) = (configuration(first), first.pgdata());
    let start = format!("start_opts=-c config_file={configuration}/postgresql.conf");
    let parameters = [format!("pgdata={configuration}"), format!("datadir={data}"), start];
    trial.fault("change to Debian's layout", || change(lab, "split", &parameters))?;
    lab.wait_for_primary(LIMIT, lab.nodes().len() - 1)?;
    trial.writes_go_on()?;
    let opened = target.psql("SHOW config_file")?;
    ensure!(opened.starts_with(&configuration), "the configuration is {opened}");

    let old = trial.primary()?;
    let target = if target.name() == old.name() { first } else { target };
    trial.fault(&format!("move the primary to {}", target.name()), || {
        pcs(old, &["resource", "move", CLONE, target.name(), "--promoted"])
    })?;
    trial.writes_go_on()?;
    let crashed = trial.primary()?;
    let before = started_at(crashed)?;
    trial.fault("kill the primary's postmaster", || kill_postmaster(crashed))?;
    eventually(LIMIT, "PostgreSQL to be started again on the node where it was killed", || {
        ensure!(started_at(crashed)? != before, "it is still the old one");
        Ok(())
    })?;
    trial.writes_go_on()?;
    lab.wait_for_primary(LIMIT, lab.nodes().len() - 1)?;
    forget_failures(lab)?;
    let dead = trial.primary()?;
    trial.fault("cut the power of the primary", || dead.power_off())?;
    let new = trial.another_primary(dead)?;
    bring_back(&trial, dead, new)?;
    lab.wait_for_primary(LIMIT, lab.nodes().len() - 1)?;

    let parameters = [format!("pgdata={data}"), "datadir=".to_owned(), "start_opts=".to_owned()];
    trial.fault("change back", || change(lab, "join", &parameters))?;
    trial.end(&Ending { fenced: &[dead], ..Ending::default() })
}

fn change(lab: &Lab, how: &str, parameters: &[String]) -> Result<()> {
    let by = any_node(lab)?;
    pcs(by, &["resource", "disable", CLONE, "--wait=120"])?;
    on_all(lab.nodes(), |node| {
        let variables = [("CONFIGURATION", configuration(node)), ("DATA", node.pgdata())];
        LAYOUT.run(node, &[how], &variables).map(drop)
    })?;
    let update = ["resource", "update", RESOURCE].into_iter().chain(parameters.iter().map(String::as_str));
    pcs(by, &update.collect::<Vec<_>>())?;
    pcs(by, &["resource", "enable", CLONE, "--wait=120"]).map(drop)
}

fn configuration(node: &Node) -> String {
    node.pgdata().replace("/var/lib/", "/etc/")
}
