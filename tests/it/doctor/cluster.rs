//! Mistakes in the configuration of the cluster.

use pgsqlms::pacemaker::configuration;
use pgsqlms::rules::doctor::Corosync;

use super::{cib, healthy, names, planted};

/// The findings after these replacements in the CIB: each text by the one that follows it.
fn edited(edits: &[(&str, &str)]) -> String {
    let mut xml = cib();
    for (old, new) in edits {
        assert!(xml.contains(old), "{old}");
        xml = xml.replace(old, new);
    }
    let mut facts = healthy();
    facts.configuration = configuration::read(&xml, "pgsqld");
    facts.server = Err("it is about the cluster".to_owned());
    names(&facts)
}

/// The findings with this cluster property.
fn with_property((name, value): (&str, &str)) -> String {
    let end = "</cluster_property_set>";
    edited(&[(end, &format!(r#"<nvpair id="p" name="{name}" value="{value}"/>{end}"#))])
}

/// The findings with this meta attribute of the clone.
fn with_meta((name, value): (&str, &str)) -> String {
    let begin = r#"<meta_attributes id="pgsqld-clone-meta_attributes">"#;
    edited(&[(begin, &format!(r#"{begin}<nvpair id="m" name="{name}" value="{value}"/>"#))])
}

/// The findings with one more constraint.
fn with_constraint(constraint: &str) -> String {
    edited(&[("</constraints>", &format!("{constraint}</constraints>"))])
}

/// The findings with one more resource.
fn with_resource(resource: &str) -> String {
    edited(&[("</resources>", &format!("{resource}</resources>"))])
}

/// The findings without the line that contains this.
fn without(part: &str) -> String {
    let xml = cib();
    let line = xml.lines().find(|line| line.contains(part)).unwrap();
    edited(&[(line, "")])
}

// Fencing.
planted! { with_property;
    fencing_is_off: ("stonith-enabled", "false") => "FAIL fencing-off";
    fencing_is_off_in_pacemaker_3: ("fencing-enabled", "off") => "FAIL fencing-off";
    fencing_is_on: ("stonith-enabled", "true") => "";
    nodes_never_seen_are_taken_for_down: ("startup-fencing", "false") => "FAIL startup-fencing-off";
    nothing_is_probed: ("enable-startup-probes", "false") => "WARN startup-probes-off";
    resources_run_where_they_are_allowed: ("symmetric-cluster", "false") => "FAIL asymmetric-cluster";
}
planted! { edited;
    a_node_without_a_device: &[(r#"value="srv3"/>"#, r#"value="srv2"/>"#)] => "FAIL fencing-no-device, HINT fencing-self";
    a_device_that_knows_its_nodes: &[(r#"name="pcmk_host_list" value="srv3""#, r#"name="x" value="""#)] => "";
    nodes_by_a_map: &[(r#"name="pcmk_host_list" value="srv3""#, r#"name="pcmk_host_map" value="srv3:7;srv9:8""#)] => "";
    no_device_at_all: &[(r#"class="stonith""#, r#"class="ocf""#)]
        => "FAIL fencing-no-device, FAIL fencing-no-device, FAIL fencing-no-device";
    a_watchdog_instead: &[(r#"class="stonith""#, r#"class="ocf""#), (r#"name="have-watchdog" value="false""#, r#"name="have-watchdog"
        value="true"/><nvpair id="w" name="stonith-watchdog-timeout" value="10s""#)] => "";
    a_device_is_disabled: &[(r#"<operations>
          <op name="monitor" interval="60s" id="fence-srv1"#, r#"<meta_attributes id="q"><nvpair id="t" name="target-role"
        value="Stopped"/></meta_attributes><operations><op name="monitor" interval="60s" id="fence-srv1"#)] => "WARN fencing-device-disabled";
    a_node_may_run_its_own_device: &[(r#"rsc="fence-srv2" node="srv2""#, r#"rsc="fence-srv2" node="srv3""#)] => "HINT fencing-self";
    two_nodes_may_fence_each_other: &[(r#"<node id="3" uname="srv3"/>"#, ""), (r#"value="3""#, r#"value="2""#)] => "WARN fencing-race";
    two_nodes_may_fence_each_other_after_a_delay: &[(r#"<node id="3" uname="srv3"/>"#, ""), (r#"value="3""#, r#"value="2""#),
        (r#"name="plug" value="srv1""#, r#"name="pcmk_delay_base" value="5s""#)] => "";
}

// Properties of the cluster.
planted! { edited;
    quorum_is_ignored: &[(r#"value="stop""#, r#"value="ignore""#)] => "FAIL no-quorum-policy";
    without_quorum_all_goes_on: &[(r#"value="stop""#, r#"value="freeze""#)] => "FAIL no-quorum-policy";
    without_quorum_it_is_demoted: &[(r#"value="stop""#, r#"value="demote""#)] => "";
    a_low_load_is_too_much: &[("1000%", "80%")] => "HINT load-threshold";
    any_load_will_do: &[("1000%", "0")] => "";
}
planted! { without;
    the_usual_load_is_too_much: "load-threshold" => "HINT load-threshold";
    no_quorum_policy_is_unset: "no-quorum-policy" => "";
}

// The clone.
planted! { without;
    instances_are_not_notified: "meta_attributes-notify" => "FAIL notify";
    the_clone_is_not_promotable: "meta_attributes-promotable" => "FAIL not-promotable";
    as_many_as_there_are_nodes: "clone-max" => "";
    one_primary_is_the_default: "promoted-max" => "";
    migration_threshold_is_unset: "migration-threshold" => "HINT migration-threshold";
    failures_are_kept: "failure-timeout" => "HINT failure-timeout";
    nothing_is_said_of_moves: "resource-stickiness" => "";
}
planted! { with_meta;
    a_node_runs_two: ("clone-node-max", "2") => "FAIL clone-node-max";
    a_node_runs_two_primaries: ("promoted-node-max", "2") => "FAIL clone-node-max";
    the_clone_is_globally_unique: ("globally-unique", "true") => "FAIL globally-unique";
    instances_move: ("resource-stickiness", "0") => "HINT stickiness";
}
planted! { edited;
    there_is_no_clone: &[(r#"<clone id="pgsqld-clone">"#, r#"<group id="pgsqld-clone">"#), ("</clone>", "</group>")] => "FAIL not-promotable";
    two_primaries: &[(r#"name="promoted-max" value="1""#, r#"name="promoted-max" value="2""#)] => "FAIL promoted-max";
    two_primaries_in_old_words: &[(r#"name="promoted-max" value="1""#, r#"name="master-max" value="2""#)] => "FAIL promoted-max";
    fewer_than_nodes: &[(r#"name="clone-max" value="3""#, r#"name="clone-max" value="2""#)] => "WARN clone-max";
    a_member_without_postgresql: &[(r#"name="clone-max" value="3""#, r#"name="clone-max" value="2""#), ("</constraints>",
        r#"<rsc_location id="l" rsc="pgsqld-clone" node="srv3" score="-INFINITY"/></constraints>"#)] => "";
    a_typing_error: &[(r#"name="rejoin""#, r#"name="rejoyn""#)] => "WARN unknown-parameter";
}
planted! { with_resource;
    another_resource_on_the_same_data: r#"<primitive id="paf" class="ocf" provider="heartbeat" type="pgsqlms"><instance_attributes id="j">
        <nvpair id="k" name="pgdata" value="/var/lib/postgresql/17/main/"/></instance_attributes></primitive>"# => "FAIL same-data";
    another_resource_on_other_data: r#"<primitive id="two" class="ocf" provider="rust" type="pgsqlms"><instance_attributes id="j">
        <nvpair id="k" name="pgdata" value="/var/lib/postgresql/17/other"/></instance_attributes></primitive>"# => "";
}
planted! { edited;
    another_clone_depends_on_it: &[("</resources>", r#"<clone id="pool"><primitive id="p"/></clone></resources>"#), ("</constraints>",
        r#"<rsc_order id="o" first="pgsqld-clone" then="pool"/></constraints>"#)] => "HINT interleave";
    another_clone_that_is_interleaved: &[("</resources>", r#"<clone id="pool"><meta_attributes id="a"><nvpair id="b" name="interleave"
        value="true"/></meta_attributes><primitive id="p"/></clone></resources>"#), ("</constraints>",
        r#"<rsc_order id="o" first="pgsqld-clone" then="pool"/></constraints>"#)] => "";
}

// Operations.
planted! { without;
    the_primary_is_not_monitored: r#"role="Promoted" id"# => "FAIL monitor-missing";
    standbys_are_not_monitored: r#"role="Unpromoted" id"# => "FAIL monitor-missing";
    a_stop_has_the_usual_time: "pgsqld-stop" => "WARN operation-timeout";
    a_start_has_the_usual_time: "pgsqld-start" => "WARN operation-timeout";
}
planted! { edited;
    a_monitor_is_switched_off: &[(r#"role="Promoted" id"#, r#"role="Promoted" enabled="false" id"#)] => "FAIL monitor-missing";
    roles_in_old_words: &[(r#"role="Promoted" id"#, r#"role="Master" id"#), (r#"role="Unpromoted" id"#, r#"role="Slave" id"#)] => "";
    both_monitors_are_one: &[(r#"interval="3s""#, r#"interval="2000ms""#)] => "FAIL monitor-same-interval";
    a_monitor_has_little_time: &[(r#"interval="2s" timeout="10s""#, r#"interval="2s" timeout="5s""#)] => "WARN monitor-timeout";
    a_monitor_is_rare: &[(r#"interval="2s""#, r#"interval="1min""#)] => "HINT monitor-interval";
    as_paf_has_it: &[(r#"interval="2s""#, r#"interval="15s""#), (r#"interval="3s""#, r#"interval="16s""#)] => "";
    a_demotion_has_little_time: &[(r#"name="demote" timeout="120s""#, r#"name="demote" timeout="60s""#)] => "WARN operation-timeout";
    a_length_that_is_written_otherwise: &[(r#"name="demote" timeout="120s""#, r#"name="demote" timeout="PT2M""#)] => "";
    a_failure_is_ignored: &[(r#"name="demote""#, r#"name="demote" on-fail="ignore""#)] => "WARN on-fail";
}

// The address.
planted! { without;
    the_address_is_anywhere: "<rsc_colocation" => "FAIL vip-no-colocation";
    the_address_comes_first: "clone-pgsql-vip-Mandatory" => "WARN vip-no-promote-order";
    the_address_leaves_first: r#"clone-pgsql-vip-Optional""# => "WARN vip-no-demote-order";
    the_address_leaves_before_a_stop: "clone-pgsql-vip-Optional-1" => "HINT vip-no-stop-order";
}
planted! { edited;
    the_address_goes_with_any_instance: &[(r#"with-rsc-role="Promoted""#, r#"with-rsc-role="Started""#)] => "FAIL vip-wrong-role";
    an_address_of_the_standbys: &[(r#"with-rsc-role="Promoted""#, r#"with-rsc-role="Unpromoted""#)] => "";
    the_order_of_the_demotion_is_mandatory: &[(r#"kind="Optional" first-action="demote""#, r#"kind="Mandatory" first-action="demote""#)]
        => "FAIL vip-order-mandatory";
    as_it_is_without_a_word: &[(r#"kind="Optional" first-action="demote""#, r#"first-action="demote""#)] => "FAIL vip-order-mandatory";
    the_order_of_the_promotion_is_symmetrical: &[(r#"then-action="start" symmetrical="false""#, r#"then-action="start""#)]
        => "WARN vip-symmetrical";
}
planted! { with_constraint;
    a_set_is_not_judged: r#"<rsc_colocation id="s"><resource_set id="t"><resource_ref id="pgsql-vip"/></resource_set></rsc_colocation>"# => "";
    a_move_has_left_something: r#"<rsc_location id="cli-prefer-pgsqld-clone" rsc="pgsqld-clone" role="Promoted" node="srv3" score="INFINITY"/>"#
        => "WARN cli-constraint-left";
    a_ban_has_left_something: r#"<rsc_location id="cli-ban-pgsqld-clone-on-srv3" rsc="pgsqld-clone" role="Promoted" node="srv3" score="-INFINITY"/>"#
        => "WARN cli-constraint-left";
    a_constraint_that_expires: r#"<rsc_location id="cli-ban-pgsqld-clone-on-srv3" rsc="pgsqld-clone" role="Promoted"><rule id="r" score="-INFINITY">
        <date_expression id="d" operation="lt" end="2026-11-28 22:01:53Z"/></rule></rsc_location>"# => "";
}

// Constraints left by commands.
planted! { edited;
    a_score_of_pafs: &[(r#"<node id="2" uname="srv2"/>"#, r#"<node id="2" uname="srv2"><instance_attributes id="n"><nvpair id="v"
        name="master-pgsqld" value="1001"/></instance_attributes></node>"#)] => "WARN permanent-score";
}
planted! { with_property;
    a_property_of_a_resource_that_is_gone: ("pgsqlms-old-promotions", "1@0/1") => "HINT property-left";
    a_property_of_ours: ("pgsqlms-pgsqld-promotions", "1@0/1") => "";
    how_far_a_node_had_got: ("pgsqlms-pgsqld-left-srv2", "1#1") => "";
}

/// The findings with this Corosync configuration.
fn corosync(corosync: Corosync) -> String {
    let mut facts = healthy();
    facts.corosync = Ok(corosync);
    names(&facts)
}

planted! { corosync;
    two_nodes_alone: Corosync { two_nodes: true, waits_for_all: true, ..Corosync::default() } => "WARN two-nodes-no-third-vote";
    two_nodes_that_do_not_wait: Corosync { two_nodes: true, has_device: true, ..Corosync::default() } => "FAIL two-nodes-no-wait";
    two_nodes_and_a_device: Corosync { two_nodes: true, waits_for_all: true, has_device: true, ..Corosync::default() } => "";
    consensus_is_short: Corosync { token: Some(1000), consensus: Some(1100), ..Corosync::default() } => "WARN consensus";
    a_lost_node_is_noticed_late: Corosync { token: Some(10_000), consensus: Some(12_000), ..Corosync::default() } => "HINT token";
}
