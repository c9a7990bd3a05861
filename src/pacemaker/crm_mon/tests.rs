use super::*;
use crate::rules::fitness::TooLow;

/// What Pacemaker 2.1.5 prints, shortened.
const PRINTED: &str = r#"<pacemaker-result api-version="2.25"><summary><current_dc present="true" with_quorum="true"/>
    <cluster_options stonith-enabled="false" maintenance-mode="true"/></summary><nodes>
    <node name="srv1" id="1" online="true" standby="false" maintenance="false" unclean="false"/>
    <node name="srv2" id="2" online="true" standby="true" maintenance="false" unclean="false"/>
    <node name="srv3" id="3" online="false" standby="false" maintenance="false" unclean="true"/></nodes><resources>
    <clone id="pgsqld-clone" disabled="false"><resource id="pgsqld" role="Promoted" active="true" managed="true" failed="false">
    <node name="srv1" id="1" cached="true"/></resource><resource id="pgsqld" role="Stopped" active="false" managed="true"/></clone>
    <resource id="vip" role="Started" active="true" managed="true"><node name="srv2"/></resource></resources><node_attributes>
    <node name="srv1"><attribute name="master-pgsqld" value="1001"/><attribute name="x" value="y"/></node><node name="srv2">
    <attribute name="pgsqlms-address" value="10.0.0.2"/><attribute name="pgsqlms-port" value="5433"/>
    <attribute name="pgsqlms-fitness-pgsqld" value="max_connections=100/200 a;b=1/2"/></node></node_attributes>
    <node_history><node name="srv1"><resource_history id="pgsqld">
    <operation_history call="12" task="monitor" rc="191" interval="15000ms"/></resource_history></node><node name="srv2">
    <resource_history id="pgsqld"><operation_history call="7" task="monitor" rc="0" interval="16000ms"/></resource_history></node>
    </node_history><failures>
    <failure op_key="pgsqld_monitor_15000" node="srv1" exitreason="commits &amp;quot;wait&amp;quot;" exitcode="191" call="12" interval="15000"/>
    <failure op_key="pgsqld_monitor_16000" node="srv2" exitreason="it is over" exitcode="190" call="7" interval="16000"/>
    </failures></pacemaker-result>"#;

/// What keeps the resource from being promoted, in the words of Pacemaker 2.1.5.
const HINDERED: &str = r#"<pacemaker-result><summary><current_dc with_quorum="true"/>
    <last_change time="Fri Nov 27 19:30:44 2026" user="root" client="cibadmin" origin="srv1"/>
    <cluster_options stonith-enabled="true" no-quorum-policy="freeze" maintenance-mode="false" stop-all-resources="true"/>
    </summary><nodes><node name="srv1" online="true"/><node name="srv2" online="true"/></nodes><resources>
    <clone id="pgsqld-clone" disabled="true" target_role="Stopped"><resource id="pgsqld" role="Unpromoted"
        target_role="Unpromoted" active="true" blocked="true" managed="true" pending="Promoting"><node name="srv1"/></resource>
    </clone><resource id="vip" target_role="Stopped" active="false"/></resources>
    <node_history><node name="srv2"><resource_history id="vip" migration-threshold="1" fail-count="5"/>
        <resource_history id="pgsqld" migration-threshold="1000000" fail-count="1000000"/></node>
    <node name="srv1"><resource_history id="pgsqld" migration-threshold="3" fail-count="2"/></node></node_history>
    <fence_history><fence_event action="reboot" target="srv3" status="failed" exit-reason="No such device"/>
        <fence_event action="off" target="srv2" status="success"/></fence_history>
    <bans><ban id="cli-ban-a" resource="pgsqld-clone" node="srv2" weight="-1000000"/>
        <ban id="aversion" resource="pgsqld-clone" node="srv1" weight="-500"/><ban id="other" resource="vip" node="srv1"/></bans>
    </pacemaker-result>"#;

#[test]
fn what_keeps_it_from_being_promoted_is_read() {
    let cluster = read(HINDERED, "pgsqld").unwrap();
    assert_eq!((cluster.is_disabled, cluster.target_role.as_deref()), (true, Some("Unpromoted")));
    assert_eq!((cluster.stops_all, cluster.no_quorum_policy.as_deref()), (true, Some("freeze")));
    assert_eq!(cluster.last_change.as_deref(), Some("Fri Nov 27 19:30:44 2026 by root with cibadmin on srv1"));
    assert_eq!(cluster.bans, [("cli-ban-a".to_owned(), NodeName::new("srv2"))]);
    assert_eq!(cluster.fencing, [(NodeName::new("srv3"), "reboot: failed (No such device)".to_owned())]);
    let [first, second] = ["srv1", "srv2"].map(|node| &cluster.nodes[&NodeName::new(node)]);
    assert_eq!((first.is_blocked, first.pending.as_deref(), first.is_given_up), (true, Some("Promoting"), false));
    assert!(second.is_given_up);
}

#[test]
fn a_cluster_is_read() {
    let cluster = read(PRINTED, "pgsqld").unwrap();
    assert_eq!((cluster.has_quorum, cluster.has_fencing, cluster.in_maintenance), (true, false, true));
    assert_eq!((cluster.clone.as_deref(), cluster.is_disabled), (Some("pgsqld-clone"), false));
    let [first, second, third] = ["srv1", "srv2", "srv3"].map(|node| &cluster.nodes[&NodeName::new(node)]);
    let expected = Member {
        is_online: true,
        role: Some(Role::Primary),
        score: Some("1001".to_owned()),
        reason: Some("commits \"wait\"".to_owned()),
        ..Member::default()
    };
    assert_eq!(*first, expected);
    let too_low = vec![TooLow { name: "max_connections".to_owned(), own: 100, least: 200 }];
    let (address, port) = (Some("10.0.0.2".to_owned()), Some(5433));
    assert_eq!(*second, Member { is_online: true, in_standby: true, too_low, address, port, ..Member::default() });
    assert_eq!(*third, Member { is_unclean: true, ..Member::default() });
}

#[test]
fn the_words_of_pacemaker_2_0() {
    let cluster = read(&PRINTED.replace("Promoted", "Master"), "pgsqld").unwrap();
    assert_eq!(cluster.nodes[&NodeName::new("srv1")].role, Some(Role::Primary));
}

#[test]
fn what_says_nothing_is_an_error() {
    assert!(read("<pacemaker-result/>", "pgsqld").is_err());
    assert!(read("<pacemaker-result", "pgsqld").is_err());
}

/// The failure and the monitor of a node, and the reason that holds.
fn reason(failure: &str, monitor: &str) -> Option<String> {
    let printed = format!(
        r#"<pacemaker-result><nodes><node name="srv1" online="true"/></nodes><node_history><node name="srv1">
        <resource_history id="pgsqld"><operation_history task="monitor" {monitor}/></resource_history></node></node_history>
        <failures><failure node="srv1" {failure}/></failures></pacemaker-result>"#
    );
    let cluster = read(&printed, "pgsqld").unwrap();
    let member = &cluster.nodes[&NodeName::new("srv1")];
    let is_serious = |reason: &String| reason != "commits wait";
    assert_eq!(member.is_failed, member.reason.as_ref().is_some_and(is_serious));
    member.reason.clone()
}

#[test]
fn a_reason_holds_that_is_later_than_the_result_of_the_same_call() {
    let monitor = r#"call="48" rc="8" interval="2000ms" last-rc-change="Sun Nov 29 03:28:00 2026""#;
    let failed_at = |time: &str| {
        let failure =
            r#"op_key="pgsqld_monitor_2000" exitreason="commits wait" exitcode="191" call="48" interval="2000""#;
        reason(&format!(r#"{failure} last-rc-change="2026-11-29 {time}""#), monitor)
    };
    assert_eq!(failed_at("03:28:02Z").as_deref(), Some("commits wait"));
    assert_eq!(failed_at("03:27:12 +00:00"), None);
}

#[test]
fn a_report_of_the_unit_is_over_when_a_monitor_has_found_the_instance() {
    let reported = r#"op_key="pgsqld_asyncmon_0" exitreason="Simulated failure" exitcode="1" call="1000000000" interval="0"
        last-rc-change="2026-11-29 03:28:02Z""#;
    let found_at = |time: &str| {
        reason(reported, &format!(r#"call="53" rc="8" interval="2000ms" last-rc-change="Sun Nov 29 {time} 2026""#))
    };
    assert_eq!(found_at("03:27:40").as_deref(), Some(REPORTED));
    assert_eq!(found_at("03:28:02"), None);
    assert_eq!(found_at("03:28:04"), None);
}

#[test]
fn a_refused_promotion_is_over_when_a_monitor_has_found_the_standby_again() {
    let refused = r#"op_key="pgsqld_promote_0" exitreason="not promoted" exitcode="1" call="40" interval="0"
        last-rc-change="2026-11-29 03:28:02Z""#;
    let found = |call: u32, time: &str| {
        reason(refused, &format!(r#"call="{call}" rc="0" interval="3000ms" last-rc-change="Sun Nov 29 {time} 2026""#))
    };
    assert_eq!(found(38, "03:28:01").as_deref(), Some("not promoted"));
    assert_eq!(found(38, "03:28:02").as_deref(), Some("not promoted"));
    assert_eq!(found(43, "03:28:02"), None);
    assert_eq!(found(43, "03:28:05"), None);
}
