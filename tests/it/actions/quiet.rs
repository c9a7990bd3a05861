//! The changes of each action in the CIB: a change makes Pacemaker stop its transition and compute another. Demote, stop and the
//! notifications change nothing: a cluster can always be switched off, and nothing is lost by it. The simulation refuses it, too.

use super::*;

/// The names of the attributes and properties that an action changes in the CIB.
fn written((situation, job): (fn() -> Cluster, Job)) -> String {
    let cluster = situation();
    let ended = cluster.run(&job);
    assert!(matches!(ended, Ended::Answered(_)), "{ended:?}");
    let state = cluster.state.borrow();
    assert_eq!(state.violations, Vec::<String>::new());
    state.written.join(" ")
}

macro_rules! writes {
    ($($name:ident: $situation:expr, $job:expr => $expected:literal;)+) => {
        $(
            #[test]
            fn $name() {
                assert_eq!(written(($situation, $job)), $expected);
            }
        )+
    };
}

/// Everything is stopped.
fn stop_of_all() -> Transition {
    Transition { stop: nodes([0, 1, 2]), ..demotion(true) }
}

/// srv3 is stopped. No node has recorded that yet.
fn stopped_standby() -> Transition {
    Transition { promoted: nodes([0]), unpromoted: nodes([1, 2]), stop: nodes([2]), ..none() }
}

/// As after srv3 was stopped: the primary has been notified.
fn notified() -> Cluster {
    let cluster = lone();
    done(&cluster, &notify(0, Moment::After, Around::Stop, &stopped_standby()));
    cluster
}

/// As after srv3 was stopped: the primary has made the record of the stop permanent.
fn kept() -> Cluster {
    let cluster = notified();
    done(&cluster, &job(0, Action::Monitor, &none()));
    assert!(cluster.state.borrow().information.properties.contains_key("pgsqlms-pgsqld-left-srv3"));
    cluster
}

/// All agents on a primary that recovers for long.
fn toiling() -> Cluster {
    let cluster = running();
    cluster.state.borrow_mut().nodes[0].toils = true;
    cluster
}

/// The primary's node is gone, and the CIB has lost the promotions and promises, which srv2 and srv3 remember.
fn forgetful() -> Cluster {
    let cluster = bereft();
    cluster.state.borrow_mut().information.properties.clear();
    cluster
}

/// As after the CIB has lost all that: the monitor has given it back.
fn given_back() -> Cluster {
    let cluster = forgetful();
    done(&cluster, &job(1, Action::Monitor, &none()));
    cluster
}

writes! {
    demote_writes_nothing: running, job(0, Action::Demote, &demotion(false)) => "";
    demote_before_a_stop_writes_nothing: running, job(0, Action::Demote, &stop_of_all()) => "";
    demote_of_a_crashed_primary_writes_nothing: crashed, job(0, Action::Demote, &demotion(false)) => "";
    demote_that_recovers_for_long_writes_nothing: toiling, job(0, Action::Demote, &demotion(false)) => "";
    stop_of_a_primary_writes_nothing: running, job(0, Action::Stop, &stop_of_all()) => "";
    stop_of_a_standby_writes_nothing: running, job(2, Action::Stop, &stopped_standby()) => "";
    stop_of_a_crashed_instance_writes_nothing: crashed, job(0, Action::Stop, &demotion(true)) => "";
    before_demote_nothing_is_written: running, notify(0, Moment::Before, Around::Demote, &demotion(false)) => "";
    after_demote_nothing_is_written: running, notify(1, Moment::After, Around::Demote, &demotion(false)) => "";
    before_stop_nothing_is_written: running, notify(0, Moment::Before, Around::Stop, &stopped_standby()) => "";
    after_stop_nothing_is_written: lone, notify(0, Moment::After, Around::Stop, &stopped_standby()) => "";
    after_the_loss_of_the_primary_nothing_is_written: bereft, notify(1, Moment::After, Around::Stop, &demotion(true)) => "";
    before_promote_nothing_is_written: bereft, notify(1, Moment::Before, Around::Promote, &promotion(1, [1, 2])) => "";
    after_promote_nothing_is_written: promoted, notify(1, Moment::After, Around::Promote, &promotion(1, [1, 2])) => "";
    after_promote_nothing_is_written_on_a_standby: promoted, notify(2, Moment::After, Around::Promote, &promotion(1, [1, 2])) => "";
    before_promote_no_state_is_restored: forgetful, notify(1, Moment::Before, Around::Promote, &promotion(1, [1, 2])) => "";
    the_monitor_restores_the_state_of_the_cib_once: given_back, job(1, Action::Monitor, &none()) => "";
    the_monitor_restores_the_state_that_the_cib_has_lost: forgetful, job(1, Action::Monitor, &none()) => "pgsqlms-pgsqld-synchronous+pgsqlms-pgsqld-promotions";
    promote_announces_itself: voted, job(1, Action::Promote, &promotion(1, [1, 2])) => "pgsqlms-pgsqld-synchronous+pgsqlms-pgsqld-promotions";
    the_monitor_makes_the_record_of_a_stop_permanent: notified, job(0, Action::Monitor, &none()) => "master-pgsqld pgsqlms-pgsqld-left-srv3";
    the_monitor_makes_the_record_of_a_stop_permanent_once: kept, job(0, Action::Monitor, &none()) => "";
    a_start_removes_the_record_of_a_stop: kept, job(2, Action::Start, &beside_a_primary(2)) => "pgsqlms-pgsqld-left-srv3";
    a_first_start_writes_nothing: new, job(0, Action::Start, &all_start()) => "";
    a_monitor_without_news_writes_nothing: running, job(0, Action::Monitor, &none()) => "";
    a_monitor_of_a_streaming_standby_writes_nothing: running, job(1, Action::Monitor, &none()) => "";
}

/// An instance that still recovers must not be promoted: the demotion records that, and the next monitor publishes it.
#[test]
fn the_next_monitor_sets_the_score_that_a_demotion_could_not() {
    let cluster = toiling();
    let score = || {
        let state = cluster.state.borrow();
        state.information.transient(&NodeName::new("srv1"), "master-pgsqld").unwrap_or_default().to_owned()
    };
    done(&cluster, &job(0, Action::Demote, &demotion(false)));
    assert_eq!(score(), "1001");
    done(&cluster, &job(0, Action::Monitor, &none()));
    assert_eq!(score(), "-1000000");
    done(&cluster, &job(0, Action::Monitor, &none()));
    assert_eq!(cluster.state.borrow().written, Vec::<String>::new());
    assert_eq!(cluster.state.borrow().violations, Vec::<String>::new());
}

/// Everything is stopped cleanly, and all machines are switched off: the private attributes of the stops are gone with
/// the last attribute daemon. Any two nodes form a cluster again, from their data directories.
#[test]
fn any_two_nodes_go_on_after_everything_was_switched_off() {
    for pair in [[0, 1], [0, 2], [1, 2]] {
        let cluster = running();
        done(&cluster, &job(0, Action::Demote, &stop_of_all()));
        (0..3).for_each(|node| done(&cluster, &job(node, Action::Stop, &stop_of_all())));
        (0..3).for_each(|node| cluster.state.borrow_mut().power_off(node));
        wait(&cluster);
        pair.iter().for_each(|node| cluster.state.borrow_mut().power_on(*node));
        let start = Transition { start: nodes(pair), ..none() };
        pair.iter().for_each(|node| done(&cluster, &job(*node, Action::Start, &start)));
        pair.iter().for_each(|node| done(&cluster, &notify(*node, Moment::After, Around::Start, &start)));
        let is_candidate = |node: &usize| {
            let state = cluster.state.borrow();
            state.information.transient(&NodeName::new(NAMES[*node]), "master-pgsqld") == Some("1")
        };
        let candidate = pair.into_iter().find(is_candidate).unwrap_or_else(|| panic!("{pair:?}: no candidate"));
        elect(&cluster, candidate, &promotion(candidate, pair));
        wait(&cluster);
        let state = cluster.state.borrow();
        assert_eq!(state.nodes[candidate].postgres.process, Process::Primary);
        assert_eq!(state.violations, Vec::<String>::new());
    }
}
