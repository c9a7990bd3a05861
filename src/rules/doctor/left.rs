//! Remains: constraints of a move, PAF's scores, orders and properties that are not used any more.

use super::Severity::{Hint, Warning};
use super::{Check, Configuration, Found, Location, configured, found};
use crate::pacemaker::Property;

pub(super) const CHECKS: [Check; 3] = [
    configured("cli-constraint-left", Warning, "A constraint of `move` or `ban` still holds.", cli_constraint),
    configured("permanent-score", Warning, "A permanent score of PAF's outlives every restart.", permanent_score),
    configured("property-left", Hint, "The CIB has a property for a resource that is gone.", property_left),
];

fn cli_constraint(it: &Configuration) -> Vec<Found> {
    let is_left = |location: &&Location| {
        let is_of_command = location.id.starts_with("cli-prefer-") || location.id.starts_with("cli-ban-");
        is_of_command && !location.expires && it.is_ours(&location.resource)
    };
    let describe = |location: &Location| {
        let (id, node) = (&location.id, location.node.as_deref().unwrap_or("a node"));
        let does = if location.forbids { "keeps it away from" } else { "draws it to" };
        found(
            format!("{id} still holds, and {does} {node}: a command for one switchover has left it"),
            format!("pcs resource clear {}", location.resource),
            "the primary may move",
        )
    };
    it.locations.iter().filter(is_left).map(describe).collect()
}

fn permanent_score(it: &Configuration) -> Vec<Found> {
    let name = format!("master-{}", it.resource);
    let with_score = it.attributes.iter().filter_map(|(node, values)| Some((node, values.get(&name)?)));
    let describe = |(node, score)| {
        found(
            format!("{node} has the permanent score {score}, as PAF leaves it: it counts when the agent has set none"),
            format!("crm_attribute --node {node} --name {name} --delete"),
            "the agent removes it, too, when it starts there",
        )
    };
    with_score.map(describe).collect()
}

fn property_left(it: &Configuration) -> Vec<Found> {
    let kinds =
        [Property::Promotions, Property::Synchronous, Property::Forgotten, Property::Order, Property::OrderedAt];
    let is_of = |name: &str, resource: &str| {
        kinds.iter().any(|kind| kind.of(resource) == name) || name.starts_with(&format!("pgsqlms-{resource}-left-"))
    };
    let is_known = |name: &str| it.resources.iter().any(|resource| is_of(name, &resource.id));
    let left = it.properties.keys().filter(|name| name.starts_with("pgsqlms-") && !is_known(name));
    let describe = |name: &String| {
        found(
            format!("the property {name} is of a resource that is gone"),
            format!("crm_attribute --type crm_config --name {name} --delete"),
            "loses nothing",
        )
    };
    left.map(describe).collect()
}
