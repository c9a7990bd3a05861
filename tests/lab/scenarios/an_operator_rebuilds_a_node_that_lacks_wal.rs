//! A standby was down while the primary removed WAL that it needs. `pgsqlms rejoin` reports that rewinding is of no use and
//! names the command that helps; that command does it.

use std::time::Duration;

use anyhow::{Result, ensure};
use lab::{Lab, eventually, progress};

use crate::operator::pcs;
use crate::replication::forget_failures;
use crate::trial::{Ending, LIMIT, Trial};

const AGENT: &str = "/usr/lib/ocf/resource.d/rust/pgsqlms";

/// Settings that keep WAL without slots.
const SETTINGS: [(&str, &str); 2] = [("wal_keep_size", "0"), ("max_wal_size", "32MB")];

/// 8 MB of WAL, on a primary that keeps four times as much.
const SOME: &str = "SELECT count(pg_logical_emit_message(false, 'x', repeat('x', 1000000))) FROM generate_series(1, 8)";

pub fn play(lab: &Lab) -> Result<()> {
    let trial = Trial::begin(lab)?;
    let (primary, standbys) = (trial.primary()?, trial.standbys()?);
    let (away, other) = (standbys[0], standbys[1]);
    trial.fault("put a standby's node on standby", || pcs(primary, &["node", "standby", away.name(), "--wait=120"]))?;
    for (name, value) in SETTINGS {
        primary.psql(&format!("ALTER SYSTEM SET {name} = '{value}'"))?;
    }
    primary.psql("SELECT pg_reload_conf()")?;
    trial.fault("write a lot", || {
        for _ in 0..8 {
            primary.psql(SOME)?;
            let end = primary.psql("SELECT pg_current_wal_lsn()")?;
            // It must not lack any.
            eventually(LIMIT, &format!("{} to receive it", other.name()), || {
                let has = other.psql(&format!("SELECT pg_last_wal_receive_lsn() >= '{end}'"))?;
                ensure!(has == "t", "it has not");
                Ok(())
            })?;
        }
        primary.psql("CHECKPOINT")
    })?;
    trial.fault("the standby's node is back", || {
        pcs(primary, &["node", "unstandby", away.name(), "--wait=120"]).map(drop)
    })?;
    eventually(LIMIT, "the command to be shown", || {
        let cluster = lab.cluster()?;
        let shown = |words| cluster.failures.iter().any(|failure| failure.reason.contains(words));
        ensure!(shown("run `pgsqlms rebuild --resource pgsqld` here; no WAL received"), "{cluster}");
        Ok(())
    })?;
    let refused = away.exec_within(LIMIT, &[AGENT, "rejoin", "--resource", "pgsqld"])?;
    ensure!(!refused.success(), "{refused:?}");
    for words in ["run `pgsqlms rebuild --resource pgsqld` here", "the primary has removed WAL that it needs"] {
        ensure!(refused.stderr.contains(words), "`{words}` is not in the output of rejoin: {refused:?}");
    }
    let output = away.run(&[AGENT, "rebuild", "--resource", "pgsqld"])?;
    for words in ["The primary is ", "is on the cluster's history", "Nothing has been done", "--yes"] {
        ensure!(output.contains(words), "`{words}` is not in the command's output: {output}");
    }
    let limit = Duration::from_secs(180);
    let output = away.exec_within(limit, &[AGENT, "rebuild", "--resource", "pgsqld", "--yes"])?.ok()?;
    progress::step(output.trim());
    ensure!(output.contains("follows the primary."), "the command printed: {output}");
    for (name, _) in SETTINGS {
        primary.psql(&format!("ALTER SYSTEM RESET {name}"))?;
    }
    primary.psql("SELECT pg_reload_conf()")?;
    forget_failures(lab)?;
    trial.end(&Ending { primary: Some(primary), ..Ending::default() })
}
