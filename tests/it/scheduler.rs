//! What Pacemaker makes of the agent's scores and exit codes, as its own scheduler says: `crm_simulate`. No cluster runs.
//! The cluster is the one of `pcs-examples/3nodes-vip.sh`, without the address.

use std::path::Path;
use std::process::Command;
use std::sync::OnceLock;

use pgsqlms::exit::OcfExitCode::{self, *};
use pgsqlms::score::Score;
use tempfile::TempDir;

use crate::run::skip;

const SIMULATOR: &str = "/usr/sbin/crm_simulate";
const NODES: [&str; 3] = ["srv1", "srv2", "srv3"];
const NEXT: Score = Score(Score::BEST_STANDBY.0 - Score::STEP);

/// The key of a transition that is over.
const KEY: &str = "00000000-0000-0000-0000-000000000000";

/// The recurring monitor of the primary, and the one of a standby.
const MONITORS: [&str; 2] = ["pgsqld_monitor_2000", "pgsqld_monitor_3000"];

/// Nothing has ever run.
fn configuration() -> String {
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

/// A cluster in some state, and what has just happened to it.
#[derive(Debug, Clone)]
struct Cluster {
    cib: String,
    happened: Vec<String>,
}

/// A cluster of which nothing is known but the scores.
fn new(scores: [Option<Score>; 3]) -> Cluster {
    Cluster { cib: configuration(), happened: Vec::new() }.scores(scores)
}

/// A cluster that runs, with srv1 as the primary.
fn running(scores: [Option<Score>; 3]) -> Cluster {
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

fn value(node: &str, score: &str) -> String {
    format!(r#"id="score-{node}" name="master-pgsqld" value="{score}""#)
}

fn replaced(text: &str, from: &str, to: &str) -> String {
    assert!(text.contains(from), "{from} is not in\n{text}");
    text.replace(from, to)
}

impl Cluster {
    fn scores(mut self, scores: [Option<Score>; 3]) -> Self {
        for (node, score) in NODES.into_iter().zip(scores) {
            // An attribute of another name is none.
            let score = score
                .map_or(r#"id="other" name="other" value="0""#.to_owned(), |score| value(node, &score.to_string()));
            self.cib = replaced(&self.cib, &value(node, "score"), &score.replace("other", &format!("other-{node}")));
        }
        self
    }

    /// A node has vanished.
    fn lost(self, node: &str) -> Self {
        self.with(format!("--node-fail={node}"))
    }

    /// An action has ended on `node`. Not for the recurring monitors: they are expected to find what they found before.
    fn ended(self, action: &str, node: &str, code: u8) -> Self {
        self.with(format!("--op-inject=pgsqld_{action}_0@{node}={code}"))
    }

    /// Nothing was known of `node`, and a probe has ended with `code` there.
    fn probed(mut self, node: &str, code: OcfExitCode) -> Self {
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

    /// Rewrites what is known of `node`, from `begin` to `end`. There is nothing where no simulator has made it.
    fn edit(&mut self, node: &str, begin: &str, end: &str, rewrite: impl Fn(&str) -> String) {
        if self.cib.contains("<lrm_rsc_op") {
            let state = self.cib.find(&format!(r#"uname="{node}" in_ccm"#)).unwrap();
            let begin = state + self.cib[state..].find(begin).unwrap();
            let end = begin + self.cib[begin..].find(end).unwrap();
            let new = rewrite(&self.cib[begin..end]);
            self.cib.replace_range(begin..end, &new);
        }
    }

    fn with(mut self, option: String) -> Self {
        self.happened.push(option);
        self
    }

    /// An operator wants the primary on `node`: `pcs resource move`.
    fn moved_to(mut self, node: &str) -> Self {
        let wish =
            format!(r#"<rsc_location id="wish" rsc="pgsqld-clone" role="Promoted" node="{node}" score="INFINITY"/>"#);
        let empty = if self.cib.contains("<constraints/>") { "<constraints/>" } else { "<constraints></constraints>" };
        self.cib = replaced(&self.cib, empty, &format!("<constraints>{wish}</constraints>"));
        self
    }

    /// An operator has put `node` on standby.
    fn on_standby(mut self, node: &str) -> Self {
        let id = &node[3..];
        let attributes = format!(
            r#"<node id="{id}" uname="{node}"><instance_attributes id="standby"><nvpair id="standby-on" name="standby" value="on"/></instance_attributes></node>"#
        );
        self.cib = replaced(&self.cib, &format!(r#"<node id="{id}" uname="{node}"/>"#), &attributes);
        self
    }

    /// The recurring monitor of srv1, which is the primary, or of srv2, has now ended with `code`.
    fn monitored(mut self, node: &str, code: OcfExitCode) -> Self {
        let (monitor, before) = if node == "srv1" { (MONITORS[0], 8) } else { (MONITORS[1], 0) };
        let code = code as u8;
        self.edit(node, &format!(r#"<lrm_rsc_op id="{monitor}""#), ">", |ended| {
            let ended = replaced(ended, &format!(r#"rc-code="{before}""#), &format!(r#"rc-code="{code}""#));
            replaced(&ended, &format!(r#"magic="0:{before};"#), &format!(r#"magic="0:{code};"#))
        });
        self
    }

    /// What Pacemaker would do in one transition, in its order, and the CIB after that.
    fn simulated(&self) -> (String, String) {
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
        (done(&text), std::fs::read_to_string(path("after")).unwrap())
    }

    fn reaction(&self) -> Option<String> {
        if Path::new(SIMULATOR).exists() {
            return Some(self.simulated().0);
        }
        skip(&format!("{SIMULATOR} is missing (package pacemaker-cli-utils)"));
        None
    }
}

/// The actions in a transition as `crm_simulate` tells it, the nodes of each in order: `demote srv1, promote srv2`.
fn done(text: &str) -> String {
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
    let told = actions.iter().map(|(action, nodes)| format!("{action} {}", nodes.join(" ")));
    told.collect::<Vec<_>>().join(", ")
}

/// What has happened → what Pacemaker does.
macro_rules! reactions {
    ($($name:ident: $cluster:expr => $expected:literal;)+) => {
        $(
            #[test]
            fn $name() {
                if let Some(reaction) = $cluster.reaction() {
                    assert_eq!(reaction, $expected);
                }
            }
        )+
    };
}

fn scores(srv1: Score, srv2: Score, srv3: Score) -> [Option<Score>; 3] {
    [Some(srv1), Some(srv2), Some(srv3)]
}

/// What a primary's monitor publishes.
fn usual() -> [Option<Score>; 3] {
    scores(Score::PRIMARY, Score::BEST_STANDBY, NEXT)
}

// Scores: whom Pacemaker promotes.
reactions! {
    the_primary_stays: running(usual()) => "";
    standbys_that_change_places_change_nothing: running(scores(Score::PRIMARY, NEXT, Score::BEST_STANDBY)) => "";
    the_best_standby_follows_a_lost_primary: running(usual()).lost("srv1") => "fence srv1, promote srv2";
    whichever_that_is: running(scores(Score::PRIMARY, NEXT, Score::BEST_STANDBY)).lost("srv1") => "fence srv1, promote srv3";
    a_lost_standby_changes_nothing: running(usual()).lost("srv3") => "fence srv3";
    nobody_with_a_negative_score_is_promoted: running(scores(Score::PRIMARY, Score::DISCONNECTED, Score::NOT_READY)).lost("srv1") => "fence srv1";
    nor_who_is_too_far_behind: running(scores(Score::PRIMARY, Score::BEST_STANDBY.too_far_behind(), NEXT.too_far_behind())).lost("srv1") => "fence srv1";
    nor_who_has_no_score: running([Some(Score::PRIMARY), None, None]).lost("srv1") => "fence srv1";
    a_candidate_is_promoted: running(scores(Score::PRIMARY, Score::DISCONNECTED, Score::CANDIDATE)).lost("srv1") => "fence srv1, promote srv3";
    the_only_candidate_of_a_first_start: new([None, Some(Score::CANDIDATE), None]) => "start srv1 srv2 srv3, promote srv2";
    no_candidate_yet: new([None; 3]) => "start srv1 srv2 srv3";
    an_operator_moves_the_primary: running(usual()).moved_to("srv3") => "demote srv1, promote srv3";
    a_wish_beats_disconnected: running(scores(Score::PRIMARY, Score::BEST_STANDBY, Score::DISCONNECTED)).moved_to("srv3") => "demote srv1, promote srv3";
    a_wish_does_not_beat_never: running(scores(Score::PRIMARY, Score::BEST_STANDBY, Score::NEVER)).moved_to("srv3") => "";
    // A node that has diverged: no wish for it costs the primary its role, and it runs like any other.
    nor_is_it_promoted_for_want_of_others: running(scores(Score::PRIMARY, Score::NEVER, Score::DISCONNECTED)).moved_to("srv2").lost("srv1") => "fence srv1";
    it_is_started: running(scores(Score::PRIMARY, Score::BEST_STANDBY, Score::NEVER)).probed("srv3", NotRunning) => "start srv3";
    it_is_restarted_to_be_rewound: running(scores(Score::PRIMARY, Score::NEVER, Score::BEST_STANDBY)).monitored("srv2", GenericError) => "stop srv2, start srv2";
    it_stays_where_it_is: running(scores(Score::PRIMARY, Score::NEVER, Score::BEST_STANDBY)).monitored("srv2", Degraded) => "";
    a_node_on_standby_hands_over: running(usual()).on_standby("srv1") => "demote srv1, stop srv1, promote srv2";
}

// Elections: who yields says so by its own score and that of the better one, and one transition does the rest.
reactions! {
    who_yields_makes_room: running(scores(Score::PRIMARY, Score::NEVER, Score::PRIMARY)).lost("srv1").ended("promote", "srv2", GenericError as u8)
        => "fence srv1, demote srv2, stop srv2, start srv2, promote srv3";
    who_yields_against_a_wish_makes_room: running(scores(Score::PRIMARY, Score::NEVER, Score::PRIMARY)).moved_to("srv2").lost("srv1").ended("promote", "srv2", GenericError as u8)
        => "fence srv1, demote srv2, stop srv2, start srv2, promote srv3";
    who_finds_nobody_fit_leaves_it_at_that: running(scores(Score::PRIMARY, Score::NEVER, Score::DISCONNECTED)).lost("srv1").ended("promote", "srv2", GenericError as u8)
        => "fence srv1, demote srv2, stop srv2, start srv2";
}

// Monitors and probes.
reactions! {
    a_primary_in_trouble_is_left_alone: running(usual()).monitored("srv1", DegradedPromoted) => "";
    a_standby_in_trouble_is_left_alone: running(usual()).monitored("srv2", Degraded) => "";
    a_crashed_primary_recovers_in_place: running(usual()).monitored("srv1", FailedPromoted)
        => "demote srv1, stop srv1, start srv1, promote srv1";
    so_does_a_vanished_one: running(usual()).monitored("srv1", NotRunning)
        => "demote srv1, stop srv1, start srv1, promote srv1";
    a_crashed_primary_that_gives_up_is_replaced: running(scores(Score::CANDIDATE, Score::BEST_STANDBY, NEXT)).monitored("srv1", FailedPromoted)
        => "demote srv1, stop srv1, start srv1, promote srv2";
    a_crashed_standby_is_restarted: running(usual()).monitored("srv2", NotRunning) => "stop srv2, start srv2";
    a_standby_that_is_a_primary_is_demoted: running(usual()).monitored("srv2", RunningPromoted)
        => "demote srv2, stop srv2, start srv2";
    an_unknown_primary_is_adopted: running(usual()).probed("srv1", RunningPromoted) => "";
    an_unknown_standby_is_adopted: running(usual()).probed("srv3", Success) => "";
    what_a_probe_does_not_find_is_started: running(usual()).probed("srv3", NotRunning) => "start srv3";
    a_crashed_primary_that_is_found_is_recovered: running(usual()).probed("srv1", FailedPromoted)
        => "demote srv1, stop srv1, start srv1, promote srv1";
    // A permanent score outlives its truth, and the primary that replaced it is demoted for it: PAF's are removed.
    a_crashed_primary_with_the_greater_score_comes_back: running(scores(Score::BEST_STANDBY, Score::PRIMARY, NEXT)).probed("srv2", FailedPromoted)
        => "demote srv1 srv2, stop srv2, start srv2, promote srv2";
    // It passes for NotRunning, and a second primary comes up unfenced: no probe of the agent ends so.
    a_probe_of_a_primary_must_not_say_not_installed: running(usual()).probed("srv1", NotInstalled) => "promote srv2";
    nor_that_a_parameter_is_bad: running(usual()).probed("srv1", BadArguments) => "promote srv2";
    a_probe_that_fails_is_followed_by_a_stop: running(usual()).probed("srv1", GenericError) => "stop srv1, start srv1, promote srv1";
}

// Other actions.
reactions! {
    a_dead_primary_is_demoted: running(usual()).monitored("srv1", FailedPromoted).ended("demote", "srv1", Success as u8)
        => "stop srv1, start srv1, promote srv1";
    // What our demote never says, and Pacemaker would take just as well.
    even_if_its_demote_finds_nothing: running(usual()).monitored("srv1", FailedPromoted).ended("demote", "srv1", NotRunning as u8)
        => "stop srv1, start srv1, promote srv1";
    a_start_that_may_work_next_time_is_repeated: running(usual()).ended("start", "srv2", GenericError as u8) => "stop srv2, start srv2";
    a_start_with_a_bad_parameter_is_not: running(usual()).ended("start", "srv2", BadArguments as u8) => "stop srv2";
    nor_one_that_may_not: running(usual()).ended("start", "srv2", NoPermission as u8) => "stop srv2";
    nor_one_without_programs: running(usual()).ended("start", "srv2", NotInstalled as u8) => "stop srv2";
    // Why OcfExitCode has no 6.
    not_configured_would_stop_all: running(usual()).ended("start", "srv2", 6) => "demote srv1, stop srv1 srv2 srv3";
    a_stop_that_fails_fences: running(usual()).ended("stop", "srv2", GenericError as u8) => "fence srv2";
}
