//! A standby that Pacemaker does not promote keeps no other node from being promoted: srv3 has the best score.

use pgsqlms::pacemaker::Property;

use super::*;

/// srv2 lacks commits that srv3 has confirmed, and the primary is lost.
fn ahead() -> Cluster {
    let cluster = running();
    cluster.state.borrow_mut().nodes[1].linked = false;
    wait(&cluster);
    done(&cluster, &job(0, Action::Monitor, &none()));
    cluster.state.borrow_mut().power_off(0);
    cluster.state.borrow_mut().nodes[1].linked = true;
    wait(&cluster);
    assert_eq!(seen(&cluster, None), "nothing, standby -1000, standby 1000");
    vote(&cluster, 1);
    cluster
}

/// The same without synchronous replication.
fn ahead_and_asynchronous() -> Cluster {
    let cluster = ahead();
    {
        let state = &mut *cluster.state.borrow_mut();
        for node in &mut state.nodes {
            (node.postgres.synchronous, node.memory.synchronous) = (Synchronous::default(), None);
        }
        state.information.properties.remove(&Property::Synchronous.of(RESOURCE));
        state.acknowledged.clear();
        // A node that lacks WAL of the other one may be promoted.
        state.on_promotion = |_, _| {};
    }
    cluster
}

fn ban(cluster: &Cluster) {
    cluster.state.borrow_mut().information.banned.insert(NodeName::new("srv3"));
}

/// The reason that a standby's monitor gives.
fn monitored(cluster: &Cluster, node: usize) -> String {
    match cluster.run(&job(node, Action::Monitor, &none())) {
        Ended::Answered(Ok(outcome)) => outcome.reason.unwrap_or_default(),
        ended => panic!("{ended:?}"),
    }
}

/// The last reason of a standby's monitors, one every two seconds, while Pacemaker is idle or busy.
fn monitored_for(cluster: &Cluster, node: usize, seconds: u64, idle: bool) -> String {
    cluster.state.borrow_mut().information.idle = idle;
    let mut reason = String::new();
    for _ in 0..=seconds / 2 {
        reason = monitored(cluster, node);
        cluster.state.borrow_mut().pass(Duration::from_secs(2));
    }
    reason
}

/// The primary gets power again, is started, and all look for a candidate.
fn returns(cluster: &Cluster) {
    cluster.state.borrow_mut().power_on(0);
    let start = Transition { start: nodes([0]), unpromoted: nodes([1, 2]), active: nodes([1, 2]), ..none() };
    done(cluster, &job(0, Action::Start, &start));
    (0..3).for_each(|node| done(cluster, &notify(node, Moment::After, Around::Start, &start)));
}

#[test]
fn a_banned_node_that_may_hold_commits_is_named_by_both() {
    let cluster = ahead();
    ban(&cluster);
    for node in [1, 2] {
        assert_eq!(
            monitored(&cluster, node),
            "no primary: clear the ban of srv3 (pcs constraint --full): it may hold acknowledged commits that the \
             others lack; a location constraint forbids it"
        );
    }
}

#[test]
fn the_primary_is_promoted_when_it_returns_beside_a_banned_node() {
    let cluster = ahead();
    ban(&cluster);
    returns(&cluster);
    assert_eq!(seen(&cluster, None), "standby 1, standby -1000, standby 1000");
    elect(&cluster, 0, &promotion(0, [0, 1, 2]));
    wait(&cluster);
    done(&cluster, &job(0, Action::Monitor, &none()));
    assert_eq!(seen(&cluster, None), "primary 1001, standby 1000, standby -1000000");
}

#[test]
fn a_node_in_maintenance_is_named_and_does_not_count() {
    let cluster = ahead();
    let maintenance = [("maintenance".to_owned(), "on".to_owned())].into();
    cluster.state.borrow_mut().information.permanent.insert(NodeName::new("srv3"), maintenance);
    let reason = "no primary: pcs node unmaintenance srv3: it may hold acknowledged commits that the others lack; its node is \
                in maintenance";
    assert_eq!(monitored(&cluster, 1), reason);
    // Pacemaker sends it no notification, and its monitors do not run: it does not vote.
    cluster.state.borrow_mut().information.private.clear();
    assert_eq!(monitored(&cluster, 1), reason);
}

#[test]
fn without_promises_the_other_one_becomes_the_candidate_and_wins() {
    let cluster = ahead_and_asynchronous();
    ban(&cluster);
    assert_eq!(monitored(&cluster, 1), "");
    assert_eq!(seen(&cluster, None), "nothing, standby 1, standby 1000");
    elect(&cluster, 1, &promotion(1, [1, 2]));
    assert!(seen(&cluster, None).starts_with("nothing, primary 1001,"), "{}", seen(&cluster, None));
}

#[test]
fn a_node_that_is_not_promoted_for_an_unknown_reason_is_named() {
    let cluster = ahead();
    assert_eq!(monitored_for(&cluster, 1, 8, true), "", "it may still be promoted");
    let reason = monitored_for(&cluster, 1, 2, true);
    assert_eq!(
        reason,
        "no primary: see why Pacemaker does not promote srv3 (crm_simulate -sL): it may hold acknowledged commits that \
         the others lack; Pacemaker does not promote it"
    );
    returns(&cluster);
    assert_eq!(seen(&cluster, None), "standby, standby -1000, standby 1000", "srv1 has yet to find that out");
    monitored_for(&cluster, 0, 10, true);
    assert_eq!(seen(&cluster, None), "standby 1, standby -1000, standby 1000");
}

#[test]
fn no_candidate_is_given_up_while_pacemaker_is_at_work() {
    let cluster = ahead();
    assert_eq!(monitored_for(&cluster, 1, 60, false), "");
    assert_eq!(seen(&cluster, None), "nothing, standby -1000, standby 1000");
}

#[test]
fn without_promises_a_node_wins_over_one_that_pacemaker_does_not_promote() {
    let cluster = ahead_and_asynchronous();
    assert_eq!(monitored_for(&cluster, 1, 10, true), "");
    assert_eq!(seen(&cluster, None), "nothing, standby 1, standby 1000");
    elect(&cluster, 1, &promotion(1, [1, 2]));
    assert!(seen(&cluster, None).starts_with("nothing, primary 1001,"), "{}", seen(&cluster, None));
}

/// srv1's setting makes no sense to the agent, and the scores are lost.
#[test]
fn an_invalid_synchronous_setting_does_not_prevent_scores() {
    let cluster = unscored();
    cluster.state.borrow_mut().nodes[0].postgres.synchronous.names = vec!["not-a-name".to_owned()];
    done(&cluster, &job(0, Action::Monitor, &none()));
    assert_eq!(seen(&cluster, None), "primary 1001, standby 1000, standby 990");
}

#[test]
fn without_a_primary_no_standby_reads_its_wal_to_look_for_a_divergence() {
    let cluster = bereft();
    let votes = |cluster: &Cluster| cluster.state.borrow().votes;
    let before = votes(&cluster);
    assert_eq!(monitored(&cluster, 2), "");
    assert_eq!(votes(&cluster), before, "srv2 is promotable");
    cluster.state.borrow_mut().information.transient.clear();
    monitored(&cluster, 2);
    assert!(votes(&cluster) > before, "no node is promotable");
}
