//! A monitor that a person has typed.

use pgsqlms::rules::status::Asked;

use super::*;

/// The attributes after a monitor of each node, when the scores have been lost.
fn known_after(asked: Asked) -> String {
    let cluster = running();
    cluster.state.borrow_mut().information.transient.clear();
    cluster.state.borrow_mut().information.properties.clear();
    for node in 0..3 {
        done(&cluster, &Job { asked, ..job(node, Action::Monitor, &Transition::default()) });
    }
    wait(&cluster);
    let information = &cluster.state.borrow().information;
    let written = |attributes: &BTreeMap<NodeName, BTreeMap<String, String>>| {
        attributes.values().map(BTreeMap::len).sum::<usize>().to_string()
    };
    format!("scores: {}, properties: {}", written(&information.transient), information.properties.len())
}

/// The call names no resource: anything that it wrote would belong to another one.
#[test]
fn a_monitor_by_hand_writes_nothing_to_the_cluster() {
    assert_eq!(known_after(Asked::ByHand), "scores: 0, properties: 0");
    assert_eq!(known_after(Asked::Probe), "scores: 1, properties: 0");
    assert_eq!(known_after(Asked::Recurring), "scores: 3, properties: 2");
}
