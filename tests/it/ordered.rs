//! `pgsqlms promote-anyway` on real instances, and for how long its order counts.

use pgsqlms::actions::{election, primary, stop};
use pgsqlms::agent::Agent;
use pgsqlms::node::NodeName;
use pgsqlms::notification::Transition;
use pgsqlms::operator::Which;
use pgsqlms::operator::promote_anyway::{self, PromoteAnyway};
use pgsqlms::pacemaker::{Attribute, Property};

use crate::members::{Members, RESOURCE, has_a_process_of_its_own};

/// When an order was given that is long over.
const OLD: &str = "1000 by anna on srv2";

fn order(members: &Members, node: &str, yes: bool) -> Result<String, String> {
    let (which, node) = (Which { resource: Some(RESOURCE.to_owned()) }, Some(node.to_owned()));
    let command = PromoteAnyway { which, node, yes };
    let run = |agent: &mut Agent| promote_anyway::run(agent, &command);
    members.act(2, &Transition::default(), run).map_err(|failure| failure.to_string())
}

fn properties(members: &Members) -> [Option<String>; 2] {
    let board = members.board.borrow();
    [Property::Order, Property::OrderedAt].map(|property| board.cib.properties.get(&property.of(RESOURCE)).cloned())
}

fn in_force(members: &Members) -> Option<NodeName> {
    let circumstances = |agent: &mut Agent| {
        let cib = agent.pacemaker.cib().unwrap();
        election::circumstances(agent, &cib).unwrap().ordered
    };
    members.act(2, &Transition::default(), circumstances)
}

#[test]
fn an_order_is_refused_beside_a_primary_and_ends_by_itself() {
    if !has_a_process_of_its_own("ordered::an_order_is_refused_beside_a_primary_and_ends_by_itself") {
        return;
    }
    let Some(members) = Members::new(2, "primary_conninfo = 'host=/nowhere'\n") else { return };
    members.act(1, &Transition::default(), |agent| primary::publish(agent).unwrap());
    for (property, value) in [(Property::Order, "srv2"), (Property::OrderedAt, OLD)] {
        members.board.borrow_mut().cib.properties.insert(property.of(RESOURCE), value.to_owned());
    }
    members.act(1, &Transition::default(), |agent| primary::publish(agent).unwrap());
    assert_eq!(properties(&members), [None, None], "the primary leaves no order that is over");
    for yes in [false, true] {
        let refused = order(&members, "srv2", yes).unwrap_err();
        assert!(refused.starts_with("not ordered: srv1 is the primary: use `pcs resource move`"), "{refused}");
        let refused = order(&members, "srv9", yes).unwrap_err();
        assert!(refused.starts_with("srv9 is not a node of this cluster"), "{refused}");
        assert_eq!(properties(&members), [None, None]);
    }

    members.instance(1).crash();
    members.act(1, &Transition::default(), |agent| stop::run(agent).unwrap());
    let score = Attribute::Score.of(RESOURCE);
    members.board.borrow_mut().cib.transient.values_mut().for_each(|values| _ = values.remove(&score));
    let refused = order(&members, "srv1", true).unwrap_err();
    assert!(refused.starts_with("not ordered: PostgreSQL is stopped on srv1: start it first"), "{refused}");
    let text = order(&members, "srv2", false).unwrap();
    assert!(text.contains("the end of its WAL") && text.contains("Nothing has been done"), "{text}");
    assert_eq!(properties(&members), [None, None]);
    let text = order(&members, "srv2", true).unwrap();
    assert!(text.contains("5 minutes from now no longer"), "{text}");
    let [ordered, at] = properties(&members);
    assert_eq!(ordered.as_deref(), Some("srv2"));
    assert!(at.as_ref().is_some_and(|at| at.contains(" by ") && at.ends_with(" on srv2")), "{at:?}");
    assert_eq!(in_force(&members), Some(NodeName::new("srv2")));

    members.board.borrow_mut().cib.properties.insert(Property::OrderedAt.of(RESOURCE), OLD.to_owned());
    assert_eq!(in_force(&members), None);
}
