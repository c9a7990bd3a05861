//! What the scheduler would do next: reads what `crm_simulate --simulate --output-as=xml` prints. Nothing of it happens.

use quick_xml::events::{BytesStart, Event};

use super::cib;
use crate::node::NodeName;
use crate::rules::why::{Blocked, Plan};

/// The constraints between resources.
pub(super) const CONSTRAINTS: &str = "//rsc_order|//rsc_colocation";

/// The attributes that name the resources of a constraint.
const NAMES: [&str; 4] = ["first", "then", "rsc", "with-rsc"];

/// What it would do with `resource`, and what it cannot do.
///
/// # Errors
///
/// When it is not XML, or does not list the actions.
pub(super) fn read(xml: &str, resource: &str) -> Result<Plan, String> {
    let (mut plan, mut section, mut is_complete) = (Plan::default(), Vec::new(), false);
    let mut reader = quick_xml::Reader::from_str(xml);
    loop {
        let event = reader.read_event().map_err(|error| error.to_string())?;
        let (Event::Empty(element) | Event::Start(element)) = &event else {
            if matches!(event, Event::Eof) {
                break;
            }
            continue;
        };
        let name = element.name();
        match name.as_ref() {
            b"actions" | b"transition" | b"revised_cluster_status" | b"cluster_status" => {
                section = name.as_ref().to_vec();
                is_complete |= section == b"transition";
            }
            b"rsc_action" => action(element, &section, resource, &mut plan)?,
            _ => {}
        }
    }
    if is_complete { Ok(plan) } else { Err("it shows no transition".to_owned()) }
}

fn action(element: &BytesStart, section: &[u8], resource: &str, plan: &mut Plan) -> Result<(), String> {
    let text = |name: &str| cib::text(element, name).map(Option::unwrap_or_default);
    let of = text("resource")?.split(':').next().unwrap_or_default().to_owned();
    match section {
        b"transition" if text("op")? == "promote" && of == resource => {
            plan.promotes.push(NodeName::new(text("node")?));
        }
        b"actions" if text("blocked")? == "true" => {
            let places = [text("node")?, text("source")?];
            let node = places.into_iter().find(|place| !place.is_empty()).unwrap_or_default();
            let (action, reason) = (text("action")?.to_lowercase(), text("reason")?);
            plan.blocked.push(Blocked { action, resource: of, node, reason, constraints: Vec::new() });
        }
        _ => {}
    }
    Ok(())
}

/// The names of the constraints in this XML that tie `resource` to one of `ours`.
///
/// # Errors
///
/// When it is not XML.
pub(super) fn constraints(xml: &str, resource: &str, ours: &[&str]) -> Result<Vec<String>, String> {
    let (mut found, mut reader) = (Vec::new(), quick_xml::Reader::from_str(xml));
    loop {
        match &reader.read_event().map_err(|error| error.to_string())? {
            Event::Eof => return Ok(found),
            Event::Start(element) | Event::Empty(element) => {
                let named = NAMES.into_iter().map(|name| cib::text(element, name));
                let named: Vec<String> = named.collect::<Result<Vec<_>, _>>()?.into_iter().flatten().collect();
                let names = |wanted: &str| named.iter().any(|name| name == wanted);
                if names(resource) && ours.iter().any(|ours| names(ours)) {
                    found.extend(cib::text(element, "id")?);
                }
            }
            _ => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What Pacemaker 2.1.5 prints, shortened.
    const PRINTED: &str = r#"<pacemaker-result><cluster_status><resources/></cluster_status><actions>
        <rsc_action action="start" resource="fence" node="srv2"/>
        <rsc_action action="stop" resource="pgsql-vip" node="srv3" reason="node availability" blocked="true"/>
        <rsc_action action="restart" resource="pgsqld:1" role="Unpromoted" next-role="Promoted" source="srv3"/></actions>
        <transition><rsc_action resource="fence" op="start" node="srv2"/><rsc_action resource="pgsqld" op="promote" node="srv3"/>
        <rsc_action resource="other" op="promote" node="srv1"/></transition></pacemaker-result>"#;

    #[test]
    fn a_plan_is_read() {
        let plan = read(PRINTED, "pgsqld").unwrap();
        assert_eq!(plan.promotes, [NodeName::new("srv3")]);
        let [action, resource, node, reason] = ["stop", "pgsql-vip", "srv3", "node availability"].map(str::to_owned);
        assert_eq!(plan.blocked, [Blocked { action, resource, node, reason, constraints: Vec::new() }]);
    }

    #[test]
    fn what_shows_no_plan_is_an_error() {
        assert!(read("<pacemaker-result/>", "pgsqld").is_err());
        assert!(read("<actions", "pgsqld").is_err());
    }

    #[test]
    fn the_constraints_of_a_resource_are_found() {
        let xml = r#"<xpath-query><rsc_order id="a" first="pgsqld-clone" then="pgsql-vip"/>
            <rsc_colocation id="b" rsc="pgsql-vip" with-rsc="pgsqld-clone"/><rsc_order id="c" first="x" then="y"/></xpath-query>"#;
        assert_eq!(constraints(xml, "pgsql-vip", &["pgsqld", "pgsqld-clone"]).unwrap(), ["a", "b"]);
        assert!(constraints(xml, "y", &["pgsqld", "pgsqld-clone"]).unwrap().is_empty());
    }
}
