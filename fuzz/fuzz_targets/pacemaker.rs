//! Output of Pacemaker's tools: any bytes; and values that were written as XML and must be read back as they were.
#![no_main]

use libfuzzer_sys::fuzz_target;
use pgsqlms::node::NodeName;
use pgsqlms::pacemaker::attributes;
use pgsqlms::pacemaker::cib::Cib;
use pgsqlms::score::Score;

/// As Pacemaker does: characters that would end the value or begin markup are written as entities.
fn escaped(text: &str) -> String {
    let escape = |c: char| match c {
        '&' => "&amp;".to_owned(),
        '<' => "&lt;".to_owned(),
        '>' => "&gt;".to_owned(),
        '"' => "&quot;".to_owned(),
        '\n' | '\r' | '\t' => format!("&#{};", u32::from(c)),
        c => c.to_string(),
    };
    text.chars().map(escape).collect()
}

fn check_values(node: &str, name: &str, value: &str) {
    let [xml_node, xml_name, xml_value] = [node, name, value].map(escaped);
    let pair = format!(
        "<instance_attributes><nvpair id=\"x\" name=\"{xml_name}\" value=\"{xml_value}\"/></instance_attributes>"
    );
    let xml = format!(
        "<xpath-query><transient_attributes id=\"1\">{pair}</transient_attributes>\
         <nodes><node id=\"1\" uname=\"{xml_node}\">{pair}</node></nodes>\
         <cluster_property_set id=\"pgsqlms\">{pair}</cluster_property_set></xpath-query>"
    );
    let cib = Cib::parse(&xml).unwrap();
    let node = NodeName::new(node);
    assert!(cib.nodes.contains(&node));
    assert_eq!(cib.transient(name).get(&node), Some(&value));
    assert_eq!(cib.permanent(name).get(&node), Some(&value));
    assert_eq!(cib.properties.get(name).map(String::as_str), Some(value));
    let xml = format!(
        "<pacemaker-result><attribute name=\"n\" value=\"{xml_value}\" host=\"{xml_node}\"/></pacemaker-result>"
    );
    let expected = (!value.is_empty()).then_some(value);
    let read = attributes::in_xml(&xml).unwrap();
    assert_eq!(read.get(&node).map(String::as_str), expected);
    // Before Pacemaker 2.1.3 nothing is escaped but a line break; a node's name has no quotation marks.
    if !node.as_str().is_empty()
        && ![node.as_str(), name, value].concat().contains(['\n', '\r'])
        && !node.as_str().contains('"')
    {
        let line = format!("name=\"{name}\" host=\"{node}\" value=\"{value}\"\n");
        let read = attributes::in_text(&line, name).unwrap();
        assert_eq!(read.get(&node).map(String::as_str), expected);
    }
}

fuzz_target!(|bytes: &[u8]| {
    let text = String::from_utf8_lossy(bytes);
    let _ = attributes::in_xml(&text);
    let _ = attributes::in_text(&text, "n");
    if let Ok(cib) = Cib::parse(&text) {
        assert!(cib.permanent.keys().chain(cib.transient.keys()).all(|node| cib.nodes.contains(node)));
    }
    if let Ok(score) = text.parse::<Score>() {
        assert_eq!(score.to_string().parse(), Ok(score));
    }
    let mut parts = text.splitn(3, '\0');
    if let (Some(node), Some(name), Some(value)) = (parts.next(), parts.next(), parts.next()) {
        check_values(node, name, value);
    }
});
