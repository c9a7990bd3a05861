//! pcs and crmsh describe the agent and take a resource of it without a complaint, and report in one line the mistakes in
//! a parameter's value. All on files: the cluster does not notice.

use anyhow::{Result, ensure};
use lab::{Lab, Node};

use crate::operator::{all_started_at, no_complaint};
use crate::trial::{Ending, Trial};

const AGENT: &str = "ocf:rust:pgsqlms";

/// Tells every parameter.
const META_DATA: &str = include_str!("../../../ocf/pgsqlms.xml");

/// Values that cannot be right.
const WRONG: [&str; 3] = ["maxlag=plenty", "pgport=0", "pgdata=somewhere"];

pub fn play(lab: &Lab) -> Result<()> {
    let trial = Trial::begin(lab)?;
    let primary = trial.primary()?;
    let before = all_started_at(lab.nodes())?;
    pcs_is_content(primary)?;
    crmsh_is_content(primary)?;
    trial.end(&Ending { primary: Some(primary), still_running: &before, ..Ending::default() })
}

fn pcs_is_content(node: &Node) -> Result<()> {
    described(&said(node, &["pcs", "resource", "describe", AGENT])?)?;
    let pgdata = format!("pgdata={}", node.pgdata());
    said(node, &create(&[&pgdata]))?;
    for wrong in WRONG {
        let options = if wrong.starts_with("pgdata") { vec![wrong] } else { vec![pgdata.as_str(), wrong] };
        let refused = node.exec(&create(&options))?;
        let words = format!("{}{}", refused.stdout, refused.stderr);
        ensure!(!refused.success(), "pcs takes {wrong}: {words}");
        let reasons: Vec<_> = words.lines().filter(|line| line.contains("ocf-exit-reason:")).collect();
        let (name, _) = wrong.split_once('=').unwrap_or((wrong, ""));
        ensure!(reasons.len() == 1 && reasons[0].contains(name), "no single reason for {wrong}: {words}");
    }
    Ok(())
}

/// Creates a resource in a file with an empty configuration.
fn create<'a>(options: &[&'a str]) -> Vec<&'a str> {
    let script = "cibadmin --empty >/tmp/cib.xml && exec pcs -f /tmp/cib.xml resource create try \"$@\"";
    let words = ["sh", "-c", script, "create", AGENT];
    words.iter().chain(options).chain(&["promotable", "--agent-validation"]).copied().collect()
}

fn crmsh_is_content(node: &Node) -> Result<()> {
    described(&said(node, &["crm", "-D", "plain", "ra", "info", AGENT])?)?;
    // Not to be repeated while it is there.
    let _ = node.exec(&["crm", "cib", "delete", "try"])?;
    node.run(&["crm", "cib", "new", "try"])?;
    let pgdata = format!("pgdata={}/../other", node.pgdata());
    let primitive = ["crm", "-D", "plain", "-c", "try", "configure", "primitive", "try", AGENT, "params", &pgdata];
    said(node, &primitive)?;
    node.run(&["crm", "cib", "delete", "try"]).map(drop)
}

fn described(said: &str) -> Result<()> {
    let names = META_DATA.split("<parameter name=\"").skip(1).filter_map(|rest| rest.split('"').next());
    for parameter in names {
        ensure!(said.contains(parameter), "{parameter} is not described in: {said}");
    }
    Ok(())
}

/// The output of a command that must succeed without a complaint.
fn said(node: &Node, argv: &[&str]) -> Result<String> {
    let output = node.exec(argv)?;
    no_complaint(&output.stderr)?;
    let said = output.ok()?;
    no_complaint(&said)?;
    Ok(said)
}
