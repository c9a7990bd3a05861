//! A rewind has rewritten a part of the data directory when its file system is full. Pacemaker shows that, no node is fenced, the
//! node is not started like that, and after a cleanup the rewind goes on when there is space.

use anyhow::{Result, ensure};
use lab::{Cut, Lab, Node};

use super::{becomes_primary, dropped, while_on_standby};
use crate::faults::Disk;
use crate::operator::{kill_postmaster, pcs, reason_shown, wait_until_idle};
use crate::replication::{commits_wait_for, forget_failures};
use crate::rewinding::{go_on, is_in_the_middle, make_rewinds_stop, make_rewinds_work, notes};
use crate::trial::{Ending, LIMIT, Return, Trial};

/// Free space on the small disk, in MB: more than the evidence before a rewind needs.
const ROOM: u64 = 400;

pub fn play(lab: &Lab) -> Result<()> {
    let trial = Trial::begin(lab)?;
    let old = becomes_primary(&trial, |node| Disk::Data.make_small(node, ROOM))?;
    pcs(old, &["resource", "update", "pgsqld", "rejoin=rewind"])?;
    wait_until_idle(old)?;
    lab.wait_for_primary(LIMIT, lab.nodes().len() - 1)?;
    commits_wait_for(lab, "")?;
    make_rewinds_stop(old)?;
    stray(&trial, old)?;
    let new = trial.another_primary(old)?;
    lab.heal()?;
    trial.fault("start it again", || pcs(new, &["node", "unstandby", old.name()]))?;
    is_in_the_middle(old)?;
    make_rewinds_work(old)?;
    trial.fault("fill the disk in the middle of the rewind", || {
        Disk::Data.fill(old)?;
        go_on(old)
    })?;
    let reason = reason_shown(lab, "start_0", old)?;
    ensure!(reason.contains("No space left on device"), "the reason is `{reason}`");
    ensure!(notes(old)?.contains("stage=rewinding"), "{}", notes(old)?);
    ensure!(old.psql("SELECT 1").is_err(), "{} was started half rewound", old.name());
    trial.fault("there is space again", || Disk::Data.free(old))?;
    forget_failures(lab)?;
    ensure!(trial.comes_back(old)? == Return::Streaming, "{} was not rewound", old.name());
    ensure!(dropped(old)?.contains("COMMIT"), "no report of what {} dropped", old.name());
    while_on_standby(&trial, old, || Disk::Data.make_large(old))?;
    pcs(new, &["resource", "update", "pgsqld", "rejoin="])?;
    forget_failures(lab)?;
    trial.end(&Ending { primary: Some(new), elected: true, may_lose: true, ..Ending::default() })
}

/// A power cut would take the small disk with it, and a clean end would be held against a promotion.
fn stray(trial: &Trial<'_>, old: &Node) -> Result<()> {
    let standbys = trial.standbys()?;
    trial.fault("cut replication, write on the primary, kill its postmaster, and put its node on standby", || {
        for standby in &standbys {
            trial.lab.cut(&Cut::Postgres(old.name().into(), standby.name().into()))?;
        }
        old.psql_in("app", "CREATE TABLE stray AS SELECT generate_series(1, 10000)")?;
        kill_postmaster(old)?;
        pcs(standbys[0], &["node", "standby", old.name()]).map(drop)
    })
}
