//! An old primary with a tablespace, and with its pg_wal on another disk, has diverged. Its rewind is killed in the middle: it is
//! not started like that, and after a cleanup it is rewound, and both stay where they are.

use anyhow::{Result, ensure};
use lab::{Lab, Node, eventually};

use super::{becomes_primary, dropped, strays};
use crate::operator::{pcs, reason_shown, wait_until_idle};
use crate::replication::forget_failures;
use crate::rewinding::{is_in_the_middle, kill_rewind, make_rewinds_stop, make_rewinds_work};
use crate::trial::{Ending, LIMIT, Return, Trial};

/// Where the tablespace is on every node.
const SPACE: &str = "/var/lib/postgresql/space";
/// Where pg_wal is instead.
const WAL: &str = "/var/lib/postgresql/wal";

/// Different in each row of the tablespace.
const ROWS: &str = "SELECT md5(string_agg(number::text, ' ' ORDER BY number)) FROM spaced";

pub fn play(lab: &Lab) -> Result<()> {
    let trial = Trial::begin(lab)?;
    let first = trial.primary()?;
    for node in lab.nodes() {
        node.run(&["install", "-d", "-o", "postgres", "-g", "postgres", "-m", "700", SPACE])?;
    }
    first.psql_in("app", &format!("CREATE TABLESPACE space LOCATION '{SPACE}'"))?;
    first.psql_in("app", "CREATE TABLE spaced TABLESPACE space AS SELECT generate_series(1, 100000) AS number")?;
    let old = becomes_primary(&trial, |node| {
        node.run(&["mv", &wal(node), WAL])?;
        node.run(&["runuser", "-u", "postgres", "--", "ln", "-s", WAL, &wal(node)]).map(drop)
    })?;
    pcs(first, &["resource", "update", "pgsqld", "rejoin=rewind"])?;
    wait_until_idle(first)?;
    lab.wait_for_primary(LIMIT, lab.nodes().len() - 1)?;
    old.psql_in("app", "SET synchronous_commit = local; UPDATE spaced SET number = number + 1 WHERE number % 2 = 0")?;
    make_rewinds_stop(old)?;
    let new = strays(&trial, old)?;
    new.psql_in("app", "UPDATE spaced SET number = -number WHERE number % 3 = 0")?;
    trial.fault("give the old primary power again", || old.power_on())?;
    is_in_the_middle(old)?;
    make_rewinds_work(old)?;
    trial.fault("kill the rewind in its midst", || kill_rewind(old))?;
    let reason = reason_shown(lab, "start_0", old)?;
    ensure!(reason.contains("half rewound") && reason.contains("`pcs resource cleanup`"), "the reason is `{reason}`");
    ensure!(old.psql("SELECT 1").is_err(), "{} was started half rewound", old.name());
    forget_failures(lab)?;
    ensure!(trial.comes_back(old)? == Return::Streaming, "{} was not rewound", old.name());
    ensure!(dropped(old)?.contains("COMMIT"), "no report of what {} dropped", old.name());
    ensure!(old.run(&["readlink", &wal(old)])?.trim() == WAL, "pg_wal is not a link any more");
    eventually(LIMIT, "the same rows in the tablespace", || {
        let (here, there) = (old.psql_in("app", ROWS)?, new.psql_in("app", ROWS)?);
        ensure!(here == there, "{here} instead of {there}");
        Ok(())
    })?;
    new.psql_in("app", "DROP TABLE spaced")?;
    new.psql_in("app", "DROP TABLESPACE space")?;
    pcs(new, &["resource", "update", "pgsqld", "rejoin="])?;
    wait_until_idle(new)?;
    trial.end(&Ending { primary: Some(new), fenced: &[old], elected: true, ..Ending::default() })
}

fn wal(node: &Node) -> String {
    format!("{}/pg_wal", node.pgdata())
}
