//! Primaries that no node could follow, standbys that could not be promoted, and names that say nothing, on real instances.

use pgsqlms::actions::{election, promote, start, validate};
use pgsqlms::exit::OcfExitCode;
use pgsqlms::failure::Failure;
use pgsqlms::notification::Transition;
use pgsqlms::parameters::Follow;

use crate::members::{Members, has_a_process_of_its_own, promotion_of};
use crate::run::{is_root, skip};
use crate::throwaway::{Instance, Succeeds, eventually};

/// The attribute in which standbys publish settings that are too low.
const FITNESS: &str = "pgsqlms-fitness-pgsqld";

/// Each standby follows the node that the DBA names.
fn cluster(count: usize, settings: &str) -> Option<Members> {
    if !is_root() {
        skip("not run as root: nothing can be noted from one monitor to the next");
        return None;
    }
    let mut members = Members::new(count, &format!("primary_conninfo = 'host=/nowhere'\n{settings}"))?;
    members.config.follow = Follow::None;
    members.meta.feature_set = Some("3.19.0".to_owned());
    Some(members)
}

fn reload(instance: &Instance, setting: &str, value: &str) {
    instance.sql(&format!("ALTER SYSTEM SET {setting} = '{value}'"));
    instance.sql("SELECT pg_reload_conf()");
}

/// Has a standby stream from the primary, which then knows it as `name`, or as nothing.
fn call(members: &Members, standby: usize, name: &str) {
    let primary = members.instance(1).directory.path().display().to_string();
    let name = if name.is_empty() { String::new() } else { format!(" application_name={name}") };
    reload(members.instance(standby), "primary_conninfo", &format!("host={primary}{name}"));
}

/// Waits until those that stream from the primary are called so.
#[track_caller]
fn streaming(members: &Members, names: &str) {
    let all = "SELECT string_agg(application_name, ' ' ORDER BY application_name) FROM pg_stat_replication \
               WHERE state = 'streaming' AND flush_lsn IS NOT NULL";
    eventually(&format!("`{names}` to stream"), || members.instance(1).sql(all) == names);
}

#[test]
fn a_primary_that_no_node_could_follow_says_so_after_a_minute() {
    if !has_a_process_of_its_own("succession::a_primary_that_no_node_could_follow_says_so_after_a_minute") {
        return;
    }
    let Some(members) = cluster(2, "") else { return };
    let (well, look) = (OcfExitCode::RunningPromoted, OcfExitCode::DegradedPromoted);
    for _ in 0..3 {
        assert_eq!(members.monitored(1).reason, None, "before a minute has passed");
    }
    members.monitors_until(1, look, "no failover possible as far as seen from here: no standby streams; see srv2");
    call(&members, 2, "srv2");
    streaming(&members, "srv2");
    members.monitors_until(1, well, "");

    call(&members, 2, "");
    streaming(&members, "walreceiver");
    members.monitors_until(1, look, "set application_name to its node's name on srv2");
    call(&members, 2, "srv2");
    streaming(&members, "srv2");
    members.monitors_until(1, well, "");

    reload(members.instance(1), "synchronous_standby_names", "ANY 1 (srv1, srv2, srv3)");
    members.monitors_until(1, look, "srv3 may confirm commits alone and cannot vote");
    // The followers have all WAL once the earlier promises are settled.
    reload(members.instance(1), "synchronous_standby_names", "ANY 1 (srv1, srv2)");
    members.monitors_until(1, well, "");

    let standby = |value: &str| {
        let attributes = [("standby".to_owned(), value.to_owned())].into();
        members.board.borrow_mut().cib.permanent.insert(members.all[1].name.clone(), attributes);
    };
    standby("on");
    members.monitors_until(1, look, "srv2: its node is on standby");
    standby("off");
    members.monitors_until(1, well, "");
}

#[test]
fn the_only_node_needs_no_follower() {
    if !has_a_process_of_its_own("succession::the_only_node_needs_no_follower") {
        return;
    }
    let Some(mut members) = cluster(1, "") else { return };
    let is_well = |members: &Members| {
        for _ in 0..3 {
            members.instance(1).a_minute_passes("successor");
            assert_eq!(members.monitored(1).reason, None);
        }
    };
    is_well(&members);
    // A second node that runs no instance, as the clone says.
    members.board.borrow_mut().cib.nodes.insert(pgsqlms::node::NodeName::new("srv2"));
    members.meta.clone_max = Some(1);
    is_well(&members);
    members.meta.clone_max = Some(2);
    members.monitors_until(
        1,
        OcfExitCode::DegradedPromoted,
        "no failover possible as far as seen from here: no standby streams; see srv2",
    );
}

#[test]
fn the_primary_reports_two_standbys_of_one_name() {
    if !has_a_process_of_its_own("succession::the_primary_reports_two_standbys_of_one_name") {
        return;
    }
    let Some(members) = cluster(3, "") else { return };
    call(&members, 2, "srv2");
    call(&members, 3, "srv2");
    streaming(&members, "srv2 srv2");
    let wrong = "more than one node is called srv2 in pg_stat_replication; missing: srv3";
    members.monitors_until(1, OcfExitCode::DegradedPromoted, wrong);
    let of_srv3 = "set application_name=srv3 in primary_conninfo: the primary does not know this node as srv2";
    members.monitors_until(3, OcfExitCode::Degraded, of_srv3);
    assert_eq!(members.monitored(2).reason, None);
    call(&members, 3, "srv3");
    streaming(&members, "srv2 srv3");
    members.monitors_until(1, OcfExitCode::RunningPromoted, "");
    members.monitors_until(3, OcfExitCode::Success, "");
}

/// PostgreSQL pauses replay where a standby's settings are below the primary's, and ends when it is promoted there.
#[test]
fn a_standby_whose_settings_are_too_low_says_so_and_is_ranked_last() {
    if !has_a_process_of_its_own("succession::a_standby_whose_settings_are_too_low_says_so_and_is_ranked_last") {
        return;
    }
    let Some(members) = cluster(3, "max_connections = 100\nmax_wal_senders = 10\n") else { return };
    let version: u32 = members.instance(1).sql("SHOW server_version_num").parse().unwrap();
    if version < 140_000 {
        return skip("before PostgreSQL 14 such a standby ends");
    }
    let restart = |number: usize, raised: &[(&str, &str)]| {
        let instance = members.instance(number);
        for (setting, value) in raised {
            instance.sql(&format!("ALTER SYSTEM SET {setting} = '{value}'"));
        }
        instance
            .as_user("pg_ctl")
            .args(["restart", "--silent", "--log=/dev/null", "-D"])
            .arg(instance.data())
            .success();
    };
    let raised = [("max_connections", "110"), ("max_wal_senders", "12")];
    call(&members, 2, "srv2");
    call(&members, 3, "srv3");
    restart(3, &raised);
    restart(1, &raised);
    streaming(&members, "srv2 srv3");
    let scores = || {
        members.monitored(1);
        members.board.borrow().cib.transient("master-pgsqld").values().copied().collect::<Vec<_>>().join(" ")
    };
    assert_eq!(scores(), "1001 1000 990");

    let reason = "raise max_connections from 100 to 110, max_wal_senders from 10 to 12 here and restart PostgreSQL: replay is paused";
    members.monitors_until(2, OcfExitCode::Degraded, reason);
    assert_eq!(members.monitored(3).reason, None);
    assert_eq!(scores(), "1001 990 1000");
    let fitness = || members.board.borrow().cib.transient(FITNESS).values().copied().collect::<String>();
    assert_eq!(fitness(), "max_connections=100/110 max_wal_senders=10/12");
    // In the election it counts as one that would fail.
    members.act(2, &Transition::default(), |agent| election::vote(agent).unwrap());
    let vote = members.board.borrow().private["lsn_location-pgsqld"][&members.all[1].name].clone();
    assert!(vote.ends_with(" settings=low"), "{vote}");
    // An operator may pause the replay. That does not prevent a promotion.
    members.instance(3).sql("SELECT pg_wal_replay_pause()");
    assert_eq!(members.monitored(3).reason, None);
    members.instance(3).sql("SELECT pg_wal_replay_resume()");

    // Promoted all the same, it would end.
    let promoted = members.act(2, &promotion_of(2), promote::run);
    assert!(matches!(promoted, Err(Failure::NotPromotable(_))), "{promoted:?}");
    println!("{}", promoted.unwrap_err());
    assert_eq!(members.instance(2).sql("SELECT pg_is_in_recovery()"), "t");

    restart(2, &raised);
    members.monitors_until(2, OcfExitCode::Success, "");
    streaming(&members, "srv2 srv3");
    assert_eq!(fitness(), "");
}

#[test]
fn start_and_validation_refuse_a_name_that_is_not_the_nodes() {
    if !has_a_process_of_its_own("succession::start_and_validation_refuse_a_name_that_is_not_the_nodes") {
        return;
    }
    let Some(mut members) = cluster(2, "") else { return };
    members.instance(2).agent("stop").expect(OcfExitCode::Success);
    let conf = members.instance(2).data().join("postgresql.conf");
    let before = std::fs::read_to_string(&conf).unwrap();
    let configured = |lines: &str| std::fs::write(&conf, format!("{before}{lines}\n")).unwrap();
    let checked = |members: &Members| {
        let refused = members.act(2, &Transition::default(), validate::check_node);
        refused.map_or_else(|failure| format!("{:?}: {failure}", failure.exit_code()), |()| String::new())
    };
    configured("primary_conninfo = 'host=/nowhere application_name=srv1'");
    let another = "BadArguments: set application_name=srv2 in primary_conninfo: srv1 is the name of another node";
    assert_eq!(checked(&members), another);
    let started = members.act(2, &Transition::default(), start::run);
    assert!(matches!(started, Err(Failure::Unfit(_))), "{started:?}");
    assert_eq!(members.instance(2).processes(), 0);
    // As pg_basebackup --write-recovery-conf leaves it.
    configured("primary_conninfo = 'host=/nowhere user=postgres'");
    let none = "BadArguments: set application_name=srv2 in primary_conninfo: the primary does not know this node as walreceiver";
    assert_eq!(checked(&members), none);
    configured("primary_conninfo = 'host=/nowhere'\ncluster_name = 'srv3'");
    assert_eq!(checked(&members), none.replace("walreceiver", "srv3"));
    for right in [
        "primary_conninfo = 'host=/nowhere application_name=srv2'",
        "primary_conninfo = 'host=/nowhere'\ncluster_name = 'srv2'",
        "primary_conninfo = ''",
        // An unreadable setting is not an obstacle: the server reports the mistake itself.
        "nonsense",
        "primary_conninfo = 'host'",
    ] {
        configured(right);
        assert_eq!(checked(&members), "", "{right}");
    }
    // The agent sets it, where it points standbys at the primary.
    configured("primary_conninfo = 'host=/nowhere application_name=srv1'");
    members.config.follow = Follow::Node;
    assert_eq!(checked(&members), "");
    members.act(2, &Transition::default(), |agent| start::run(agent).unwrap());
}
