//! A cluster as its CIB, events in it, and the simulator's answer.

use std::path::Path;
use std::process::Command;
use std::sync::OnceLock;

use pgsqlms::exit::OcfExitCode;
use pgsqlms::score::Score;
use tempfile::TempDir;

use super::{NEXT, NODES, SIMULATOR};
use crate::run::skip;

/// The key of a transition that is over.
const KEY: &str = "00000000-0000-0000-0000-000000000000";

/// The recurring monitor of the primary, and the one of a standby.
pub(super) const MONITORS: [&str; 2] = ["pgsqld_monitor_2000", "pgsqld_monitor_3000"];

/// Nothing has ever run.
pub(super) fn configuration() -> String {
    let nodes = |line: fn(&str) -> String| NODES.map(|node| line(&node[3..])).concat();
    let names = nodes(|id| format!(r#"<node id="{id}" uname="srv{id}"/>"#));
    let states = nodes(|id| {
        format!(
            r#"<node_state id="{id}" uname="srv{id}" in_ccm="true" crmd="online" join="member" expected="member">
            <transient_attributes id="{id}"><instance_attributes id="status-{id}">
            <nvpair id="score-srv{id}" name="master-pgsqld" value="score"/>
            </instance_attributes></transient_attributes></node_state>"#
        )
    });
    format!(
        r#"<cib validate-with="pacemaker-3.7" admin_epoch="0" epoch="1" num_updates="0" have-quorum="1" dc-uuid="3"
        crm_feature_set="3.16.1"><configuration>
        <crm_config><cluster_property_set id="options">
            <nvpair id="no-quorum-policy" name="no-quorum-policy" value="stop"/>
        </cluster_property_set></crm_config>
        <nodes>{names}</nodes>
        <resources>
            <primitive id="fence" class="stonith" type="fence_virsh"/>
            <clone id="pgsqld-clone">
                <primitive id="pgsqld" class="ocf" provider="rust" type="pgsqlms"><operations>
                    <op id="monitor-1" name="monitor" interval="2s" role="Promoted"/>
                    <op id="monitor-2" name="monitor" interval="3s" role="Unpromoted"/>
                </operations></primitive>
                <meta_attributes id="meta">
                    <nvpair id="promotable" name="promotable" value="true"/>
                    <nvpair id="notify" name="notify" value="true"/>
                    <nvpair id="promoted-max" name="promoted-max" value="1"/>
                    <nvpair id="clone-max" name="clone-max" value="3"/>
                </meta_attributes>
            </clone>
        </resources>
        <constraints></constraints>
        <rsc_defaults><meta_attributes id="defaults">
            <nvpair id="stickiness" name="resource-stickiness" value="10"/>
            <nvpair id="threshold" name="migration-threshold" value="5"/>
        </meta_attributes></rsc_defaults>
        </configuration><status>{states}</status></cib>"#
    )
}

/// A cluster in some state, and the latest events.
#[derive(Debug, Clone)]
pub(super) struct Cluster {
    pub(super) cib: String,
    pub(super) happened: Vec<String>,
}

/// A cluster of which nothing is known but the scores.
pub(super) fn new(scores: [Option<Score>; 3]) -> Cluster {
    Cluster { cib: configuration(), happened: Vec::new() }.scores(scores)
}

/// A cluster that runs, with srv1 as the primary.
pub(super) fn running(scores: [Option<Score>; 3]) -> Cluster {
    static RUNNING: OnceLock<String> = OnceLock::new();
    let start = || {
        let usual = [Score::PRIMARY, Score::BEST_STANDBY, NEXT].map(Some);
        let (done, cib) = new(usual).simulated();
        assert_eq!(done, "start srv1 srv2 srv3, promote srv1");
        let anonymous = |cib: String, (node, score): (&str, Option<Score>)| {
            let score = score.map_or(String::new(), |score| score.to_string());
            replaced(&cib, &value(node, &score), &value(node, "score"))
        };
        NODES.into_iter().zip(usual).fold(cib, anonymous)
    };
    let cib = if Path::new(SIMULATOR).exists() { RUNNING.get_or_init(start).clone() } else { configuration() };
    Cluster { cib, happened: Vec::new() }.scores(scores)
}

pub(super) fn value(node: &str, score: &str) -> String {
    format!(r#"id="score-{node}" name="master-pgsqld" value="{score}""#)
}

pub(super) fn replaced(text: &str, from: &str, to: &str) -> String {
    assert!(text.contains(from), "{from} is not in\n{text}");
    text.replace(from, to)
}

impl Cluster {
    pub(super) fn scores(mut self, scores: [Option<Score>; 3]) -> Self {
        for (node, score) in NODES.into_iter().zip(scores) {
            // An attribute of another name is none.
            let score = score
                .map_or(r#"id="other" name="other" value="0""#.to_owned(), |score| value(node, &score.to_string()));
            self.cib = replaced(&self.cib, &value(node, "score"), &score.replace("other", &format!("other-{node}")));
        }
        self
    }

    /// A node has vanished.
    pub(super) fn lost(self, node: &str) -> Self {
        self.with(format!("--node-fail={node}"))
    }

    /// An action has ended on `node`. Not for the recurring monitors: they are expected to find the same as before.
    pub(super) fn ended(self, action: &str, node: &str, code: u8) -> Self {
        self.with(format!("--op-inject=pgsqld_{action}_0@{node}={code}"))
    }

    /// Nothing was known of `node`, and a probe has ended with `code` there.
    pub(super) fn probed(mut self, node: &str, code: OcfExitCode) -> Self {
        let code = code as u8;
        self.edit(node, r#"<lrm_rsc_op id="pgsqld_last_0""#, "</lrm_resource>", |history| {
            let digest = history.split_once(r#"op-digest=""#).unwrap().1.split_once('"').unwrap().0;
            format!(
                r#"<lrm_rsc_op id="pgsqld_last_0" operation_key="pgsqld_monitor_0" operation="monitor" call-id="99"
                crm_feature_set="3.16.1" transition-key="9:9:7:{KEY}" transition-magic="0:{code};9:9:7:{KEY}" rc-code="{code}"
                op-status="0" interval="0" op-digest="{digest}"/>"#
            )
        });
        self
    }

    /// Rewrites the state of `node`, from `begin` to `end`. There is nothing where no simulator has made it.
    pub(super) fn edit(&mut self, node: &str, begin: &str, end: &str, rewrite: impl Fn(&str) -> String) {
        if self.cib.contains("<lrm_rsc_op") {
            let state = self.cib.find(&format!(r#"uname="{node}" in_ccm"#)).unwrap();
            let begin = state + self.cib[state..].find(begin).unwrap();
            let end = begin + self.cib[begin..].find(end).unwrap();
            let new = rewrite(&self.cib[begin..end]);
            self.cib.replace_range(begin..end, &new);
        }
    }

    pub(super) fn with(mut self, option: String) -> Self {
        self.happened.push(option);
        self
    }

    /// An operator wants the primary on `node`: `pcs resource move`.
    pub(super) fn moved_to(self, node: &str) -> Self {
        self.constrained(&format!(
            r#"<rsc_location id="wish" rsc="pgsqld-clone" role="Promoted" node="{node}" score="INFINITY"/>"#
        ))
    }

    /// There is this constraint.
    pub(super) fn constrained(mut self, constraint: &str) -> Self {
        let empty = if self.cib.contains("<constraints/>") { "<constraints/>" } else { "<constraints></constraints>" };
        self.cib = replaced(&self.cib, empty, &format!("<constraints>{constraint}</constraints>"));
        self
    }

    /// An operator has put `node` on standby.
    pub(super) fn on_standby(self, node: &str) -> Self {
        self.marked(node, "standby", "on")
    }

    /// A node has a permanent attribute.
    pub(super) fn marked(mut self, node: &str, name: &str, value: &str) -> Self {
        let id = &node[3..];
        let attributes = format!(
            r#"<node id="{id}" uname="{node}"><instance_attributes id="nodes-{id}"><nvpair id="nodes-{id}-{name}" name="{name}" value="{value}"/></instance_attributes></node>"#
        );
        self.cib = replaced(&self.cib, &format!(r#"<node id="{id}" uname="{node}"/>"#), &attributes);
        self
    }

    /// The recurring monitor of srv1, which is the primary, or of srv2, has now ended with `code`.
    pub(super) fn monitored(mut self, node: &str, code: OcfExitCode) -> Self {
        let (monitor, before) = if node == "srv1" { (MONITORS[0], 8) } else { (MONITORS[1], 0) };
        let code = code as u8;
        self.edit(node, &format!(r#"<lrm_rsc_op id="{monitor}""#), ">", |ended| {
            let ended = replaced(ended, &format!(r#"rc-code="{before}""#), &format!(r#"rc-code="{code}""#));
            replaced(&ended, &format!(r#"magic="0:{before};"#), &format!(r#"magic="0:{code};"#))
        });
        self
    }

    /// The actions of one transition, in Pacemaker's order, and the CIB after that.
    pub(super) fn simulated(&self) -> (String, String) {
        let (text, cib) = self.simulator_output();
        (done(&text), cib)
    }

    /// The same as `crm_simulate` prints it.
    pub(super) fn simulator_output(&self) -> (String, String) {
        let directory = TempDir::new().unwrap();
        let path = |name: &str| directory.path().join(name);
        std::fs::write(path("before"), &self.cib).unwrap();
        let output = Command::new(SIMULATOR)
            .arg("--simulate")
            .arg("--xml-file")
            .arg(path("before"))
            .arg("--save-output")
            .arg(path("after"))
            .args(&self.happened)
            .env_clear()
            .output()
            .unwrap();
        let text = String::from_utf8_lossy(&output.stdout);
        let errors = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success() && errors.is_empty(), "{errors}\n{text}\n{}", self.cib);
        (text.into_owned(), std::fs::read_to_string(path("after")).unwrap())
    }

    pub(super) fn reaction(&self) -> Option<String> {
        if Path::new(SIMULATOR).exists() {
            return Some(self.simulated().0);
        }
        skip(&format!("{SIMULATOR} is missing (package pacemaker-cli-utils)"));
        None
    }
}

/// The actions of a transition in the output of `crm_simulate`, the nodes of each in order: `demote srv1, promote srv2`.
pub(super) fn done(text: &str) -> String {
    let mut actions: Vec<(&str, Vec<&str>)> =
        ["fence", "demote", "stop", "start", "promote"].map(|action| (action, Vec::new())).into();
    for line in text.lines() {
        let words: Vec<&str> = line.split_whitespace().collect();
        let (action, node) = match words.as_slice() {
            ["*", "Fencing", node, ..] => ("fence", node),
            // Instances that have not run yet are numbered.
            ["*", "Resource", "action:", resource, action, "on", node] if resource.starts_with("pgsqld") => {
                (*action, node)
            }
            _ => continue,
        };
        actions.iter_mut().filter(|(name, _)| *name == action).for_each(|(_, nodes)| nodes.push(node));
    }
    actions.retain(|(_, nodes)| !nodes.is_empty());
    actions.iter_mut().for_each(|(_, nodes)| nodes.sort_unstable());
    let parts = actions.iter().map(|(action, nodes)| format!("{action} {}", nodes.join(" ")));
    parts.collect::<Vec<_>>().join(", ")
}
