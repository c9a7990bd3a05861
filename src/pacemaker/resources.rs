//! Which resources of the cluster are this agent's, and which one a person means.

use quick_xml::events::Event;

use super::cib;

/// Class, provider and type of this agent's resources.
const OURS: [&str; 3] = ["ocf", "rust", "pgsqlms"];

/// What may stand around a primitive.
const CONTAINERS: [&[u8]; 3] = [b"clone", b"master", b"group"];

/// A primitive resource.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Primitive {
    /// Its name.
    pub id: String,
    /// The names of its clone and its group.
    pub within: Vec<String>,
    /// Its agent's class, provider and type.
    agent: [Option<String>; 3],
    /// The template that says so instead.
    template: Option<String>,
}

/// Why a name means no resource of this agent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Unclear {
    /// No resource of this agent is called so. Its others are these.
    Unknown(Vec<String>),
    /// A resource is called so, and is another agent's.
    Foreign(Vec<String>),
    /// It may be any of these.
    Several(Vec<String>),
}

/// The one that `asked` means: by its own name, or that of its clone, its group, or an instance. If nothing is asked, the only one.
///
/// # Errors
///
/// When that is none or several.
pub fn find(primitives: &[Primitive], asked: Option<&str>) -> Result<String, Unclear> {
    let is_ours = |primitive: &&Primitive| primitive.is_ours(primitives);
    let is_meant = |primitive: &&Primitive| asked.is_none_or(|asked| primitive.is_called(asked));
    let names = |found: Vec<&Primitive>| found.into_iter().map(|primitive| primitive.id.clone()).collect::<Vec<_>>();
    let meant = names(primitives.iter().filter(is_ours).filter(is_meant).collect());
    match meant.as_slice() {
        [one] => Ok(one.clone()),
        [] => {
            let ours = names(primitives.iter().filter(is_ours).collect());
            let is_foreign = asked.is_some() && primitives.iter().any(|primitive| is_meant(&primitive));
            Err(if is_foreign { Unclear::Foreign(ours) } else { Unclear::Unknown(ours) })
        }
        _ => Err(Unclear::Several(meant)),
    }
}

impl Primitive {
    fn is_ours(&self, all: &[Primitive]) -> bool {
        let template = self.template.as_ref().and_then(|name| all.iter().find(|it| it.id == *name));
        let agent = template.map_or(&self.agent, |template| &template.agent);
        // A template runs nowhere.
        !self.id.is_empty() && !self.is_template() && agent.each_ref().map(Option::as_deref) == OURS.map(Some)
    }

    fn is_template(&self) -> bool {
        self.template.as_ref() == Some(&self.id)
    }

    fn is_called(&self, name: &str) -> bool {
        let name = match name.rsplit_once(':') {
            Some((name, number)) if !number.is_empty() && number.bytes().all(|byte| byte.is_ascii_digit()) => name,
            _ => name,
        };
        !self.is_template() && (self.id == name || self.within.iter().any(|outer| outer == name))
    }
}

/// All primitives and templates in what `cibadmin --query` prints.
///
/// # Errors
///
/// When it is not XML.
pub fn primitives(xml: &str) -> Result<Vec<Primitive>, String> {
    let mut reader = quick_xml::Reader::from_str(xml);
    let (mut found, mut within) = (Vec::new(), Vec::new());
    loop {
        let event = reader.read_event().map_err(|error| error.to_string())?;
        match &event {
            Event::Eof => return Ok(found),
            Event::End(element) if CONTAINERS.contains(&element.name().as_ref()) => _ = within.pop(),
            Event::Start(element) | Event::Empty(element) => {
                let text = |name: &str| cib::text(element, name);
                let id = text("id")?.unwrap_or_default();
                let (name, is_empty) = (element.name(), matches!(event, Event::Empty(_)));
                let agent = [text("class")?, text("provider")?, text("type")?];
                match name.as_ref() {
                    b"primitive" => {
                        found.push(Primitive { id, within: within.clone(), agent, template: text("template")? });
                    }
                    b"template" => {
                        found.push(Primitive { template: Some(id.clone()), id, within: Vec::new(), agent });
                    }
                    name if CONTAINERS.contains(&name) && !is_empty => within.push(id),
                    _ => {}
                }
            }
            _ => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rules::table;

    const ONE: &str = r#"<resources><clone id="pgsqld-clone"><primitive id="pgsqld" class="ocf" provider="rust" type="pgsqlms">
        <operations/></primitive></clone><primitive id="vip" class="ocf" provider="heartbeat" type="IPaddr2"/></resources>"#;
    const TWO: &str = r#"<resources><template id="t" class="ocf" provider="rust" type="pgsqlms"/><master id="a-ms"><primitive id="a"
        template="t"/></master><clone id="c"><group id="g"><primitive id="vip" class="ocf" provider="heartbeat" type="IPaddr2"/>
        <primitive id="b" class="ocf" provider="rust" type="pgsqlms"/></group></clone><primitive id="paf" class="ocf"
        provider="heartbeat" type="pgsqlms"/></resources>"#;

    /// What is there and what is asked for, empty for nothing → what is meant.
    fn meant((xml, asked): (&str, &str)) -> String {
        match find(&primitives(xml).unwrap(), Some(asked).filter(|asked| !asked.is_empty())) {
            Ok(name) => name,
            Err(unclear) => format!("{unclear:?}").replace('"', ""),
        }
    }

    table! { meant;
        the_only_one: (ONE, "") => "pgsqld";
        by_name: (ONE, "pgsqld") => "pgsqld";
        by_its_clone: (ONE, "pgsqld-clone") => "pgsqld";
        by_an_instance: (ONE, "pgsqld:1") => "pgsqld";
        a_typing_error: (ONE, "pgsql") => "Unknown([pgsqld])";
        an_instance_of_nothing: (ONE, "pgsqld:x") => "Unknown([pgsqld])";
        an_address: (ONE, "vip") => "Foreign([pgsqld])";
        nothing_is_there: ("<resources/>", "") => "Unknown([])";
        one_of_two: (TWO, "") => "Several([a, b])";
        of_a_template: (TWO, "a-ms") => "a";
        a_template: (TWO, "t") => "Unknown([a, b])";
        by_its_group: (TWO, "g") => "b";
        a_group_in_a_clone: (TWO, "c") => "b";
        paf: (TWO, "paf") => "Foreign([a, b])";
    }

    #[test]
    fn what_is_not_xml_is_an_error() {
        assert!(primitives("<primitive id=").is_err());
    }
}
