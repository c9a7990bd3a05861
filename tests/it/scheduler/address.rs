//! The address of `pcs-examples`: it comes after the promotion and stays until the demotion is over, and nothing keeps it from
//! being stopped.

use std::path::Path;

use pgsqlms::exit::OcfExitCode::{GenericError, Success};

use super::cluster::{Cluster, replaced};
use super::{SIMULATOR, usual};
use crate::run::repository;
use crate::run::skip;

/// How strict an example is about its order "demote, then stop the address"; that of the stop has to be as strict.
fn kind(example: &str) -> String {
    let text = std::fs::read_to_string(repository("pcs-examples").join(example)).unwrap();
    let order = |words: [&str; 2]| {
        let fits = |line: &&str| line.contains("symmetrical=false") && words.iter().any(|word| line.contains(word));
        text.lines().find(fits).unwrap_or_else(|| panic!("{example}: no order {words:?}"))
    };
    let line = order(["order demote pgsqld-clone then stop pgsql-vip", "pgsqld-clone:demote pgsql-vip:stop"]);
    let stop = order(["order stop pgsqld-clone then stop pgsql-vip", "pgsqld-clone:stop pgsql-vip:stop"]);
    assert!(stop.contains("Optional") == line.contains("Optional"), "{stop}");
    let known = ["Mandatory", "Optional", "Serialize"].into_iter().find(|kind| line.contains(kind));
    known.unwrap_or_else(|| panic!("no kind: {line}")).to_owned()
}

/// The cluster runs with the address, and an operator has disabled the resource.
fn disabled(kind: &str) -> Cluster {
    let constraints = format!(
        r#"<rsc_colocation id="with" rsc="pgsql-vip" with-rsc="pgsqld-clone" with-rsc-role="Promoted" score="INFINITY"/>
        <rsc_order id="up" first="pgsqld-clone" first-action="promote" then="pgsql-vip" then-action="start"
            symmetrical="false" kind="Mandatory"/>
        <rsc_order id="down" first="pgsqld-clone" first-action="demote" then="pgsql-vip" then-action="stop"
            symmetrical="false" kind="{kind}"/>
        <rsc_order id="end" first="pgsqld-clone" first-action="stop" then="pgsql-vip" then-action="stop"
            symmetrical="false" kind="{kind}"/>"#
    );
    let mut cluster = super::new(usual()).constrained(&constraints);
    let address = r#"<primitive id="pgsql-vip" class="ocf" provider="heartbeat" type="IPaddr2"/></resources>"#;
    cluster.cib = replaced(&cluster.cib, "</resources>", address);
    let (text, cib) = cluster.simulator_output();
    assert!(text.contains("pgsql-vip       start on srv1"), "{text}");
    let promotable = r#"<nvpair id="promotable""#;
    let role = r#"<nvpair id="role" name="target-role" value="Stopped"/>"#;
    Cluster { cib: replaced(&cib, promotable, &format!("{role}{promotable}")), happened: Vec::new() }
}

/// The order of two actions in the simulator's output.
fn comes_before(text: &str, first: &str, then: &str) -> bool {
    text.find(first).is_some_and(|first| text.find(then).is_some_and(|then| first < then))
}

/// Pacemaker stops and computes its transition again whenever something changes: then the demotion is over, and there is no
/// such action any more that the stop of the address could wait for.
#[test]
fn the_address_is_stopped_when_the_demotion_is_over() {
    if !Path::new(SIMULATOR).exists() {
        return skip(&format!("{SIMULATOR} is missing (package pacemaker-cli-utils)"));
    }
    let demoted = |kind: &str| disabled(kind).ended("demote", "srv1", Success as u8).simulator_output().0;
    for example in ["3nodes-vip.sh", "3nodes-vip-crmsh.sh"] {
        let text = demoted(&kind(example));
        assert!(text.contains("pgsql-vip       stop on srv1"), "{example}: {text}");
    }
    // So it is with the order that other guides have.
    let text = demoted("Mandatory");
    assert!(!text.contains("pgsql-vip       stop on srv1") && text.contains("(blocked)"), "{text}");
}

#[test]
fn the_address_stays_until_the_demotion_is_over() {
    if !Path::new(SIMULATOR).exists() {
        return skip(&format!("{SIMULATOR} is missing (package pacemaker-cli-utils)"));
    }
    for example in ["3nodes-vip.sh", "3nodes-vip-crmsh.sh"] {
        let text = disabled(&kind(example)).simulator_output().0;
        assert!(comes_before(&text, "pgsqld          demote on srv1", "pgsql-vip       stop on srv1"), "{text}");
    }
}

/// The agent was killed in the demotion: the stop that follows ends the primary, and the standbys receive the rest of its WAL
/// through the address.
#[test]
fn the_address_stays_until_a_primary_is_stopped_whose_demotion_has_failed() {
    if !Path::new(SIMULATOR).exists() {
        return skip(&format!("{SIMULATOR} is missing (package pacemaker-cli-utils)"));
    }
    for example in ["3nodes-vip.sh", "3nodes-vip-crmsh.sh"] {
        let text = disabled(&kind(example)).ended("demote", "srv1", GenericError as u8).simulator_output().0;
        assert!(comes_before(&text, "pgsqld          stop on srv1", "pgsql-vip       stop on srv1"), "{text}");
    }
}
