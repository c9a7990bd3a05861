//! The configuration of the cluster as a whole, for [`crate::rules::doctor`].

use std::collections::BTreeMap;

use super::tree::Element;
use crate::boolean::is_no;
use crate::node::NodeName;
use crate::rules::doctor::{Colocation, Configuration, Location, Order, Pairs, Resource};
use crate::score::Score;

/// What [`read`] understands.
pub const XPATH: &str = "/cib/configuration";

/// What may stand around a primitive.
const CONTAINERS: [&str; 3] = ["clone", "master", "group"];

/// The configuration, and which part of it is about `resource`.
///
/// # Errors
///
/// When it is not XML.
pub fn read(xml: &str, resource: &str) -> Result<Configuration, String> {
    let root = Element::parse(xml)?;
    let mut configuration = Configuration { resource: resource.to_owned(), ..Configuration::default() };
    for node in root.all("node") {
        let name = NodeName::new(node.text("uname"));
        configuration.attributes.insert(name.clone(), pairs([node], "instance_attributes"));
        configuration.nodes.insert(name);
    }
    configuration.properties = pairs(root.all("crm_config"), "cluster_property_set");
    configuration.defaults = pairs(root.all("rsc_defaults"), "meta_attributes");
    configuration.operation_defaults = pairs(root.all("op_defaults"), "meta_attributes");
    let templates: BTreeMap<String, &Element> =
        root.all("template").into_iter().map(|it| (it.text("id"), it)).collect();
    for resources in root.all("resources") {
        resources_in(resources, &[], &templates, &mut configuration);
    }
    for constraint in
        root.all("rsc_location").into_iter().chain(root.all("rsc_colocation")).chain(root.all("rsc_order"))
    {
        take(constraint, &mut configuration);
    }
    Ok(configuration)
}

/// The values in the sets of this kind, of the highest score first. A set that holds under a rule, or is another one's, says nothing.
fn pairs<'a>(elements: impl IntoIterator<Item = &'a Element>, kind: &str) -> Pairs {
    let elements: Vec<&Element> = elements.into_iter().collect();
    let mut sets: Vec<&Element> = elements.iter().flat_map(|element| element.children(kind)).collect();
    sets.retain(|set| set.children("rule").next().is_none());
    sets.sort_by_key(|set| std::cmp::Reverse(set.text("score").parse::<Score>().unwrap_or(Score(0))));
    let mut found = Pairs::new();
    for pair in sets.into_iter().flat_map(|set| set.children("nvpair")) {
        if let (Some(name), Some(value)) = (pair.attribute("name"), pair.attribute("value")) {
            found.entry(name.to_owned()).or_insert_with(|| value.to_owned());
        }
    }
    found
}

fn resources_in(
    container: &Element,
    within: &[String],
    templates: &BTreeMap<String, &Element>,
    configuration: &mut Configuration,
) {
    for child in &container.children {
        let name = child.name.as_str();
        if name == "primitive" {
            configuration.resources.push(primitive(child, within, templates));
        } else if CONTAINERS.contains(&name) {
            let mut around = within.to_vec();
            around.push(child.text("id"));
            if name != "group" {
                let mut meta = pairs([child], "meta_attributes");
                if name == "master" {
                    meta.insert("promotable".to_owned(), "true".to_owned());
                }
                configuration.clones.insert(child.text("id"), meta);
            }
            resources_in(child, &around, templates, configuration);
        }
    }
}

fn primitive(element: &Element, within: &[String], templates: &BTreeMap<String, &Element>) -> Resource {
    let template = element.attribute("template").and_then(|name| templates.get(name)).copied();
    let both: Vec<&Element> = [element].into_iter().chain(template).collect();
    let text = |name: &str| both.iter().find_map(|it| it.attribute(name)).unwrap_or_default().to_owned();
    let all = |kind: &str| {
        let mut found = pairs([element], kind);
        for (name, value) in template.map(|it| pairs([it], kind)).unwrap_or_default() {
            found.entry(name).or_insert(value);
        }
        found
    };
    let own: Vec<&Element> = element.children("operations").flat_map(|it| it.children("op")).collect();
    let of_template =
        || template.iter().flat_map(|it| it.children("operations")).flat_map(|it| it.children("op")).collect();
    let operations: Vec<&Element> = if own.is_empty() { of_template() } else { own };
    Resource {
        id: element.text("id"),
        class: text("class"),
        kind: text("type"),
        within: within.to_vec(),
        parameters: all("instance_attributes"),
        meta: all("meta_attributes"),
        operations: operations.into_iter().map(operation).collect(),
    }
}

/// An operation's own attributes, and those that stand in a set.
fn operation(element: &Element) -> Pairs {
    let mut found = pairs([element], "meta_attributes");
    for name in ["name", "interval", "timeout", "role", "enabled", "on-fail"] {
        if let Some(value) = element.attribute(name) {
            found.insert(name.to_owned(), value.to_owned());
        }
    }
    found
}

fn take(constraint: &Element, configuration: &mut Configuration) {
    let (id, text) = (constraint.text("id"), |name: &str| constraint.text(name));
    let or = |name: &str, default: &str| constraint.attribute(name).unwrap_or(default).to_owned();
    if constraint.children("resource_set").next().is_some() {
        configuration.in_sets.extend(constraint.all("resource_ref").iter().map(|reference| reference.text("id")));
        return;
    }
    match constraint.name.as_str() {
        "rsc_location" => {
            let rule = constraint.children("rule").next();
            let score = constraint.attribute("score").or_else(|| rule?.attribute("score"));
            let named = || {
                let [expression] = rule?.children.as_slice() else { return None };
                let is_name = expression.attribute("attribute") == Some("#uname");
                let is_equal = expression.attribute("operation") == Some("eq");
                expression.attribute("value").filter(|_| is_name && is_equal)
            };
            configuration.locations.push(Location {
                id,
                resource: text("rsc"),
                node: constraint.attribute("node").or_else(named).map(str::to_owned),
                forbids: score.and_then(|it| it.parse::<Score>().ok()).is_some_and(|it| it <= Score::NEVER),
                role: constraint.attribute("role").or_else(|| rule?.attribute("role")).map(str::to_owned),
                expires: !constraint.all("date_expression").is_empty(),
            });
        }
        "rsc_colocation" => configuration.colocations.push(Colocation {
            id,
            resource: text("rsc"),
            with: text("with-rsc"),
            with_role: constraint.attribute("with-rsc-role").map(str::to_owned),
            score: or("score", "0"),
        }),
        _ => configuration.orders.push(Order {
            id,
            first: (text("first"), or("first-action", "start")),
            then: (
                text("then"),
                constraint.attribute("then-action").map_or_else(|| or("first-action", "start"), str::to_owned),
            ),
            is_mandatory: constraint
                .attribute("kind")
                .map_or(text("score") != "0", |kind| kind.eq_ignore_ascii_case("Mandatory")),
            is_symmetrical: !constraint.attribute("symmetrical").is_some_and(is_no),
        }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const XML: &str = r##"<configuration><crm_config><cluster_property_set id="s"><nvpair id="a" name="x" value="1"/></cluster_property_set>
        <cluster_property_set id="t" score="5"><nvpair id="b" name="x" value="2"/></cluster_property_set></crm_config><nodes>
        <node id="1" uname="srv1"><instance_attributes id="i"><nvpair id="c" name="standby" value="on"/></instance_attributes></node></nodes>
        <resources><template id="t1" class="ocf" provider="rust" type="pgsqlms"><instance_attributes id="u"><nvpair id="d" name="pgdata"
        value="/t"/><nvpair id="e" name="rejoin" value="none"/></instance_attributes><operations><op id="o" name="start" timeout="9s"/>
        </operations></template><master id="ms"><group id="g"><primitive id="p" template="t1"><instance_attributes id="v"><nvpair id="f"
        name="pgdata" value="/p"/></instance_attributes></primitive></group></master></resources><constraints>
        <rsc_location id="l" rsc="ms"><rule id="r" role="Promoted" score="-INFINITY"><expression id="x" attribute="#uname" operation="eq"
        value="srv1"/></rule></rsc_location><rsc_order id="q" first="ms" then="vip" first-action="demote"/>
        <rsc_colocation id="k"><resource_set id="w"><resource_ref id="vip"/></resource_set></rsc_colocation></constraints></configuration>"##;

    #[test]
    fn a_configuration_is_read() {
        let read = read(XML, "p").unwrap();
        assert_eq!((read.property("x"), read.handle()), (Some("2"), "ms"));
        assert_eq!(read.attributes[&NodeName::new("srv1")]["standby"], "on");
        let ours = read.ours().unwrap();
        assert_eq!(
            (ours.kind.as_str(), ours.within.as_slice()),
            ("pgsqlms", ["ms", "g"].map(str::to_owned).as_slice())
        );
        assert_eq!((read.parameter("pgdata"), read.parameter("rejoin")), (Some("/p"), Some("none")));
        assert_eq!((ours.operations.len(), read.meta("promotable")), (1, Some("true")));
        let location = &read.locations[0];
        assert!(
            location.forbids && location.node.as_deref() == Some("srv1") && location.role.is_some(),
            "{location:?}"
        );
        let order = &read.orders[0];
        assert!(order.is_mandatory && order.is_symmetrical && order.then.1 == "demote", "{order:?}");
        assert!(read.in_sets.contains("vip") && read.colocations.is_empty());
    }

    #[test]
    fn what_is_not_xml_is_an_error() {
        assert!(super::read("<configuration>", "p").is_err());
    }
}
