//! What commands have left among the constraints: `crm_resource --move` and `--ban`, also on behalf of pcs, crmsh and this agent.

use std::collections::BTreeSet;

use quick_xml::events::BytesStart;

use crate::clock;
use crate::pacemaker::cib::text;

/// How those constraints are called.
const PREFIX: &str = "cli-";

/// A constraint that `crm_resource --move` or `--ban` has made, also on behalf of pcs or crmsh.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct ByCommand {
    /// Its name.
    pub id: String,
    /// When it ends, as Pacemaker writes it: `2026-11-28 15:04:05Z`.
    pub until: Option<String>,
}

impl ByCommand {
    /// Whether it has ended at this time, in seconds since 1970. One whose end is not understood has not.
    pub fn is_over(&self, now: u64) -> bool {
        // Both begin with year, month, day and time of day, in this order.
        let now = clock::utc(now);
        let until = self.until.as_deref().filter(|until| until.is_ascii() && until.len() == 20 && until.ends_with('Z'));
        until.is_some_and(|until| until[..19] <= now[..19])
    }
}

/// Those that have been read.
#[derive(Debug, Default)]
pub(super) struct Commands(Vec<(String, ByCommand)>);

impl Commands {
    /// Takes note of an element that begins: a constraint, or when it ends.
    pub(super) fn begin(&mut self, element: &BytesStart) -> Result<(), String> {
        let Some(id) = text(element, "id")?.filter(|id| id.starts_with(PREFIX)) else { return Ok(()) };
        match (element.name().as_ref(), text(element, "rsc")?) {
            (b"rsc_location", Some(resource)) => self.0.push((resource, ByCommand { id, until: None })),
            (b"date_expression", _) => {
                if let Some((_, constraint)) = self.0.last_mut() {
                    constraint.until = text(element, "end")?;
                }
            }
            _ => {}
        }
        Ok(())
    }

    /// Those for one of these resources.
    pub(super) fn about(&self, resources: &BTreeSet<String>) -> BTreeSet<ByCommand> {
        let ours = self.0.iter().filter(|(resource, _)| resources.contains(resource));
        ours.map(|(_, constraint)| constraint.clone()).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pacemaker::constraints::locations;
    use crate::rules::table;

    /// A constraint on a clone → what is left by a command, and whether that is over on 28 November 2026 at 15:00.
    fn left(constraint: &str) -> String {
        let xml = format!(
            r#"<xpath-query><clone id="pgsqld-clone"><primitive id="pgsqld"/></clone>{constraint}</xpath-query>"#
        );
        let found = locations(&xml).unwrap().by_command;
        let shown = |it: &ByCommand| format!("{}{}", it.id, if it.is_over(1_795_878_000) { " over" } else { "" });
        found.get("pgsqld").into_iter().flatten().map(shown).collect::<Vec<_>>().join(", ")
    }

    table! { left;
        nothing: "" => "";
        what_a_person_wrote: r#"<rsc_location id="l" rsc="pgsqld-clone" node="srv1" score="INFINITY"/>"# => "";
        a_move_for_ever: r#"<rsc_location id="cli-prefer-pgsqld-clone" rsc="pgsqld-clone" role="Promoted" node="srv1" score="INFINITY"/>"#
            => "cli-prefer-pgsqld-clone";
        a_ban_of_the_primitive: r#"<rsc_location id="cli-ban-pgsqld-on-srv1" rsc="pgsqld" node="srv1" score="-INFINITY"/>"#
            => "cli-ban-pgsqld-on-srv1";
        of_another_one: r#"<rsc_location id="cli-ban-vip-on-srv1" rsc="vip" node="srv1" score="-INFINITY"/>"# => "";
        a_move_that_ends: &until("2026-11-28 15:00:01Z") => "cli-prefer-pgsqld-clone";
        a_move_that_has_ended: &until("2026-11-28 15:00:00Z") => "cli-prefer-pgsqld-clone over";
        a_time_of_another_zone: &until("2026-11-28 13:00:00 +02:00") => "cli-prefer-pgsqld-clone";
    }

    /// As Pacemaker 2.1 and 3.0 write it.
    fn until(end: &str) -> String {
        format!(
            r##"<rsc_location id="cli-prefer-pgsqld-clone" rsc="pgsqld-clone" role="Promoted"><rule id="cli-prefer-rule-pgsqld-clone" score="INFINITY" boolean-op="and"><expression id="cli-prefer-expr-pgsqld-clone" attribute="#uname" operation="eq" value="srv2" type="string"/><date_expression id="cli-prefer-lifetime-end-pgsqld-clone" operation="lt" end="{end}"/></rule></rsc_location>"##
        )
    }
}
