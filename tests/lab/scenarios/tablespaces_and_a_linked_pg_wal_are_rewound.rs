//! An old primary with a tablespace, and with its pg_wal on another disk, has diverged. It is rewound without a hand, and both
//! stay where they are.

use anyhow::{Result, ensure};
use lab::{Lab, eventually};

use super::{dropped, strays, while_on_standby};
use crate::operator::{CLONE, pcs, wait_until_idle};
use crate::trial::{Ending, LIMIT, Return, Trial};

/// Where the tablespace is on every node.
const SPACE: &str = "/var/lib/postgresql/space";
/// Where pg_wal is instead.
const WAL: &str = "/var/lib/postgresql/wal";

/// Different in each row of the tablespace.
const ROWS: &str = "SELECT md5(string_agg(number::text, ' ' ORDER BY number)) FROM spaced";

pub fn play(lab: &Lab) -> Result<()> {
    let trial = Trial::begin(lab)?;
    let (first, old) = (trial.primary()?, trial.standbys()?[0]);
    for node in lab.nodes() {
        node.run(&["install", "-d", "-o", "postgres", "-g", "postgres", "-m", "700", SPACE])?;
    }
    first.psql_in("app", &format!("CREATE TABLESPACE space LOCATION '{SPACE}'"))?;
    first.psql_in("app", "CREATE TABLE spaced TABLESPACE space AS SELECT generate_series(1, 100000) AS number")?;
    let wal = format!("{}/pg_wal", old.pgdata());
    while_on_standby(&trial, old, || {
        old.run(&["mv", &wal, WAL])?;
        old.run(&["runuser", "-u", "postgres", "--", "ln", "-s", WAL, &wal])
    })?;
    lab.wait_for_primary(LIMIT, lab.nodes().len() - 1)?;
    trial.fault(&format!("move the primary to {}", old.name()), || {
        pcs(first, &["resource", "move", CLONE, old.name(), "--promoted"])
    })?;
    trial.writes_go_on()?;
    pcs(first, &["resource", "update", "pgsqld", "rejoin=rewind"])?;
    wait_until_idle(first)?;
    lab.wait_for_primary(LIMIT, lab.nodes().len() - 1)?;
    old.psql_in("app", "SET synchronous_commit = local; UPDATE spaced SET number = number + 1 WHERE number % 2 = 0")?;
    let new = strays(&trial, old)?;
    new.psql_in("app", "UPDATE spaced SET number = -number WHERE number % 3 = 0")?;
    trial.fault("give the old primary power again", || old.power_on())?;
    ensure!(trial.comes_back(old)? == Return::Streaming, "{} was not rewound", old.name());
    ensure!(dropped(old)?.contains("COMMIT"), "nothing is told about what {} dropped", old.name());
    ensure!(old.run(&["readlink", &wal])?.trim() == WAL, "pg_wal is no link any more");
    eventually(LIMIT, "the same rows in the tablespace", || {
        let (here, there) = (old.psql_in("app", ROWS)?, new.psql_in("app", ROWS)?);
        ensure!(here == there, "{here} instead of {there}");
        Ok(())
    })?;
    new.psql_in("app", "DROP TABLE spaced")?;
    pcs(new, &["resource", "update", "pgsqld", "rejoin="])?;
    wait_until_idle(new)?;
    trial.end(&Ending { primary: Some(new), fenced: &[old], elected: true, ..Ending::default() })
}
