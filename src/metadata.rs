//! The meta-data: the table of parameters and the table of actions as OCF 1.1 XML. Calls nothing and needs nothing.

use std::io;

use quick_xml::Writer;
use quick_xml::escape::partial_escape;
use quick_xml::events::{BytesDecl, BytesText, Event};

use crate::parameters::{PARAMETERS, Parameter, Unset};

/// An action as the meta-data advertises it. Pacemaker's tools copy these times into the resources they create.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Action {
    /// Its name, which is the agent's first argument.
    pub name: &'static str,
    /// How long it may take, at least.
    pub timeout: &'static str,
    /// For what is to be repeated: how often, and in which role.
    pub repeated: Option<Repeated>,
}

/// How often an action is to be repeated. Pacemaker needs a different interval for each role.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Repeated {
    /// Time between two runs.
    pub interval: &'static str,
    /// The role the resource is in.
    pub role: &'static str,
}

/// What the agent advertises, with PAF's times.
pub static ACTIONS: [Action; 11] = [
    once("start", "60s"),
    once("stop", "60s"),
    once("promote", "30s"),
    once("demote", "120s"),
    monitor("15s", "Promoted"),
    monitor("16s", "Unpromoted"),
    once("notify", "60s"),
    once("reload", "20s"),
    once("reload-agent", "20s"),
    once("meta-data", "5s"),
    once("validate-all", "5s"),
];

const fn once(name: &'static str, timeout: &'static str) -> Action {
    Action { name, timeout, repeated: None }
}

const fn monitor(interval: &'static str, role: &'static str) -> Action {
    Action { name: "monitor", timeout: "10s", repeated: Some(Repeated { interval, role }) }
}

/// The DTD that `ocf-tester` is to check against, as `make install` places it: OCF 1.0's, with what OCF 1.1 brought.
/// Declarations within the document itself would do too, but make Pacemaker 3.0.0 log failed assertions.
const DOCTYPE: &str = r#"resource-agent SYSTEM "file:///usr/share/pgsqlms/ra-api-1.1.dtd""#;

/// The agent in one line.
pub const SHORT: &str = "PostgreSQL with streaming replication and automatic failover";

/// The agent in a few paragraphs.
pub const LONG: &str = "
Runs a PostgreSQL instance as one member of a replicated cluster. Used as a promotable clone, it starts every \
instance as a standby, promotes the one that Pacemaker chooses after comparing how much write-ahead log each node \
holds, keeps the promotion scores current, and performs switchovers and failovers.

The agent does not set up replication: the standbys are built with pg_basebackup or an equivalent beforehand, and \
each node's primary_conninfo carries application_name=<name of the node>. It needs the clone options notify=true, \
promoted-max=1 and promoted-node-max=1, and fencing.

Parameters have the same names, defaults and units as those of ocf:heartbeat:pgsqlms (PAF).
";

/// Writes the meta-data to `out`, with a final newline.
pub fn write(out: impl io::Write) -> io::Result<()> {
    let mut writer = Writer::new_with_indent(out, b' ', 2);
    // No encoding: crmsh 4.4 cannot read a document that names one.
    writer.write_event(Event::Decl(BytesDecl::new("1.0", None, None)))?;
    writer.write_event(Event::DocType(BytesText::from_escaped(DOCTYPE)))?;
    writer
        .create_element("resource-agent")
        .with_attributes([("name", "pgsqlms"), ("version", env!("CARGO_PKG_VERSION"))])
        .write_inner_content(|writer| {
            writer.create_element("version").write_text_content(BytesText::new("1.1"))?;
            describe(writer, LONG, SHORT)?;
            writer.create_element("parameters").write_inner_content(|writer| {
                PARAMETERS.iter().try_for_each(|parameter| write_parameter(writer, parameter))
            })?;
            writer
                .create_element("actions")
                .write_inner_content(|writer| ACTIONS.iter().try_for_each(|action| write_action(writer, action)))?;
            Ok(())
        })?;
    writer.into_inner().write_all(b"\n")
}

fn describe<W: io::Write>(writer: &mut Writer<W>, long: &str, short: &str) -> io::Result<()> {
    for (element, text) in [("longdesc", long), ("shortdesc", short)] {
        let text = BytesText::from_escaped(partial_escape(text));
        writer.create_element(element).with_attribute(("lang", "en")).write_text_content(text)?;
    }
    Ok(())
}

fn write_parameter<W: io::Write>(writer: &mut Writer<W>, parameter: &Parameter) -> io::Result<()> {
    let mut element = writer.create_element("parameter").with_attribute(("name", parameter.name));
    if parameter.unique {
        // `unique` is deprecated, but all that crmsh and Pacemaker before 2.1 know; the latter takes it for "not reloadable".
        element = element.with_attributes([("unique-group", parameter.name), ("unique", "1")]);
    }
    let reloadable = if parameter.reloadable { "1" } else { "0" };
    element.with_attributes([("required", "0"), ("reloadable", reloadable)]).write_inner_content(|writer| {
        // In words, too: `pcs resource describe` does not show the attribute.
        let long = match parameter.unset {
            Unset::Default("") => parameter.long.to_owned(),
            Unset::Default(text) => format!("{} Default: {text}.", parameter.long),
            Unset::Found(how) => format!("{} If unset: {how}.", parameter.long),
        };
        describe(writer, &long, parameter.short)?;
        let content = writer.create_element("content").with_attribute(("type", parameter.kind.as_str()));
        match parameter.unset {
            Unset::Default(text) => content.with_attribute(("default", text)).write_empty()?,
            Unset::Found(_) => content.write_empty()?,
        };
        Ok(())
    })?;
    Ok(())
}

fn write_action<W: io::Write>(writer: &mut Writer<W>, action: &Action) -> io::Result<()> {
    let mut element =
        writer.create_element("action").with_attributes([("name", action.name), ("timeout", action.timeout)]);
    if let Some(Repeated { interval, role }) = action.repeated {
        element = element.with_attributes([("interval", interval), ("depth", "0"), ("role", role)]);
    }
    element.write_empty()?;
    Ok(())
}
