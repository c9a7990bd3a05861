//! The parameters of a resource as Pacemaker has them: the sets of the primitive and of its template, the highest score first, and
//! the first value of a name counts. What depends on a rule is not guessed.

use std::collections::BTreeMap;

use quick_xml::events::{BytesStart, Event};

use super::PacemakerError;
use super::cib::text;

/// What [`parameters`] understands: all resources.
pub const RESOURCES: &str = "//resources";

/// A set of parameters.
#[derive(Debug, Default)]
struct Set {
    /// The greater, the more it counts.
    score: i64,
    /// It is another one's, or holds under a rule only, or some of it does.
    is_conditional: bool,
    pairs: Vec<(String, String)>,
}

/// A primitive or a template.
#[derive(Debug, Default)]
struct Resource {
    id: String,
    is_template: bool,
    template: Option<String>,
    sets: Vec<Set>,
}

/// The parameters of the primitive `resource`; none if there is no such resource.
///
/// # Errors
///
/// When it is not XML, or they depend on rules that only Pacemaker can evaluate.
pub fn parameters(xml: &str, resource: &str) -> Result<Option<BTreeMap<String, String>>, PacemakerError> {
    let all = read(xml).map_err(|why| PacemakerError::Output { tool: "cibadmin", why })?;
    let Some(primitive) = all.iter().find(|found| !found.is_template && found.id == resource) else { return Ok(None) };
    let template = all.iter().find(|found| found.is_template && Some(&found.id) == primitive.template.as_ref());
    let ambiguous = |why: &str| PacemakerError::Parameters { resource: resource.to_owned(), why: why.to_owned() };
    if primitive.template.is_some() && template.is_none() {
        return Err(ambiguous("its template is not there"));
    }
    let mut sets: Vec<(&Set, bool)> = primitive.sets.iter().map(|set| (set, true)).collect();
    sets.extend(template.iter().flat_map(|template| &template.sets).map(|set| (set, false)));
    if sets.iter().any(|(set, _)| set.is_conditional) {
        return Err(ambiguous("they depend on a rule, or on another resource"));
    }
    // What the primitive says counts more than the same of its template.
    let rank = |(set, own): &(&Set, bool)| (std::cmp::Reverse(set.score), !*own);
    sets.sort_by_key(rank);
    let mut chosen: BTreeMap<&String, (&String, (i64, bool))> = BTreeMap::new();
    for (set, own) in sets {
        for (name, value) in &set.pairs {
            let (known, place) = chosen.entry(name).or_insert((value, (set.score, own)));
            if *known != value && *place == (set.score, own) {
                return Err(ambiguous(&format!("{name} has two values with the same score")));
            }
        }
    }
    Ok(Some(chosen.into_iter().map(|(name, (value, _))| (name.clone(), value.clone())).collect()))
}

fn read(xml: &str) -> Result<Vec<Resource>, String> {
    let mut reader = quick_xml::Reader::from_str(xml);
    let (mut all, mut path): (Vec<Resource>, Vec<Vec<u8>>) = (Vec::new(), Vec::new());
    loop {
        let event = reader.read_event().map_err(|error| error.to_string())?;
        match &event {
            Event::Eof => return Ok(all),
            Event::End(_) => drop(path.pop()),
            Event::Start(element) | Event::Empty(element) => {
                let name = element.name().as_ref().to_vec();
                take(element, &path, &mut all)?;
                if matches!(event, Event::Start(_)) {
                    path.push(name);
                }
            }
            _ => {}
        }
    }
}

/// Takes an element in, which stands at this place.
fn take(element: &BytesStart<'_>, path: &[Vec<u8>], all: &mut Vec<Resource>) -> Result<(), String> {
    let text = |name: &str| text(element, name);
    let above = |number: usize| path.iter().rev().nth(number).map(Vec::as_slice);
    let is_resource = |name: Option<&[u8]>| matches!(name, Some(b"primitive" | b"template"));
    let in_a_set = path.iter().position(|name| name == b"instance_attributes");
    let name = element.name();
    match name.as_ref() {
        b"primitive" | b"template" => all.push(Resource {
            id: text("id")?.unwrap_or_default(),
            is_template: name.as_ref() == b"template",
            template: text("template")?,
            sets: Vec::new(),
        }),
        b"instance_attributes" if is_resource(above(0)) => {
            let score = text("score")?.unwrap_or_default();
            let score = match score.trim_start_matches('+') {
                "INFINITY" => i64::MAX,
                "-INFINITY" => i64::MIN,
                score => score.parse().unwrap_or(0),
            };
            let set = Set { score, is_conditional: text("id-ref")?.is_some(), pairs: Vec::new() };
            if let Some(resource) = all.last_mut() {
                resource.sets.push(set);
            }
        }
        // In a set of a resource, not in one of its operations.
        kind => {
            let belongs = in_a_set.is_some_and(|at| at > 0 && is_resource(path.get(at - 1).map(Vec::as_slice)));
            let Some(set) = all.last_mut().and_then(|resource| resource.sets.last_mut()).filter(|_| belongs) else {
                return Ok(());
            };
            match (kind, text("name")?, text("value")?) {
                (b"nvpair", Some(name), Some(value)) => set.pairs.push((name, value)),
                _ => set.is_conditional = true,
            }
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rules::table;

    #[test]
    fn the_parameters_of_one_resource_are_read() {
        let xml = r#"<resources><clone id="pgsqld-clone"><primitive id="pgsqld" class="ocf">
            <instance_attributes id="a"><nvpair id="b" name="pgdata" value="/d"/><nvpair id="c" name="rejoin" value="none"/>
            </instance_attributes><meta_attributes id="m"><nvpair id="d" name="notify" value="true"/></meta_attributes>
            <operations><op id="o"><instance_attributes id="x"><nvpair id="e" name="OCF_CHECK_LEVEL" value="1"/>
            </instance_attributes></op></operations></primitive></clone><primitive id="vip"><instance_attributes id="v">
            <nvpair id="f" name="ip" value="10.0.0.1"/></instance_attributes></primitive></resources>"#;
        let expected = [("pgdata", "/d"), ("rejoin", "none")].map(|(name, value)| (name.to_owned(), value.to_owned()));
        assert_eq!(parameters(xml, "pgsqld").unwrap(), Some(expected.into_iter().collect()));
        assert_eq!(parameters(xml, "vip").unwrap().unwrap().len(), 1);
        assert_eq!(parameters(xml, "pgsqld-clone").unwrap(), None);
        assert!(parameters("<a", "pgsqld").is_err());
    }

    const RULE: &str =
        r#"<rule id="r" score="0"><expression id="e" attribute="uname" operation="eq" value="srv2"/></rule>"#;

    /// The sets `SCORE=VALUE` of `pgdata` in a primitive, those in its template → what Pacemaker takes.
    fn pgdata((own, of_template): (&str, &str)) -> String {
        let set = |word: &str| {
            let (score, value) = word.split_once('=').unwrap();
            let (value, rule) = value.strip_suffix('?').map_or((value, ""), |value| (value, RULE));
            format!(
                r#"<instance_attributes id="i" score="{score}">{rule}<nvpair id="n" name="pgdata" value="{value}"/></instance_attributes>"#
            )
        };
        let sets = |words: &str| words.split_whitespace().map(set).collect::<String>();
        let xml = format!(
            r#"<resources><template id="t">{}</template><primitive id="p" template="t">{}</primitive></resources>"#,
            sets(of_template),
            sets(own)
        );
        match parameters(&xml, "p") {
            Ok(found) => found.unwrap().remove("pgdata").unwrap_or_default(),
            Err(error) => error.to_string().split(": ").nth(1).unwrap_or_default().to_owned(),
        }
    }

    table! { pgdata;
        one_set: ("0=/a", "") => "/a";
        the_highest_score_counts: ("1=/a 5=/b 2=/c", "") => "/b";
        endlessly_high: ("1000=/a INFINITY=/b", "") => "/b";
        the_templates_where_there_is_no_other: ("", "0=/t") => "/t";
        the_primitives_before_the_templates: ("0=/a", "0=/t") => "/a";
        but_for_a_higher_score: ("0=/a", "1=/t") => "/t";
        the_same_twice: ("0=/a 0=/a", "") => "/a";
        two_with_one_score: ("0=/a 0=/b", "") => "pgdata has two values with the same score";
        a_rule: ("0=/a 5=/b?", "") => "they depend on a rule, or on another resource";
        a_rule_in_the_template: ("0=/a", "0=/t?") => "they depend on a rule, or on another resource";
    }

    #[test]
    fn a_set_of_another_resource_and_a_template_that_is_gone_are_not_guessed() {
        for xml in [
            r#"<resources><primitive id="p"><instance_attributes id-ref="other"/></primitive></resources>"#,
            r#"<resources><primitive id="p" template="gone"/></resources>"#,
        ] {
            assert!(parameters(xml, "p").is_err(), "{xml}");
        }
    }
}
