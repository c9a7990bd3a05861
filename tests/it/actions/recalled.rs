//! The memory of nodes: promotions that the CIB has lost, promises, and timelines that their data directories have written.

use pgsqlms::pacemaker::Property;

use super::*;
use crate::fakes::by_hand;

/// srv1 is gone, srv2 was promoted while srv3 was stopped, and has crashed. The CIB has lost everything. Both run as standbys.
fn missed() -> Cluster {
    let cluster = lone();
    cluster.state.borrow_mut().power_off(0);
    elect(&cluster, 1, &promotion(1, [1]));
    wait(&cluster);
    cluster.state.borrow_mut().nodes[1].postgres.crash();
    let start = Transition { start: nodes([1, 2]), ..none() };
    for node in [2, 1] {
        cluster.state.borrow_mut().information.properties.clear();
        done(&cluster, &job(node, Action::Start, &start));
    }
    cluster.state.borrow_mut().information.properties.clear();
    cluster
}

#[test]
fn no_node_is_promoted_by_a_record_that_is_older_than_anothers() {
    let cluster = missed();
    vote(&cluster, 2);
    let refused = word(&cluster.run(&job(2, Action::Promote, &promotion(2, [1, 2]))));
    assert!(refused.contains("lost promotions up to timeline 3, which srv2 knows"), "{refused}");
    // The reason says the truth: the next monitor of srv2 gives them back.
    done(&cluster, &job(1, Action::Monitor, &none()));
    assert!(cluster.state.borrow().information.properties.contains_key(&Property::Promotions.of(RESOURCE)));
    vote(&cluster, 1);
    done(&cluster, &job(1, Action::Promote, &promotion(1, [1, 2])));
    assert_eq!(cluster.state.borrow().violations, Vec::<String>::new());
}

#[test]
fn a_promoted_node_remembers_its_promises() {
    let cluster = voted();
    done(&cluster, &job(1, Action::Promote, &promotion(1, [1, 2])));
    let state = cluster.state.borrow();
    let promised = state.information.properties.get(&Property::Synchronous.of(RESOURCE));
    assert!(promised.is_some_and(|promised| promised.starts_with("srv2:")), "{promised:?}");
    assert_eq!(state.nodes[1].memory.synchronous.as_ref(), promised);
}

/// srv3, which was copied and has not caught up since, was started without `standby.signal` beside srv1.
fn opened() -> Cluster {
    let cluster = running();
    cluster.state.borrow_mut().nodes[2].memory.directory = None;
    by_hand::open(&mut cluster.state.borrow_mut(), 2);
    wait(&cluster);
    assert_eq!(cluster.state.borrow().nodes[2].postgres.process, Process::Primary);
    cluster
}

/// Its start is refused, also after the next failover.
fn is_refused(cluster: &Cluster) {
    let start = |cluster: &Cluster| word(&cluster.run(&job(2, Action::Start, &beside_a_primary(2))));
    let refused = start(cluster);
    assert!(refused.contains("on the timeline of srv1"), "{refused}");
    cluster.state.borrow_mut().power_off(0);
    // Commits that srv3 had confirmed before it was opened are gone, and an operator knows that.
    let order = (Property::Order.of(RESOURCE), "srv2".to_owned());
    cluster.state.borrow_mut().information.properties.extend([order]);
    elect(cluster, 1, &promotion(1, [1]));
    let refused = start(cluster);
    assert!(refused.contains("on the timeline of srv1"), "{refused}");
    // Another data directory has not written anything.
    let copy = by_hand::copy(&cluster.state.borrow(), 1);
    by_hand::replace(&mut cluster.state.borrow_mut(), 2, &copy, true);
    done(cluster, &job(2, Action::Start, &beside_a_primary(2)));
    assert_eq!(cluster.state.borrow().violations, Vec::<String>::new());
}

#[test]
fn a_stop_remembers_whose_timeline_was_written() {
    let cluster = opened();
    done(&cluster, &job(2, Action::Stop, &none()));
    is_refused(&cluster);
}

#[test]
fn a_demotion_remembers_whose_timeline_was_written() {
    let cluster = opened();
    let demote = Transition { promoted: nodes([0, 2]), demote: nodes([2]), ..none() };
    let refused = word(&cluster.run(&job(2, Action::Demote, &demote)));
    assert!(refused.contains("on the timeline of srv1"), "{refused}");
    is_refused(&cluster);
}

#[test]
fn a_monitor_remembers_whose_timeline_was_written_over_a_power_cut() {
    let cluster = opened();
    done(&cluster, &job(2, Action::Monitor, &none()));
    cluster.state.borrow_mut().power_off(2);
    cluster.state.borrow_mut().power_on(2);
    is_refused(&cluster);
}
