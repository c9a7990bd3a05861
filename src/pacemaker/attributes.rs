//! Reads what `attrd_updater --query --all` prints: XML, or the text of Pacemaker before 2.1.3, which has no `--output-as`.

use std::collections::BTreeMap;

use quick_xml::events::Event;

use super::{PacemakerError, cib};
use crate::node::NodeName;

/// The values on each node that has one.
pub type Values = BTreeMap<NodeName, String>;

fn unreadable(why: String) -> PacemakerError {
    PacemakerError::Output { tool: "attrd_updater", why }
}

/// Reads `<attribute name=… value=… host=…/>` for each node.
///
/// # Errors
///
/// When it is not XML.
pub fn in_xml(xml: &str) -> Result<Values, PacemakerError> {
    let mut reader = quick_xml::Reader::from_str(xml);
    let mut values = Values::new();
    loop {
        match reader.read_event().map_err(|error| unreadable(error.to_string()))? {
            Event::Eof => return Ok(values),
            Event::Empty(element) | Event::Start(element) if element.name().as_ref() == b"attribute" => {
                let text = |name: &str| cib::text(&element, name).map_err(unreadable);
                if let (Some(host), Some(value)) = (text("host")?, text("value")?) {
                    note(&mut values, &host, &value);
                }
            }
            _ => {}
        }
    }
}

/// Reads a line `name="…" host="…" value="…"` for each node. The tool puts quotation marks around values and marks none in
/// them; a line break in a value is printed as `\n`. So the attribute's `name` is known, a node's name ends at its quotation
/// mark, and all that follows is the value, up to the end of the line.
///
/// # Errors
///
/// When a line is anything else: a vote that is not understood must not be taken for one that was not cast.
pub fn in_text(text: &str, name: &str) -> Result<Values, PacemakerError> {
    let begins = format!("name=\"{name}\" host=\"");
    let mut values = Values::new();
    for line in text.lines().filter(|line| !line.trim().is_empty()) {
        let fields = line.strip_prefix(&begins).and_then(|rest| rest.split_once("\" value=\""));
        let fields = fields.and_then(|(host, rest)| Some((host, rest.strip_suffix('"')?)));
        let Some((host, value)) = fields.filter(|(host, _)| !host.is_empty() && !host.contains('"')) else {
            return Err(unreadable(format!("{:?} is not an attribute", line.chars().take(80).collect::<String>())));
        };
        note(&mut values, host, value);
    }
    Ok(values)
}

/// An attribute that was deleted has an empty value.
fn note(values: &mut Values, host: &str, value: &str) {
    if !value.is_empty() {
        values.insert(NodeName::new(host), value.to_owned());
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rules::table;

    fn listed(read: Result<Values, PacemakerError>) -> String {
        let values = match read {
            Ok(values) => values,
            Err(error) => return error.to_string(),
        };
        values.iter().map(|(node, value)| format!("{node}={value}")).collect::<Vec<_>>().join(", ")
    }

    fn xml(text: &str) -> String {
        listed(in_xml(text))
    }

    /// The attribute is called `lsn_location-pgsqld` in all of them.
    fn text(lines: &str) -> String {
        listed(in_text(lines, "lsn_location-pgsqld"))
    }

    table! { xml;
        xml_has_every_node_with_a_value: r#"<pacemaker-result api-version="2.25" request="attrd_updater -Q">
              <attribute name="master-pgsql" value="1001" host="srv1"/>
              <attribute name="master-pgsql" value="" host="srv2"/>
              <attribute name="master-pgsql" value="a &lt; b" host="srv3"/>
              <status code="0" message="OK"/>
            </pacemaker-result>"# => "srv1=1001, srv3=a < b";
    }

    #[test]
    fn what_is_not_xml_is_an_error() {
        assert!(in_xml("<pacemaker-result><attribute name=").is_err());
    }

    // What Pacemaker 2.0.5 printed, but for the attribute's name in the rows about odd values.
    table! { text;
        votes: "name=\"lsn_location-pgsqld\" host=\"srv3\" value=\"1#67108864 received=0/4000000 history=1\"\n\
                name=\"lsn_location-pgsqld\" host=\"srv2\" value=\"1#83886080 received=0/5000000 history=1\"\n\
                name=\"lsn_location-pgsqld\" host=\"srv1\" value=\"1#83886240 received=0/5000000 replayed=0/50000A0\"\n"
            => "srv1=1#83886240 received=0/5000000 replayed=0/50000A0, srv2=1#83886080 received=0/5000000 history=1, \
                srv3=1#67108864 received=0/4000000 history=1";
        no_node: "" => "";
        deleted: "name=\"lsn_location-pgsqld\" host=\"srv1\" value=\"\"\n\
                  name=\"lsn_location-pgsqld\" host=\"srv2\" value=\"none\"\n" => "srv2=none";
        quotation_marks: "name=\"lsn_location-pgsqld\" host=\"srv1\" value=\"a \"quoted\" value\"\n" => "srv1=a \"quoted\" value";
        forged: "name=\"lsn_location-pgsqld\" host=\"srv1\" value=\"x=\" host=\"srv9\" value=\"forged\"\n"
            => "srv1=x=\" host=\"srv9\" value=\"forged";
        a_whole_line_in_a_value: "name=\"lsn_location-pgsqld\" host=\"srv1\" value=\"name=\"x\" host=\"y\" value=\"z\"\"\n"
            => "srv1=name=\"x\" host=\"y\" value=\"z\"";
        markup: "name=\"lsn_location-pgsqld\" host=\"srv1\" value=\"a < b & c > d\"\n" => "srv1=a < b & c > d";
        blanks: "name=\"lsn_location-pgsqld\" host=\"srv1\" value=\" lead and trail \"\n" => "srv1= lead and trail ";
        escapes_are_left: "name=\"lsn_location-pgsqld\" host=\"srv1\" value=\"two\\nlines\"\n" => "srv1=two\\nlines";
        full_names: "name=\"lsn_location-pgsqld\" host=\"srv-1.example.com\" value=\"1\"\n\
                     name=\"lsn_location-pgsqld\" host=\"srv10\" value=\"2\"" => "srv-1.example.com=1, srv10=2";
        another_attribute: "name=\"lsn_location-pgsql\" host=\"srv1\" value=\"1\"\n"
            => "cannot read what attrd_updater printed: \"name=\\\"lsn_location-pgsql\\\" host=\\\"srv1\\\" value=\\\"1\\\"\" is not an attribute";
        cut_off: "name=\"lsn_location-pgsqld\" host=\"srv1\" value=\"1#838"
            => "cannot read what attrd_updater printed: \"name=\\\"lsn_location-pgsqld\\\" host=\\\"srv1\\\" value=\\\"1#838\" is not an attribute";
        something_else: "Attribute is not set\n" => "cannot read what attrd_updater printed: \"Attribute is not set\" is not an attribute";
    }
}
