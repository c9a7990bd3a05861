//! `follow=node`, with replication over TLS that checks names, SCRAM and a password file: what the DBA's `primary_conninfo`
//! names as host does not exist. A switchover, a failover, the way back of the failed primary, a power cut of all nodes. Hooks
//! run for each event, and one that hangs delays no action.

use anyhow::{Context, Result, ensure};
use lab::lab::RESOURCE;
use lab::provision::on_all;
use lab::{Lab, Node, eventually, progress};

use crate::operator::{CLONE, all_started_at, any_node, pcs};
use crate::replication::{bring_back, forget_failures};
use crate::trial::{Ending, LIMIT, Trial};

/// A configuration file that belongs to a node and not to its data, and a copy of its first version.
const NODE_CONF: [&str; 2] = ["/etc/postgresql/pgsqlms-node.conf", "/etc/postgresql/pgsqlms-node.conf.before"];

/// The certificates that each node trusts: those of all nodes.
const ROOTS: &str = "/etc/postgresql/roots.crt";

/// The directory of the hooks, and the file in which one records its calls.
const HOOKS: &str = "/etc/pgsqlms/hooks.d";
const HOOK_LOG: &str = "/var/lib/postgresql/hooks.log";

/// How long hooks may take, in seconds: the one that hangs takes it all.
const HOOK_TIMEOUT: &str = "hook_timeout=10";

pub fn play(lab: &Lab) -> Result<()> {
    let trial = Trial::begin(lab)?;
    let old = trial.primary()?;
    let before = all_started_at(lab.nodes())?;
    trial.fault("follow=node", || {
        // First, so that no standby is ever without an upstream for long.
        let hooks = format!("hooks={HOOKS}");
        pcs(old, &["resource", "update", RESOURCE, "follow=node", &hooks, HOOK_TIMEOUT])?;
        lab.nodes().iter().try_for_each(install_hooks)?;
        demand_tls(lab)
    })?;
    all_standbys_follow(lab, old)?;
    ensure!(all_started_at(lab.nodes())? == before, "PostgreSQL was restarted for a change of follow");

    let new = trial.standbys()?[0];
    trial.fault("move the primary", || pcs(any_node(lab)?, &["resource", "move", CLONE, new.name(), "--promoted"]))?;
    trial.another_primary(old)?;
    all_standbys_follow(lab, new)?;
    print_delay(lab, new)?;
    hook_ran(new, &format!("promoted {} role=primary primary={}", new.name(), new.name()))?;
    hook_ran(old, &format!("demoted {} role=standby primary={}", old.name(), new.name()))?;

    hang_after_promotions(lab, true)?;
    trial.fault("cut the power of the primary", || new.cut_power())?;
    let last = trial.another_primary(new)?;
    // Clients write.
    ensure!(hangs(last)?, "no hook hangs on {}", last.name());
    let survivors: Vec<&Node> = lab.nodes().iter().filter(|node| node.is_on()).collect();
    survivors.iter().filter(|node| node.name() != last.name()).try_for_each(|node| follows(node, last))?;
    print_delay(lab, last)?;
    eventually(LIMIT, "the end of the hook that hangs", || {
        ensure!(!hangs(last)?, "it goes on");
        Ok(())
    })?;
    hook_ran(last, &format!("promoted {} role=primary primary={}", last.name(), last.name()))?;
    hang_after_promotions(lab, false)?;
    bring_back(&trial, new, last)?;
    all_standbys_follow(lab, last)?;
    hook_ran(new, &format!("started {} role=standby primary={}", new.name(), last.name()))?;

    // No node must wait for a primary that is waiting as well.
    trial.fault("cut the power of all nodes", || on_all(lab.nodes(), Node::power_off))?;
    trial.fault("give power to all nodes", || on_all(lab.nodes(), Node::power_on))?;
    all_standbys_follow(lab, lab.wait_for_primary(LIMIT, lab.nodes().len() - 1)?)?;
    trial.writes_go_on()?;

    undo(lab)?;
    forget_failures(lab)?;
    trial.end(&Ending { fenced: &[new], elected: true, ..Ending::default() })
}

/// A program for each event that records its environment.
fn install_hooks(node: &Node) -> Result<()> {
    let text = "#!/bin/sh\necho \"$PGSQLMS_EVENT $PGSQLMS_NODE role=$PGSQLMS_ROLE primary=$PGSQLMS_PRIMARY \
         resource=$PGSQLMS_RESOURCE timeline=$PGSQLMS_TIMELINE lsn=$PGSQLMS_LSN pgdata=$PGSQLMS_PGDATA user=$(id -un)\" ";
    for event in ["promoted", "demoted", "started", "diverged"] {
        install_hook(node, &format!("{event}/10-note"), &format!("{text}>>{HOOK_LOG}\n"))?;
    }
    Ok(())
}

fn install_hook(node: &Node, name: &str, text: &str) -> Result<()> {
    let path = format!("{HOOKS}/{name}");
    node.run(&["install", "-D", "-m", "755", "/dev/null", &path])?;
    Ok(std::fs::write(node.path(&path), text)?)
}

/// Another program is run after a promotion, which never ends by itself.
fn hang_after_promotions(lab: &Lab, hangs: bool) -> Result<()> {
    for node in lab.nodes().iter().filter(|node| node.is_on()) {
        if hangs {
            install_hook(node, "promoted/20-hang", "#!/bin/sh\nexec sleep 7777\n")?;
        } else {
            node.run(&["rm", "-f", &format!("{HOOKS}/promoted/20-hang")])?;
        }
    }
    Ok(())
}

/// Whether that program runs.
fn hangs(node: &Node) -> Result<bool> {
    Ok(node.exec(&["pgrep", "-f", "sleep 7777"])?.success())
}

/// Waits until a node's hook has recorded these words, with the rest of its environment, as PostgreSQL's user.
fn hook_ran(node: &Node, words: &str) -> Result<()> {
    let line = eventually(LIMIT, &format!("the hook on {} to record `{words}`", node.name()), || {
        let noted = node.run(&["cat", HOOK_LOG])?;
        let line = noted.lines().find(|line| line.starts_with(words)).map(str::to_owned);
        line.with_context(|| format!("it has recorded {noted:?}"))
    })?;
    let rest = [format!("resource={RESOURCE} "), format!("pgdata={} ", node.pgdata()), "user=postgres".to_owned()];
    ensure!(rest.iter().all(|rest| line.contains(rest)), "{line}");
    ensure!(!line.contains("timeline= ") && !line.contains("lsn= "), "{line}");
    Ok(())
}

/// Each node shows a certificate of its own in its name and trusts all of them; replication is refused without TLS, and
/// nothing says any more where the primary is.
fn demand_tls(lab: &Lab) -> Result<()> {
    let mut roots = String::new();
    for node in lab.nodes() {
        let name = node.name();
        let subject = format!("/CN={name}");
        let san = format!("subjectAltName=DNS:{name}");
        let new = [
            "openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "30", "-subj", &subject, "-addext",
            &san,
        ];
        let files = ["-keyout", "/etc/postgresql/node.key", "-out", "/etc/postgresql/node.crt"];
        node.run(&[&new[..], &files].concat())?;
        node.run(&["chown", "postgres:postgres", files[1], files[3]])?;
        roots += &std::fs::read_to_string(node.path(files[3]))?;
    }
    for node in lab.nodes() {
        std::fs::write(node.path(ROOTS), &roots)?;
        let conf = std::fs::read_to_string(node.path(NODE_CONF[0]))?;
        std::fs::write(node.path(NODE_CONF[1]), &conf)?;
        let host = format!("host={}", lab.vip());
        ensure!(conf.contains(&host), "{conf}");
        let tls = format!("host=nowhere.invalid sslmode=verify-full sslrootcert={ROOTS}");
        let ssl = "ssl = on\nssl_cert_file = '/etc/postgresql/node.crt'\nssl_key_file = '/etc/postgresql/node.key'\n";
        std::fs::write(node.path(NODE_CONF[0]), conf.replace(&host, &tls) + ssl)?;
        admit(node, "host ", "hostssl")?;
        node.psql("SELECT pg_reload_conf()")?;
    }
    Ok(())
}

/// Changes how the replication role is admitted.
fn admit(node: &Node, from: &str, to: &str) -> Result<()> {
    let file = format!("{}/pg_hba.conf", node.pgdata());
    let change = format!("s/^{from} *replication replicator/{to} replication replicator/");
    node.run(&["sed", "-i", &change, &file]).map(drop)
}

fn undo(lab: &Lab) -> Result<()> {
    pcs(any_node(lab)?, &["resource", "update", RESOURCE, "follow=", "hooks=", "hook_timeout="])?;
    for node in lab.nodes() {
        node.run(&["rm", "-rf", HOOKS, HOOK_LOG])?;
        node.run(&["mv", NODE_CONF[1], NODE_CONF[0]])?;
        node.run(&["sed", "-i", "/^primary_conninfo/d", &format!("{}/pgsqlms.conf", node.pgdata())])?;
        admit(node, "hostssl", "host ")?;
        node.psql("SELECT pg_reload_conf()")?;
    }
    Ok(())
}

fn all_standbys_follow(lab: &Lab, primary: &Node) -> Result<()> {
    lab.nodes().iter().filter(|node| node.name() != primary.name()).try_for_each(|node| follows(node, primary))
}

/// Waits until a standby streams from this primary, by its name and over TLS, and keeps the DBA's other settings.
fn follows(standby: &Node, primary: &Node) -> Result<()> {
    let (standby_name, primary_name) = (standby.name(), primary.name());
    eventually(LIMIT, &format!("{standby_name} to stream from {primary_name} by its name"), || {
        let from = standby.psql("SELECT sender_host FROM pg_stat_wal_receiver WHERE status = 'streaming'")?;
        ensure!(from == primary_name, "it streams from `{from}`");
        let tls = format!(
            "SELECT ssl FROM pg_stat_replication JOIN pg_stat_ssl USING (pid) WHERE application_name = '{standby_name}'"
        );
        let tls = primary.psql(&tls)?;
        ensure!(tls == "t", "TLS: {tls}");
        Ok(())
    })?;
    let conninfo = standby.psql("SHOW primary_conninfo")?;
    let kept = ["user=replicator", "sslmode=verify-full", "passfile=", "keepalives_idle=1", "tcp_user_timeout=2000"];
    kept.iter().try_for_each(|option| {
        ensure!(conninfo.contains(option), "{option} is not in {conninfo}");
        Ok(())
    })
}

/// Tells how long after the promotion each standby that runs was connected to the new primary.
fn print_delay(lab: &Lab, primary: &Node) -> Result<()> {
    let wal = primary.path(&format!("{}/pg_wal", primary.pgdata()));
    let files = std::fs::read_dir(wal)?.flatten().map(|file| file.path());
    let newest = files.filter(|path| path.extension().is_some_and(|e| e == "history")).max().context("no history")?;
    let promoted = newest.metadata()?.modified()?.duration_since(std::time::UNIX_EPOCH)?.as_secs_f64();
    for standby in lab.nodes().iter().filter(|node| node.is_on() && node.name() != primary.name()) {
        let began =
            "SELECT extract(epoch FROM backend_start) FROM pg_stat_wal_receiver JOIN pg_stat_activity USING (pid)";
        let began: f64 = standby.psql(began)?.parse()?;
        progress::step(format!("{} was reattached {:.2} s after the promotion", standby.name(), began - promoted));
    }
    Ok(())
}
