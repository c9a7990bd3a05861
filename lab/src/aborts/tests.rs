use super::*;

/// A failover to srv1, and the old primary's return; the coordinator is srv1. The record is so long that Pacemaker cuts its line.
const FAILOVER: &str = "
Nov 28 23:03:39.271 srv1 pacemaker-controld  [265] (execute_rsc_action) \tnotice: Initiating notify operation pgsqld_pre_notify_promote_0 locally on srv1 | action 59
Nov 28 23:03:39.271 srv1 pacemaker-execd     [262] (log_execute) \tinfo: executing - rsc:pgsqld action:notify call_id:119
Nov 28 23:03:39.343 srv1 pacemaker-execd     [262] (log_finished) \tinfo: pgsqld notify (call 119, PID 2382) exited with status 0 (execution time 70ms)
Nov 28 23:03:39.351 srv1 pacemaker-execd     [262] (log_execute) \tinfo: executing - rsc:pgsqld action:promote call_id:120
Nov 28 23:03:39.771 srv1 pacemaker-based     [260] (forward_request) \tinfo: Forwarding cib_modify operation for section crm_config to all (origin=srv1/cibadmin/3)
Nov 28 23:03:39.779 srv1 pacemaker-controld  [265] (abort_transition_graph) \tnotice: Transition 1 aborted by pgsqlms-pgsqlms-pgsqld-promotions doing modify pgsqlms-pgsqld-promotions=9@0/52C9400 srv1 1795907019 intended history=1@0/500
Nov 28 23:03:39.827 srv1 pacemaker-execd     [262] (log_finished) \tinfo: pgsqld promote (call 120, PID 2388) exited with status 0 (execution time 479ms)
Nov 28 23:03:39.895 srv1 pacemaker-controld  [265] (pcmk__execute_graph) \tnotice: Transition 1 (Complete=38, Pending=0, Fired=0, Skipped=2, Incomplete=3, Source=/var/lib/pacemaker/pengine/pe-warn-0.bz2): Stopped
Nov 28 23:03:39.919 srv1 pacemaker-controld  [265] (execute_rsc_action) \tnotice: Initiating start operation pgsql-vip_start_0 locally on srv1 | action 42
Nov 28 23:03:40.111 srv1 pacemaker-based     [260] (forward_request) \tinfo: Forwarding cib_modify operation for section crm_config to all (origin=srv1/crm_attribute/4)
Nov 28 23:03:40.119 srv1 pacemaker-controld  [265] (abort_transition_graph) \tnotice: Transition 2 aborted by pgsqlms-pgsqlms-pgsqld-synchronous doing modify pgsqlms-pgsqld-synchronous=srv1: ANY 1 (srv1, srv2, srv3): Configuration change | cib=0.53.0 complete=false
Nov 28 23:03:40.215 srv1 pacemaker-attrd     [263] (update_attr_on_host) \tnotice: Setting master-pgsqld[srv1] in instance_attributes: 1000 -> 1001 | from srv1 with no write delay
Nov 28 23:03:40.219 srv1 pacemaker-controld  [265] (abort_transition_graph) \tinfo: Transition 2 aborted by status-1-master-pgsqld doing modify master-pgsqld=1001: Transient attribute change | cib=0.54.2 complete=false
Nov 28 23:03:48.291 srv3 pacemaker-execd     [48] (log_execute) \tinfo: executing - rsc:pgsqld action:start call_id:21
Nov 28 23:03:48.447 srv3 pacemaker-based     [46] (forward_request) \tinfo: Forwarding cib_delete operation for section crm_config to all (origin=srv3/crm_attribute/4)
Nov 28 23:03:48.475 srv1 pacemaker-controld  [265] (abort_transition_graph) \tnotice: Transition 6 aborted by deletion of nvpair[@id='pgsqlms-pgsqlms-pgsqld-left-srv3']: Configuration change | cib=0.57.0 complete=false
Nov 28 23:03:48.583 srv3 pacemaker-execd     [48] (log_finished) \tinfo: pgsqld start (call 21, PID 76) exited with status 0 (execution time 293ms)
Nov 28 23:03:48.763 srv1 pacemaker-attrd     [263] (update_attr_on_host) \tnotice: Setting master-pgsqld[srv3] in instance_attributes: (unset) -> 990 | from srv1 with no write delay
Nov 28 23:03:48.763 srv3 pacemaker-attrd     [47] (update_attr_on_host) \tnotice: Setting master-pgsqld[srv3] in instance_attributes: (unset) -> 990 | from srv1 with no write delay
Nov 28 23:03:48.771 srv1 pacemaker-controld  [265] (abort_transition_graph) \tinfo: Transition 7 aborted by status-3-master-pgsqld doing create master-pgsqld=990: Transient attribute change | cib=0.57.5 complete=true
Nov 28 23:03:49.000 srv1 pacemaker-controld  [265] (abort_transition_graph) \tnotice: Transition 8 aborted by cib-bootstrap-options-last-lrm-refresh doing modify last-lrm-refresh=1795907077: Configuration change | cib=0.68.0 complete=false
";

fn found(text: &str) -> Vec<String> {
    let lines: Vec<String> = text.lines().map(str::to_owned).collect();
    let sign = |change: &Change| match (change.has_stopped, change.is_amidst) {
        (true, _) => " stopped",
        (false, true) => " amidst",
        (false, false) => "",
    };
    changes(&lines).iter().map(|change| format!("{change}{}", sign(change))).collect()
}

#[test]
fn each_change_has_its_writer() {
    let expected = [
        "pgsqld-promotions by promote on srv1 in transition 1 stopped",
        "pgsqld-synchronous by monitor on srv1 in transition 2 stopped",
        "status-1-master-pgsqld by monitor on srv1 in transition 2 amidst",
        "pgsqld-left-srv3 by start on srv3 in transition 6 stopped",
        "status-3-master-pgsqld by monitor on srv1 in transition 7",
    ];
    assert_eq!(found(FAILOVER), expected);
}

#[test]
fn a_notification_that_writes_is_named() {
    let lines = "
Nov 28 23:03:39.275 srv2 pacemaker-execd     [262] (log_execute) \tinfo: executing - rsc:pgsqld action:notify call_id:7
pgsqlms(pgsqld)[2382]: 2026/11/28_23:03:39 INFO: no node is promotable and this one should be promoted: it becomes the candidate
Nov 28 23:03:39.343 srv2 pacemaker-execd     [262] (log_finished) \tinfo: pgsqld notify (call 7, PID 2382) exited with status 0 (execution time 70ms)
Nov 28 23:03:39.347 srv2 pacemaker-attrd     [263] (update_attr_on_host) \tnotice: Setting master-pgsqld[srv2] in instance_attributes: (unset) -> 1 | from srv2 with no write delay
Nov 28 23:03:39.275 srv1 pacemaker-controld  [265] (execute_rsc_action) \tnotice: Initiating notify operation pgsqld:1_post_notify_start_0 on srv2 | action 59
Nov 28 23:03:39.351 srv1 pacemaker-controld  [265] (abort_transition_graph) \tnotice: Transition 3 aborted by status-2-master-pgsqld doing create master-pgsqld=1: Transient attribute change | complete=false
";
    assert_eq!(found(lines), ["status-2-master-pgsqld by post-notify start on srv2 in transition 3 stopped"]);
    let writer = |action: &str| Writer { action: action.to_owned(), node: "srv1".to_owned() };
    let quiet = ["demote", "stop", "pre-notify promote", "post-notify stop"];
    assert!(quiet.iter().all(|action| writer(action).must_be_quiet()));
    let others = ["start", "promote", "monitor", "post-notify start", "monitor or post-notify stop"];
    assert!(!others.iter().any(|action| writer(action).must_be_quiet()));
}

/// Pacemaker notifies while a monitor runs. What the agent logs has its process's number.
#[test]
fn a_monitor_beside_a_notification_is_the_writer() {
    let lines = "
Nov 28 23:02:56.951 srv1 pacemaker-controld  [265] (execute_rsc_action) \tnotice: Initiating notify operation pgsqld_post_notify_stop_0 on srv1 | action 59
Nov 28 23:02:56.951 srv1 pacemaker-execd     [262] (log_execute) \tinfo: executing - rsc:pgsqld action:notify call_id:75
pgsqlms(pgsqld)[1924]: 2026/11/28_23:02:56 INFO: promotion score of srv3: 1000 (was 990)
pgsqlms(pgsqld)[1931]: 2026/11/28_23:02:56 INFO: srv2 leaves its place
Nov 28 23:02:57.003 srv1 pacemaker-attrd     [263] (update_attr_on_host) \tnotice: Setting master-pgsqld[srv3] in instance_attributes: 990 -> 1000 | from srv1 with no write delay
Nov 28 23:02:57.043 srv3 pacemaker-controld  [249] (abort_transition_graph) \tinfo: Transition 29 aborted by status-3-master-pgsqld doing modify master-pgsqld=1000: Transient attribute change | complete=false
Nov 28 23:02:57.075 srv1 pacemaker-execd     [262] (log_finished) \tinfo: pgsqld notify (call 75, PID 1931) exited with status 0 (execution time 125ms)
";
    assert_eq!(found(lines), ["status-3-master-pgsqld by monitor on srv1 in transition 29 amidst"]);
    let unsure = lines.replace("promotion score of", "the score of");
    assert_eq!(
        found(&unsure),
        ["status-3-master-pgsqld by monitor or post-notify stop on srv1 in transition 29 amidst"]
    );
    let by_the_notification = lines.replace("[1924]", "[1931]");
    assert_eq!(
        found(&by_the_notification),
        ["status-3-master-pgsqld by post-notify stop on srv1 in transition 29 amidst"]
    );
}

/// The writer's own attribute daemon may log it last.
#[test]
fn the_first_to_log_a_change_of_an_attribute_counts() {
    let lines = "
Nov 28 23:03:48.291 srv3 pacemaker-execd     [48] (log_execute) \tinfo: executing - rsc:pgsqld action:start call_id:21
Nov 28 23:03:48.755 srv1 pacemaker-attrd     [263] (update_attr_on_host) \tnotice: Setting master-pgsqld[srv3] in instance_attributes: (unset) -> -1000000 | from srv3 with no write delay
Nov 28 23:03:48.757 srv3 pacemaker-execd     [48] (log_finished) \tinfo: pgsqld start (call 21, PID 76) exited with status 0 (execution time 293ms)
Nov 28 23:03:48.763 srv1 pacemaker-controld  [265] (abort_transition_graph) \tnotice: Transition 7 aborted by status-3-master-pgsqld doing create master-pgsqld=-1000000: Transient attribute change | complete=false
Nov 28 23:03:48.779 srv3 pacemaker-attrd     [47] (update_attr_on_host) \tnotice: Setting master-pgsqld[srv3] in instance_attributes: (unset) -> -1000000 | from srv3 with no write delay
";
    let expected = ["status-3-master-pgsqld by start on srv3 in transition 7 stopped"];
    assert_eq!(found(lines), expected);
    assert_eq!(found(&lines.replace("23:03:48.763", "23:03:48.799")), expected);
}

/// What a power cut has ended does not write any more.
#[test]
fn an_action_ends_with_its_node() {
    let lines = "
Nov 28 23:03:39.275 srv2 pacemaker-execd     [262] (log_execute) \tinfo: executing - rsc:pgsqld action:stop call_id:7
Nov 28 23:03:49.275 srv2 pacemakerd          [47] (main) \tnotice: Starting Pacemaker 3.0.0 | build=3.0.0
Nov 28 23:03:59.347 srv2 pacemaker-attrd     [263] (update_attr_on_host) \tnotice: Setting master-pgsqld[srv2] in instance_attributes: (unset) -> 1 | from srv2 with no write delay
Nov 28 23:03:59.351 srv1 pacemaker-controld  [265] (abort_transition_graph) \tnotice: Transition 3 aborted by status-2-master-pgsqld doing create master-pgsqld=1: Transient attribute change | complete=false
";
    assert_eq!(found(lines), ["status-2-master-pgsqld by monitor on srv2 in transition 3 stopped"]);
}

#[test]
fn the_address_has_waited_for_the_next_transition() {
    let lines: Vec<String> = FAILOVER.lines().map(str::to_owned).collect();
    assert_eq!(waits(&lines), [("pgsql-vip_start_0".to_owned(), 24)]);
    assert_eq!((asked(&lines, "promote"), asked(&lines, "start"), asked(&lines, "stop")), (1, 1, 0));
    let elsewhere = FAILOVER.replace("Transition 1 (", "Transition 11 (");
    assert_eq!(waits(&elsewhere.lines().map(str::to_owned).collect::<Vec<_>>()), []);
}

#[test]
fn they_are_counted_by_writer() {
    let lines: Vec<String> = FAILOVER.lines().map(str::to_owned).collect();
    let expected = "monitor: 1 x pgsqld-synchronous, of which 1 stopped a transition; monitor: 1 x status-1-master-pgsqld; \
        monitor: 1 x status-3-master-pgsqld; promote: 1 x pgsqld-promotions, of which 1 stopped a transition; \
        start: 1 x pgsqld-left-srv3, of which 1 stopped a transition";
    assert_eq!(counted(&changes(&lines)), expected);
    assert_eq!(counted(&[]), "none");
}
