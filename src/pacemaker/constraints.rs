//! On which nodes plain location constraints keep a resource from being promoted, and whether any prefers a node for that.
//!
//! Plain is a constraint for one resource with the score -INFINITY that names one node, by itself or by one rule
//! `#uname eq NODE`: `pcs resource ban`, `pcs constraint location ... avoids`, crmsh's `location`. Dates, other node
//! attributes, patterns and sets are left to Pacemaker: what it makes of them is seen by its not promoting the node.

mod by_command;

use std::collections::{BTreeMap, BTreeSet};

use quick_xml::events::{BytesStart, Event};

use super::cib::text;
use crate::score::Score;
pub use by_command::ByCommand;
use by_command::Commands;

/// What the location constraints say about the primitives inside clones.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Locations {
    /// The names of the nodes on which they must not be promoted, as the constraints spell them.
    pub banned: BTreeMap<String, BTreeSet<String>>,
    /// Those for which some node is preferred as the primary, by any rule. `pcs resource move` does not count: its
    /// constraint is about one transition.
    pub preferring: BTreeSet<String>,
    /// What people's commands have left: `pcs resource move`, `ban`, and this agent's own.
    pub by_command: BTreeMap<String, BTreeSet<ByCommand>>,
}

/// Reads what the location constraints say about the primitives inside clones.
///
/// # Errors
///
/// When it is not XML.
pub(super) fn locations(xml: &str) -> Result<Locations, String> {
    let mut reader = quick_xml::Reader::from_str(xml);
    let (mut clones, mut constraints) = (Clones::default(), Constraints::default());
    loop {
        let event = reader.read_event().map_err(|error| error.to_string())?;
        if let Event::Start(element) | Event::Empty(element) = &event {
            clones.begin(element)?;
            constraints.begin(element)?;
        }
        let ended = match &event {
            Event::Empty(element) => element.name(),
            Event::End(element) => element.name(),
            Event::Eof => return Ok(clones.with(&constraints)),
            _ => continue,
        };
        clones.end(ended.as_ref());
        constraints.end(ended.as_ref());
    }
}

/// Which resources a primitive belongs to. A constraint for any of them holds for the clone.
#[derive(Debug, Default)]
struct Clones {
    /// The resources that are being read, outermost first.
    around: Vec<String>,
    /// The resources that each primitive belongs to, itself among them.
    members: BTreeMap<String, BTreeSet<String>>,
}

impl Clones {
    fn begin(&mut self, element: &BytesStart) -> Result<(), String> {
        let name = element.name();
        if is_resource(name.as_ref()) {
            self.around.push(text(element, "id")?.unwrap_or_default());
        }
        if let (b"primitive", Some(id)) = (name.as_ref(), self.around.last()) {
            // It may come twice: inside its clone, and by itself.
            self.members.entry(id.clone()).or_default().extend(self.around.iter().cloned());
        }
        Ok(())
    }

    fn end(&mut self, name: &[u8]) {
        if is_resource(name) {
            self.around.pop();
        }
    }

    /// What the constraints mean for the primitives.
    fn with(self, constraints: &Constraints) -> Locations {
        let nodes = |resources: &BTreeSet<String>| -> BTreeSet<String> {
            let ours = constraints.bans.iter().filter(|(resource, _)| resources.contains(resource));
            ours.map(|(_, node)| node.clone()).collect()
        };
        let primitives = self.members.iter().map(|(primitive, resources)| (primitive.clone(), nodes(resources)));
        let banned = primitives.filter(|(_, nodes)| !nodes.is_empty()).collect();
        let prefers = |resources: &BTreeSet<String>| !resources.is_disjoint(&constraints.wishes);
        let preferring = self.members.iter().filter(|(_, resources)| prefers(resources));
        let left = |resources| constraints.by_command.about(resources);
        let by_command = self.members.iter().map(|(primitive, resources)| (primitive.clone(), left(resources)));
        Locations {
            banned,
            preferring: preferring.map(|(primitive, _)| primitive.clone()).collect(),
            by_command: by_command.filter(|(_, left)| !left.is_empty()).collect(),
        }
    }
}

fn is_resource(name: &[u8]) -> bool {
    matches!(name, b"clone" | b"master" | b"group" | b"primitive")
}

/// The constraints so far, and the one that is being read.
#[derive(Debug, Default)]
struct Constraints {
    /// A resource and a node on which it must not be promoted.
    bans: Vec<(String, String)>,
    /// The resources for which some node is preferred as the primary.
    wishes: BTreeSet<String>,
    by_command: Commands,
    /// The constraint that is being read is a lasting one.
    lasts: bool,
    /// It is about the role of the primary.
    is_for_primary: bool,
    /// The resource that the constraint is about, unless it is not plain.
    resource: Option<String>,
    rule: Option<Rule>,
    /// How many rules are being read, one inside the other.
    depth: u32,
}

/// A rule, as far as it has been read.
#[derive(Debug, Default)]
struct Rule {
    forbids: bool,
    /// The node that each expression names; nothing where it says something else.
    nodes: Vec<Option<String>>,
}

impl Constraints {
    fn begin(&mut self, element: &BytesStart) -> Result<(), String> {
        self.by_command.begin(element)?;
        match element.name().as_ref() {
            b"rsc_location" => {
                self.resource = text(element, "rsc")?.filter(|_| !is_for_stopped(element));
                self.lasts = !text(element, "id")?.is_some_and(|id| id.starts_with(MOVE));
                self.is_for_primary = is_for_primary(element);
                self.look_for_a_wish(element)?;
                if let (Some(resource), Some(node), true) = (&self.resource, text(element, "node")?, is_never(element)?)
                {
                    self.bans.push((resource.clone(), node));
                }
            }
            b"rule" => {
                self.depth += 1;
                self.look_for_a_wish(element)?;
                match &mut self.rule {
                    Some(outer) => outer.nodes.push(None),
                    None => {
                        let forbids = is_never(element)? && !is_for_stopped(element);
                        self.rule = Some(Rule { forbids, nodes: Vec::new() });
                    }
                }
            }
            _ => {
                if let Some(rule) = &mut self.rule {
                    rule.nodes.push(named(element)?);
                }
            }
        }
        Ok(())
    }

    /// Notes it if the constraint or rule that begins prefers nodes for the role of the primary.
    fn look_for_a_wish(&mut self, element: &BytesStart) -> Result<(), String> {
        let score = text(element, "score")?.and_then(|score| score.parse::<Score>().ok());
        let prefers = score.is_some_and(|score| score > Score(0)) || text(element, "score-attribute")?.is_some();
        if let (Some(resource), true) = (&self.resource, prefers && self.lasts) {
            if self.is_for_primary || is_for_primary(element) {
                self.wishes.insert(resource.clone());
            }
        }
        Ok(())
    }

    fn end(&mut self, name: &[u8]) {
        if name == b"rule" {
            self.depth -= 1;
            if self.depth > 0 {
                return;
            }
            if let (Some(Rule { forbids: true, nodes }), Some(resource)) = (self.rule.take(), &self.resource) {
                if let [Some(node)] = nodes.as_slice() {
                    self.bans.push((resource.clone(), node.clone()));
                }
            }
        } else if name == b"rsc_location" {
            self.resource = None;
        }
    }
}

/// The node that an expression of a rule names: `#uname eq NODE`.
fn named(element: &BytesStart) -> Result<Option<String>, String> {
    let is = |name: &str, wanted: &str| Ok::<_, String>(text(element, name)?.as_deref() == Some(wanted));
    let literal = text(element, "value-source")?.is_none_or(|source| source == "literal");
    let plain = element.name().as_ref() == b"expression" && is("attribute", "#uname")? && is("operation", "eq")?;
    Ok(if plain && literal { text(element, "value")? } else { None })
}

/// Whether a constraint or rule has the score -INFINITY.
fn is_never(element: &BytesStart) -> Result<bool, String> {
    let score = text(element, "score")?.and_then(|score| score.parse::<Score>().ok());
    Ok(score.is_some_and(|score| score <= Score::NEVER))
}

/// How the constraint is called that `pcs resource move` and `crm_resource --move` make.
const MOVE: &str = "cli-prefer-";

/// Whether it is about the role of the primary.
fn is_for_primary(element: &BytesStart) -> bool {
    text(element, "role").is_ok_and(|role| role.is_some_and(|role| matches!(role.as_str(), "Promoted" | "Master")))
}

/// Whether it is about instances that are stopped. For Pacemaker every other role includes the promoted one.
fn is_for_stopped(element: &BytesStart) -> bool {
    text(element, "role").is_ok_and(|role| role.is_some_and(|role| role.eq_ignore_ascii_case("Stopped")))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rules::table;

    /// Constraints on a clone → the nodes on which its primitive must not be promoted.
    fn read(constraints: &str) -> String {
        let xml = format!(
            r#"<xpath-query><clone id="pgsqld-clone"><meta_attributes id="m"><nvpair id="n" name="notify" value="true"/>
            </meta_attributes><primitive id="pgsqld" class="ocf" provider="rust" type="pgsqlms"><operations>
            <op id="o" name="monitor" interval="2s" role="Promoted"/></operations></primitive></clone>{constraints}</xpath-query>"#
        );
        let banned = locations(&xml).unwrap().banned;
        assert!(banned.keys().all(|primitive| primitive == "pgsqld"), "{banned:?}");
        banned.get("pgsqld").into_iter().flatten().cloned().collect::<Vec<_>>().join(" ")
    }

    // As pcs 0.11 (Pacemaker 2.1), pcs 0.12 and crmsh 5.0 (Pacemaker 3.0) write them.
    table! { read;
        pcs_bans_the_role: r#"<rsc_location id="cli-ban-pgsqld-clone-on-srv3" rsc="pgsqld-clone" role="Promoted" node="srv3" score="-INFINITY"/>"#
            => "srv3";
        pcs_bans_the_resource: r#"<rsc_location id="cli-ban-pgsqld-clone-on-srv3" rsc="pgsqld-clone" role="Started" node="srv3" score="-INFINITY"/>"#
            => "srv3";
        pcs_avoids: r#"<rsc_location id="location-pgsqld-clone-srv3--INFINITY" rsc="pgsqld-clone" node="srv3" score="-INFINITY"/>"#
            => "srv3";
        pcs_rule: r##"<rsc_location id="location-pgsqld-clone" rsc="pgsqld-clone"><rule id="location-pgsqld-clone-rule" role="Promoted" score="-INFINITY"><expression id="location-pgsqld-clone-rule-expr" operation="eq" attribute="#uname" value="srv3"/></rule></rsc_location>"##
            => "srv3";
        pcs_rule_of_0_12: r##"<rsc_location id="location-pgsqld-clone" rsc="pgsqld-clone"><rule id="location-pgsqld-clone-rule" boolean-op="and" role="Promoted" score="-INFINITY"><expression id="location-pgsqld-clone-rule-expr" attribute="#uname" operation="eq" value="srv3"/></rule></rsc_location>"##
            => "srv3";
        never_discovered: r#"<rsc_location id="loc-x" rsc="pgsqld-clone" node="srv2" score="-INFINITY" resource-discovery="never"/>"#
            => "srv2";
        crmsh_location: r#"<rsc_location id="l1" rsc="pgsqld-clone" role="Promoted" score="-INFINITY" node="srv2"/>"#
            => "srv2";
        crmsh_rule: r##"<rsc_location id="l2" rsc="pgsqld-clone"><rule role="Promoted" score="-INFINITY" id="l2-rule"><expression operation="eq" attribute="#uname" value="srv2" id="l2-rule-expression"/></rule></rsc_location>"##
            => "srv2";
        before_2_1: r#"<rsc_location id="l1" rsc="pgsqld-clone" role="Master" node="srv2" score="-INFINITY"/>"# => "srv2";
        for_the_primitive: r#"<rsc_location id="l" rsc="pgsqld" node="srv2" score="-INFINITY"/>"# => "srv2";
        as_a_number: r#"<rsc_location id="l" rsc="pgsqld" node="srv2" score="-1000000"/>"# => "srv2";
        two_of_them: r#"<rsc_location id="a" rsc="pgsqld-clone" node="srv3" score="-INFINITY"/><rsc_location id="b" rsc="pgsqld-clone" node="srv2" score="-INFINITY"/>"#
            => "srv2 srv3";
    }

    // What is not plain, or no ban at all.
    table! { read;
        no_constraints: "" => "";
        a_wish: r#"<rsc_location id="cli-prefer-pgsqld-clone" rsc="pgsqld-clone" role="Promoted" node="srv3" score="INFINITY"/>"# => "";
        an_aversion: r#"<rsc_location id="l" rsc="pgsqld-clone" node="srv3" score="-5000"/>"# => "";
        of_another_resource: r#"<rsc_location id="l" rsc="pgsql-vip" node="srv3" score="-INFINITY"/>"# => "";
        for_stopped_instances: r#"<rsc_location id="l" rsc="pgsqld-clone" node="srv3" role="Stopped" score="-INFINITY"/>"# => "";
        pcs_bans_for_a_day: r##"<rsc_location id="cli-ban-pgsqld-clone-on-srv2" rsc="pgsqld-clone" role="Promoted"><rule id="cli-ban-pgsqld-clone-on-srv2-rule" score="-INFINITY" boolean-op="and"><expression id="cli-ban-pgsqld-clone-on-srv2-expr" attribute="#uname" operation="eq" value="srv2" type="string"/><date_expression id="cli-ban-pgsqld-clone-on-srv2-lifetime" operation="lt" end="2026-11-28 22:01:53Z"/></rule></rsc_location>"##
            => "";
        all_but_one: r##"<rsc_location id="l" rsc="pgsqld-clone"><rule id="r" role="Promoted" score="-INFINITY"><expression id="e" operation="ne" attribute="#uname" value="srv1"/></rule></rsc_location>"## => "";
        by_another_attribute: r#"<rsc_location id="l" rsc="pgsqld-clone"><rule id="r" role="Promoted" score="-INFINITY"><expression id="e" operation="eq" attribute="site" value="srv1"/></rule></rsc_location>"# => "";
        by_a_parameter: r##"<rsc_location id="l" rsc="pgsqld-clone"><rule id="r" role="Promoted" score="-INFINITY"><expression id="e" operation="eq" attribute="#uname" value="where" value-source="param"/></rule></rsc_location>"## => "";
        a_rule_in_a_rule: r##"<rsc_location id="l" rsc="pgsqld-clone"><rule id="r" role="Promoted" score="-INFINITY"><rule id="s" score="-INFINITY"><expression id="e" operation="eq" attribute="#uname" value="srv1"/></rule></rule></rsc_location>"## => "";
        a_rule_with_a_score_of_its_own: r##"<rsc_location id="l" rsc="pgsqld-clone"><rule id="r" role="Promoted" score-attribute="x"><expression id="e" operation="eq" attribute="#uname" value="srv1"/></rule></rsc_location>"## => "";
        a_pattern: r#"<rsc_location id="l" rsc-pattern="pgsql.*" node="srv3" score="-INFINITY"/>"# => "";
        crmsh_set: r#"<rsc_location id="l3" score="-INFINITY" node="srv2"><resource_set id="l3-0"><resource_ref id="pgsqld-clone"/></resource_set></rsc_location>"# => "";
    }

    /// A constraint on a clone → whether it prefers some node for the role of the primary.
    fn prefers(constraint: &str) -> bool {
        let xml = format!(
            r#"<xpath-query><clone id="pgsqld-clone"><primitive id="pgsqld"/></clone>{constraint}</xpath-query>"#
        );
        locations(&xml).unwrap().preferring.contains("pgsqld")
    }

    table! { prefers;
        no_constraint: "" => false;
        a_rule_for_the_role: r##"<rsc_location id="l" rsc="pgsqld-clone"><rule id="r" role="Promoted" score="INFINITY"><expression id="e" operation="eq" attribute="#uname" value="srv1"/></rule></rsc_location>"## => true;
        a_rule_in_a_constraint_for_the_role: r##"<rsc_location id="l" rsc="pgsqld-clone" role="Promoted"><rule id="r" score="100"><expression id="e" operation="eq" attribute="site" value="a"/></rule></rsc_location>"## => true;
        a_rule_with_the_score_of_an_attribute: r#"<rsc_location id="l" rsc="pgsqld-clone"><rule id="r" role="Promoted" score-attribute="x"><expression id="e" operation="defined" attribute="x"/></rule></rsc_location>"# => true;
        a_node_for_the_role: r#"<rsc_location id="l" rsc="pgsqld-clone" role="Promoted" node="srv1" score="INFINITY"/>"# => true;
        a_node_for_any_role: r#"<rsc_location id="l" rsc="pgsqld-clone" node="srv1" score="INFINITY"/>"# => false;
        a_move: r#"<rsc_location id="cli-prefer-pgsqld-clone" rsc="pgsqld-clone" role="Promoted" node="srv1" score="INFINITY"/>"# => false;
        a_ban: r#"<rsc_location id="l" rsc="pgsqld-clone" role="Promoted" node="srv1" score="-INFINITY"/>"# => false;
        a_wish_for_another_resource: r#"<rsc_location id="l" rsc="x" role="Promoted" node="srv1" score="INFINITY"/>"# => false;
    }

    #[test]
    fn each_primitive_has_its_own_constraints() {
        let xml = r#"<xpath-query><master id="ms"><group id="g"><primitive id="a"/><primitive id="b"><operations/></primitive>
            </group></master><clone id="other"><primitive id="c"/></clone><rsc_location id="1" rsc="g" node="srv1" score="-INFINITY"/>
            <rsc_location id="2" rsc="c" node="srv2" score="-INFINITY"/></xpath-query>"#;
        let found: Vec<String> =
            locations(xml).unwrap().banned.iter().map(|(id, nodes)| format!("{id} {nodes:?}")).collect();
        assert_eq!(found, [r#"a {"srv1"}"#, r#"b {"srv1"}"#, r#"c {"srv2"}"#]);
    }

    /// What cibadmin finds by two expressions is there twice, in any order.
    #[test]
    fn a_primitive_that_comes_once_more_by_itself_keeps_its_clones_constraints() {
        let (clone, primitive) = (r#"<clone id="c"><primitive id="a"/></clone>"#, r#"<primitive id="a"/>"#);
        let location = r#"<rsc_location id="1" rsc="c" node="srv1" score="-INFINITY"/>"#;
        for parts in [[clone, primitive, location], [primitive, clone, location], [location, clone, primitive]] {
            let banned = locations(&format!("<xpath-query>{}</xpath-query>", parts.concat())).unwrap().banned;
            assert_eq!(format!("{banned:?}"), r#"{"a": {"srv1"}}"#, "{parts:?}");
        }
    }

    #[test]
    fn what_is_not_xml_is_an_error() {
        assert!(locations("<rsc_location rsc=").is_err());
    }
}
