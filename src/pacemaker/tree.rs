//! XML as a tree, for what is read as a whole and not often: the configuration of the cluster.

use std::collections::BTreeMap;

use quick_xml::events::Event;

/// An element with all that it contains.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Element {
    /// Its name.
    pub name: String,
    attributes: BTreeMap<String, String>,
    /// What stands in it, in this order.
    pub children: Vec<Element>,
}

impl Element {
    /// The root element.
    ///
    /// # Errors
    ///
    /// When it is not XML, or there is none.
    pub(super) fn parse(xml: &str) -> Result<Self, String> {
        let mut reader = quick_xml::Reader::from_str(xml);
        let mut open = vec![Element::default()];
        loop {
            let event = reader.read_event().map_err(|error| error.to_string())?;
            match &event {
                Event::Start(element) | Event::Empty(element) => {
                    let mut read = Element {
                        name: String::from_utf8_lossy(element.name().as_ref()).into_owned(),
                        ..Element::default()
                    };
                    for attribute in element.attributes() {
                        let attribute = attribute.map_err(|error| error.to_string())?;
                        let value = attribute.normalized_value(quick_xml::XmlVersion::Implicit1_0);
                        let value = value.map_err(|error| error.to_string())?.into_owned();
                        let name = String::from_utf8_lossy(attribute.key.as_ref()).into_owned();
                        read.attributes.insert(name, value);
                    }
                    open.push(read);
                }
                _ => {}
            }
            match &event {
                Event::Empty(_) | Event::End(_) => {
                    let Some(ended) = open.pop() else { return Err("an element ends that has not begun".to_owned()) };
                    match open.last_mut() {
                        Some(outer) => outer.children.push(ended),
                        None => return Err("an element ends that has not begun".to_owned()),
                    }
                }
                Event::Eof => break,
                _ => {}
            }
        }
        let root = open.pop().and_then(|document| document.children.into_iter().next());
        root.filter(|_| open.is_empty()).ok_or_else(|| "it ends too early".to_owned())
    }

    /// The value of an attribute.
    pub(super) fn attribute(&self, name: &str) -> Option<&str> {
        self.attributes.get(name).map(String::as_str)
    }

    /// The value of an attribute; empty if there is none.
    pub(super) fn text(&self, name: &str) -> String {
        self.attribute(name).unwrap_or_default().to_owned()
    }

    /// The elements of this name directly in it.
    pub(super) fn children<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a Element> {
        self.children.iter().filter(move |child| child.name == name)
    }

    /// The elements of this name in it, however deep.
    pub(super) fn all(&self, name: &str) -> Vec<&Element> {
        let mut found = Vec::new();
        for child in &self.children {
            if child.name == name {
                found.push(child);
            }
            found.extend(child.all(name));
        }
        found
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tree_is_read() {
        let root = Element::parse(r#"<?xml version="1.0"?><a x="1 &lt; 2"><b/><c><b y="3"/></c></a>"#).unwrap();
        assert_eq!((root.name.as_str(), root.attribute("x"), root.attribute("z")), ("a", Some("1 < 2"), None));
        assert_eq!((root.children("b").count(), root.all("b").len()), (1, 2));
        assert_eq!(root.all("b")[1].text("y"), "3");
    }

    #[test]
    fn what_is_no_tree_is_an_error() {
        for xml in ["", "<a>", "<a><b></a>", "</a>", "<a x=>"] {
            assert!(Element::parse(xml).is_err(), "{xml}");
        }
    }
}
