//! A rule prefers a node as the primary, regardless of the scores. When the node returns it first catches up, and then becomes
//! the primary: that is one outage, and one promotion.

use anyhow::{Result, ensure};
use lab::lab::RESOURCE;
use lab::{Lab, Node, eventually};

use crate::operator::{CLONE, pcs, wait_until_idle};
use crate::replication::forget_failures;
use crate::trial::{Ending, LIMIT, Trial};

/// How the constraint is called.
const RULE: &str = "preferred-primary";

pub fn play(lab: &Lab) -> Result<()> {
    let trial = Trial::begin(lab)?;
    let preferred = trial.primary()?;
    trial.fault(&format!("prefer {} as the primary", preferred.name()), || {
        let id = format!("constraint-id={RULE}");
        let rule = ["rule", &id, "role=Promoted", "score=INFINITY", "#uname", "eq", preferred.name()];
        pcs(preferred, &[&["constraint", "location", CLONE], &rule[..]].concat())
    })?;
    permanent_scores(lab, preferred, "-1000000")?;
    // WAL of the last instant, that no standby has received, would keep it out for a person to look at.
    pcs(preferred, &["resource", "update", RESOURCE, "rejoin=rewind"])?;
    wait_until_idle(preferred)?;
    trial.fault("cut the power of the primary", || preferred.power_off())?;
    let other = trial.another_primary(preferred)?;
    permanent_scores(lab, other, "-1000000")?;
    let before = timeline(other)?;
    trial.fault("the preferred node gets power again", || preferred.power_on())?;
    trial.another_primary(other)?;
    ensure!(trial.primary()?.name() == preferred.name(), "{} is the primary", trial.primary()?.name());
    let promotions = timeline(preferred)? - before;
    ensure!(promotions == 1, "there were {promotions} promotions");
    pcs(preferred, &["constraint", "delete", RULE])?;
    pcs(preferred, &["resource", "update", RESOURCE, "rejoin="])?;
    permanent_scores(lab, preferred, "")?;
    forget_failures(lab)?;
    trial.end(&Ending { primary: Some(preferred), fenced: &[preferred], ..Ending::default() })
}

/// Waits until every node has this promotion score for ever, or none.
fn permanent_scores(lab: &Lab, asked: &Node, wanted: &str) -> Result<()> {
    eventually(LIMIT, &format!("the permanent promotion score `{wanted}` of every node"), || {
        for node in lab.nodes() {
            let (node, name) = (format!("--node={}", node.name()), format!("--name=master-{RESOURCE}"));
            let said =
                asked.exec(&["crm_attribute", "--type=nodes", &node, &name, "--query", "--quiet", "--default="])?;
            ensure!(said.stdout.trim() == wanted, "{node} has `{}`", said.stdout.trim());
        }
        Ok(())
    })
}

fn timeline(primary: &Node) -> Result<i64> {
    let sql = "SELECT ('x' || left(pg_walfile_name(pg_current_wal_insert_lsn()), 8))::bit(32)::int";
    Ok(primary.psql(sql)?.parse()?)
}
